"""From the features of a backbone to the coefficients of faces: what DF-MVR and the two baselines share."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from dfmvr.errors import ConfigError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.networks.residual import ResidualNet
from dfmvr.rendering.shading import SH_BANDS

if TYPE_CHECKING:
    from dfmvr.config.training import NetworkSection, SingleImageSection

SMALLEST_IMAGE_PX = 32  # the backbone halves five times

# ASSUME: units in which the heads answer, about the spread of each in aligned images, so that all answers are of one
# size. Alignment fixes a face's place to a few mm and, through its size, its distance to a few per cent.
ANGLE_UNIT_RAD = 0.2
TRANSLATION_UNIT_MM = (10.0, 10.0, 50.0)
LIGHTING_UNIT = 0.3

NECK_GAIN = 5.0
"""ASSUME: Adam moves all weights of a head alike, so a step changes its answer by up to NECK_GAIN * sqrt(neck) times
the learning rate (0.08 units at 1e-3 and 256): quick, and still below what it has to tell apart."""


class NetworkSizes(NamedTuple):
    """What the data and the face model say about a network; its section of the configuration says the rest."""

    image_size: int  # width and height of the aligned images in pixels, 32 or more
    identity_size: int  # components of the face model
    expression_size: int
    texture_size: int


def without_autocast(x: Tensor) -> AbstractContextManager:
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
        with without_autocast(x):
            return self.norm(self.linear(x.flatten(1))) * (NECK_GAIN / math.sqrt(self.out_features))


class CoefficientRegressor(nn.Module):
    """A backbone, its neck, and one linear head for each kind of coefficient.

    A fresh one answers the mean face, seen from the front, unlit but for the ambient term.

    Args:
        settings: the shape of the network.
        sizes: of images and face model.
        backbone: from images or fused features to the last map.
        views: how many views an answer is about.
        lightings: how many lightings it gives them.
    Raises:
        ConfigError: the images are too small.
    """

    def __init__(
        self,
        settings: NetworkSection | SingleImageSection,
        sizes: NetworkSizes,
        backbone: ResidualNet,
        views: int,
        lightings: int,
    ) -> None:
        super().__init__()
        if sizes.image_size < SMALLEST_IMAGE_PX:
            raise ConfigError(
                f"network: expected images of {SMALLEST_IMAGE_PX} px or more, found {sizes.image_size} px; "
                "raise align.image_size"
            )
        self.image_size = sizes.image_size
        self.backbone = backbone
        if settings.quick_start:
            backbone.start_quickly()
        self.neck = Neck(backbone, sizes.image_size, settings.neck) if settings.neck else MeanPool(backbone)
        answers = {
            "identity": sizes.identity_size,
            "expression": sizes.expression_size,
            "texture": sizes.texture_size,
            "lighting": lightings * SH_BANDS * 3,
            "angles": views * 3,
            "translation": views * 3,
        }
        self.heads = nn.ModuleDict({name: nn.Linear(self.neck.out_features, n) for name, n in answers.items()})
        for head in self.heads.values():
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def answer(self, features: Tensor, samples: int) -> Coefficients:
        """Coefficients from features (N, out_features) of so many samples, N a multiple of their number.

        Returns:
            Identity (N, K), expression (N, E), texture (N, T); lighting (samples, V, 9, 3), angles and translation
            (samples, V, 3). Float32 at the least, whatever the precision of the backbone.
        """
        with without_autocast(features):
            out = {name: head(features) for name, head in self.heads.items()}
            lighting, angles, translation = (
                out[name].reshape(samples, -1, *shape)
                for name, shape in (("lighting", (SH_BANDS, 3)), ("angles", (3,)), ("translation", (3,)))
            )
            return Coefficients(
                out["identity"],
                out["expression"],
                out["texture"],
                LIGHTING_UNIT * lighting,
                ANGLE_UNIT_RAD * angles,
                translation * translation.new_tensor(TRANSLATION_UNIT_MM),
            )
