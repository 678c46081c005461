"""Stage `parse`: writes masks and weight maps of aligned crops.

In     crops that `dfmvr align` wrote, and the parser that `dfmvr parse pretrain` trained.
Gives  masks.npy and weights.npy, both (N, V, S, S) uint8.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError
from dfmvr.files import open_npy
from dfmvr.folders import writing_folder
from dfmvr.networks.device import pick_device
from dfmvr.parse import figures
from dfmvr.parse.parser import load_parser, predict
from dfmvr.parse.weight_map import weights_of

if TYPE_CHECKING:
    from dfmvr.config.training import ParseSection

logger = logging.getLogger(__name__)

BATCH = 32
EXAMPLES = 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    parser.add_argument("--align", type=Path, required=True, metavar="FOLDER", help="aligned crops")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="the trained parser")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="masks.npy and weights.npy")
    parser.add_argument("--examples", type=Path, metavar="FILE", help="picture of some masks and weight maps")
    parser.add_argument("--device", default="cpu", help="where the network runs: cpu (default), cuda, cuda:1")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: torch's choice)")


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


def main(args: argparse.Namespace, settings: ParseSection) -> None:
    """Parse all crops.

    Raises:
        DataError: the crops or the parser cannot be read.
        OutputError: the folder cannot be written.
    """
    if args.threads is not None:
        torch.set_num_threads(max(1, args.threads))
    images = open_images(args.align)
    parser = load_parser(args.weights, pick_device(args.device))
    samples, views, size = images.shape[:3]
    flat, name = images.reshape(-1, size, size, 3), args.align.name
    with writing_folder(args.output, "parse") as folder:
        masks, maps = (
            np.lib.format.open_memmap(folder / file, "w+", np.uint8, shape=(samples, views, size, size))
            for file in ("masks.npy", "weights.npy")
        )
        for start in tqdm(range(0, len(flat), BATCH), desc=f"parse {name}", unit="batch", disable=None):
            for offset, mask in enumerate(predict(parser, flat[start : start + BATCH])):
                place = divmod(start + offset, views)
                view = VIEWS[place[1]] if views == len(VIEWS) else None
                masks[place], maps[place] = mask, weights_of(mask, settings, view)
    if args.examples is not None and samples:
        masks, maps = (
            np.load(args.output / file, mmap_mode="r").reshape(flat.shape[:-1]) for file in ("masks.npy", "weights.npy")
        )
        chosen = np.unique(np.linspace(0, len(flat) - 1, EXAMPLES).round().astype(int))  # evenly spread
        pictures = (np.stack([array[i] for i in chosen]) for array in (flat, masks, maps))
        columns = figures.mask_columns(*pictures, settings.dilation_px)
        figures.show_masks(args.examples, columns, f"Masks and weight maps of {name}")
    logger.info("parse: %d masks of %s in %s", len(flat), args.align, args.output)
