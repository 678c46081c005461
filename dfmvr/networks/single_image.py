"""A ResNet that regresses the coefficients of a face from one photograph: what the two baselines share.

Source: Deng et al. 2019 and Shang et al. 2020, who both take ResNet-50 and 257 outputs of a Basel Face Model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dfmvr.conventions import VIEWS
from dfmvr.errors import ConfigError, DataError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.networks.df_mvr import (
    ANGLE_UNIT_RAD,
    LIGHTING_UNIT,
    SH_BANDS,
    SMALLEST_IMAGE_PX,
    TRANSLATION_UNIT_MM,
    MeanPool,
    Neck,
)
from dfmvr.networks.resnet import ResNet

FRONT = VIEWS.index("front")


@dataclass(frozen=True)
class SingleImageSettings:
    """The shape of the network; the fields, with what they mean, of `dfmvr.config.NetworkSection`, here ResNet-50's."""

    backbone_width: int = 64
    depth: int = 50
    stem_pool: bool = True
    neck: int = 0
    quick_start: bool = False


class Features(NamedTuple):
    """What the backbone sees in N photographs."""

    first: Tensor  # (N, 4 width, h, w) after the first stage
    whole: Tensor  # (N, out_features) of the whole photograph, float32


class SingleImageRegressor(nn.Module):
    """ResNet and one linear head for each kind of coefficient.

    A fresh network answers the mean face, seen from the front, unlit but for the ambient term.

    ASSUME: random initial weights; both papers start from ImageNet's.
    ASSUME: answers in the units of DF-MVR's heads, so that the three learn equally fast; but no prior of a view's
    angle, as the network is not told which view it sees.

    Args:
        settings: a `SingleImageSettings`, or one that has its fields.
        image_size: width and height of the aligned images in pixels, 32 or more.
        identity_size, expression_size, texture_size: components of the face model.
    Raises:
        ConfigError: a setting or the image size does not fit.
    """

    def __init__(
        self,
        settings: SingleImageSettings,
        image_size: int,
        identity_size: int,
        expression_size: int,
        texture_size: int,
    ) -> None:
        super().__init__()
        if image_size < SMALLEST_IMAGE_PX:
            raise ConfigError(
                f"network: expected images of {SMALLEST_IMAGE_PX} px or more, found {image_size} px; "
                "raise align.image_size"
            )
        self.image_size = image_size
        self.backbone = ResNet(3, settings.depth, settings.backbone_width, settings.stem_pool)
        if settings.quick_start:
            self.backbone.start_quickly()
        self.neck = Neck(self.backbone, image_size, settings.neck) if settings.neck else MeanPool(self.backbone)
        self.out_features = self.neck.out_features
        sizes = {
            "identity": identity_size,
            "expression": expression_size,
            "texture": texture_size,
            "lighting": SH_BANDS * 3,
            "angles": 3,
            "translation": 3,
        }
        self.heads = nn.ModuleDict({name: nn.Linear(self.out_features, size) for name, size in sizes.items()})
        for head in self.heads.values():
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.to(memory_format=torch.channels_last)

    def see(self, images: Tensor) -> Features:
        """Features of images (N, 3, S, S), RGB in [0, 1].

        Raises:
            DataError: images of another size.
        """
        size = self.image_size
        if images.ndim != 4 or images.shape[1:] != (3, size, size):
            raise DataError(
                f"network: expected images (N, 3, {size}, {size}), found {tuple(images.shape)}; "
                "align them at the size that the network was made for"
            )
        first = self.backbone.layer1(self.backbone.stem(2 * images - 1))
        last = self.backbone.layer4(self.backbone.layer3(self.backbone.layer2(first)))
        return Features(first, self.neck(last.float()))

    def answer(self, features: Features, views: int) -> Coefficients:
        """Coefficients of the photographs of B samples in V views, seen as B * V.

        Returns:
            Identity (B, V, K), expression (B, V, E), texture (B, V, T), lighting (B, V, 9, 3), angles and translation
            (B, V, 3), each view's answer for itself; float32 whatever the precision of the backbone.
        """
        with torch.autocast(features.whole.device.type, enabled=False):
            out = {name: head(features.whole).unflatten(0, (-1, views)) for name, head in self.heads.items()}
            return Coefficients(
                out["identity"],
                out["expression"],
                out["texture"],
                LIGHTING_UNIT * out["lighting"].unflatten(-1, (SH_BANDS, 3)),
                ANGLE_UNIT_RAD * out["angles"],
                out["translation"] * out["translation"].new_tensor(TRANSLATION_UNIT_MM),
            )

    def forward(self, images: Tensor) -> Coefficients:
        """Regress every image (B, V, 3, S, S) for itself; see `answer`."""
        check_views(images)
        return self.answer(self.see(images.flatten(0, 1)), images.shape[1])


def check_views(images: Tensor, views: int | None = None) -> None:
    """Check that images are (B, V, 3, S, S), V = `views` unless None.

    Raises:
        DataError: they are not.
    """
    if images.ndim != 5 or (views is not None and images.shape[1] != views):
        raise DataError(
            f"network: expected images (B, {views or 'V'}, 3, S, S), found {tuple(images.shape)}; "
            "give the views of a sample along the second axis"
        )
