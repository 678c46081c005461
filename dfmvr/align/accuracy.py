"""How well faces and landmarks are found in photographs whose landmarks are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.align.cascade import find_by_cascade
from dfmvr.align.crop import five_points
from dfmvr.align.landmark_networks import LandmarkNetworks
from dfmvr.datasets.images import read_image
from dfmvr.datasets.landmark_files import read_landmark_file

FOUND_PERCENT = 20.0
"""ASSUME: landmarks that are off by more than this, of the distance of the outer eye corners, are of no face here."""


class Accuracy(NamedTuple):
    """Errors in percent of the distance of the eyes in the image: of their outer corners or, where only five points
    are known, of their middles.
    """

    photos: int
    found_percent: float  # photographs in which the face was found
    mean_percent: float  # of the found faces
    p90_percent: float
    false_faces: int  # faces found where there is none


def landmark_error(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of landmarks (68, 2) from true ones, (68, 2) or (5, 2), in percent (see `Accuracy`)."""
    if len(truth) == 5:
        found = five_points(found)
    eyes = truth[0] - truth[1] if len(truth) == 5 else truth[36] - truth[45]
    return float(100 * np.linalg.norm(found - truth, axis=1).mean() / np.linalg.norm(eyes))


def marked_photos(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read photographs <name>.jpg that have landmarks, 68 or five, in <name>.txt beside them.

    Raises:
        DataError: a file cannot be read.
    """
    for path in sorted(folder.glob("*.jpg")):
        if path.with_suffix(".txt").exists():
            yield read_image(path), read_landmark_file(path.with_suffix(".txt"))


def measure(networks: LandmarkNetworks, photos: Iterable[tuple[np.ndarray, np.ndarray]]) -> Accuracy:
    """Measure on photographs of one face each: uint8 RGB (H, W, 3) and landmarks (68 or 5, 2) px."""
    errors, count, false = [], 0, 0
    for photo, truth in photos:
        offs = sorted(landmark_error(points, truth) for points, _ in find_by_cascade(networks, photo, "cpu"))
        count += 1
        hit = bool(offs) and offs[0] < FOUND_PERCENT
        false += len(offs) - hit
        errors += offs[:1] if hit else []
    mean, p90 = (np.mean(errors), np.percentile(errors, 90)) if errors else (-1.0, -1.0)
    found = 100 * len(errors) / max(count, 1)
    return Accuracy(count, round(found, 2), round(float(mean), 3), round(float(p90), 3), false)
