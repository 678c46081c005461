"""Training of Deng et al. 2019: R-Net on single photographs, then C-Net on image sets with R-Net fixed.

Each view of a sample is a photograph of its own; 3D landmarks are not used (paper V-B).

Source: Deng et al. 2019; weights as in the authors' PyTorch code.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.views import render_views
from dfmvr.losses import albedo_loss, lighting_loss, regularisation_loss
from dfmvr.networks.deep3d import Deep3D
from dfmvr.networks.training import cosine_rate
from dfmvr.train.methods.single_image import SingleImageTraining, as_samples, weighted_sum, with_total
from dfmvr.train.samples import Batch


class DengLossTerms(NamedTuple):
    """Each term without its weight, NaN where it is left out, and the weighted sum."""

    photo: Tensor
    landmark_2d: Tensor
    regularisation: Tensor
    lighting: Tensor
    albedo: Tensor
    perceptual: Tensor
    total: Tensor


class DengTraining(SingleImageTraining):
    """What turns a batch into losses, in two phases: R-Net learns, then C-Net does."""

    kind = "deng"
    names = DengLossTerms._fields
    network_class = Deep3D
    emphasised_68 = (28, 29, 30, *range(60, 68))  # the lower bridge of the nose and the inner mouth
    emphasis = 20.0

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

    def losses_of(self, per_view: Coefficients, batch: Batch, rendered: bool = True) -> DengLossTerms:
        """All losses of coefficients (B, 3, ...) of single photographs."""
        coefficients = as_samples(per_view)
        views = render_views(self.model_of(rendered), coefficients, self.image_size, rendered)
        photo, landmark_2d, perceptual = self.of_photographs(views, batch)
        terms = {
            "photo": photo,
            "landmark_2d": landmark_2d,
            "regularisation": regularisation_loss(coefficients, self.weights),
            "lighting": lighting_loss(coefficients.lighting) if rendered else None,
            "albedo": albedo_loss(views.albedo, self.model.skin) if rendered else None,
            "perceptual": perceptual,
        }
        return DengLossTerms(**with_total(terms, weighted_sum(terms, self.weights)))


TRAINING = DengTraining
