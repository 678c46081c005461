"""Register one prediction to one scan: a similarity of seven landmarks, then point-to-plane ICP (Sec. IV-A)."""

from __future__ import annotations

import numpy as np

from dfmvr.config.evaluation import ProtocolSection
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import crop
from dfmvr.register.icp import Registration, icp
from dfmvr.register.landmarks import align_landmarks, check_landmarks


def register_surface(
    surface: Surface,
    landmarks: np.ndarray,
    scan: FaceScan,
    protocol: ProtocolSection,
    iterations: int = 100,
    points: int = 5_000,
) -> Registration:
    """Register a prediction to a scan under one protocol.

    Args:
        surface: the prediction, mm (any unit if the protocol frees the scale).
        landmarks: (7, 3), its `conventions.ALIGNMENT_POINTS`.
        scan: what it is registered to.
        protocol: crop and degrees of freedom.
        iterations: steps of ICP at the most.
        points: of the scan that its last steps use; 0 takes all in the crop.
    Raises:
        DataError: wrong unit, mirrored, no scan in the crop, or hardly any of it covered.
    """
    check_landmarks(landmarks, scan.landmarks, protocol.with_scale)
    start = align_landmarks(landmarks, scan.landmarks, protocol.with_scale)
    return icp(surface, crop(scan, protocol), start, protocol.with_scale, iterations, points)
