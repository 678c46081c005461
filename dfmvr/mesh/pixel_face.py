"""Scans of Pixel-Face: the scan or registered mesh of a sample, its 106 keypoints, and its registration."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfmvr.config.data import MeshSection
from dfmvr.conventions import ALIGNMENT_IN_101, DROPPED_FROM_106
from dfmvr.datasets.pixel_face.dataset import PixelFace
from dfmvr.errors import DataError
from dfmvr.mesh.scan import FaceScan


def normalise(data: PixelFace, path: Path, _: MeshSection) -> tuple[FaceScan, dict[str, float]]:
    """Make a scan of gt.mat or of a mesh of val_obj, which are meshes already.

    Args:
        data: the data set.
        path: the file.
    Returns:
        The scan, and what the table of scans tells about its mesh.
    Raises:
        DataError: the file is missing, damaged or inconsistent, or has no keypoints.
    """
    truth = data.read_scan(path)
    if truth.scan_landmarks_106 is None:
        raise DataError(f"{path}: expected 106 keypoints of the scan, found none; leave the sample out")
    landmarks = np.delete(truth.scan_landmarks_106, DROPPED_FROM_106, axis=0)
    scan = FaceScan(
        truth.scan_vertices,
        landmarks[list(ALIGNMENT_IN_101)],
        landmarks,
        truth.scan_triangles,
        truth.registration_vertices,
        truth.registration_triangles,
    )
    return scan, {"vertices": len(scan.vertices), "triangles": len(scan.triangles)}
