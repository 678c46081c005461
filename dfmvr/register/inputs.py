"""What is registered and to what: the predictions of a method and the scans of the test samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dfmvr.datasets.manifest import TestSample, samples_to_test
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import read_landmarks, read_mesh
from dfmvr.geometry.surface import Boundary, Surface, open_boundary
from dfmvr.mesh.scan import FaceScan, read_scan


class PredictedSurfaces:
    """Reads the predictions of one method, which share their topology, so that it is looked at only once."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; run `dfmvr reconstruct` first")
        self.folder = folder
        self._triangles = np.zeros((0, 3), np.int64)
        self._boundary: Boundary | None = None

    def read(self, sample: str) -> tuple[Surface, np.ndarray]:
        """Read the surface and the landmarks (7, 3), mm, of a sample's prediction.

        Raises:
            DataError: a file is missing or broken.
        """
        mesh = read_mesh(self.folder / f"{sample}.ply")
        landmarks = read_landmarks(self.folder / f"{sample}.landmarks.csv")
        if not np.array_equal(mesh.triangles, self._triangles):
            self._triangles, self._boundary = mesh.triangles, open_boundary(mesh.triangles, len(mesh.vertices))
        return Surface(mesh.vertices, mesh.triangles, self._boundary), landmarks


def scan_of(sample: TestSample) -> FaceScan:
    """Read the scan of a sample.

    Raises:
        DataError: the sample was set aside, has no scan, or its scan cannot be used.
    """
    if sample.reason:
        raise DataError(sample.reason)
    if sample.scan is None:
        raise DataError("the sample has no scan; copy it from the data set again")
    return read_scan(sample.scan)


def scans_to_test(manifest: Path, task: str) -> Iterator[tuple[TestSample, FaceScan | str]]:
    """Read the test samples of a manifest and their scans, telling the progress of the task.

    Yields:
        Each sample with its scan, or with the reason why there is none. Samples in a row that share a scan get the same
        object.
    Raises:
        DataError: the manifest is missing or broken, or has no test sample.
    """
    before: tuple[Path | None, FaceScan] | None = None
    for sample in tqdm(samples_to_test(manifest), desc=task, unit="sample", mininterval=1):
        try:
            if before is None or sample.reason or sample.scan != before[0]:
                before = sample.scan, scan_of(sample)
        except DataError as error:
            yield sample, str(error)
            continue
        yield sample, before[1]
