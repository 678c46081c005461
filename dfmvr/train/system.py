"""From a batch to its losses: network, face model, renderer and frozen parser in one step (Fig. 1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.views import Views, coarse_for, render_views, see_landmarks
from dfmvr.losses import Losses, LossWeights, MoreLosses, Prediction, Target, is_skin, kind_of_losses, total_loss
from dfmvr.parse.parser import FaceParser
from dfmvr.train.batch import Batch


class TrainingSystem:
    """What turns a batch into losses. Only the network learns; the face model and the parser are fixed."""

    masked = True  # whether the mask loss counts in this phase

    def __init__(
        self,
        network: nn.Module,
        model: MorphableModel,
        parser: Callable[[Tensor], Tensor] | None,
        weights: LossWeights,
        image_size: int,
        precision: torch.dtype = torch.float32,
    ) -> None:
        """Put the parts together; they must be on one device.

        Args:
            network: images and masks to `Coefficients`.
            parser: images (N, 3, S, S) to logits; None switches the mask loss off.
            weights: of the losses.
            precision: of the networks; geometry and rendering are always float32.
        """
        self.network, self.parser, self.weights = network, parser, weights
        self.names = kind_of_losses(weights)._fields
        self.model = coarse_for(model, image_size)
        self.image_size, self.precision = image_size, precision

    def phase(self, step: int, steps: int) -> None:
        """Make ready for `step` of `steps`: before `mask_from` of them there is no mask loss."""
        self.masked = step >= round(self.weights.mask_from * steps)

    def predict(self, batch: Batch, rendered: bool = True) -> Prediction:
        """Run the network on a batch and, unless only landmarks are asked for, render what it answers."""
        coefficients = self._autocast(self.network)(*what_is_seen(batch))
        image = alpha = skin = None
        if rendered:
            views = render_views(self.model, coefficients, self.image_size)
            vertices, image, alpha, landmarks = views[:4]
            skin = self._skin(views)
        else:
            vertices, landmarks = see_landmarks(self.model, coefficients, self.image_size)
        return Prediction(image, alpha, landmarks, vertices[:, self.model.landmarks_101], coefficients, skin)

    def _skin(self, views: Views) -> Tensor | None:
        """Colours (B, n, P, 3) of the skin that should be even: its albedo, n = 1, or as each view shows it lit."""
        if not self.weights.albedo:
            return None
        colours = views.lit if self.weights.lit_albedo else views.albedo[:, None]
        return colours[..., is_skin(self.model.labels), :]

    def losses(self, batch: Batch, rendered: bool = True) -> Losses | MoreLosses:
        """All losses of a batch (Eqs. 2 to 8); without rendering, those of landmarks and coefficients alone."""
        prediction = self.predict(batch, rendered)
        target = Target(batch.images, batch.masks, batch.weights, batch.landmarks, batch.landmarks_3d)
        parser = self._autocast(self.parser) if self.parser is not None and self.masked else None
        return total_loss(prediction, target, parser, self.weights)

    def _autocast(self, function: Callable) -> Callable:
        """The function under mixed precision where that is asked for."""
        if self.precision == torch.float32:
            return function

        def run(images: Tensor, *rest: Tensor) -> Tensor | Coefficients:
            with torch.autocast(images.device.type, self.precision):
                return function(images, *rest)

        return run


def set_mode(parser: FaceParser, mode: str) -> FaceParser:
    """The parser with its batch normalisation in a mode of `train.parser_mode`.

    Code: "train" is what the released code does by leaving the parser to `model.train()`. Each batch is then normalised
    by itself, and the statistics of training drift; nothing here looks at them, so a resumed run is still exact.
    """
    if mode == "train":
        parser.network.train()
    return parser


def what_is_seen(batch: Batch) -> tuple[Tensor, Tensor]:
    """Images (B, 3, 3, S, S) and masks (B, 3, S, S) as the network gets them: black where a view is not seen."""
    seen = batch.seen[:, :, None, None]
    return batch.images * seen[:, :, None], batch.masks * seen


def mirrored_landmarks(model: MorphableModel) -> Tensor:
    """Index (101,) of the mirror image of each 3D landmark: the landmark nearest to it on the mean face.

    Raises nothing: on an asymmetric model the nearest landmark is an approximation of at most the asymmetry.
    """
    points = model.mean[model.landmarks_101]
    return torch.cdist(points * points.new_tensor([-1.0, 1.0, 1.0]), points).argmin(1).cpu()
