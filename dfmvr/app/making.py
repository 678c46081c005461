"""What is done to photographs on the page: looked at, then made into a face, as `dfmvr reconstruct` makes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import read_photograph
from dfmvr.errors import ConfigError, DataError

if TYPE_CHECKING:
    from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView
    from dfmvr.reconstruct.photographs.reconstructor import Reconstructor

THUMBNAIL_PX = 560
"""Longest side of the picture of a photograph on the page."""

VIEWER, AVATAR = "viewer.html", "avatar.glb"

_SHARES = {"photographs": 0.0, "fit": 0.2, "files": 0.75}
"""Where on the progress bar the stages begin: with three photographs, of all the time so much has gone by then."""

Tell = Callable[[str, float], None]
"""Takes what is being done, and how much of all has been, 0 to 1."""


class LookedAt(NamedTuple):
    """What a photograph shows."""

    picture: bytes  # JPEG, small; empty where the file cannot be read
    seen: SeenView | None  # without its pixels; None where there is a problem
    shape: tuple[int, int]  # height and width of the pixels in which faces were found
    problem: str = ""  # why it cannot be used


@dataclass(frozen=True)
class FaceWish:
    """What face is to be made of which photographs."""

    photos: Mapping[Path, int]  # files, and which face of each, 1 being the largest
    sides: Mapping[str, Path] | None = None  # by view (conventions.VIEWS); None: the program tells
    same_expression: bool = False
    within_model: bool = False
    fast: bool = False
    avatar: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError for no photograph, and sides that are not the photographs', each in a view of its own."""
        if not self.photos:
            raise ConfigError("photographs: expected one or more, found none")
        if self.sides is not None and (
            set(self.sides) - {*VIEWS} or sorted(self.sides.values()) != sorted(self.photos)
        ):
            raise ConfigError(f"views: expected each photograph once, as one of {', '.join(VIEWS)}")


def look_at(reconstructor: Reconstructor, path: Path, face: int) -> LookedAt:
    """Find the faces of a photograph, and what there is to say if one of them is chosen."""
    try:
        seen = reconstructor.see(path, face=face)
    except DataError as error:
        try:
            pixels = read_photograph(path).pixels
        except DataError:
            return LookedAt(b"", None, (1, 1), _shown(error, path))
        return LookedAt(_thumbnail(pixels), None, pixels.shape[:2], _shown(error, path))
    nothing = np.zeros((1, 1, 3), np.uint8)
    kept = seen._replace(photo=nothing, crop=nothing, notes=tuple(_shown(note, path) for note in seen.notes))
    return LookedAt(_thumbnail(seen.photo), kept, seen.photo.shape[:2])


def make_face(reconstructor: Reconstructor, wish: FaceWish, folder: Path, tell: Tell) -> Reconstruction:
    """Make a face and write its files, viewer.html among them.

    Args:
        reconstructor: the networks.
        wish: what is wished for.
        folder: an existing one.
        tell: what it raises ends the work.
    Raises:
        DfmvrError: as `dfmvr reconstruct` would say it.
    """
    from dfmvr.reconstruct.avatar.head import prepare
    from dfmvr.reconstruct.export.files import export

    if wish.avatar:
        prepare(reconstructor.model)
    tell("Looking at the photographs", _SHARES["photographs"])
    if wish.sides is None:
        numbers = dict(enumerate(wish.photos.values(), start=1))
        face = reconstructor.from_any(list(wish.photos), face=numbers)
    else:
        face = reconstructor(**wish.sides, face={side: wish.photos[path] for side, path in wish.sides.items()})
    if not wish.fast:

        def on_step(done: int, of: int) -> None:
            share = _SHARES["fit"] + (_SHARES["files"] - _SHARES["fit"]) * done / of
            tell(f"Fitting the face to the photographs, step {done + 1} of {of}", share)

        same, within = wish.same_expression, wish.within_model
        face = reconstructor.fit(face, same_expression=same, within_model=within, on_step=on_step)
    tell("Baking the texture and writing the files", _SHARES["files"])
    export(folder, face, viewer=True, avatar=wish.avatar)
    tell("Done", 1.0)
    return face


def without_folder(message: str, folder: Path) -> str:
    """A message as it would be in the folder of the photographs, where they are called by their names alone."""
    return message.replace(f"{folder}{os.sep}", "")


def _shown(said: Exception | str, path: Path) -> str:
    return without_folder(str(said), path.parent)


def _thumbnail(pixels: np.ndarray) -> bytes:
    """A small JPEG of pixels (H, W, 3) RGB."""
    scale = min(1.0, THUMBNAIL_PX / max(pixels.shape[:2]))
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
