"""Photographs of one face: read, its landmarks found, cut out, and each put in its place among the views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import WORKING_PIXELS, StoredPhotograph, read_photograph
from dfmvr.errors import DataError
from dfmvr.face_model.coefficients import MEAN_YAW_DEG
from dfmvr.reconstruct.photographs.reconstruction import FURTHER, SeenView

Photo = Path | str | np.ndarray
"""A photograph: its file, or the pixels, uint8 (H, W, 3) RGB or (H, W) grey."""

Landmarks = Path | str | np.ndarray
"""Landmarks of a photograph: a file, or (68, 2) or (5, 2) px."""

TURNED_DEG = 12.0
"""ASSUME: a face turned by less than this may be meant as the frontal view, and tells nothing about the sides."""

HARDLY_TURNED_DEG = 5.0
"""ASSUME: a face turned by less than this is no side view beside a frontal one; poses are found to some degrees."""


def read_photo(photo: Photo, label: str, most: int = WORKING_PIXELS) -> StoredPhotograph:
    """Read a photograph, which messages call `label` if it is no file.

    Args:
        photo: a file, or the pixels.
        label: what messages call it.
        most: pixels; a file of more is read in a smaller size.
    Raises:
        DataError: unreadable, or an array of another kind.
    """
    if isinstance(photo, Path | str):
        return read_photograph(photo, most)
    pixels = np.asarray(photo)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3 or not pixels.size:
        raise DataError(f"{label}: expected uint8 pixels (H, W, 3), found {pixels.dtype} {pixels.shape}; convert it")
    return StoredPhotograph(pixels, pixels.shape[:2], 1, None, ())


def put_in_place(given: Mapping[str, SeenView]) -> tuple[list[SeenView], list[str]]:
    """Put photographs that bear the name of a view in their places; left and right the wrong way round are exchanged.

    Args:
        given: name of a view (conventions.VIEWS) to its photograph.
    Returns:
        The views in the order of VIEWS, and what there is to say about them.
    """
    yaws, notes = {name: one.yaw_deg for name, one in given.items()}, []
    toward = {"left": 1, "front": 0, "right": -1}  # the sign of a yaw that is of the other side
    wrong = {name: yaw for name, yaw in yaws.items() if toward[name] * yaw > TURNED_DEG}
    places = {name: name for name in given}
    if wrong and wrong.keys() == yaws.keys() - {"front"}:
        places |= {"left": "right", "right": "left"}
        turned = " and ".join(f"{given[name].label} by {yaw:+.0f} degrees" for name, yaw in wrong.items())
        notes.append(f"left and right were the wrong way round and are exchanged ({turned}; left is below 0)")
    elif wrong:
        name, yaw = next(iter(wrong.items()))
        notes.append(
            f"{given[name].label}: given as the {name} view, but turned by {yaw:+.0f} degrees (left is below 0)"
        )
    for name, yaw in yaws.items():
        if name != "front" and abs(yaw) < HARDLY_TURNED_DEG:
            notes.append(f"{given[name].label}: given as the {name} view, but hardly turned, by {yaw:+.0f} degrees")
    if "front" in yaws and len(yaws) > 1 and abs(yaws["front"]) > max(abs(y) for n, y in yaws.items() if n != "front"):
        notes.append(
            f"{given['front'].label}: given as the front view, but turned the farthest, {yaws['front']:+.0f} degrees"
        )
    views = [one._replace(name=places[name]) for name, one in given.items()]
    return sorted(views, key=lambda view: view.place), notes


def put_by_pose(given: Sequence[SeenView]) -> list[SeenView]:
    """Give photographs their places by the pose of the face: three that the network sees, and further ones.

    Of three photographs, one turned to each side and the most frontal one between, that is their order. Otherwise the
    most frontal one is the front view unless it is turned too far, and of each side the one nearest to the view's usual
    turn is taken.
    """
    order = sorted(given, key=lambda one: one.yaw_deg)
    if len(order) == len(VIEWS) and _is_each_side_turned(*(one.yaw_deg for one in order)):
        return [one._replace(name=name) for name, one in zip(VIEWS, order, strict=True)]
    chosen: dict[str, int] = {}
    for name in VIEWS:
        nearest = sorted(range(len(given)), key=lambda k: abs(given[k].yaw_deg - MEAN_YAW_DEG[name]))
        fitting = [k for k in nearest if side_of(given[k].yaw_deg) == name]
        if fitting:
            chosen[name] = fitting[0]
    others = [one for k, one in enumerate(given) if k not in chosen.values()]
    further = [one._replace(name=f"{FURTHER}{number}") for number, one in enumerate(others, start=1)]
    return [*(given[k]._replace(name=name) for name, k in chosen.items()), *further]


def _is_each_side_turned(left_deg: float, front_deg: float, right_deg: float) -> bool:
    """Whether yaws in this order are those of a left, a front and a right view."""
    sides = min(-left_deg, right_deg)
    return sides >= max(HARDLY_TURNED_DEG, abs(front_deg))


def side_of(yaw_deg: float) -> str:
    """The view (conventions.VIEWS) that a photograph of a face turned so far may be."""
    return "front" if abs(yaw_deg) <= TURNED_DEG else "left" if yaw_deg < 0 else "right"
