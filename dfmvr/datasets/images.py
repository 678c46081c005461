"""Reading and writing of 8-bit colour images.

No file makes a reader allocate more than MAX_PIXELS pixels, nor more than its own size can hold.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from dfmvr.errors import DataError
from dfmvr.files import writing

_WIDE_MODES = ("I", "F")

FILM_DIAGONAL_MM = math.hypot(36, 24)

FILM_MM = (10.0, 400.0)
"""ASSUME: no face is photographed with a lens of another focal length, film of 36 x 24 mm."""

SAME_ASPECT = 0.03
"""Cameras round; a photograph whose sides have another ratio than the camera wrote has been cropped."""

MAX_PIXELS = 100_000_000
"""ASSUME: no photograph of a face needs more."""

MAX_PIXELS_PER_BYTE = 8 * 1032
"""PNG packs the most: eight pixels a byte, deflated 1032-fold at the most. JPEG and BMP stay far below."""


def _check_size(path: Path | str, size: tuple[int, int]) -> None:
    """Refuse an image whose header promises more pixels than are sensible, or than its file can hold."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{path}: {width} x {height} pixels, expected {MAX_PIXELS // 10**6} megapixels at the most; "
            "make the image smaller or copy it again"
        )
    stored = os.stat(path).st_size
    if width * height > stored * MAX_PIXELS_PER_BYTE:
        raise DataError(
            f"{path}: not a readable image ({stored} bytes cannot hold {width} x {height} pixels); "
            "copy or download the file again"
        )


@contextmanager
def open_image(path: Path | str, *formats: str) -> Iterator[Image.Image]:
    """Open an image of one of the formats, or any, whose header has been checked; its pixels are read when asked for.

    Raises:
        DataError: the file is missing, is no image, promises too many pixels, or turns out damaged inside the block.
    """
    try:
        with Image.open(path, formats=formats or None) as image:
            _check_size(path, image.size)
            yield image
    except DataError:
        raise
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"{path}: no such image; supply it or leave the sample out") from None
    except Image.DecompressionBombError:  # Pillow's own limit, beyond ours
        raise DataError(
            f"{path}: expected {MAX_PIXELS // 10**6} megapixels at the most, the header promises more; copy it again"
        ) from None
    except Exception as error:  # Pillow's decoders raise errors of many kinds on damaged files
        raise DataError(f"{path}: not a readable image ({error}); copy or download the file again") from error


@cache
def image_suffixes() -> frozenset[str]:
    """The suffixes, in small letters, of the files that `open_image` may be able to read."""
    Image.init()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)


def read_image_size(path: Path | str) -> tuple[int, int]:
    """Read only (height, width) of an image as `read_image` would give it.

    Raises:
        DataError: the file is missing or is no image.
    """
    with open_image(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return image.size if turned else image.size[::-1]


def read_image(path: Path | str) -> np.ndarray:
    """Read an image as uint8 RGB (H, W, 3), turned upright if its EXIF data asks for it.

    Raises:
        DataError: the file is missing, is no image, is cut short, has more than 8 bits a channel, or promises more
            pixels than are sensible.
    """
    with open_image(path) as image:
        if image.mode.startswith(_WIDE_MODES):
            raise DataError(f"{path}: expected 8 bits a channel, found mode {image.mode}; convert it to 8 bits")
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


class FocalLength(NamedTuple):
    """What a photograph's file tells of the camera's focal length."""

    px: float | None  # of the photograph as it is; None: unknown
    doubt: str = ""  # why what the file tells is not believed


def read_focal_length(path: Path | str) -> FocalLength:
    """Read the focal length of the camera that took a photograph, by its equivalent on film of 36 x 24 mm.

    Film and sensor are compared by their diagonals (CIPA DCG-001).

    Raises:
        DataError: the file is missing or is no image.
    """
    with open_image(path) as image:
        told = image.getexif().get_ifd(ExifTags.IFD.Exif)
        size = sorted(image.size)
    try:
        film = float(told.get(ExifTags.Base.FocalLengthIn35mmFilm) or 0)
        sides = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
        taken = sorted(float(told.get(key) or 0) for key in sides)
    except (TypeError, ValueError, ZeroDivisionError):
        return FocalLength(None, "its EXIF data are damaged; the focal length is not used")
    if not film:
        return FocalLength(None)
    if not FILM_MM[0] <= film <= FILM_MM[1]:
        return FocalLength(None, f"its EXIF data tell of a focal length of {film:g} mm; not used")
    if taken[0] > 0 and abs(taken[0] / taken[1] * size[1] / size[0] - 1) > SAME_ASPECT:
        was = " x ".join(f"{side:.0f}" for side in taken)
        return FocalLength(
            None, f"its EXIF data tell of {was} pixels, so it has been cropped; the focal length in them is not used"
        )
    return FocalLength(film / FILM_DIAGONAL_MM * math.hypot(*size))


def write_image(path: Path | str, image: np.ndarray, quality: int = 95) -> None:
    """Write uint8 RGB (H, W, 3) or single-channel (H, W), in the format that the suffix of `path` names.

    Args:
        path: place of the file, ending in .jpg, .png or .bmp.
        image: the pixels; JPEG alone is lossy.
        quality: JPEG quality, 1 to 100; from 90 on the colours are kept at full resolution.
    Raises:
        OutputError: the file cannot be written.
    """
    options = {}
    if Path(path).suffix.lower() in (".jpg", ".jpeg"):
        options = {"quality": int(quality), "subsampling": 0 if quality >= 90 else 2}
    elif Path(path).suffix.lower() == ".png":
        options = {"compress_level": 3}  # a third of the time of the usual 6, files a seventh larger
    with writing(path) as partial:
        Image.fromarray(np.ascontiguousarray(image)).save(partial, **options)


def resize_image(image: np.ndarray, size: int | tuple[int, int], method: int = Image.Resampling.BICUBIC) -> np.ndarray:
    """Resize uint8 (H, W, 3) to `size` (height, width; one number means both), smoothed where it shrinks."""
    height, width = (size, size) if isinstance(size, int) else size
    return np.array(Image.fromarray(image).resize((width, height), method))


def resize_mask(mask: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Resize class ids uint8 (H, W) to `size`, as `resize_image`, by the nearest pixel."""
    return resize_image(mask, size, Image.Resampling.NEAREST)
