"""Photographs of one face: read, its landmarks found, cut out, and each put in its place among the views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dfmvr.align.crop import align_photo
from dfmvr.align.find import FoundFace
from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import read_image
from dfmvr.datasets.landmark_files import read_landmark_file
from dfmvr.errors import ConfigError, DataError
from dfmvr.reconstruct.photographs.reconstruction import SeenView

Photo = Path | str | np.ndarray
"""A photograph: its file, or the pixels, uint8 (H, W, 3) RGB or (H, W) grey, upright."""

Landmarks = Path | str | np.ndarray
"""Landmarks of a photograph: a file, or (68, 2) or (5, 2) px."""

TURNED_DEG = 12.0
"""ASSUME: a face turned by less than this may be meant as the frontal view, and tells nothing about the sides."""


def see(
    photo: Photo,
    landmarks: Landmarks | None,
    find: Callable[[np.ndarray], list[FoundFace]],
    standard: np.ndarray,
    size: int,
    face: int = 1,
    label: str = "photograph",
) -> SeenView:
    """Read a photograph and cut out its face.

    Args:
        photo: the photograph.
        landmarks: of the face; None: they are found.
        find: finds the faces of pixels (H, W, 3), the largest first.
        standard: (68, 3) mm, the mean face's landmarks.
        size: width and height of the crop, px.
        face: which face of a photograph with several, 1 being the largest.
        label: what messages call a photograph that is no file.
    Returns:
        The photograph, whose place among the views is not known yet: its name is empty.
    Raises:
        DataError: unreadable, no face (or not as many as asked for), or landmarks that no face can have.
        UnavailableError: the finder's weights cannot be had.
    """
    label = str(photo) if isinstance(photo, Path | str) else label
    pixels = read_image(photo) if isinstance(photo, Path | str) else _checked_pixels(photo, label)
    source = ""
    if isinstance(landmarks, Path | str):
        source, landmarks = f", {landmarks}", read_landmark_file(landmarks)
    elif landmarks is None:
        landmarks = _chosen(find(pixels), face, label).landmarks
    points = np.asarray(landmarks, np.float64)
    try:
        crop, found = align_photo(pixels, points, standard, size)
    except DataError as error:
        raise DataError(f"{label}{source}: {error}") from None
    return SeenView("", pixels, points, found.affine, crop, found.yaw_deg, label)


def _chosen(faces: list[FoundFace], face: int, label: str) -> FoundFace:
    """The face that is asked for."""
    if not faces:
        raise DataError(
            f"{label}: no face found; use a photograph in which the face is larger, sharper and upright, or give a "
            "file of its landmarks"
        )
    if face > len(faces):
        raise DataError(f"{label}: expected {face} faces or more, found {len(faces)}; choose another with --face")
    return faces[face - 1]


def _checked_pixels(photo: np.ndarray, label: str) -> np.ndarray:
    """Check an array that is said to be a photograph."""
    pixels = np.asarray(photo)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3 or not pixels.size:
        raise DataError(f"{label}: expected uint8 pixels (H, W, 3), found {pixels.dtype} {pixels.shape}; convert it")
    return pixels


def put_in_place(given: Mapping[str, SeenView]) -> tuple[dict[str, SeenView], list[str]]:
    """Put photographs that bear the name of a view in their places; left and right the wrong way round are exchanged.

    Args:
        given: name of a view (conventions.VIEWS) to its photograph.
    Returns:
        The views in the order of VIEWS, and what there is to say about them.
    """
    yaws = {name: one.yaw_deg for name, one in given.items()}
    wrong = [
        (name, yaw)
        for name, yaw in yaws.items()
        if (name == "left" and yaw > TURNED_DEG) or (name == "right" and yaw < -TURNED_DEG)
    ]
    places = {name: name for name in given}
    notes = []
    if wrong and all(name == "front" or (name, yaw) in wrong for name, yaw in yaws.items()):
        places |= {"left": "right", "right": "left"}
        turned = " and ".join(f"{given[name].label} by {yaw:+.0f} degrees" for name, yaw in wrong)
        notes.append(f"left and right were the wrong way round and are exchanged ({turned}; left is below 0)")
    elif wrong:
        name, yaw = wrong[0]
        notes.append(
            f"{given[name].label}: given as the {name} view, but turned by {yaw:+.0f} degrees (left is below 0)"
        )
    if "front" in yaws and len(yaws) > 1 and abs(yaws["front"]) > max(abs(y) for n, y in yaws.items() if n != "front"):
        notes.append(
            f"{given['front'].label}: given as the front view, but turned the farthest, {yaws['front']:+.0f} degrees"
        )
    views = {places[name]: one._replace(name=places[name]) for name, one in given.items()}
    return {name: views[name] for name in VIEWS if name in views}, notes


def put_by_pose(given: Sequence[SeenView]) -> tuple[dict[str, SeenView], list[str]]:
    """Give photographs their places by the pose of the face: of three, by order; fewer, by how far they are turned.

    Raises:
        ConfigError: none, or more than three.
        DataError: two that would have the same place.
    """
    if not 1 <= len(given) <= len(VIEWS):
        raise ConfigError(f"photographs: expected one to three, found {len(given)}")
    if len(given) == len(VIEWS):
        order = sorted(given, key=lambda one: one.yaw_deg)
        return {name: one._replace(name=name) for name, one in zip(VIEWS, order, strict=True)}, []
    views: dict[str, SeenView] = {}
    for one in given:
        name = "front" if abs(one.yaw_deg) <= TURNED_DEG else "left" if one.yaw_deg < 0 else "right"
        if name in views:
            raise DataError(
                f"{one.label}: a second {name} view ({one.yaw_deg:+.0f} degrees); give one photograph of each side, or "
                "say which is which with --left, --front and --right"
            )
        views[name] = one._replace(name=name)
    return {name: views[name] for name in VIEWS if name in views}, []
