"""Train one variant of DF-MVR (Sec. IV).

In     aligned crops with masks and weight maps, the face model, the parser.
Gives  the trained network (safetensors) and the losses of every step (CSV). A run that was stopped goes on from its
       last checkpoint, in `checkpoints/` beside the weights, with the numbers that it would have had.
"""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dfmvr import __version__
from dfmvr.errors import UnavailableError
from dfmvr.face_model.model import MorphableModel
from dfmvr.losses import Losses, LossWeights
from dfmvr.networks import DFMVR, NetworkSettings
from dfmvr.networks.checkpoint import write_network
from dfmvr.parse.parser import load_parser
from dfmvr.train.data import AlignedSamples, steps_per_epoch, training_batch
from dfmvr.train.loop import Checkpoints, Schedule, fingerprint, optimise
from dfmvr.train.system import TrainingSystem, mirrored_landmarks

if TYPE_CHECKING:
    from dfmvr.config import TrainSection

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    parser.add_argument("--align", type=Path, required=True, help="folder of the aligned data set")
    parser.add_argument("--parse", type=Path, required=True, help="folder of its masks and weight maps")
    parser.add_argument("--face-model", type=Path, required=True, help="face model (.npz)")
    parser.add_argument("--parser", type=Path, required=True, help="face parser (.safetensors)")
    parser.add_argument("--weights", type=Path, required=True, help="output: the trained network (.safetensors)")
    parser.add_argument("--metrics", type=Path, required=True, help="output: losses of every step (.csv)")
    parser.add_argument("--device", default=None, help="cpu or cuda (default: cuda where there is one)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all)")


def pick_device(name: str | None) -> torch.device:
    """The device of that name; without one, CUDA where there is one, else the CPU.

    Raises:
        UnavailableError: the device is not to be had here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UnavailableError(f"--device {name}: {str(error).splitlines()[0]}; use --device cpu") from None
    return device


def main(args: argparse.Namespace, settings: TrainSection) -> None:
    """Train and write the network."""
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = pick_device(args.device)
    samples = AlignedSamples(args.align, args.parse, "train")
    model = MorphableModel.load(args.face_model)
    network_settings = _as(NetworkSettings, settings.network)
    sizes = {
        "image_size": samples.image_size,
        "identity_size": model.identity_size,
        "expression_size": model.expression_size,
        "texture_size": model.texture_size,
    }
    torch.manual_seed(settings.seed)
    network = DFMVR(network_settings, **sizes).to(device).train()
    weights = _as(LossWeights, settings.loss)
    parser = load_parser(args.parser, device) if weights.mask > 0 else None
    precision = {"float32": torch.float32, "bfloat16": torch.bfloat16}[settings.precision]
    system = TrainingSystem(network, model.to(device), parser, weights, samples.image_size, precision)
    per_epoch = steps_per_epoch(len(samples), settings.batch_size)
    schedule = Schedule(
        settings.epochs * per_epoch, per_epoch, settings.learning_rate, settings.checkpoint_minutes, Losses._fields
    )
    mirrored = mirrored_landmarks(model) if settings.augment else None
    run = fingerprint(
        settings.model_dump(mode="json", exclude={"checkpoint_minutes"}),
        *(args.face_model, args.align / "samples.npz", *([args.parser] if parser else [])),
    )
    # ASSUME: landmarks alone settle pose and shape at a third of the cost of a step, and colours compared before that
    # pull in wrong directions; the released code likewise adds its mask loss late.
    first_rendered = round(settings.landmark_share * schedule.steps)
    logger.info("%d samples, %d steps an epoch, %d steps, on %s", len(samples), per_epoch, schedule.steps, device)
    optimise(
        network,
        lambda step, batch: system.losses(batch.to(device), rendered=step >= first_rendered)._asdict(),
        lambda step: training_batch(samples, step, settings.batch_size, settings.seed, mirrored),
        schedule,
        Checkpoints(args.weights.parent / "checkpoints", run),
        args.metrics,
    )
    about = {
        "network": asdict(network_settings),
        **sizes,
        "epochs": settings.epochs,
        "face_model": os.path.relpath(args.face_model, args.weights.parent),
        "parser": os.path.relpath(args.parser, args.weights.parent),
        "version": __version__,
    }
    write_network(args.weights, network, about)


def _as(kind: type, section: Any) -> Any:
    """The fields of a section of the configuration as a plain dataclass, which needs no pydantic."""
    return kind(**section.model_dump())
