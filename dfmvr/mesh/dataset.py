"""All scans of a data set, of whatever form, made into the same."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from dfmvr.config.data import MeshSection
from dfmvr.datasets.layouts import LANDMARKED
from dfmvr.datasets.multiview import MultiviewDataset
from dfmvr.datasets.sample import Sample
from dfmvr.errors import DataError
from dfmvr.files import writing
from dfmvr.folders import writing_folder
from dfmvr.mesh.scan import NormalisedScans, write_landmarks_101, write_scan

OK, SET_ASIDE = "ok", "set aside"
TABLE = "scans.csv"
_COUNTS = ("vertices", "triangles", "dropped", "components", "holes")
COLUMNS = ("scan", "split", *_COUNTS, "area_mm2", "status", "reason")


def normalise_scans(data: MultiviewDataset, layout: str, output: Path, settings: MeshSection) -> pd.DataFrame:
    """Make meshes of the scans of all test samples, and read the 101 landmarks of all scans; broken ones are set aside.

    Args:
        data: the data set.
        layout: one of `layouts.SCANNED`, in which it is.
        output: folder that gets scans/<name>.npz, landmarks_101.npz and scans.csv, written as a whole.
        settings: section `mesh`.
    Returns:
        The table of scans, COLUMNS, one row a scan; the numbers are those of meshes.
    Raises:
        DataError: the folder is not the data set's, or there are scans and not one can be used.
        OutputError: the folder cannot be written.
    """
    # by name, so that a rule depends on the layout that it reads alone
    normalise = importlib.import_module(f"dfmvr.mesh.{layout}").normalise
    rows, landmarks = [], {}
    with writing_folder(output, "mesh") as folder:
        for sample in tqdm(_with_scans(data), desc="mesh", unit=" scans", mininterval=1):
            numbers, reason = {}, ""
            if layout in LANDMARKED:
                try:
                    landmarks[sample.scan_name] = data.read_landmarks_101(sample.scan)
                except DataError as error:
                    landmarks[sample.scan_name] = reason = str(error)
            if sample.split == "test":
                try:
                    scan, numbers = normalise(data, sample.scan, settings)
                except DataError as error:
                    scan = reason = str(error)
                write_scan(NormalisedScans.place(folder, sample), scan)
            status = SET_ASIDE if reason else OK
            rows.append(
                {"scan": sample.scan_name, "split": sample.split, **numbers, "status": status, "reason": reason}
            )
        table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(_COUNTS, "Int64"))
        if len(table) and not (table.status == OK).any():
            raise DataError(f"none of {len(table)} scans can be used, for example: {table.reason[0]}")
        write_landmarks_101(folder, landmarks)
        with writing(folder / TABLE) as partial:
            table.to_csv(partial, index=False)
    return table


def _with_scans(data: MultiviewDataset) -> Iterator[Sample]:
    """The first of the samples of every scan."""
    seen: set[str] = set()
    for sample in data.samples():
        if sample.scan is not None and sample.scan_name not in seen:
            seen.add(sample.scan_name)
            yield sample
