"""Reading and writing of 8-bit colour images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dfmvr.errors import DataError
from dfmvr.files import writing

_WIDE_MODES = ("I", "F")


def read_image(path: Path | str) -> np.ndarray:
    """Read an image as uint8 RGB (H, W, 3), turned upright if its EXIF data asks for it.

    Raises:
        DataError: the file is missing, is no image, is cut short, or has more than 8 bits a channel.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(_WIDE_MODES):
                raise DataError(f"{path}: expected 8 bits a channel, found mode {image.mode}; convert it to 8 bits")
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except DataError:
        raise
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"{path}: no such image; supply it or leave the sample out") from None
    except Exception as error:  # Pillow's decoders raise errors of many kinds on damaged files
        raise DataError(f"{path}: not a readable image ({error}); copy or download the file again") from error


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
    with writing(path) as partial:
        Image.fromarray(np.ascontiguousarray(image)).save(partial, **options)


def resize_image(image: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Resize uint8 (H, W, 3) to `size` (height, width; one number means both), smoothed where it shrinks."""
    height, width = (size, size) if isinstance(size, int) else size
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def resize_mask(mask: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Resize class ids uint8 (H, W) to `size` (height, width; one number means both) by the nearest pixel."""
    height, width = (size, size) if isinstance(size, int) else size
    return np.array(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
