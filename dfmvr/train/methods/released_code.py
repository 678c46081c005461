"""Training of DF-MVR as the authors' released code does it: with the departures of `train.released`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.views import Views, render_views
from dfmvr.geometry.camera import project
from dfmvr.geometry.normals import vertex_normals
from dfmvr.losses import LossTarget, Prediction
from dfmvr.networks.checkpoint import network_header
from dfmvr.networks.heads import NetworkSizes
from dfmvr.networks.training import cosine_rate
from dfmvr.released.colours import vary_as_released
from dfmvr.released.losses import ReleasedLossTerms, released_loss
from dfmvr.released.network import ReleasedDFMVR
from dfmvr.released.rendering import edge_alpha, on_their_screen, unit_vertex_normals
from dfmvr.released.weights import start_heads
from dfmvr.train.methods.df_mvr import DFMVRTraining

if TYPE_CHECKING:
    from dfmvr.config.training import TrainSection


class ReleasedTraining(DFMVRTraining):
    """What turns a batch into the losses of the released code."""

    kind = "released_code"
    names = ReleasedLossTerms._fields

    def __init__(self, settings: TrainSection, *parts: Any) -> None:
        super().__init__(settings, *parts)
        self.released, self._parser = settings.released, self.parser
        if self.parser is not None and self.released.parser_in_training_mode:
            # Each batch is then normalised by itself, and the statistics of training drift; nothing here looks at
            # them, so a resumed run is still exact.
            self.parser.network.train()

    @classmethod
    def make_network(cls, settings: TrainSection, sizes: NetworkSizes) -> nn.Module:
        """Build a fresh network."""
        return ReleasedDFMVR(settings.network, sizes, **_switches(settings))

    @classmethod
    def header(cls, settings: TrainSection, sizes: NetworkSizes) -> dict[str, Any]:
        """What the network's file must tell so that it can be built again."""
        return network_header(cls.kind, settings.network, sizes, **_switches(settings))

    @classmethod
    def start(cls, network: nn.Module, settings: TrainSection) -> None:
        """Give the heads the initial weights of the released code's."""
        if settings.released.plain_heads:
            start_heads(network)

    def vary(self, images: Tensor, generator: torch.Generator) -> Tensor | None:
        """Vary the colours of images as Pillow does."""
        return vary_as_released(images, generator) if self.released.colours else None

    def phase(self, step: int, steps: int) -> None:
        """Make ready for `step` of `steps`: before `mask_from` of them there is no mask loss."""
        self.parser = self._parser if step >= round(self.released.mask_from * steps) else None

    def rate(self, step: int, steps: int) -> float:
        """Factor of the learning rate: 1 for `flat_share` of the steps, then half a cosine to `final_rate`."""
        flat, last = round(self.released.flat_share * steps), self.released.final_rate
        return 1.0 if step < flat else last + (1 - last) * cosine_rate(step - flat, max(1, steps - flat))

    def see(self, coefficients: Coefficients, rendered: bool) -> Views:
        """What the three cameras see of the coefficients; `alpha` is what a pixel weighs in the photo loss."""
        normals_of = unit_vertex_normals if self.released.unit_normals else vertex_normals
        views = render_views(self.model_of(rendered), coefficients, self.image_size, rendered, normals_of)
        if self.released.small_screen:
            views = views._replace(landmarks=on_their_screen(views.landmarks, self.image_size))
        if rendered and self.released.alpha_weight:
            projected = project(views.posed.flatten(0, 1), self.image_size)
            alpha = edge_alpha(projected, self.model.triangles, views.fragments.pix_to_face)
            views = views._replace(alpha=alpha.view_as(views.alpha))
        return views

    def compare(
        self, prediction: Prediction, target: LossTarget, parser: Callable[[Tensor], Tensor] | None, views: Views
    ) -> ReleasedLossTerms:
        """The losses of a prediction."""
        colours = views.lit if self.released.lit_albedo or views.albedo is None else views.albedo[:, None]
        return released_loss(prediction, target, parser, colours, self.model.skin, self.weights, self.released)


def _switches(settings: TrainSection) -> dict[str, bool]:
    """What departs in the network itself."""
    return {name: getattr(settings.released, name) for name in ("raw_labels", "shared_lighting")}


TRAINING = ReleasedTraining
