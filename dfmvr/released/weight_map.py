"""The weight map of the authors' released code: what it does otherwise to ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dfmvr.config.training import ParseSection

LOST_WEIGHT = 1
"""What is left of the weight of features in left views: 0.99, stored as a whole number."""


def weight_map_as_released(
    weight_map: Callable[[np.ndarray, ParseSection], np.ndarray],
    mask: np.ndarray,
    settings: ParseSection,
    view: str | None,
) -> np.ndarray:
    """Weights of the photo loss with the departures of `parse.released`.

    Args:
        weight_map: ours, of a mask and settings.
        mask: (H, W) class ids.
        settings: the section `parse`.
        view: a name of `conventions.VIEWS`.
    Returns:
        (H, W) uint8.
    """
    if settings.released.left_features_bug and view == "left":
        settings = settings.model_copy(update={"feature_weight": LOST_WEIGHT})
    weights = weight_map(mask, settings)
    if settings.released.keep_background:
        weights[mask == 0] = settings.background_weight
    return weights
