"""Masks and weight maps of aligned crops."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dfmvr.config.training import ParseSection
from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError
from dfmvr.files import open_npy, writing_folder
from dfmvr.parse import figures
from dfmvr.parse.parser import load_parser, predict
from dfmvr.parse.weight_map import weight_map

logger = logging.getLogger(__name__)


def open_images(folder: Path | str) -> np.ndarray:
    """Open the crops that `dfmvr align` wrote, without reading them.

    Returns:
        (N, V, S, S, 3) uint8 RGB.
    Raises:
        DataError: `images.npy` is missing, unreadable, or holds something else.
    """
    path = Path(folder) / "images.npy"
    images = open_npy(path, "dfmvr align")
    if images.dtype != np.uint8 or images.ndim != 5 or images.shape[-1] != 3 or images.shape[2] != images.shape[3]:
        raise DataError(
            f"{path}: expected uint8 images (N, V, S, S, 3), found {images.dtype} {images.shape}; "
            "run `dfmvr align` again"
        )
    return images


def apply(
    aligned: Path,
    weights: Path,
    output: Path,
    settings: ParseSection,
    device: str = "cpu",
    examples: Path | None = None,
    batch: int = 32,
) -> None:
    """Write `masks.npy` and `weights.npy`, both (N, V, S, S) uint8, for all crops of `aligned`.

    Args:
        aligned: folder with `images.npy` (N, V, S, S, 3).
        weights: the parser's file.
        output: folder to write, replaced as a whole.
        settings: of the weight map.
        device: where the network runs.
        examples: picture of the masks of a few samples to write.
        batch: images at a time.
    Raises:
        DataError: the crops or the parser cannot be read.
        OutputError: the folder cannot be written.
    """
    images = open_images(aligned)
    parser = load_parser(weights, device)
    samples, views, size = images.shape[:3]
    flat = images.reshape(-1, size, size, 3)
    with writing_folder(output) as folder:
        masks, maps = (
            np.lib.format.open_memmap(folder / name, "w+", np.uint8, shape=(samples, views, size, size))
            for name in ("masks.npy", "weights.npy")
        )
        starts = range(0, len(flat), batch)
        for start in tqdm(starts, desc=f"parse {Path(aligned).name}", unit="batch", disable=None):
            found = predict(parser, flat[start : start + batch])
            for offset, mask in enumerate(found):
                place = divmod(start + offset, views)
                view = VIEWS[place[1]] if views == len(VIEWS) else None
                masks[place], maps[place] = mask, weight_map(mask, settings, view)
    if examples is not None and samples:
        _show(examples, flat, output, settings, Path(aligned).name)
    logger.info("parse: %d masks of %s in %s", len(flat), aligned, output)


def _show(path: Path, images: np.ndarray, output: Path, settings: ParseSection, name: str, count: int = 9) -> None:
    """Draw some crops, evenly spread over the samples, with their masks."""
    masks, maps = (
        np.load(output / name, mmap_mode="r").reshape(images.shape[:-1]) for name in ("masks.npy", "weights.npy")
    )
    chosen = np.unique(np.linspace(0, len(images) - 1, count).round().astype(int))
    columns = figures.mask_columns(np.stack([images[i] for i in chosen]), masks[chosen], settings)
    columns["weight map"] = list(maps[chosen])  # as written: those of left views may differ
    figures.show_masks(path, columns, f"Masks and weight maps of {name}")
