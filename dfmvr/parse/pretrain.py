"""Pretrain the face parse net on CelebAMask-HQ or its stand-in (Sec. III-B).

In     photographs with masks of their parts, in three splits.
Gives  the parser (safetensors), its IoU on the test split, and pictures. A run that was stopped goes on from its
       checkpoint, which lies beside the weights until they are written.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dfmvr.datasets import celebamask_hq
from dfmvr.datasets.layouts import reading_options
from dfmvr.errors import ConfigError, DataError
from dfmvr.files import write_json
from dfmvr.networks.bisenet import SMALLEST_IMAGE_PX
from dfmvr.networks.device import pick_device
from dfmvr.parse import figures
from dfmvr.parse.parser import ParseNet, noted, predict, save_parser
from dfmvr.parse.photos import Photos
from dfmvr.parse.trainer import Trainer, evaluate
from dfmvr.parse.weight_map import weights_of

if TYPE_CHECKING:
    from dfmvr.config.training import ParseSection

logger = logging.getLogger(__name__)

EXAMPLES = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="CelebAMask-HQ")
    parser.add_argument("--reading", metavar="JSON", help="the section datasets.celebamask_hq as JSON")
    parser.add_argument("--image-size", type=int, required=True, metavar="PX", help="side of the crops, 32 or more")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="output: the parser")
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="output: JSON of IoU and history")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="output: picture of the IoU of each class")
    parser.add_argument("--examples", type=Path, metavar="FILE", help="output: picture of some masks and weight maps")
    parser.add_argument("--device", default="cpu", help="where the network runs: cpu (default), cuda, cuda:1")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: torch's choice)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that read photographs")


def main(args: argparse.Namespace, settings: ParseSection) -> None:
    """Train a parser and write it and, where asked for, metrics and pictures.

    Raises:
        ConfigError: crops too small.
        DataError: the data set cannot be read, or a split is empty.
        OutputError: an output cannot be written.
    """
    if args.image_size < SMALLEST_IMAGE_PX:
        raise ConfigError(f"--image-size: expected {SMALLEST_IMAGE_PX} px or more, found {args.image_size}")
    if args.threads is not None:
        torch.set_num_threads(max(1, args.threads))
    swap_sides = reading_options(args, "celebamask_hq").swap_sides
    photos = _splits(args.data, args.image_size, settings.seed, swap_sides)
    checkpoint = Path(args.weights).with_suffix(".checkpoint")
    trainer = Trainer(settings, photos["train"], photos["val"], checkpoint, pick_device(args.device))
    trainer.train(args.workers)
    parser = trainer.parser.eval()
    test, broken = evaluate(parser, photos["test"])
    trainer.set_aside |= broken
    if test["mean_iou"] is None:
        raise DataError(f"{args.data}: not one test image could be read: {next(iter(broken.values()))}")
    black, _ = evaluate(parser, photos["test"], black=True)
    if trainer.set_aside:
        first = min(trainer.set_aside)
        logger.warning("parse: %d images set aside, such as: %s", len(trainer.set_aside), trainer.set_aside[first])
    name = Path(args.data).name
    if args.metrics is not None:
        write_json(args.metrics, _metrics(name, trainer, photos, test, black))
    if args.figure is not None:
        figures.plot_iou(args.figure, test, black, f"Face parser on held-out images of {name}")
    if args.examples is not None:
        _examples(args.examples, parser, photos["test"], settings, name)
    save_parser(args.weights, parser, data=name, test_mean_iou=test["mean_iou"], settings=noted(settings))
    checkpoint.unlink(missing_ok=True)
    logger.info(
        "parse: mean IoU %.3f on photographs, %.3f with a black background", test["mean_iou"], black["mean_iou"]
    )


def _splits(data: Path, image_size: int, seed: int, swap_sides: bool) -> dict[str, Photos]:
    items = celebamask_hq.read_items(data)
    photos = {}
    for split in celebamask_hq.SPLITS:
        chosen = [item for item in items if item.split == split]
        if not chosen:
            raise DataError(f"{data}: expected images of the split '{split}', found none; copy some")
        photos[split] = Photos(chosen, image_size, seed, split == "train", swap_sides)
    return photos


def _metrics(name: str, trainer: Trainer, photos: dict[str, Photos], test: dict, black: dict) -> dict:
    return {
        "data": name,
        **test,
        "black_background": black,
        "image_size": photos["train"].size,
        "images": len(photos["test"]),
        "split": {split: len(part) for split, part in photos.items()},
        "parameters": sum(p.numel() for p in trainer.parser.parameters()),
        "settings": trainer.settings.model_dump(mode="json"),
        "history": trainer.history,
        "set_aside": [{"id": item, "reason": reason} for item, reason in sorted(trainer.set_aside.items())],
    }


def _examples(path: Path, parser: ParseNet, photos: Photos, settings: ParseSection, name: str) -> None:
    pairs = readable(photos, EXAMPLES)
    images, truth = (np.stack(part) for part in zip(*pairs, strict=True))
    masks = predict(parser, images)
    weights = np.stack([weights_of(mask, settings) for mask in masks])
    columns = figures.mask_columns(images, masks, weights, settings.dilation_px, truth)
    figures.show_masks(path, columns, f"Masks and weight maps of held-out images of {name}")


def readable(photos: Photos, count: int) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """The first `count` crops that can be read."""
    pairs = []
    for index in range(len(photos)):
        try:
            pairs.append(photos.crop(index))
        except DataError:
            continue
        if len(pairs) == count:
            break
    return pairs
