"""Which face of a photograph is meant, which of its landmarks are known, and whether given ones are of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dfmvr.align.crop import fit_face, five_points
from dfmvr.align.find import SAME_FACE, FoundFace
from dfmvr.errors import ConfigError, DataError

FaceChoice = int | Mapping[Any, int]
"""Which face of photographs with several, 1 being the largest: of all, or by the name or number of a photograph."""

ALIGNING = (30, 36, 39, 42, 45, 48, 54)
"""Of the 68 landmarks those by which a face is aligned (`dfmvr.align.crop.five_points`)."""

MAX_OUTSIDE = 0.25
"""ASSUME: a face that lacks some of these tells enough if no more than this part of all landmarks is cut off."""

SAME_YAW_DEG = 20.0
"""ASSUME: given points and found ones tell the yaw of a face alike to this; of 33 photographs of stand-ins they did to
12 degrees."""


def face_of(choice: FaceChoice, photograph: str | int) -> int:
    """Which face of a photograph is asked for.

    Raises:
        ConfigError: none that can be.
    """
    face = choice if isinstance(choice, int) else choice.get(photograph, 1)
    if not isinstance(face, int) or face < 1:
        raise ConfigError(f"--face {face}: expected 1 (the largest) or more")
    return face


def check_choice(choice: FaceChoice, photographs: Sequence[str | int]) -> None:
    """Raise ConfigError if a face is chosen for a photograph that is none of these names or numbers."""
    unknown = [] if isinstance(choice, int) else [name for name in choice if name not in photographs]
    if unknown:
        known = f"{photographs[0]} to {photographs[-1]}" if isinstance(photographs[0], int) else ", ".join(photographs)
        raise ConfigError(f"--face {unknown[0]}=...: expected a photograph of {known}")


def choose_face(faces: Sequence[FoundFace], face: int, label: str, reduced: int) -> tuple[FoundFace, tuple[str, ...]]:
    """The face that is asked for, and what is to be said if there are others.

    Args:
        faces: of the photograph, the largest first.
        face: its number, from 1 on.
        label: what messages call the photograph.
        reduced: pixels of the file to one of those in which the faces were found.
    Raises:
        DataError: there are not so many.
    """
    if not faces:
        raise DataError(
            f"{label}: no face found; use a photograph in which the face is larger and sharper, or give a file of "
            "its landmarks"
        )
    if face > len(faces):
        raise DataError(f"{label}: expected {face} faces or more, found {len(faces)}; choose another with --face")
    chosen = faces[face - 1]
    if len(faces) == 1:
        return chosen, ()
    x, y = reduced * (chosen.box[:2] + chosen.box[2:]) / 2
    which = "the largest" if face == 1 else f"number {face} by size"
    return chosen, (f"{label}: {len(faces)} faces; {which} is taken, at ({x:.0f}, {y:.0f}) px; --face takes another",)


def beyond(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which points (N, 2) px, known ones, a photograph of a shape does not show."""
    return ((points < 0) | (points > shape[1::-1])).any(1)


def within(points: np.ndarray, shape: tuple[int, ...], label: str, given: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Landmarks (68, 2) px, NaN where they are guesses beyond the photograph, and what is to be said.

    ASSUME: a photograph that shows the points by which a face is aligned tells enough, whatever else is cut off.

    Args:
        points: other numbers of points are left as they are.
        shape: of the photograph.
        label: what messages call the photograph and the landmarks' file.
        given: whether a person gave them; then one of the points that align is not left out, but left for
            `align_photo` to refuse.
    Raises:
        DataError: too much of the face is cut off.
    """
    outside = beyond(points, shape)
    if points.shape != (68, 2) or not outside.any():
        return points, ()
    if outside[list(ALIGNING)].any():
        if given:
            return points, ()
        if outside.mean() > MAX_OUTSIDE:
            raise DataError(
                f"{label}: {outside.sum()} of {len(points)} landmarks would be outside the photograph; use one that "
                "shows eyes, nose and mouth"
            )
    known = np.where(outside[:, None], np.nan, points)
    return known, (f"{label}: the face is cut off; {outside.sum()} of {len(points)} landmarks are left out",)


def contradiction(points: np.ndarray, faces: Sequence[FoundFace], standard: np.ndarray, reduced: int) -> str:
    """How given landmarks contradict all faces that are found in their photograph; empty if they do not.

    Args:
        points: (68, 2) or (5, 2) px, NaN where unknown.
        faces: of the photograph; none contradict nothing.
        standard: (68, 3) mm.
        reduced: pixels of the file to one of those in which points and faces are told.
    """
    if not faces or not np.isfinite(five := five_points(points)).all():
        return ""
    yaw = fit_face(points, standard).yaw_deg

    def apart(face: FoundFace) -> float:
        return float(np.linalg.norm(five_points(face.landmarks) - five, axis=1).mean())

    nearest = min(faces, key=apart)
    if apart(nearest) > SAME_FACE * (nearest.box[2:] - nearest.box[:2]).max():
        how = f"are {reduced * apart(nearest):.0f} px from those of the face that is found"
    elif abs(yaw - nearest.yaw_deg) > SAME_YAW_DEG:
        how = f"tell of a face turned by {yaw:+.0f} degrees, the one that is found by {nearest.yaw_deg:+.0f}"
    else:
        return ""
    return f"its points {how}; is it the file of another photograph?"
