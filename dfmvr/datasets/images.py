"""Reading and writing of 8-bit colour images.

No file makes a reader allocate more than MAX_PIXELS pixels, nor more than its own size can hold. Pixels are sRGB: what
has a colour profile of another kind is converted by it (`dfmvr.datasets.profiles`).
"""

from __future__ import annotations

import functools
import io
import math
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from dfmvr.datasets.profiles import to_srgb
from dfmvr.errors import DataError
from dfmvr.files import writing

_WIDE_MODES = ("I", "F")

FILM_DIAGONAL_MM = math.hypot(36, 24)

FILM_MM = (10.0, 400.0)
"""ASSUME: no face is photographed with a lens of another focal length, film of 36 x 24 mm."""

SAME_ASPECT = 0.03
"""Cameras round; a photograph whose sides have another ratio than the camera wrote has been cropped."""

MAX_PIXELS = 100_000_000
"""ASSUME: no image of a data set needs more."""

MAX_REDUCED_PIXELS = 110_000_000
"""Photographs up to this size are read, in a smaller one: telephones have 108 megapixels."""

MAX_JPEG_PIXELS = 210_000_000
"""The same of JPEG, which is never unpacked at its full size: telephones have 200 megapixels too."""

WORKING_PIXELS = 36_000_000
"""ASSUME: a photograph of a face tells no more than this at its full size."""

_REDUCED_BY_DECODER = ("JPEG", "MPO")
_KIND_OF_PART, _PREVIEW = 254, 1  # of a TIFF file, whose first picture is a preview in cameras' raw files
_AVIF_BRANDS = (b"avif", b"avis")

_TURNS = dict(
    zip(
        range(2, 9),
        (
            *(Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM),
            *(Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE),
            Image.Transpose.ROTATE_90,
        ),
        strict=True,
    )
)
"""What brings an image upright, by the orientation that its EXIF data tell."""

MAX_STREAM_BYTES = 1 << 29
"""What is no file, such as /dev/stdin, is read up to this."""

MAX_PIXELS_PER_BYTE = 8 * 1032
"""PNG packs the most: eight pixels a byte, deflated 1032-fold at the most. JPEG and BMP stay far below."""


# Pillow refuses and warns by a limit of its own, which is below ours; `_check_size` has the word.
Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS and max(Image.MAX_IMAGE_PIXELS, MAX_JPEG_PIXELS)


def _check_size(path: Path | str, size: tuple[int, int], stored: int, most: int) -> None:
    """Refuse an image whose header promises more pixels than are sensible, or than its file can hold."""
    width, height = size
    if width * height > most:
        raise DataError(
            f"{path}: {width} x {height} pixels, expected {most // 10**6} megapixels at the most; "
            "make the image smaller or copy it again"
        )
    if width * height > stored * MAX_PIXELS_PER_BYTE:
        raise DataError(
            f"{path}: not a readable image ({stored} bytes cannot hold {width} x {height} pixels); "
            "copy or download the file again"
        )


@functools.cache
def _learn_heif() -> None:
    """Let Pillow open HEIC files, which takes a while to import."""
    from pillow_heif import register_heif_opener

    register_heif_opener()


@contextmanager
def _stream(path: Path | str) -> Iterator[tuple[BinaryIO, int]]:
    """The bytes of a file, or of a pipe, and how many they are."""
    with Path(path).open("rb") as stream:
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            yield stream, os.fstat(stream.fileno()).st_size
        else:
            content = stream.read(MAX_STREAM_BYTES)
            yield io.BytesIO(content), len(content)


@contextmanager
def open_image(path: Path | str, *formats: str, reducible: bool = False) -> Iterator[Image.Image]:
    """Open an image of one of the formats, or any, whose header has been checked; its pixels are read when asked for.

    Args:
        path: the file, or a pipe, which can be opened only once.
        formats: as Pillow names them; none: all.
        reducible: it may be as large as what is read in a smaller size.
    Raises:
        DataError: the file is missing, is no image, promises too many pixels, or turns out damaged inside the block.
    """
    try:
        with _stream(path) as (stream, stored):
            kind = stream.read(12)
            stream.seek(0)
            if kind[4:8] == b"ftyp" and not formats and kind[8:12] not in _AVIF_BRANDS:
                _learn_heif()
            with Image.open(stream, formats=formats or None) as image:
                most = MAX_JPEG_PIXELS if image.format in _REDUCED_BY_DECODER else MAX_REDUCED_PIXELS
                _check_size(path, image.size, stored, most if reducible else MAX_PIXELS)
                yield image
    except DataError:
        raise
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: no such image; supply it or leave the sample out") from None
    except Image.UnidentifiedImageError:
        raise DataError(f"{path}: not a readable image (of no known kind); copy or download the file again") from None
    except Image.DecompressionBombError:  # Pillow's own limit, beyond ours
        raise DataError(
            f"{path}: expected {MAX_PIXELS // 10**6} megapixels at the most, the header promises more; copy it again"
        ) from None
    except Exception as error:  # Pillow's decoders raise errors of many kinds on damaged files
        raise DataError(f"{path}: not a readable image ({error}); copy or download the file again") from error


@functools.cache
def image_suffixes() -> frozenset[str]:
    """The suffixes, in small letters, of the files that `open_image` may be able to read."""
    Image.init()
    _learn_heif()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)


