"""DF-MVR's network: three views and their masks to the coefficients of a face (paper III, Fig. 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dfmvr.conventions import CLASSES, VIEWS
from dfmvr.errors import ConfigError, DataError
from dfmvr.networks.rednet import RedNet
from dfmvr.networks.tri_unet import TriUNet

SH_BANDS = 9
SMALLEST_IMAGE_PX = 32  # RedNet halves five times

# ASSUME: side views are taken some 35 degrees off the frontal one (Pixel-Face's and Multi-PIE's lie between 30 and 45).
# A positive angle about y turns the nose, which points to +z, toward +x, the image's right; the left view's nose points
# to the image's left.
MEAN_YAW_DEG = {"left": -35.0, "front": 0.0, "right": 35.0}

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


class Coefficients(NamedTuple):
    """A face and how the three views see it. Sizes K, E and T are the face model's."""

    identity: Tensor  # (B, K), standard deviations
    expression: Tensor  # (B, E), standard deviations
    texture: Tensor  # (B, T), standard deviations
    lighting: Tensor  # (B, 3, 9, 3): view, spherical harmonic, rgb
    angles: Tensor  # (B, 3, 3) radians: view, axis; R = Rz Ry Rx
    translation: Tensor  # (B, 3, 3) mm: view, axis


class MeanPool(nn.Module):
    """The mean of the backbone's last map, as ResNets have it."""

    def __init__(self, backbone: RedNet) -> None:
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

    def __init__(self, backbone: RedNet, image_size: int, out_features: int) -> None:
        super().__init__()
        side = -(-image_size // backbone.stride)
        self.out_features = out_features
        self.linear = nn.Linear(backbone.out_channels * side**2, out_features)
        self.norm = nn.BatchNorm1d(out_features, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, out_features), each of mean 0 and root mean square NECK_GAIN / sqrt(out_features)."""
        with torch.autocast(x.device.type, enabled=False):
            return self.norm(self.linear(x.flatten(1))) * (NECK_GAIN / math.sqrt(self.out_features))


class DFMVR(nn.Module):
    """The network of Fig. 1: Tri-UNet, RedNet, and one linear head for each kind of coefficient.

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
        if settings.fusion != "tri_unet" or settings.backbone != "rednet":
            found = f"{settings.fusion} and {settings.backbone}"
            raise ConfigError(f"network: expected fusion tri_unet and backbone rednet, found {found}")
        if image_size < SMALLEST_IMAGE_PX:
            raise ConfigError(
                f"network: expected images of {SMALLEST_IMAGE_PX} px or more, found {image_size} px; "
                "raise align.image_size"
            )
        self.image_size = image_size
        self.face_mask = settings.face_mask
        self.fusion = TriUNet(4 if settings.face_mask else 3, settings.width, settings.released_concat)
        self.backbone = RedNet(self.fusion.out_channels, settings.depth, settings.backbone_width, settings.stem_pool)
        if settings.quick_start:
            self.backbone.start_quickly()
        self.neck = Neck(self.backbone, image_size, settings.neck) if settings.neck else MeanPool(self.backbone)
        views, features = len(VIEWS), self.neck.out_features
        self.heads = nn.ModuleDict(
            {
                "identity": nn.Linear(features, identity_size),
                "expression": nn.Linear(features, expression_size),
                "texture": nn.Linear(features, texture_size),
                "lighting": nn.Linear(features, views * SH_BANDS * 3),
                "angles": nn.Linear(features, views * 3),
                "translation": nn.Linear(features, views * 3),
            }
        )
        for head in self.heads.values():
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        prior = torch.zeros(views, 3)
        prior[:, 1] = torch.tensor([math.radians(MEAN_YAW_DEG[view]) for view in VIEWS])
        self.register_buffer("mean_angles", prior)
        self.register_buffer("translation_unit", torch.tensor(TRANSLATION_UNIT_MM), persistent=False)
        self.to(memory_format=torch.channels_last)  # a third faster on a CPU, and what GPUs want in half precision

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Coefficients:
        """Regress the coefficients.

        Args:
            images: (B, 3, 3, H, W) RGB in [0, 1], views left, front, right.
            masks: (B, 3, H, W) class ids (`dfmvr.conventions.CLASSES`), any number type; not looked at by a network
                without `face_mask`.
        Returns:
            Coefficients, float32 whatever the precision of the network.
        Raises:
            DataError: another shape or no masks where the network wants them.
        """
        features = self.neck(self.backbone(self.fusion(self._views(images, masks))).float())
        with torch.autocast(features.device.type, enabled=False):
            out = {name: head(features) for name, head in self.heads.items()}
        views = (len(images), len(VIEWS))
        return Coefficients(
            out["identity"],
            out["expression"],
            out["texture"],
            LIGHTING_UNIT * out["lighting"].reshape(*views, SH_BANDS, 3),
            self.mean_angles + ANGLE_UNIT_RAD * out["angles"].reshape(*views, 3),
            self.translation_unit * out["translation"].reshape(*views, 3),
        )

    def _views(self, images: Tensor, masks: Tensor | None) -> Tensor:
        """Scale the input to [-1, 1] and put each mask beside its image: (B, 3, 4 or 3, H, W)."""
        size = self.image_size
        if images.shape[1:] != (len(VIEWS), 3, size, size):
            raise DataError(
                f"network: expected images (B, {len(VIEWS)}, 3, {size}, {size}), found {tuple(images.shape)}; "
                "align them at the size that the network was made for"
            )
        colour = 2 * images - 1
        if not self.face_mask:
            return colour
        expected = (*images.shape[:2], *images.shape[3:])
        if masks is None or masks.shape != expected:
            found = "none" if masks is None else tuple(masks.shape)
            raise DataError(f"network: expected masks {expected} of class ids, found {found}; parse the images first")
        # ASSUME: one channel holding the class id (III-B: "only one layer of channel"), scaled to [-1, 1] like the
        # colours; the released code gives the raw ids 0 to 9.
        labels = masks.to(images.dtype) * (2 / (len(CLASSES) - 1)) - 1
        return torch.cat((colour, labels[:, :, None]), 2)
