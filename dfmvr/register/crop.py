"""The part of a scan that a protocol evaluates."""

from __future__ import annotations

import numpy as np

from dfmvr.config.evaluation import ProtocolSection
from dfmvr.conventions import ALIGNMENT_POINTS
from dfmvr.errors import DataError
from dfmvr.geometry.vectors import dot
from dfmvr.mesh.scan import FaceScan

_NOSE = ALIGNMENT_POINTS.index("nose_tip")
_EYES = [ALIGNMENT_POINTS.index(f"{which}_eye_{side}") for which in ("outer", "inner") for side in ("right", "left")]


def crop(scan: FaceScan, protocol: ProtocolSection) -> np.ndarray:
    """Take the points (n, 3) of the scan that the protocol evaluates, mm; see `inside_crop`."""
    return scan.vertices[inside_crop(scan, protocol)]


def inside_crop(scan: FaceScan, protocol: ProtocolSection) -> np.ndarray:
    """Tell which points (N,) of the scan the protocol evaluates.

    Raises:
        DataError: hardly any.
    """
    centre, radius = crop_sphere(scan, protocol)
    inside = in_sphere(scan.vertices, centre, radius)
    if inside.sum() < len(ALIGNMENT_POINTS):
        raise DataError(
            f"the scan has {inside.sum()} points within {radius:.0f} mm of the centre of the face; check that its "
            "landmarks and vertices share one frame and unit"
        )
    return inside


def crop_sphere(scan: FaceScan, protocol: ProtocolSection) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius, mm, of what the protocol evaluates.

    Source: `face_sphere` is the crop of the authors' released code, after the NoW benchmark, with the nose tip in
    place of the nose bottom: centre 0.3 of the way from there to the bridge (between the inner eye corners), radius
    1.4 times the mean of the outer eye distance and the nose length.
    """
    nose = scan.landmarks[_NOSE]
    if protocol.crop == "nose_sphere":
        return nose, protocol.crop_radius_mm
    outer_right, outer_left, inner_right, inner_left = scan.landmarks[_EYES]
    to_bridge = (inner_right + inner_left) / 2 - nose
    radius = 1.4 * (np.linalg.norm(outer_right - outer_left) + np.linalg.norm(to_bridge)) / 2
    return nose + 0.3 * to_bridge, float(radius)


def in_sphere(points: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """Tell which points (N, 3) lie in a sphere."""
    away = points - centre
    return dot(away, away) <= radius**2
