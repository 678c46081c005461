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
from dfmvr.datasets.images import write_image
from dfmvr.datasets.landmark_files import write_landmark_file

VIEW_FOLDERS = ("0", "1", "2")
PHOTOS = ("t.bmp", "t.jpg", "t.png")
ANNOTATION = "landmarks_68.txt"

STORED = "rotated_mirrored"
"""How the release stores photographs; a key of ORIENTATIONS."""

ORIENTATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "upright": lambda image: image,
    # Turned by 90 degrees clockwise and then mirrored it is upright: together that exchanges rows and columns, which
    # is its own inverse, so one function serves the reader and the writer.
    "rotated_mirrored": lambda image: image.swapaxes(0, 1),
}


def find_in_views(folder: Path, *names: str) -> tuple[Path | None, ...]:
    """Find in each of the folders 0, 1, 2 the first of `names` that is a file."""
    places = [[folder / view / name for name in names] for view in VIEW_FOLDERS]
    return tuple(next((path for path in paths if path.is_file()), None) for paths in places)


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
        annotations: three times 68 landmarks (68, 2), pixels of the upright photographs; None leaves a view out.
        image_format: 'jpg', 'png' or 'bmp'.
        jpeg_quality: 1 to 100, for all views or one a view.
    Raises:
        OutputError: a file cannot be written.
    """
    qualities = np.broadcast_to(jpeg_quality, len(VIEWS))
    points = annotations if annotations is not None else (None,) * len(VIEWS)
    for view, photo, landmarks, quality in zip(VIEW_FOLDERS, photos, points, qualities, strict=True):
        if photo is not None:
            write_image(folder / view / f"t.{image_format}", ORIENTATIONS[STORED](photo), int(quality))
        if landmarks is not None:
            write_landmark_file(folder / view / ANNOTATION, landmarks)
