"""Train the networks that find faces and landmarks, or measure how well they do.

In     a data set of three views with annotated landmarks, and the face model
Gives  landmarks.safetensors (`dfmvr.align.landmark_networks`); beside it, while it trains, its checkpoint and its
       losses

What a step learns from depends on the seed and the step alone, so a run that was killed goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dfmvr.align.accuracy import marked_photos, measure
from dfmvr.align.crop import read_standard_points
from dfmvr.align.examples import Bank, Canvases, Crops, canvases, crops
from dfmvr.align.frame import CROP_PX
from dfmvr.align.landmark_networks import LandmarkNetworks, Points, read_landmark_networks, write_landmark_networks
from dfmvr.config import configuration
from dfmvr.datasets.layouts import MULTIVIEW, open_dataset
from dfmvr.datasets.multiview import MultiviewDataset
from dfmvr.errors import ConfigError, DataError
from dfmvr.networks.training import Checkpoints, Schedule, fingerprint, optimise

logger = logging.getLogger(__name__)

CROPS, CANVASES = 64, 16
LEARNING_RATE = 2e-3
CHECKPOINT_MINUTES = 2.0
HEAT_WEIGHT = 0.3
"""Of the heat maps' cross-entropy in nats against the landmarks' distance in pixels of the crop."""

NAMES = ("total", "points_px", "heat", "face", "search", "box")
MAX_PHOTOS = 24_000
"""ASSUME: more photographs than these, one and a half gigabytes of memory, teach nothing new."""


class Examples(NamedTuple):
    """What one step learns from."""

    crops: Crops
    canvases: Canvases


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    parser.add_argument("--data", required=True, type=Path, metavar="FOLDER", help="data set with annotated landmarks")
    parser.add_argument("--format", default="pixel_face", choices=MULTIVIEW, help="its layout")
    parser.add_argument("--reading", metavar="JSON", help="section datasets.<format> of the configuration")
    parser.add_argument("--face-model", type=Path, metavar="FILE", help="face_model.npz; not to evaluate")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="weights, .safetensors")
    parser.add_argument("--steps", type=int, default=4000, metavar="N", help="length of the training")
    parser.add_argument("--start", type=Path, metavar="FILE", help="go on from these weights, half as fast")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all randomness")
    parser.add_argument(
        "--test",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="measure also on this: a data set of that layout, or <name>.jpg with landmarks in <name>.txt",
    )
    parser.add_argument(
        "--evaluate", action="store_true", help="train nothing; measure the weights at --output and note it in them"
    )


def annotated(data: MultiviewDataset, split: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read the photographs of a split whose landmarks are annotated in full: (H, W, 3) uint8 and (68, 2) px."""
    for sample in data.samples():
        if sample.split != split:
            continue
        for photo, annotation in zip(sample.photos, sample.annotations, strict=True):
            if photo is None or annotation is None:
                continue
            try:
                pair = data.read_photo(photo), data.read_annotation(annotation)
            except DataError as error:
                logger.warning("%s", error)
                continue
            if np.isfinite(pair[1]).all():
                yield pair


def heat_loss(log_shares: Tensor, points: Tensor) -> Tensor:
    """Cross-entropy of heat maps (N, 16, 16) against the shares of the four cells around each point (N, 2) px."""
    cells = log_shares.shape[-1]
    place = (points * (cells / CROP_PX) - 0.5).clamp(0, cells - 1)
    first = place.floor().clamp(max=cells - 2)
    part = place - first
    flat, first = log_shares.flatten(1), first.long()
    total = torch.zeros(len(points))
    for dx, x in enumerate((1 - part[:, 0], part[:, 0])):
        for dy, y in enumerate((1 - part[:, 1], part[:, 1])):
            index = (first[:, 1] + dy) * cells + first[:, 0] + dx
            total = total - x * y * flat.gather(1, index[:, None])[:, 0]
    return total.mean()


def points_losses(network: Points, batch: Crops) -> dict[str, Tensor]:
    """Losses of the landmarks, where there are some, and of the judgement whether there is a face."""
    log_shares, logit = network.heat_maps(torch.from_numpy(batch.images)[:, None])
    truth = torch.from_numpy(batch.points)
    known = torch.isfinite(truth).all(2)
    off = network.place(log_shares)[known] - truth[known]
    return {
        "points_px": off.abs().mean(),
        "heat": heat_loss(log_shares[known], truth[known]),
        "face": F.binary_cross_entropy_with_logits(logit, torch.from_numpy(batch.face)),
    }


