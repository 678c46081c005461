"""The weight map of the photo loss (Sec. IV-A, Fig. 4), made from a mask of face parts."""

from __future__ import annotations

import cv2
import numpy as np

from dfmvr.config.training import ParseSection
from dfmvr.conventions import CLASSES, REFERENCE_SIZE_PX

FIRST_FEATURE = CLASSES.index("skin") + 1
"""Brows, eyes, nose and mouth have this class or a higher one."""

LOST_WEIGHT = 1
"""Code: what is left of the weight of features in the released code's left views: 0.99, stored as a whole number."""


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


def weight_map(mask: np.ndarray, settings: ParseSection, view: str | None = None) -> np.ndarray:
    """Weights d of the photo loss, Eq. 2.

    Paper: "we dilate M with 20 pixel" leaves the shape open, and whether 20 px is a radius. We grow by a disc with a
    radius of `dilation_px` at 224 px, in proportion at other sizes. The authors' released code makes one pass of a
    10 x 10 kernel and restores the background: nearly `dilation_px: 5, dilate_background: false`.

    Args:
        mask: (H, W) class ids of `conventions.CLASSES`.
        settings: the weights, the dilation, and whether the face may grow over the background.
        view: a name of `conventions.VIEWS`; it matters to `left_features_bug` alone.
    Returns:
        (H, W) uint8: `feature_weight` on dilated features, `face_weight` on the rest of the dilated face, else
        `background_weight`. With `left_features_bug`, `LOST_WEIGHT` on the dilated features of a left view.
    """
    radius_px = settings.dilation_px * mask.shape[1] / REFERENCE_SIZE_PX
    face = mask > 0
    features = dilate(mask >= FIRST_FEATURE, radius_px)
    if settings.dilate_background:
        face = dilate(face, radius_px)
    weights = np.full(mask.shape, settings.background_weight, np.uint8)
    weights[face] = settings.face_weight
    lost = settings.left_features_bug and view == "left"
    weights[features & face] = LOST_WEIGHT if lost else settings.feature_weight
    return weights
