"""Pixel-Face's photographs of one sample, the same in both layouts.

    <0|1|2>/t.bmp               photograph of the left, front and right view (also .jpg, .png)
    <0|1|2>/landmarks_68.txt    68 landmarks of the upright photograph; stand-ins only

Source: util/read_data.py of github.com/zyg11/Pixel-Face; load_img_and_lm of github.com/weiguangzhao/DF_MVR.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import read_image, read_image_size, write_image
from dfmvr.datasets.landmark_files import read_landmark_file, write_landmark_file

VIEW_FOLDERS = ("0", "1", "2")
IMAGE_SUFFIXES = (".bmp", ".jpg", ".png")
ANNOTATION = "landmarks_68.txt"

PHOTO_ORIENTATION = "rotated_mirrored"
"""How the release stores photographs; a key of ORIENTATIONS."""

ORIENTATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "upright": lambda image: image,
    # Turned by 90 degrees clockwise and then mirrored it is upright: together that exchanges rows and columns, which
    # is its own inverse, so one function serves the reader and the writer.
    "rotated_mirrored": lambda image: image.swapaxes(0, 1),
}


def existing(folder: Path, *names: str) -> Path | None:
    """Find the first of `names` that is a file in `folder`."""
    return next((path for name in names if (path := folder / name).is_file()), None)


def find_photos(folder: Path) -> tuple[Path | None, ...]:
    """Find the photographs of the folders 0, 1, 2."""
    names = [f"t{suffix}" for suffix in IMAGE_SUFFIXES]
    return tuple(existing(folder / view, *names) for view in VIEW_FOLDERS)


def find_annotations(folder: Path) -> tuple[Path | None, ...]:
    """Find the annotated landmarks of the folders 0, 1, 2."""
    return tuple(existing(folder / view, ANNOTATION) for view in VIEW_FOLDERS)


def read_photo(path: Path | str, orientation: str = PHOTO_ORIENTATION) -> np.ndarray:
    """Read a photograph as upright uint8 RGB (H, W, 3).

    Args:
        path: the image file.
        orientation: how it is stored, a key of ORIENTATIONS.
    Raises:
        DataError: the file is missing or not a whole image.
    """
    return np.ascontiguousarray(ORIENTATIONS[orientation](read_image(path)))


def lies_on_its_side(path: Path | str, orientation: str) -> bool:
    """Tell from the header alone whether a photograph, upright portraits all, would come out wider than high.

    Raises:
        DataError: the file is missing or no image.
    """
    height, width = read_image_size(path)
    return (width > height) == (orientation == "upright") and width != height


def read_annotation(path: Path | str) -> np.ndarray:
    """Read a stand-in's 68 landmarks (68, 2) in pixels of the upright photograph, first pixel's centre at 0.5.

    Raises:
        DataError: the file is missing or does not hold 68 points.
    """
    return read_landmark_file(path, counts=(68,))


def write_views(
    folder: Path,
    photos: Sequence[np.ndarray | None],
    annotations: Sequence[np.ndarray | None] | None = None,
    image_format: str = "jpg",
    jpeg_quality: int | Sequence[int] = 95,
) -> None:
    """Write the folders 0, 1, 2 of a sample.

    Args:
        folder: that gets the three.
        photos: three upright photographs, uint8 (H, W, 3), left, front, right; None leaves a view out.
        annotations: three times 68 landmarks (68, 2), pixels of the upright photographs.
        image_format: 'jpg', 'png' or 'bmp'.
        jpeg_quality: 1 to 100, for all views or one a view.
    Raises:
        OutputError: a file cannot be written.
    """
    qualities = np.broadcast_to(jpeg_quality, len(VIEWS))
    points = annotations if annotations is not None else (None,) * len(VIEWS)
    for view, photo, landmarks, quality in zip(VIEW_FOLDERS, photos, points, qualities, strict=True):
        if photo is not None:
            stored = ORIENTATIONS[PHOTO_ORIENTATION](photo)
            write_image(folder / view / f"t.{image_format}", stored, int(quality))
        if landmarks is not None:
            write_landmark_file(folder / view / ANNOTATION, landmarks)
