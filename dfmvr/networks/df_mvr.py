"""DF-MVR's network: three views and their masks to the coefficients of a face (paper III, Fig. 1)."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dfmvr.conventions import CLASSES, VIEWS
from dfmvr.errors import ConfigError, DataError
from dfmvr.face_model.coefficients import Coefficients, mean_angles
from dfmvr.networks.cnn_fusion import CNNFusion
from dfmvr.networks.involution import at_least_single
from dfmvr.networks.lighting import share_lighting
from dfmvr.networks.rednet import RedNet
from dfmvr.networks.residual import ResidualNet
from dfmvr.networks.resnet import ResNet
from dfmvr.networks.tri_unet import TriUNet
from dfmvr.networks.unet import UNet

SH_BANDS = 9
SMALLEST_IMAGE_PX = 32  # the backbone halves five times

FUSIONS = ("cnn", "unet", "unet_late", "tri_unet")
BACKBONES = {"rednet": RedNet, "resnet": ResNet}


# ASSUME: units in which the heads answer, about the spread of each in aligned images, so that all answers are of one
# size. Alignment fixes a face's place to a few mm and, through its size, its distance to a few per cent.
ANGLE_UNIT_RAD = 0.2
TRANSLATION_UNIT_MM = (10.0, 10.0, 50.0)
LIGHTING_UNIT = 0.3

NECK_GAIN = 5.0
"""ASSUME: Adam moves all weights of a head alike, so a step changes its answer by up to NECK_GAIN * sqrt(neck) times
the learning rate (0.08 units at 1e-3 and 256): quick, and still below what it has to tell apart."""


@dataclass(frozen=True)
class NetworkSettings:
    """The shape of the network; the fields, with what they mean, of `dfmvr.config.NetworkSection`, here the paper's."""

    fusion: str = "tri_unet"
    width: int = 64
    backbone: str = "rednet"
    backbone_width: int = 64
    depth: int = 50
    face_mask: bool = True
    released_concat: bool = False
    stem_pool: bool = True
    neck: int = 0
    quick_start: bool = False
    released_inputs: bool = False
    shared_lighting: bool = False


def _without_autocast(x: Tensor) -> AbstractContextManager:
    """Keep what follows in the precision of its inputs; the device of tensors without data knows no other."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


class MeanPool(nn.Module):
    """The mean of the backbone's last map, as ResNets have it."""

    def __init__(self, backbone: ResidualNet) -> None:
        super().__init__()
        self.out_features = backbone.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C)."""
        return x.mean((-2, -1))


class Neck(nn.Module):
    """A linear layer that sees the whole last map, its answers normalised.

    ASSUME: the mean of the map, which the paper's backbone takes, forgets where a feature lies, and its differences
    between faces are small beside what all faces share. A large network makes up for both; a small one in a short
    training does not: on 1,000 stand-in samples it learnt several times faster with this layer.
    """

    def __init__(self, backbone: ResidualNet, image_size: int, out_features: int) -> None:
        super().__init__()
        side = -(-image_size // backbone.stride)
        self.out_features = out_features
        self.linear = nn.Linear(backbone.out_channels * side**2, out_features)
        self.norm = nn.BatchNorm1d(out_features, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, out_features), each of mean 0 and root mean square NECK_GAIN / sqrt(out_features)."""
        with _without_autocast(x):
            return self.norm(self.linear(x.flatten(1))) * (NECK_GAIN / math.sqrt(self.out_features))


def build_fusion(settings: NetworkSettings) -> nn.Module:
    """The network that makes one map (B, out_channels, H, W) of the views, of the kind that the settings name."""
    if settings.fusion not in FUSIONS:
        raise ConfigError(f"network: expected a fusion of {', '.join(FUSIONS)}, found {settings.fusion}")
    in_channels = 4 if settings.face_mask else 3
    if settings.fusion == "cnn":
        return CNNFusion(in_channels, settings.width)
    if settings.fusion == "tri_unet":
        return TriUNet(in_channels, settings.width, settings.released_concat)
    return UNet(in_channels, settings.width, settings.released_concat, late=settings.fusion == "unet_late")


