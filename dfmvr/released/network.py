"""DF-MVR's network as the authors' released code has it: raw inputs, and one lighting for all views."""

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
        raw_inputs: colours in [0, 1] beside class ids from 0 to 9, in place of all in [-1, 1].
        shared_lighting: one lighting for all views, fixed to the head.
    """

    def __init__(
        self, settings: NetworkSection, sizes: NetworkSizes, raw_inputs: bool = True, shared_lighting: bool = True
    ) -> None:
        super().__init__(settings, sizes, lightings=1 if shared_lighting else len(VIEWS))
        self.raw_inputs, self.shared_lighting = raw_inputs, shared_lighting

    def scaled(self, colours: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Leave colours and class ids as they are."""
        return (colours, labels) if self.raw_inputs else super().scaled(colours, labels)

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Coefficients:
        """Regress the coefficients, see `DFMVR.forward`; a shared lighting is told to each view in its own frame."""
        answer = super().forward(images, masks)
        if not self.shared_lighting:
            return answer
        with without_autocast(answer.angles):
            return answer._replace(lighting=share_lighting(answer.lighting[:, 0], answer.angles))
