"""DF-MVR's network as the authors' released code has it: class ids as they are, and one lighting for all views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from dfmvr.conventions import VIEWS
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.heads import NetworkSizes, without_autocast
from dfmvr.released.lighting import share_lighting

if TYPE_CHECKING:
    from dfmvr.config.training import NetworkSection


class ReleasedDFMVR(DFMVR):
    """DF-MVR's network with either or both of the released code's departures.

    Args:
        settings, sizes: as of `DFMVR`.
        raw_labels: class ids from 0 to 9 beside colours in [-1, 1], in place of all in [-1, 1].
        shared_lighting: one lighting for all views, fixed to the head.
    """

    def __init__(
        self, settings: NetworkSection, sizes: NetworkSizes, raw_labels: bool = True, shared_lighting: bool = True
    ) -> None:
        super().__init__(settings, sizes, lightings=1 if shared_lighting else len(VIEWS))
        self.raw_labels, self.shared_lighting = raw_labels, shared_lighting

    def scaled(self, colours: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Bring colours to [-1, 1] and leave class ids as they are."""
        colours, scaled = super().scaled(colours, labels)
        return colours, labels if self.raw_labels else scaled

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Coefficients:
        """Regress the coefficients, see `DFMVR.forward`; a shared lighting is told to each view in its own frame."""
        answer = super().forward(images, masks)
        if not self.shared_lighting:
            return answer
        with without_autocast(answer.angles):
            return answer._replace(lighting=share_lighting(answer.lighting[:, 0], answer.angles))
