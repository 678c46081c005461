"""Training of DF-MVR and its variants (Table IV): network, face model, renderer and frozen parser in one step (Fig. 1).

The losses are those of `dfmvr.losses`, Eqs. 2 to 8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.views import Views, outlined, render_views
from dfmvr.losses import LossTarget, LossTerms, Prediction, total_loss
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.train.samples import Batch
from dfmvr.train.system import TrainingSystem

if TYPE_CHECKING:
    from dfmvr.config.training import NetworkSection, TrainSection


class DFMVRTraining(TrainingSystem):
    """What turns a batch into the losses of Eqs. 2 to 8."""

    kind = "df_mvr"
    names = LossTerms._fields
    network_class = DFMVR

    def __init__(self, settings: TrainSection, *parts: Any) -> None:
        super().__init__(settings, *parts)
        self.weights = settings.loss

    @staticmethod
    def network_section(settings: TrainSection) -> NetworkSection:
        """The section `network`."""
        return settings.network

    @staticmethod
    def needs_parser(settings: TrainSection) -> bool:
        """Whether there is a mask loss."""
        return settings.loss.mask > 0

    def losses(self, batch: Batch, rendered: bool = True) -> LossTerms:
        """All losses of a batch (Eqs. 2 to 8); without rendering, those of landmarks and coefficients alone."""
        coefficients = self.autocast(self.network)(*what_is_seen(batch))
        views = self.see(coefficients, rendered)
        landmarks_3d = views.vertices[:, self.model_of(rendered).landmarks_101]
        outlines = rendered and self.parser is not None and self.weights.silhouette
        prediction = Prediction(
            *(views.image, views.alpha, views.landmarks, landmarks_3d, coefficients),
            outlined=outlined(views, self.model.triangles, self.image_size) if outlines else None,
        )
        target = LossTarget(batch.images, batch.masks, batch.weights, batch.landmarks, batch.landmarks_3d)
        return self.compare(prediction, target, None if self.parser is None else self.autocast(self.parser), views)

    def see(self, coefficients: Coefficients, rendered: bool) -> Views:
        """What the three cameras see of the coefficients."""
        return render_views(self.model_of(rendered), coefficients, self.image_size, rendered)

    def compare(
        self, prediction: Prediction, target: LossTarget, parser: Callable[[Tensor], Tensor] | None, views: Views
    ) -> LossTerms:
        """The losses of a prediction."""
        return total_loss(prediction, target, parser, self.weights)


def what_is_seen(batch: Batch) -> tuple[Tensor, Tensor]:
    """Images (B, 3, 3, S, S) and masks (B, 3, S, S) as the network gets them: black where a view is not seen."""
    seen = batch.seen[:, :, None, None]
    return batch.images * seen[:, :, None], batch.masks * seen


TRAINING = DFMVRTraining
