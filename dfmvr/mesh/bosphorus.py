"""Scans of Bosphorus: a range image, and the landmarks and the photograph beside it, to a mesh."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np

from dfmvr.config.data import BosphorusData, MeshSection
from dfmvr.conventions import ALIGNMENT_POINTS
from dfmvr.datasets.bosphorus.dataset import Bosphorus
from dfmvr.datasets.bosphorus.landmarks import check_sides, named_points, read_lm2, read_lm3
from dfmvr.datasets.bosphorus.names import ScanName
from dfmvr.datasets.bosphorus.range_image import RangeImage
from dfmvr.datasets.images import read_image
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import Mesh
from dfmvr.mesh.colours import check_texture_direction, colours_at
from dfmvr.mesh.scan import FaceScan
from dfmvr.mesh.triangulate import triangulate

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
    image, landmarks = data.read_scan(path), read_lm3(path.with_suffix(".lm3"))
    points = _named(landmarks, path, data.settings)
    if missing := [name for name in ALIGNMENT_POINTS if name not in points]:
        raise DataError(
            f"{path.with_suffix('.lm3')}: missing {', '.join(missing)}; annotate them or leave the scan out"
        )
    found = triangulate(image, settings, str(path))
    seven = np.round([points[name] for name in ALIGNMENT_POINTS], LANDMARK_DECIMALS)
    # float32 is finer than any sensor
    return FaceScan(found.vertices.astype(np.float32), seven, None, found.triangles), found.numbers()


def coloured_mesh(
    data: Bosphorus, path: Path, settings: MeshSection
) -> tuple[Mesh, dict[str, np.ndarray], dict[str, float]]:
    """Mesh one range image, with the landmarks and colours of the files beside it.

    Args:
        data: the data set.
        path: the .bnt file; .lm3, .lm2 and .png of the same name are used where they exist.
        settings: section `mesh`.
    Returns:
        The mesh; the landmarks, (3,) mm by name, left and right the person's own, none if they are not there; and what
        the table of scans tells about the mesh.
    Raises:
        DataError: the range image or its landmarks are missing or broken, or contradict the settings of the data set.
    """
    image, beside = data.read_scan(path), path.with_suffix(".lm3")
    landmarks = read_lm3(beside) if beside.is_file() else {}
    named = _named(landmarks, path, data.settings)
    found = triangulate(image, settings, str(path))
    texture = image.texture.reshape(-1, 2)[found.pixels]
    colours = _colours(path, image, texture, landmarks, data.settings)
    return Mesh(found.vertices, found.triangles, colours), named, found.numbers()


def _named(landmarks: dict[str, np.ndarray], path: Path, reading: BosphorusData) -> dict[str, np.ndarray]:
    """Landmarks of a range image, left and right the person's own, once it is checked that they are."""
    try:
        yaw = ScanName.parse(path.stem).yaw()
    except DataError:  # a file may bear any name
        yaw = 0.0
    where = str(path.with_suffix(".lm3"))
    check_sides(landmarks, reading.landmark_sides, where, 0.0 if math.isnan(yaw) else yaw)
    return named_points(landmarks, reading.landmark_sides)


def _colours(
    path: Path, image: RangeImage, texture: np.ndarray, landmarks: dict[str, np.ndarray], reading: BosphorusData
) -> np.ndarray | None:
    """Colours of the vertices; a broken photograph is no reason to lose a scan."""
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
