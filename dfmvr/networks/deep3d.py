"""The network of Deng et al. 2019: one photograph to coefficients (R-Net), several to one identity (C-Net).

Source: Deng et al. 2019, "Accurate 3D Face Reconstruction with Weakly-Supervised Learning: From Single Image to Image
Set", sections 3 and 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.networks.heads import NetworkSizes, without_autocast
from dfmvr.networks.layers import at_least_single
from dfmvr.networks.single_image import FRONT, Features, PerViewNetwork

if TYPE_CHECKING:
    from dfmvr.config.training import Deep3DSection

SMALLEST_CONFIDENCE = 1e-3
"""Added to every confidence, so that a sum of them never vanishes."""


class ImageSet(NamedTuple):
    """Samples as sets of V photographs."""

    per_view: Coefficients  # each photograph's own, see `SingleImageRegressor.coefficients`
    identity: Tensor  # (B, K) of the set


def aggregate(identity: Tensor, confidence: Tensor) -> Tensor:
    """The identity of an image set: the mean of its images' weighted by confidence, element by element.

    a = sum_j c_j o a_j / sum_j c_j (Deng et al., section 4).

    Paper: it says that Deng et al. select the image of the highest score; their paper has this weighted mean.

    Args:
        identity, confidence: (B, V, K), confidence positive.
    Returns:
        (B, K).
    """
    return (confidence * identity).sum(1) / confidence.sum(1)


class ConfidenceNet(nn.Module):
    """C-Net: how far to trust each identity coefficient of a photograph, from what R-Net sees in it.

    The first stage's map goes through three 3x3 convolutions of stride 2 and a mean over its places, is put beside
    R-Net's feature of the whole photograph, and through two fully connected layers.

    ASSUME: numbers of channels in proportion to R-Net's, and softplus for positive answers; the paper gives neither.
    A fresh network trusts all alike: its answer is the plain mean.

    Args:
        width: of R-Net's backbone; the first stage's map has four times as many channels.
        features: size of R-Net's feature of the whole photograph.
        identity_size: number of identity coefficients.
    """

    def __init__(self, width: int, features: int, identity_size: int) -> None:
        super().__init__()
        channels, layers = 4 * width, []
        for _ in range(3):
            convolution = nn.Conv2d(channels, 2 * width, 3, 2, 1)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)
            layers += [convolution, nn.ReLU(inplace=True)]
            channels = 2 * width
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Linear(channels + features, 8 * width)
        self.scores = nn.Linear(8 * width, identity_size)
        nn.init.zeros_(self.scores.weight)
        nn.init.zeros_(self.scores.bias)

    def forward(self, features: Features) -> Tensor:
        """Confidences (N, K) > 0 of N photographs, float32."""
        places = at_least_single(self.convolutions(features.first)).mean((-2, -1))
        with without_autocast(places):
            hidden = F.relu(self.hidden(torch.cat((places, features.whole), 1)))
            return F.softplus(self.scores(hidden)) + SMALLEST_CONFIDENCE


class Deep3D(PerViewNetwork):
    """R-Net and, unless identities are just averaged, C-Net.

    Args:
        settings: with `aggregation`: `confidence` weighs identities by C-Net's answer; `mean`, without C-Net, is what
            the authors call nearly as good.
        sizes: of the images and the face model.
    Raises:
        ConfigError: the image size does not fit.
    """

    def __init__(self, settings: Deep3DSection, sizes: NetworkSizes) -> None:
        super().__init__(settings, sizes)
        self.held = False
        self.confidence = None
        if settings.aggregation == "confidence":
            features = self.regressor.neck.out_features
            self.confidence = ConfidenceNet(settings.backbone_width, features, sizes.identity_size)

    def image_set(self, images: Tensor) -> ImageSet:
        """Regress the images (B, V, 3, S, S) of each sample for themselves, and one identity for all of them."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.held):
            features = self.regressor.features(images)
            per_view = self.regressor.coefficients(features, images.shape[1])
        if self.confidence is None:
            return ImageSet(per_view, per_view.identity.mean(1))
        confidence = self.confidence(features).unflatten(0, images.shape[:2])
        return ImageSet(per_view, aggregate(per_view.identity, confidence))

    def trained_answer(self, images: Tensor) -> Coefficients:
        """Each view's own coefficients or, while R-Net is held, with the set's identity for all views."""
        if not self.held:
            return self.per_view(images)
        per_view, identity = self.image_set(images)
        return per_view._replace(identity=identity[:, None].expand_as(per_view.identity))

    def sample_answer(self, images: Tensor) -> Coefficients:
        """The set's identity; ASSUME: the front view's expression and texture, as only identities are aggregated."""
        per_view, identity = self.image_set(images)
        return per_view._replace(
            identity=identity, expression=per_view.expression[:, FRONT], texture=per_view.texture[:, FRONT]
        )

    def hold_regressor(self, held: bool) -> None:
        """Keep R-Net as it is, its running means included, or let it learn again."""
        self.held = held
        self.regressor.train(self.training and not held)