class DFMVR(nn.Module):
    """The network of Fig. 1: Tri-UNet, RedNet, and one linear head for each kind of coefficient; or, by the settings,
    another fusion or backbone in their place (Table IV).

    A fresh network answers the mean face, unlit but for the ambient term, in the mean pose of each view.

    Args:
        settings: a `NetworkSettings`, or the section `train.network` of the configuration.
        image_size: width and height of the aligned images in pixels, 32 or more.
        identity_size, expression_size, texture_size: components of the face model.
    Raises:
        ConfigError: a setting or the image size does not fit.
    """

    def __init__(
        self,
        settings: NetworkSettings,
        image_size: int,
        identity_size: int,
        expression_size: int,
        texture_size: int,
    ) -> None:
        super().__init__()
        if settings.backbone not in BACKBONES:
            raise ConfigError(f"network: expected a backbone of {', '.join(BACKBONES)}, found {settings.backbone}")
        if image_size < SMALLEST_IMAGE_PX:
            raise ConfigError(
                f"network: expected images of {SMALLEST_IMAGE_PX} px or more, found {image_size} px; "
                "raise align.image_size"
            )
        self.image_size, self.precision = image_size, torch.float32
        self.face_mask, self.released_inputs = settings.face_mask, settings.released_inputs
        self.shared_lighting = settings.shared_lighting
        self.fusion = build_fusion(settings)
        self.backbone = BACKBONES[settings.backbone](
            self.fusion.out_channels, settings.depth, settings.backbone_width, settings.stem_pool
        )
        if settings.quick_start:
            self.backbone.start_quickly()
        self.neck = Neck(self.backbone, image_size, settings.neck) if settings.neck else MeanPool(self.backbone)
        views, features = len(VIEWS), self.neck.out_features
        self.heads = nn.ModuleDict(
            {
                "identity": nn.Linear(features, identity_size),
                "expression": nn.Linear(features, expression_size),
                "texture": nn.Linear(features, texture_size),
                "lighting": nn.Linear(features, (1 if settings.shared_lighting else views) * SH_BANDS * 3),
                "angles": nn.Linear(features, views * 3),
                "translation": nn.Linear(features, views * 3),
            }
        )
        for head in self.heads.values():
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
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
        views = self._views(images, masks).to(self.precision)
        features = self.neck(at_least_single(self.backbone(self.fusion(views))))
        with _without_autocast(features):
            out = {name: head(features) for name, head in self.heads.items()}
            shape = (len(images), len(VIEWS), 3)
            angles = self.mean_angles + ANGLE_UNIT_RAD * out["angles"].reshape(shape)
            lighting = LIGHTING_UNIT * out["lighting"].reshape(len(images), -1, SH_BANDS, 3)
            if self.shared_lighting:
                lighting = share_lighting(lighting[:, 0], angles)
            translation = out["translation"].reshape(shape)
            translation = translation * translation.new_tensor(TRANSLATION_UNIT_MM)
        return Coefficients(out["identity"], out["expression"], out["texture"], lighting, angles, translation)

    def _views(self, images: Tensor, masks: Tensor | None) -> Tensor:
        """Scale the input to [-1, 1], unless as released, and put each mask beside its image: (B, 3, 4 or 3, H, W)."""
        size = self.image_size
        if images.shape[1:] != (len(VIEWS), 3, size, size):
            raise DataError(
                f"network: expected images (B, {len(VIEWS)}, 3, {size}, {size}), found {tuple(images.shape)}; "
                "align them at the size that the network was made for"
            )
        colour = images if self.released_inputs else 2 * images - 1
        if not self.face_mask:
            return colour
        expected = (*images.shape[:2], *images.shape[3:])
        if masks is None or masks.shape != expected:
            found = "none" if masks is None else tuple(masks.shape)
            raise DataError(f"network: expected masks {expected} of class ids, found {found}; parse the images first")
        # ASSUME: one channel holding the class id (III-B: "only one layer of channel"), scaled to [-1, 1] like the
        # colours. Code: the raw ids 0 to 9, beside colours in [0, 1].
        labels = masks.to(images.dtype)
        if not self.released_inputs:
            labels = labels * (2 / (len(CLASSES) - 1)) - 1
        return torch.cat((colour, labels[:, :, None]), 2)
