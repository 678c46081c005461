"""Scans of Bosphorus: a range image, and the landmarks and the photograph beside it, to a mesh."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np

from dfmvr.config.data import MeshSection
from dfmvr.conventions import ALIGNMENT_POINTS
from dfmvr.datasets.bosphorus.dataset import Bosphorus
from dfmvr.datasets.bosphorus.landmarks import check_sides, named_points, read_lm2, read_lm3
from dfmvr.datasets.bosphorus.names import ScanName
from dfmvr.datasets.bosphorus.range_image import RangeImage
from dfmvr.datasets.images import read_image
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import Mesh, write_mesh, write_named_landmarks
from dfmvr.mesh.colours import check_texture_direction, colours_at
from dfmvr.mesh.scan import FaceScan
from dfmvr.mesh.triangulate import Triangulation, triangulate

log = logging.getLogger(__name__)

LANDMARK_DECIMALS = 6
"""Of a millimetre, as landmarks are written beside a mesh."""


def normalise(data: Bosphorus, path: Path, settings: MeshSection) -> tuple[FaceScan, dict[str, float]]:
    """Make a scan of a range image and its .lm3.

    Args:
        data: the data set.
        path: the .bnt file.
        settings: section `mesh`.
    Returns:
        The scan, and what the table of scans tells about its mesh.
    Raises:
        DataError: the range image or its landmarks are missing or broken, or contradict the settings of the data set.
    """
    image, landmarks = data.read_scan(path), _read_landmarks(data, path)
    points = named_points(landmarks, data.settings.landmark_sides)
    if missing := [name for name in ALIGNMENT_POINTS if name not in points]:
        raise DataError(
            f"{path.with_suffix('.lm3')}: missing {', '.join(missing)}; annotate them or leave the scan out"
        )
    found = triangulate(image, settings, str(path))
    seven = np.round([points[name] for name in ALIGNMENT_POINTS], LANDMARK_DECIMALS)
    # float32 is finer than any sensor
    return FaceScan(found.vertices.astype(np.float32), seven, None, found.triangles), found.numbers()


def write_coloured_mesh(output: Path, data: Bosphorus, path: Path, settings: MeshSection) -> None:
    """Mesh one range image, with the landmarks and colours of the files beside it, and write it to look at.

    Args:
        output: the mesh (.ply, .obj, .glb); the landmarks, if there are any, go into `<stem>.landmarks.csv` beside it.
        data: the data set.
        path: the .bnt file; .lm3, .lm2 and .png of the same name are used where they exist.
        settings: section `mesh`.
    Raises:
        DataError: the range image or its landmarks are missing or broken, or contradict the settings of the data set.
        OutputError: a file cannot be written, or the suffix is none of a mesh.
    """
    image = data.read_scan(path)
    landmarks = _read_landmarks(data, path) if path.with_suffix(".lm3").is_file() else {}
    found = triangulate(image, settings, str(path))
    write_mesh(output, Mesh(found.vertices, found.triangles, _colours(data, path, image, found, landmarks)))
    log.info("%s: %s", output, ", ".join(f"{value:.6g} {name}" for name, value in found.numbers().items()))
    if landmarks:
        named = named_points(landmarks, data.settings.landmark_sides)
        write_named_landmarks(output.with_suffix(".landmarks.csv"), named)
    else:
        log.info("no landmarks (%s) beside the scan", path.with_suffix(".lm3").name)


def _read_landmarks(data: Bosphorus, path: Path) -> dict[str, np.ndarray]:
    """Landmarks beside a range image, by the data set's names, once it is checked whose left they mean."""
    beside = path.with_suffix(".lm3")
    landmarks = read_lm3(beside)
    try:
        yaw = ScanName.parse(path.stem).yaw()
    except DataError:  # a file may bear any name
        yaw = 0.0
    check_sides(landmarks, data.settings.landmark_sides, str(beside), 0.0 if math.isnan(yaw) else yaw)
    return landmarks


def _colours(
    data: Bosphorus, path: Path, image: RangeImage, found: Triangulation, landmarks: dict[str, np.ndarray]
) -> np.ndarray | None:
    """Colours of the vertices; a broken photograph is no reason to lose a scan."""
    if not path.with_suffix(".png").is_file():
        return None
    try:
        photo = read_image(path.with_suffix(".png"))
        annotated = path.with_suffix(".lm2")
        landmarks_2d = read_lm2(annotated) if annotated.is_file() else {}
    except DataError as error:
        log.warning("%s: no colours: %s", path, error)
        return None
    check_texture_direction(image, landmarks, landmarks_2d, photo.shape[:2], data.settings.texture_y, str(path))
    return colours_at(photo, image.texture.reshape(-1, 2)[found.pixels], data.settings.texture_y)
