"""One scan or all scans of Bosphorus: from the files to the mesh, its landmarks and the table of meshes."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from dfmvr.config.data import BosphorusData, MeshSection
from dfmvr.datasets.bosphorus.dataset import Bosphorus
from dfmvr.datasets.bosphorus.landmarks import check_sides, named_points, read_lm2, read_lm3
from dfmvr.datasets.bosphorus.names import ScanName
from dfmvr.datasets.bosphorus.range_image import RangeImage, check_rows, read_bnt
from dfmvr.datasets.images import read_image
from dfmvr.errors import DataError
from dfmvr.files import writing, writing_folder
from dfmvr.geometry.meshes import Mesh, write_mesh, write_named_landmarks
from dfmvr.mesh.colours import check_texture_direction, colours_at
from dfmvr.mesh.triangulate import Triangulation, triangulate

log = logging.getLogger(__name__)

OK, SET_ASIDE = "ok", "set aside"
TABLE = "meshes.csv"
COLUMNS = (
    "scan",
    "vertices",
    "triangles",
    "dropped",
    "components",
    "holes",
    "area_mm2",
    "landmarks",
    "status",
    "reason",
)
_COUNTS = ("vertices", "triangles", "dropped", "components", "holes", "landmarks")


class MeshedScan(NamedTuple):
    """What became of a scan."""

    triangulation: Triangulation
    colours: np.ndarray | None  # (V, 3) in [0, 1]
    landmarks: dict[str, np.ndarray]  # (3,) mm by name, left and right the person's own; empty if there are none


def mesh_scan(path: Path | str, settings: MeshSection, reading: BosphorusData) -> MeshedScan:
    """Mesh one range image, with the landmarks and colours of the files beside it.

    Args:
        path: the .bnt file; .lm3, .lm2 and .png of the same name are used where they exist.
        settings: section `mesh`.
        reading: section `datasets.bosphorus`: order of rows, direction of texture coordinates, sides of landmarks.
    Raises:
        DataError: the range image or its landmarks are missing or broken, or contradict `reading`.
    """
    path = Path(path)
    image = read_bnt(path, reading.rows)
    check_rows(image, reading.rows, str(path))
    landmarks = _read_landmarks(path, reading)
    found = triangulate(image, settings, str(path))
    texture = image.texture.reshape(-1, 2)[found.pixels]
    colours = _read_colours(path, image, texture, landmarks, reading)
    return MeshedScan(found, colours, named_points(landmarks, reading.landmark_sides))


def _read_landmarks(path: Path, reading: BosphorusData) -> dict[str, np.ndarray]:
    """Landmarks beside a range image, by the data set's names; none if there is no file."""
    beside = path.with_suffix(".lm3")
    if not beside.is_file():
        return {}
    landmarks = read_lm3(beside)
    try:
        yaw = ScanName.parse(path.stem).yaw()
    except DataError:  # a file may bear any name
        yaw = 0.0
    check_sides(landmarks, reading.landmark_sides, str(beside), 0.0 if math.isnan(yaw) else yaw)
    return landmarks


def _read_colours(
    path: Path, image: RangeImage, texture: np.ndarray, landmarks: dict[str, np.ndarray], reading: BosphorusData
) -> np.ndarray | None:
    """Colours of the vertices; no stage depends on them, so a broken photograph is no reason to lose a scan."""
    beside = path.with_suffix(".png")
    if not beside.is_file():
        return None
    try:
        photo = read_image(beside)
        annotated = path.with_suffix(".lm2")
        landmarks_2d = read_lm2(annotated) if annotated.is_file() else {}
    except DataError as error:
        log.warning("%s: no colours: %s", path, error)
        return None
    check_texture_direction(image, landmarks, landmarks_2d, photo.shape[:2], reading.texture_y, str(path))
    return colours_at(photo, texture, reading.texture_y)


def write_mesh_of_scan(path: Path | str, scan: MeshedScan) -> None:
    """Write the mesh and, if there are landmarks, beside it `<stem>.landmarks.csv`.

    Raises:
        OutputError: a file cannot be written, or the suffix is none of a mesh.
    """
    write_mesh(path, Mesh(scan.triangulation.vertices, scan.triangulation.triangles, scan.colours))
    if scan.landmarks:
        write_named_landmarks(Path(path).with_suffix(".landmarks.csv"), scan.landmarks)


def mesh_dataset(root: Path | str, output: Path | str, settings: MeshSection, reading: BosphorusData) -> pd.DataFrame:
    """Mesh all scans of a data set that are ground truth; a broken one is set aside.

    Args:
        root: folder of Bosphorus.
        output: folder that gets <scan>.ply, <scan>.landmarks.csv and meshes.csv, written as a whole.
        settings: section `mesh`.
        reading: section `datasets.bosphorus`.
    Returns:
        The table of meshes, COLUMNS, one row a scan.
    Raises:
        DataError: the folder is not the data set's, or not one scan can be meshed.
        OutputError: the folder cannot be written.
    """
    rows: list[dict[str, object]] = []
    with writing_folder(output) as folder:
        for path in tqdm(list(Bosphorus(root, reading).scans()), desc="mesh", unit="scan", mininterval=1):
            row: dict[str, object] = {"scan": path.stem, "status": OK, "reason": ""}
            try:
                scan = mesh_scan(path, settings, reading)
                write_mesh_of_scan(folder / f"{path.stem}.ply", scan)
                row |= {**scan.triangulation.numbers(), "landmarks": len(scan.landmarks)}
            except DataError as error:
                row |= {"status": SET_ASIDE, "reason": str(error)}
            rows.append(row)
        table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(_COUNTS, "Int64"))
        if not (table.status == OK).any():
            raise DataError(f"none of {len(table)} scans can be meshed, for example: {table.reason[0]}")
        with writing(folder / TABLE) as partial:
            table.to_csv(partial, index=False)
    return table
