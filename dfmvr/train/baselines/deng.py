"""Training of Deng et al. 2019: R-Net on single photographs, then C-Net on image sets with R-Net fixed.

Each view of a sample is a photograph of its own; 3D landmarks are not used (paper V-B).

Source: Deng et al. 2019; weights as in the authors' PyTorch code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.losses import lighting_loss, regularisation_loss
from dfmvr.networks.deep3d import Deep3D, Deep3DSettings
from dfmvr.train.baselines.single_image import (
    SingleImageSystem,
    albedo_loss,
    as_samples,
    face_photo_loss,
    noted,
    see,
    squared_landmark_loss,
    weighted_sum,
)
from dfmvr.train.batch import Batch
from dfmvr.train.data import cosine_rate

EMPHASISED_68 = (28, 29, 30, *range(60, 68))
"""The lower bridge of the nose and the inner mouth."""
EMPHASIS = 20.0


@dataclass(frozen=True)
class DengWeights:
    """Weights of the terms, and how C-Net is trained; the fields, with what they mean, of the configuration."""

    photo: float = 1.92
    landmark_2d: float = 1.6e-3
    regularisation: float = 3e-4
    identity: float = 1.0
    expression: float = 0.8
    texture: float = 0.017
    lighting: float = 10.0
    albedo: float = 5.0
    perceptual: float = 0.2
    embedding: Path | str | None = None
    confidence_share: float = 0.2


class Losses(NamedTuple):
    """Each term without its weight, NaN where it is left out, and the weighted sum."""

    photo: Tensor
    landmark_2d: Tensor
    regularisation: Tensor
    lighting: Tensor
    albedo: Tensor
    perceptual: Tensor
    total: Tensor


NAMES = Losses._fields


def make_network(
    settings: Deep3DSettings, image_size: int, identity_size: int, expression_size: int, texture_size: int
) -> Deep3D:
    """The network of this training; see `Deep3D`."""
    return Deep3D(settings, image_size, identity_size, expression_size, texture_size)


class System(SingleImageSystem):
    """What turns a batch into losses, in two phases: R-Net learns, then C-Net does."""

    names = NAMES
    weights: DengWeights
    confident = False  # whether it is C-Net that learns

    @property
    def _deep3d(self) -> Deep3D:
        """The network without what shares it between processes."""
        return self.network.module if isinstance(self.network, DistributedDataParallel) else self.network

    def phase(self, step: int, steps: int) -> None:
        """Make ready for `step` of `steps`: in the last `confidence_share` of them C-Net learns and R-Net is fixed."""
        before, self.confident = self.confident, step >= self._first_confident(steps)
        if before or self.confident:
            self._deep3d.hold_regressor(self.confident)

    def rate(self, step: int, steps: int) -> float:
        """Factor of the learning rate at `step` of `steps`: half a cosine in each phase."""
        first = self._first_confident(steps)
        return cosine_rate(step, first) if step < first else cosine_rate(step - first, steps - first)

    def _first_confident(self, steps: int) -> int:
        """The step from which on C-Net learns; `steps` if none does."""
        return steps if self._deep3d.confidence is None else steps - round(self.weights.confidence_share * steps)

    def losses(self, batch: Batch, rendered: bool = True) -> Losses:
        """All losses of a batch; without rendering, those of landmarks and coefficients alone."""
        return self.losses_of(self.regress(batch), batch, rendered)

    def losses_of(self, per_view: Coefficients, batch: Batch, rendered: bool = True) -> Losses:
        """All losses of coefficients (B, 3, ...) of single photographs."""
        coefficients = as_samples(per_view)
        images, masks, landmarks = (values.flatten(0, 1) for values in (batch.images, batch.masks, batch.landmarks))
        seen = see(self.model, coefficients, self.image_size, rendered)
        photo = lighting = albedo = perceptual = None
        if rendered:
            photo = face_photo_loss(seen.image, images, seen.alpha, masks)
            lighting = lighting_loss(coefficients.lighting)
            albedo = albedo_loss(seen.albedo, self.model.labels)
            perceptual = self.perceptual(seen, images)
        terms = {
            "photo": photo,
            "landmark_2d": squared_landmark_loss(seen.landmarks, landmarks, EMPHASISED_68, EMPHASIS, self.image_size),
            "regularisation": regularisation_loss(coefficients, self.weights),
            "lighting": lighting,
            "albedo": albedo,
            "perceptual": perceptual,
        }
        return Losses(**noted(terms, weighted_sum(terms, self.weights)))