def read_image_size(path: Path | str) -> tuple[int, int]:
    """Read only (height, width) of an image as `read_image` would give it.

    Raises:
        DataError: the file is missing or is no image.
    """
    with open_image(path) as image:
        return _upright_size(image)


_DAMAGED_EXIF = (SyntaxError, struct.error, LookupError, TypeError, ValueError, ArithmeticError, EOFError)
"""What Pillow raises when it reads EXIF data that are damaged, and what comes of numbers that are none."""


def _exif(image: Image.Image, part: int | None = None) -> Mapping[int, Any]:
    """The EXIF data of an image or a part of them; nothing where they are damaged, which the pixels are not."""
    try:
        told = image.getexif()
        return dict(told if part is None else told.get_ifd(part))
    except _DAMAGED_EXIF:
        return {}


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of an image turned upright."""
    turned = _exif(image).get(ExifTags.Base.Orientation) in range(5, 9)
    return image.size if turned and image.format != "TIFF" else image.size[::-1]  # Pillow turns TIFF itself


def read_image(path: Path | str) -> np.ndarray:
    """Read an image as uint8 sRGB (H, W, 3), turned upright if its EXIF data asks for it.

    Raises:
        DataError: the file is missing, is no image, is cut short, has more than 8 bits a channel, or promises more
            pixels than are sensible.
    """
    with open_image(path) as image:
        return _pixels(path, image, 1)[0]


def _pixels(path: Path | str, image: Image.Image, reduced: int) -> tuple[np.ndarray, str]:
    """The pixels of an opened image, `reduced` each way made one, and what is to be said of their colours."""
    if image.mode.startswith(_WIDE_MODES):
        raise DataError(f"{path}: expected 8 bits a channel, found mode {image.mode}; convert it to 8 bits")
    if image.format == "TIFF" and image.tag_v2.get(_KIND_OF_PART, 0) == _PREVIEW:
        raise DataError(f"{path}: a camera's raw file, or a preview alone; save the photograph itself as JPEG or PNG")
    width, by_decoder = image.width, 1
    if reduced > 1 and image.format in _REDUCED_BY_DECODER:
        drafted = image.draft(None, (width // reduced, image.height // reduced))
        by_decoder = round(width / drafted[1][2]) if drafted else 1
    image.load()
    turn = _TURNS.get(_exif(image).get(ExifTags.Base.Orientation))  # as those that Pillow turns now tell too
    result, doubt = to_srgb(image, reduced // by_decoder)
    if "icc_profile" not in image.info and (space := _told_space(image)):
        doubt = f"it tells of {space}, but has no colour profile; its colours are taken as sRGB"
    result = result if turn is None else result.transpose(turn)
    return np.array(result), doubt


def _told_space(image: Image.Image) -> str:
    """The colour space that an image without a profile says it has; empty if it says none or sRGB.

    Sources: DCF 2.0, of EXIF data; ITU-T H.273, of the numbers in HEIC.
    """
    if _exif(image, ExifTags.IFD.Interop).get(1) == "R03":
        return "Adobe RGB"
    coded = image.info.get("nclx_profile") or {}
    curves, primaries = {16: "PQ (HDR)", 18: "HLG (HDR)"}, {9: "Rec. 2020", 11: "DCI-P3", 12: "Display P3"}
    curve = curves.get(coded.get("transfer_characteristics"))
    return curve or primaries.get(coded.get("color_primaries"), "")


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
    with open_image(path, reducible=True) as image:
        return _focal_length(image)


def _focal_length(image: Image.Image) -> FocalLength:
    """The focal length of an image whose pixels have not been asked for."""
    size = sorted(image.size)
    try:
        told = image.getexif().get_ifd(ExifTags.IFD.Exif)
        film = float(told.get(ExifTags.Base.FocalLengthIn35mmFilm) or 0)
        sides = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
        taken = sorted(float(told.get(key) or 0) for key in sides)
    except _DAMAGED_EXIF:
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


class StoredPhotograph(NamedTuple):
    """A photograph as it was read from its file."""

    pixels: np.ndarray  # (H, W, 3) uint8 sRGB, upright
    size: tuple[int, int]  # height and width of the file's image, upright
    reduced: int  # so many pixels of the file, each way, became one
    focal_px: float | None  # focal length in pixels of the file's image; None: unknown
    doubts: tuple[str, ...]  # what there is to say


def read_photograph(path: Path | str, most: int = WORKING_PIXELS) -> StoredPhotograph:
    """Read a photograph; one of more pixels than `most` in half its size, a quarter or so on.

    Raises:
        DataError: as of `read_image`, but larger ones are read.
    """
    with open_image(path, reducible=True) as image:
        focal, size, reduced = _focal_length(image), _upright_size(image), 1
        while math.prod(size) > most * reduced**2:
            reduced *= 2
        pixels, doubt = _pixels(path, image, reduced)
    doubts = [one for one in (focal.doubt, doubt) if one]
    if reduced > 1:
        doubts.append(f"{size[1]} x {size[0]} pixels, read in {pixels.shape[1]} x {pixels.shape[0]}")
    return StoredPhotograph(pixels, size, reduced, focal.px, tuple(doubts))


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