def search_losses(answer: Tensor, batch: Canvases) -> dict[str, Tensor]:
    """Losses of (B, 4, h, w): is there a face (focal loss, Lin et al. 2017), and where."""
    targets, asked = torch.from_numpy(batch.targets), torch.from_numpy(batch.asked)
    here = targets[:, 0]
    count = here.sum().clamp(min=1)
    surprise = (here - answer[:, 0].sigmoid()).abs().square()
    entropy = F.binary_cross_entropy_with_logits(answer[:, 0], here, reduction="none")
    box = F.smooth_l1_loss(answer[:, 1:], targets[:, 1:], reduction="none", beta=0.05).sum(1)
    return {"search": (asked * surprise * entropy).sum() / count, "box": (here * box).sum() / count}


def losses(networks: LandmarkNetworks, batch: Examples) -> dict[str, Tensor]:
    """All losses of a batch, by NAMES."""
    with torch.autocast("cpu", torch.bfloat16):
        points = points_losses(networks.points, batch.crops)
        answer = networks.search(torch.from_numpy(batch.canvases.images)[:, None])
    terms = points | search_losses(answer.float(), batch.canvases)
    total = terms["points_px"] + HEAT_WEIGHT * terms["heat"] + terms["face"] + terms["search"] + terms["box"]
    return {"total": total, **terms}


def train(
    data: MultiviewDataset, face_model: Path, output: Path, steps: int, seed: int, start: Path | None = None
) -> LandmarkNetworks:
    """Train both networks; the checkpoint lies beside the weights (`<name>.checkpoint/`).

    Raises:
        DataError: no annotated photograph, or no face model.
    """
    standard = read_standard_points(face_model)
    photos = (pair for _, pair in zip(range(MAX_PHOTOS), annotated(data, "train"), strict=False))
    bank = Bank(photos, standard, seed)
    if not bank.faces:
        raise DataError("no photograph of the training people has its 68 landmarks annotated; choose another data set")
    logger.info("align pretrain: %d photographs", len(bank.faces))
    torch.manual_seed(seed)
    networks = LandmarkNetworks(standard).to(memory_format=torch.channels_last)

    def batch_of(step: int) -> list[Examples]:
        rng = np.random.default_rng([seed, 2, step])
        return [Examples(crops(bank, rng, CROPS), canvases(bank, rng, CANVASES))]

    rate = LEARNING_RATE
    if start is not None:
        networks.load_state_dict(read_landmark_networks(start)[0].state_dict())
        rate *= 0.5
    settings: dict[str, Any] = {"steps": steps, "seed": seed, "photos": len(bank.faces), "rate": rate}
    folder = output.with_suffix(".checkpoint")
    optimise(
        networks,
        lambda _, batch: losses(networks, batch),
        batch_of,
        Schedule(steps, 1000, rate, CHECKPOINT_MINUTES, NAMES),
        Checkpoints(folder / "last.pt", fingerprint(settings, face_model, *([start] if start else []))),
        folder / "metrics.csv",
    )
    return networks


def main(args: argparse.Namespace, _: None) -> None:
    """Train and write the weights, or measure them.

    Raises:
        ConfigError: no face model to train with, or no steps.
        DataError: the data set cannot be read. OutputError: the weights cannot be written.
    """
    if not args.evaluate and (args.face_model is None or args.steps < 1):
        raise ConfigError("align pretrain: expected --face-model FILE and one step or more; give them")
    options = configuration.load(None, [f"datasets.{args.format}={args.reading}"] if args.reading else [])
    reading = getattr(options.datasets, args.format)
    data = open_dataset(args.format, args.data, reading)
    if args.evaluate:
        networks, about = read_landmark_networks(args.output)
    else:
        before = [] if args.start is None else read_landmark_networks(args.start)[1].get("commands", [])
        networks = train(data, args.face_model, args.output, args.steps, args.seed, args.start).eval()
        command = f"dfmvr align pretrain --format {args.format} --steps {args.steps} --seed {args.seed}"
        about = {"commands": [*before, command + " --start FILE" * bool(args.start)], "data": args.data.name}
    about["accuracy"] = {}
    for folder in (args.data, *args.test):
        photos = marked_photos(folder)
        if not any(folder.glob("*.txt")):
            photos = annotated(open_dataset(args.format, folder, reading), "test")
        about["accuracy"][folder.name] = measure(networks, photos)._asdict()
    write_landmark_networks(args.output, networks, about)
    for name, row in about["accuracy"].items():
        logger.info("%s: %s", name, ", ".join(f"{key} {value}" for key, value in row.items()))
