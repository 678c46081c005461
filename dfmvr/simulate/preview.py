"""A contact sheet of a stand-in: what a person should look at before using it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfmvr.conventions import CLASSES
from dfmvr.datasets import celebamask_hq, pixel_face
from dfmvr.datasets.images import resize_image, write_image

ROWS, COLUMNS = 5, 2
HEIGHT_PX = 192
MASK_COLOURS = np.array(
    (
        *((20, 20, 20), (205, 175, 150), (95, 60, 20), (150, 95, 30), (40, 90, 220)),
        *((70, 200, 230), (60, 160, 80), (170, 20, 40), (230, 70, 140), (240, 150, 60)),
    ),
    np.uint8,
)


def write_preview(root: Path, dataset: str) -> None:
    """Write preview.jpg with up to ten samples of a finished data set.

    Args:
        root: folder of the data set.
        dataset: a name of `dfmvr.simulate.DATASETS`.
    Raises:
        OutputError: the file cannot be written.
    """
    rows = _portraits(root) if dataset == "celebamask_hq" else _triplets(root)
    rows += [np.zeros_like(rows[0])] * (-len(rows) % COLUMNS)
    columns = [np.concatenate(rows[i::COLUMNS], 0) for i in range(COLUMNS)]
    write_image(root / "preview.jpg", np.concatenate(columns, 1), 92)


def _spread(count: int) -> list[int]:
    """Up to ten numbers below `count`, evenly spread."""
    return sorted(set(np.linspace(0, count - 1, min(count, ROWS * COLUMNS)).astype(int).tolist()))


def _small(image: np.ndarray) -> np.ndarray:
    width = round(image.shape[1] * HEIGHT_PX / image.shape[0])
    return resize_image(image, (HEIGHT_PX, width))


def _triplets(root: Path) -> list[np.ndarray]:
    """The three views of some samples side by side."""
    samples = pixel_face.read_samples(root)
    chosen = [samples[i] for i in _spread(len(samples))]
    return [np.concatenate([_small(pixel_face.read_photo(path)) for path in s.photos if path], 1) for s in chosen]


def _portraits(root: Path) -> list[np.ndarray]:
    """Image and mask of some portraits side by side."""
    items = celebamask_hq.read_items(root)
    chosen = [items[i] for i in _spread(len(items))]
    colours = MASK_COLOURS[: len(CLASSES)]
    pairs = ((celebamask_hq.read_image(i), colours[celebamask_hq.read_mask(i)]) for i in chosen)
    return [np.concatenate((_small(image), _small(mask)), 1) for image, mask in pairs]
