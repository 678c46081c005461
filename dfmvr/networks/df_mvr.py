"""DF-MVR's network: three views and their masks to the coefficients of a face (paper III, Fig. 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dfmvr.conventions import CLASSES, VIEWS
from dfmvr.face_model.coefficients import Coefficients, mean_angles
from dfmvr.networks.cnn_fusion import CNNFusion
from dfmvr.networks.heads import CoefficientRegressor, NetworkSizes
from dfmvr.networks.layers import at_least_single
from dfmvr.networks.rednet import RedNet
from dfmvr.networks.resnet import ResNet
from dfmvr.networks.shapes import expect_shape
from dfmvr.networks.tri_unet import TriUNet
from dfmvr.networks.unet import UNet

if TYPE_CHECKING:
    from dfmvr.config.training import NetworkSection

BACKBONES = {"rednet": RedNet, "resnet": ResNet}


def build_fusion(settings: NetworkSection) -> nn.Module:
    """The network that makes one map (B, out_channels, H, W) of the views, of the kind that the settings name."""
    in_channels = 4 if settings.face_mask else 3
    if settings.fusion == "cnn":
        return CNNFusion(in_channels, settings.width, settings.last_concat)
    if settings.fusion == "tri_unet":
        return TriUNet(in_channels, settings.width, settings.last_concat)
    return UNet(in_channels, settings.width, settings.last_concat, late=settings.fusion == "unet_late")


class DFMVR(CoefficientRegressor):
    """The network of Fig. 1: Tri-UNet, RedNet, and one linear head for each kind of coefficient; or, by the settings,
    another fusion or backbone in their place (Table IV).

    A fresh network answers the mean face, unlit but for the ambient term, in the mean pose of each view.

    Args:
        settings: the section `train.network` of the configuration.
        sizes: of the images and the face model.
        lightings: one for each view, or one for all.
    Raises:
        ConfigError: a setting or the image size does not fit.
    """

    def __init__(self, settings: NetworkSection, sizes: NetworkSizes, lightings: int = len(VIEWS)) -> None:
        fusion = build_fusion(settings)
        backbone = BACKBONES[settings.backbone](
            fusion.out_channels, settings.depth, settings.backbone_width, settings.stem_pool, settings.fine
        )
        super().__init__(settings, sizes, backbone, len(VIEWS), lightings)
        self.fusion, self.face_mask, self.precision = fusion, settings.face_mask, torch.float32
        self.register_buffer("mean_angles", mean_angles())
        self.to(memory_format=torch.channels_last)  # a third faster on a CPU, and what GPUs want in half precision

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Coefficients:
        """Regress the coefficients.

        Args:
            images: (B, 3, 3, H, W) RGB in [0, 1], views left, front, right.
            masks: (B, 3, H, W) class ids (`dfmvr.conventions.CLASSES`), any number type; not looked at by a network
                without `face_mask`.
        Returns:
            Coefficients, float32 or, by a network in double precision, float64.
        Raises:
            DataError: another shape or no masks where the network wants them.
        """
        views = self.views(images, masks).to(self.precision)
        features = self.neck(at_least_single(self.backbone(self.fusion(views))))
        answer = self.answer(features, len(images))
        return answer._replace(angles=self.mean_angles + answer.angles)

    def views(self, images: Tensor, masks: Tensor | None) -> Tensor:
        """Put each mask beside its image, where the network wants masks: (B, 3, 4 or 3, H, W)."""
        size, hint = self.image_size, "align them at the size that the network was made for"
        expect_shape(images, "network: expected images", ("B", len(VIEWS), 3, size, size), hint)
        if self.face_mask:
            shape = (len(images), len(VIEWS), size, size)
            expect_shape(masks, "network: expected masks", shape, "parse the images for their class ids first")
        colours, labels = self.scaled(images, None if masks is None else masks.to(images.dtype))
        # ASSUME: one channel holding the class id (III-B: "only one layer of channel").
        return torch.cat((colours, labels[:, :, None]), 2) if self.face_mask else colours

    def scaled(self, colours: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Bring colours and class ids to [-1, 1]."""
        return 2 * colours - 1, None if labels is None else labels * (2 / (len(CLASSES) - 1)) - 1
