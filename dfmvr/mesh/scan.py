"""A scan as all stages after `mesh` know it, whatever file it was delivered in, and how it is stored.

The folder of a data set, as `dfmvr mesh` writes it, holds scans/<name>.npz of the test samples and landmarks_101.npz
of all scans.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.conventions import DROPPED_FROM_106
from dfmvr.datasets.sample import Sample
from dfmvr.errors import DataError
from dfmvr.files import read_npz, write_npz

LANDMARKS = "landmarks_101.npz"
UNKNOWN = np.full((106 - len(DROPPED_FROM_106), 3), np.nan)
"""101 landmarks that are not known."""


class FaceScan(NamedTuple):
    """The measured surface of a face, which predictions are compared with; finite, in mm."""

    vertices: np.ndarray  # (N, 3)
    landmarks: np.ndarray  # (7, 3), conventions.ALIGNMENT_POINTS
    landmarks_101: np.ndarray | None = None  # (101, 3), where they are known
    triangles: np.ndarray | None = None  # (M, 3), where the scan is drawn
    registered_vertices: np.ndarray | None = None  # (V, 3) the same face in the topology of some face model,
    registered_triangles: np.ndarray | None = None  # (F, 3) where that is known: its vertices correspond


def write_scan(path: Path, scan: FaceScan | str) -> None:
    """Write a scan, its points as precise as they are given, or in its place why it cannot be used.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays = {"reason": np.array(scan)} if isinstance(scan, str) else scan._asdict()
    write_npz(path, **{name: array for name, array in arrays.items() if array is not None})


def read_scan(path: Path) -> FaceScan:
    """Read a scan, its points as float64.

    Raises:
        DataError: the file is missing or broken, or tells why the scan cannot be used.
    """
    arrays = read_npz(path)
    if "reason" in arrays:
        raise DataError(str(arrays["reason"]))
    try:
        return FaceScan(**{name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in arrays.items()})
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
            names = ("scan", "landmarks_101", "reason")
            arrays = read_npz(folder / LANDMARKS, *names)
            rows = zip(*(arrays[name] for name in names), strict=True)
            self._landmarks = {str(scan): str(reason) or points for scan, points, reason in rows}

    @staticmethod
    def place(folder: Path, sample: Sample) -> Path:
        """Where the scan of a test sample lies in the folder of its data set."""
        return folder / "scans" / f"{sample.scan_name}.npz"

    def file_of(self, sample: Sample) -> Path | None:
        """The scan of a sample; None if it has none or is not to test on."""
        known = self.folder is not None and sample.scan is not None and sample.split == "test"
        return self.place(self.folder, sample) if known else None

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
