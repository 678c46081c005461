"""Photographs of one face: read, its landmarks found, cut out, and each put in its place among the views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.align.crop import align_photo
from dfmvr.align.find import find_faces
from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import read_image
from dfmvr.datasets.landmark_files import read_landmark_file
from dfmvr.errors import ConfigError, DataError
from dfmvr.reconstruct.reconstruction import SeenView

Photo = Path | str | np.ndarray
"""A photograph: its file, or the pixels, uint8 (H, W, 3) RGB or (H, W) grey, upright."""

Landmarks = Path | str | np.ndarray
"""Landmarks of a photograph: a file, or (68, 2) or (5, 2) px."""

TURNED_DEG = 12.0
"""ASSUME: a face turned by less than this may be meant as the frontal view, and tells nothing about the sides."""


class Aligned(NamedTuple):
    """A photograph whose face has been cut out."""

    label: str  # what messages call it
    photo: np.ndarray  # (H, W, 3) uint8
    landmarks: np.ndarray  # (68, 2) or (5, 2) px
    affine: np.ndarray  # (2, 3), photograph -> crop
    crop: np.ndarray  # (S, S, 3) uint8
    yaw_deg: float  # negative where the nose points to the image's left

    def as_view(self, view: str) -> SeenView:
        """The photograph in its place."""
        return SeenView(view, self.photo, self.landmarks, self.affine, self.crop)


class Eye(NamedTuple):
    """How photographs are looked at."""

    standard: np.ndarray  # (68, 3) mm, the mean face's landmarks
    size: int  # width and height of the crops, px
    finder: str = "own"  # of dfmvr.align.find.SOURCES
    face: int = 1  # which face of a photograph with several: 1 is the largest
    device: str = "cpu"

    def look(self, photo: Photo, landmarks: Landmarks | None = None, label: str = "photograph") -> Aligned:
        """Read a photograph and cut out its face.

        Args:
            photo: the photograph.
            landmarks: of the face; None: they are found.
            label: what messages call a photograph that is no file.
        Raises:
            DataError: unreadable, no face (or not as many as asked for), or landmarks that no face can have.
            UnavailableError: the finder's weights cannot be had.
        """
        label = str(photo) if isinstance(photo, Path | str) else label
        pixels = read_image(photo) if isinstance(photo, Path | str) else _checked_pixels(photo, label)
        points = self._landmarks(pixels, landmarks, label)
        given = isinstance(landmarks, Path | str)
        try:
            crop, found = align_photo(pixels, points, self.standard, self.size)
        except DataError as error:
            raise DataError(f"{label}{f', {landmarks}' if given else ''}: {error}") from None
        return Aligned(label, pixels, np.asarray(points, np.float64), found.affine, crop, found.yaw_deg)

    def _landmarks(self, pixels: np.ndarray, landmarks: Landmarks | None, label: str) -> np.ndarray:
        """Landmarks given or found."""
        if isinstance(landmarks, Path | str):
            return read_landmark_file(landmarks)
        if landmarks is not None:
            return np.asarray(landmarks, np.float64)
        faces = find_faces(pixels, self.finder, self.standard, self.device)
        if not faces:
            raise DataError(
                f"{label}: no face found; use a photograph in which the face is larger, sharper and upright, or give a "
                "file of its landmarks"
            )
        if self.face > len(faces):
            raise DataError(
                f"{label}: expected {self.face} faces or more, found {len(faces)}; choose another with --face"
            )
        return faces[self.face - 1].landmarks


def _checked_pixels(photo: np.ndarray, label: str) -> np.ndarray:
    """Check an array that is said to be a photograph."""
    pixels = np.asarray(photo)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3 or not pixels.size:
        raise DataError(f"{label}: expected uint8 pixels (H, W, 3), found {pixels.dtype} {pixels.shape}; convert it")
    return pixels


def put_in_place(given: Mapping[str, Aligned]) -> tuple[dict[str, SeenView], list[str]]:
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
    views = {places[name]: one.as_view(places[name]) for name, one in given.items()}
    return {name: views[name] for name in VIEWS if name in views}, notes


def put_by_pose(given: Sequence[Aligned]) -> tuple[dict[str, SeenView], list[str]]:
    """Give photographs their places by the pose of the face: of three, by order; fewer, by how far they are turned.

    Raises:
        ConfigError: none, or more than three.
        DataError: two that would have the same place.
    """
    if not 1 <= len(given) <= len(VIEWS):
        raise ConfigError(f"photographs: expected one to three, found {len(given)}")
    if len(given) == len(VIEWS):
        order = sorted(given, key=lambda one: one.yaw_deg)
        return {name: one.as_view(name) for name, one in zip(VIEWS, order, strict=True)}, []
    views: dict[str, SeenView] = {}
    for one in given:
        name = "front" if abs(one.yaw_deg) <= TURNED_DEG else "left" if one.yaw_deg < 0 else "right"
        if name in views:
            raise DataError(
                f"{one.label}: a second {name} view ({one.yaw_deg:+.0f} degrees); give one photograph of each side, or "
                "say which is which with --left, --front and --right"
            )
        views[name] = one.as_view(name)
    return {name: views[name] for name in VIEWS if name in views}, []
