"""The weight map of the photo loss (Sec. IV-A, Fig. 4), made from a mask of face parts."""

from __future__ import annotations

import cv2
import numpy as np

from dfmvr.config.training import ParseSection
from dfmvr.conventions import CLASSES, REFERENCE_SIZE_PX

FIRST_FEATURE = CLASSES.index("skin") + 1
"""Brows, eyes, nose and mouth have this class or a higher one."""


def dilate(region: np.ndarray, radius_px: float) -> np.ndarray:
    """Grow a region by a disc.

    An exact distance transform costs the same for every radius; a dilation by a large disc does not.

    Args:
        region: (H, W) bool.
        radius_px: radius of the disc in pixels.
    Returns:
        (H, W) bool: pixels whose centre is at most `radius_px` from the centre of a pixel of the region.
    """
    if not region.any() or radius_px < 1:
        return region
    outside = np.where(region, 0, 255).astype(np.uint8)
    # The slack keeps pixels at exactly the radius, whose float32 distance may lie a little above it.
    return cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= radius_px + 1e-3


def weight_map(mask: np.ndarray, settings: ParseSection) -> np.ndarray:
    """Weights d of the photo loss, Eq. 2.

    Paper: "we dilate M with 20 pixel" leaves the shape open, and whether 20 px is a radius. We grow by a disc with a
    radius of `dilation_px` at 224 px, in proportion at other sizes. The authors' released code makes one pass of a
    10 x 10 kernel and restores the background: nearly `dilation_px: 5, released: {keep_background: true}`.

    Args:
        mask: (H, W) class ids of `conventions.CLASSES`.
        settings: the weights and the dilation.
    Returns:
        (H, W) uint8: `feature_weight` on dilated features, `face_weight` on the rest of the dilated face, else
        `background_weight`.
    """
    radius_px = settings.dilation_px * mask.shape[1] / REFERENCE_SIZE_PX
    weights = np.full(mask.shape, settings.background_weight, np.uint8)
    weights[dilate(mask > 0, radius_px)] = settings.face_weight
    weights[dilate(mask >= FIRST_FEATURE, radius_px)] = settings.feature_weight
    return weights


def weights_of(mask: np.ndarray, settings: ParseSection, view: str | None = None) -> np.ndarray:
    """The weight map of a mask, with the departures of `settings.released` where there are some.

    Args:
        view: a name of `conventions.VIEWS`; it matters to `left_features_bug` alone.
    """
    if not settings.released.depart:
        return weight_map(mask, settings)
    from dfmvr.released.weight_map import weight_map_as_released

    return weight_map_as_released(weight_map, mask, settings, view)
