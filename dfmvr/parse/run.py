"""One pretraining from data to weights, metrics and pictures."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dfmvr.config.training import ParseSection
from dfmvr.datasets import celebamask_hq
from dfmvr.datasets.layouts import reading_options
from dfmvr.errors import DataError
from dfmvr.files import write_json
from dfmvr.parse import figures
from dfmvr.parse.parser import ParseNet, noted, predict, save_parser
from dfmvr.parse.photos import Photos
from dfmvr.parse.pretrain import Trainer, evaluate

logger = logging.getLogger(__name__)

_EXAMPLES = 6


def pretrain(args: argparse.Namespace, settings: ParseSection) -> None:
    """Train a parser on `args.data` and write `args.weights` and, where asked for, metrics and pictures.

    The checkpoint lies beside the weights (`.checkpoint`) until they are written.

    Raises:
        DataError: the data set cannot be read, or a split is empty.
        OutputError: an output cannot be written.
    """
    swap_sides = reading_options(args, "celebamask_hq").swap_sides
    photos = _splits(args.data, args.image_size, settings.seed, swap_sides)
    checkpoint = Path(args.weights).with_suffix(".checkpoint")
    trainer = Trainer(settings, photos["train"], photos["val"], checkpoint, args.device)
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
    pairs = readable(photos, _EXAMPLES)
    images, truth = (np.stack(part) for part in zip(*pairs, strict=True))
    columns = figures.mask_columns(images, predict(parser, images), settings, truth)
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
