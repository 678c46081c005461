"""A ResNet that regresses the coefficients of a face from one photograph: what the two baselines share.

Source: Deng et al. 2019 and Shang et al. 2020, who both take ResNet-50 and 257 outputs of a Basel Face Model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from dfmvr.conventions import VIEWS
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.networks.heads import CoefficientRegressor, NetworkSizes
from dfmvr.networks.layers import at_least_single
from dfmvr.networks.resnet import ResNet
from dfmvr.networks.shapes import expect_shape

if TYPE_CHECKING:
    from dfmvr.config.training import SingleImageSection

FRONT = VIEWS.index("front")


class Features(NamedTuple):
    """What the backbone sees in N photographs."""

    first: Tensor  # (N, 4 width, h, w) after the first stage
    whole: Tensor  # (N, out_features) of the whole photograph, float32


class SingleImageRegressor(CoefficientRegressor):
    """ResNet and one linear head for each kind of coefficient.

    Random initial weights; both papers start from ImageNet's, which `train.deng.imagenet_weights` names.
    ASSUME: answers in the units of DF-MVR's heads, so that the three learn equally fast; but no prior of a view's
    angle, as the network is not told which view it sees.

    Args:
        settings: the shape of the network.
        sizes: of the images and the face model.
    Raises:
        ConfigError: the image size does not fit.
    """

    def __init__(self, settings: SingleImageSection, sizes: NetworkSizes) -> None:
        backbone = ResNet(3, settings.depth, settings.backbone_width, settings.stem_pool, settings.fine)
        super().__init__(settings, sizes, backbone, views=1, lightings=1)
        self.to(memory_format=torch.channels_last)

    def features(self, images: Tensor) -> Features:
        """Features of the photographs (B, V, 3, S, S), RGB in [0, 1], of B samples in V views: N = B V.

        Raises:
            DataError: another shape.
        """
        size, hint = self.image_size, "align them at the size that the network was made for"
        expect_shape(images, "network: expected images", ("B", "V", 3, size, size), hint)
        first = self.backbone.layer1(self.backbone.stem(2 * images.flatten(0, 1) - 1))
        return Features(first, self.neck(at_least_single(self.backbone.after_first(first))))

    def coefficients(self, features: Features, views: int) -> Coefficients:
        """Coefficients of the photographs of B samples in V views, seen as B * V.

        Returns:
            Identity (B, V, K), expression (B, V, E), texture (B, V, T), lighting (B, V, 9, 3), angles and translation
            (B, V, 3), each view's answer for itself; float32 whatever the precision of the backbone.
        """
        answer = self.answer(features.whole, len(features.whole) // views)
        face = (values.unflatten(0, (-1, views)) for values in answer[:3])
        return Coefficients(*face, *answer[3:])

    def forward(self, images: Tensor) -> Coefficients:
        """Regress every image (B, V, 3, S, S) for itself; see `coefficients`."""
        return self.coefficients(self.features(images), images.shape[1])


class PerViewNetwork(nn.Module):
    """One regressor that is asked about every view of a sample for itself, and what is made of its answers."""

    def __init__(self, settings: SingleImageSection, sizes: NetworkSizes) -> None:
        super().__init__()
        self.regressor = SingleImageRegressor(settings, sizes)

    def per_view(self, images: Tensor) -> Coefficients:
        """Regress every image (B, V, 3, S, S) for itself; see `SingleImageRegressor.coefficients`."""
        return self.regressor(images)

    def trained_answer(self, images: Tensor) -> Coefficients:
        """What is trained: coefficients (B, V, ...) of each of V views."""
        return self.per_view(images)

    def sample_answer(self, images: Tensor) -> Coefficients:
        """What stands for a sample of three views."""
        raise NotImplementedError

    def forward(self, images: Tensor, masks: Tensor | None = None, each: bool = False) -> Coefficients:
        """Regress samples from all their views.

        Args:
            images: (B, 3, 3, S, S) RGB in [0, 1], views left, front, right.
            masks: not looked at.
            each: give what is trained instead, coefficients (B, V, ...) of each of V views.
        Returns:
            Coefficients of one face a sample; lighting and pose are each view's own.
        Raises:
            DataError: another shape.
        """
        if each:
            return self.trained_answer(images)
        hint = "give the views of a sample along the second axis"
        expect_shape(images, "network: expected images", ("B", len(VIEWS), 3, "S", "S"), hint)
        return self.sample_answer(images)
