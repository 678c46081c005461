"""A scan as all stages after `mesh` know it, whatever file it was delivered in, and how it is stored."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.conventions import DROPPED_FROM_106
from dfmvr.datasets.sample import Sample
from dfmvr.errors import DataError
from dfmvr.files import read_npz, write_npz

UNKNOWN = np.full((106 - len(DROPPED_FROM_106), 3), np.nan)
"""101 landmarks that are not."""

SCANS, LANDMARKS = "scans", "landmarks_101.npz"
"""In the folder of a data set: the folder of the scans of its test samples, and the landmarks of all its scans."""


class FaceScan(NamedTuple):
    """The measured surface of a face, which predictions are compared with; finite, in mm."""

    vertices: np.ndarray  # (N, 3)
    landmarks: np.ndarray  # (7, 3), conventions.ALIGNMENT_POINTS
    landmarks_101: np.ndarray | None = None  # (101, 3), where they are known
    triangles: np.ndarray | None = None  # (M, 3), where the scan is drawn
    registered_vertices: np.ndarray | None = None  # (V, 3) the same face in the topology of some face model,
    registered_triangles: np.ndarray | None = None  # (F, 3) where that is known: its vertices correspond


def scan_file(folder: Path, name: str) -> Path:
    """Place of a scan in the folder that `dfmvr mesh` makes of a data set."""
    return folder / SCANS / f"{name}.npz"


def write_scan(path: Path, scan: FaceScan) -> None:
    """Write a scan, its points as precise as they are given.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays = {name: array for name, array in scan._asdict().items() if array is not None}
    write_npz(
        path, **{name: array.astype(np.int32) if array.dtype.kind == "i" else array for name, array in arrays.items()}
    )


def write_reason(path: Path, reason: str) -> None:
    """Write why a scan cannot be used in its place: who asks for the scan is told.

    Raises:
        OutputError: the file cannot be written.
    """
    write_npz(path, reason=np.array(reason))


def read_scan(path: Path) -> FaceScan:
    """Read a scan, float64 and int64.

    Raises:
        DataError: the file is missing or broken, or tells why the scan cannot be used.
    """
    arrays = read_npz(path)
    if "reason" in arrays:
        raise DataError(str(arrays["reason"]))
    try:
        return FaceScan(
            **{
                name: array.astype(np.int64 if array.dtype.kind == "i" else np.float64)
                for name, array in arrays.items()
            }
        )
    except TypeError:
        raise DataError(f"{path}: not a scan as `dfmvr mesh` writes it ({', '.join(arrays)}); make it again") from None


def write_landmarks_101(folder: Path, landmarks: dict[str, np.ndarray | str | None]) -> None:
    """Write the 101 landmarks of all scans of a data set.

    Args:
        folder: of the data set.
        landmarks: by the scan's name (101, 3) mm, None where they are not marked, or why they cannot be read.
    Raises:
        OutputError: the file cannot be written.
    """
    points = [found if isinstance(found, np.ndarray) else UNKNOWN for found in landmarks.values()]
    reasons = [found if isinstance(found, str) else "" for found in landmarks.values()]
    arrays = {"landmarks_101": np.reshape(points, (-1, *UNKNOWN.shape)), "reason": np.array(reasons, str)}
    write_npz(folder / LANDMARKS, scan=np.array(list(landmarks), str), **arrays)


class NormalisedScans:
    """What `dfmvr mesh` has made of the scans of a data set.

    Args of the constructor: `folder`, where it lies, None if no scan is known; `landmarked`, whether 101 landmarks are.
    Raises DataError if their file is missing or broken.
    """

    def __init__(self, folder: Path | None, landmarked: bool) -> None:
        self.folder = folder
        self._landmarks: dict[str, np.ndarray | str] | None = None
        if folder is not None and landmarked:
            arrays = read_npz(folder / LANDMARKS, "scan", "landmarks_101", "reason")
            columns = zip(arrays["scan"], arrays["landmarks_101"], arrays["reason"], strict=True)
            self._landmarks = {str(name): str(reason) or points for name, points, reason in columns}

    def file_of(self, sample: Sample) -> Path | None:
        """Place of the scan of a test sample."""
        known = self.folder is not None and sample.scan is not None and sample.split == "test"
        return scan_file(self.folder, sample.scan_name) if known else None

    def landmarks_101_of(self, sample: Sample) -> np.ndarray:
        """Look up the 101 landmarks (101, 3) mm of a sample's scan, NaN where they are not known.

        Raises:
            DataError: they cannot be read.
        """
        if self._landmarks is None or sample.scan is None:
            return UNKNOWN
        found = self._landmarks.get(sample.scan_name, f"{self.folder}: expected the scan; run `dfmvr mesh` again")
        if isinstance(found, str):
            raise DataError(found)
        return found
