"""A contact sheet of a stand-in: what a person should look at before using it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from dfmvr.datasets.images import resize_image, write_image

ROWS, COLUMNS = 5, 2
HEIGHT_PX = 192

Item = TypeVar("Item")


def write_preview(root: Path, items: Sequence[Item], pictures_of: Callable[[Item], Sequence[np.ndarray]]) -> None:
    """Write preview.jpg with up to ten items of a data set, the pictures of each side by side.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = [np.concatenate([_small(p) for p in pictures_of(item)], 1) for item in spread(items, ROWS * COLUMNS)]
    rows += [np.zeros_like(rows[0])] * (-len(rows) % COLUMNS)
    columns = [np.concatenate(rows[i::COLUMNS], 0) for i in range(COLUMNS)]
    write_image(root / "preview.jpg", np.concatenate(columns, 1), 92)


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """Up to `most` items, evenly spread."""
    return [items[i] for i in sorted(set(np.linspace(0, len(items) - 1, min(len(items), most)).astype(int).tolist()))]


def _small(image: np.ndarray) -> np.ndarray:
    return resize_image(image, (HEIGHT_PX, round(image.shape[1] * HEIGHT_PX / image.shape[0])))
