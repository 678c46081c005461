"""Photographs of one face: read, its landmarks found, cut out, and each put in its place among the views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import read_image
from dfmvr.errors import ConfigError, DataError
from dfmvr.reconstruct.photographs.reconstruction import SeenView

Photo = Path | str | np.ndarray
"""A photograph: its file, or the pixels, uint8 (H, W, 3) RGB or (H, W) grey."""

Landmarks = Path | str | np.ndarray
"""Landmarks of a photograph: a file, or (68, 2) or (5, 2) px."""

TURNED_DEG = 12.0
"""ASSUME: a face turned by less than this may be meant as the frontal view, and tells nothing about the sides."""


def read_pixels(photo: Photo, label: str) -> np.ndarray:
    """The pixels (H, W, 3) uint8 of a photograph, which messages call `label` if it is no file.

    Raises:
        DataError: unreadable, or an array of another kind.
    """
    if isinstance(photo, Path | str):
        return read_image(photo)
    pixels = np.asarray(photo)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3 or not pixels.size:
        raise DataError(f"{label}: expected uint8 pixels (H, W, 3), found {pixels.dtype} {pixels.shape}; convert it")
    return pixels


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
    if "front" in yaws and len(yaws) > 1 and abs(yaws["front"]) > max(abs(y) for n, y in yaws.items() if n != "front"):
        notes.append(
            f"{given['front'].label}: given as the front view, but turned the farthest, {yaws['front']:+.0f} degrees"
        )
    views = [one._replace(name=places[name]) for name, one in given.items()]
    return sorted(views, key=lambda view: view.place), notes


def put_by_pose(given: Sequence[SeenView]) -> list[SeenView]:
    """Give photographs their places by the pose of the face: of three, by order; fewer, by how far they are turned.

    Raises:
        ConfigError: none, or more than three.
        DataError: two that would have the same place.
    """
    if not 1 <= len(given) <= len(VIEWS):
        raise ConfigError(f"photographs: expected one to three, found {len(given)}")
    if len(given) == len(VIEWS):
        order = sorted(given, key=lambda one: one.yaw_deg)
        return [one._replace(name=name) for name, one in zip(VIEWS, order, strict=True)]
    views: dict[str, SeenView] = {}
    for one in given:
        name = "front" if abs(one.yaw_deg) <= TURNED_DEG else "left" if one.yaw_deg < 0 else "right"
        if name in views:
            raise DataError(
                f"{one.label}: a second {name} view ({one.yaw_deg:+.0f} degrees); give one photograph of each side, or "
                "say which is which with --left, --front and --right"
            )
        views[name] = one._replace(name=name)
    return sorted(views.values(), key=lambda view: view.place)
