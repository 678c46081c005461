"""Train one variant of DF-MVR (Sec. IV).

In     aligned crops with masks and weight maps, the face model, the parser.
Gives  the trained network (safetensors) and the losses of every step (CSV). A run that was stopped goes on from its
       last checkpoint, in `checkpoints/` beside the weights, with the numbers that it would have had.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dfmvr import __version__
from dfmvr.errors import ConfigError, UnavailableError
from dfmvr.face_model.model import MorphableModel
from dfmvr.networks.checkpoint import write_network
from dfmvr.parse.parser import load_parser
from dfmvr.released.colours import vary_as_released
from dfmvr.train.augment import move
from dfmvr.train.batch import Batch
from dfmvr.train.data import AlignedSamples, annealed_rate, steps_per_epoch, training_batch
from dfmvr.train.loop import Checkpoints, Schedule, fingerprint, optimise
from dfmvr.train.memory import keep_freed_memory
from dfmvr.train.methods import METHODS, System
from dfmvr.train.parallel import Team, join, local_rank
from dfmvr.train.system import mirrored_landmarks, set_mode

if TYPE_CHECKING:
    from dfmvr.config.training import TrainSection

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
    """The device of that name; without one, CUDA where there is one (each process its own), else the CPU.

    Raises:
        UnavailableError: the device is not to be had here.
    """
    if name is None:
        return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UnavailableError(f"--device {name}: {str(error).splitlines()[0]}; use --device cpu") from None
    return device


def main(args: argparse.Namespace, settings: TrainSection) -> None:
    """Train and write the network.

    Raises:
        ConfigError: the batch does not divide into the pieces and processes.
        DataError: an input is missing or broken, or a loss is not finite.
        UnavailableError: the device is not to be had here.
    """
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # else every new tensor is filled with NaN first
    device = pick_device(args.device)
    if device.type == "cpu":
        keep_freed_memory()
    with join(device) as team:
        about = train(args, settings, device, team)
        if team.leads:
            write_network(args.weights, *about)


def train(
    args: argparse.Namespace, settings: TrainSection, device: torch.device, team: Team
) -> tuple[nn.Module, dict[str, Any]]:
    """Train, or go on training, as the options and settings say.

    Returns:
        The network and what its file tells about it.
    """
    samples = AlignedSamples(args.align, args.parse, "train")
    model = MorphableModel.load(args.face_model)
    sizes = {
        "image_size": samples.image_size,
        "identity_size": model.identity_size,
        "expression_size": model.expression_size,
        "texture_size": model.texture_size,
    }
    method = METHODS[settings.method]
    torch.manual_seed(settings.seed)
    network = method.make_network(settings, sizes).to(device).train()
    wrapped = team.wrap(network, device)
    parser = None
    if method.needs_parser(settings):
        parser = set_mode(load_parser(args.parser, device), settings.parser_mode)
    precision = {"float32": torch.float32, "bfloat16": torch.bfloat16}[settings.precision]
    system = method.make_system(settings, wrapped, model.to(device), parser, samples.image_size, precision)
    schedule = _schedule(settings, len(samples), system)
    logger.info("%d samples, %d steps an epoch", len(samples), schedule.steps_per_epoch)
    logger.info("%d steps on %s, %d processes", schedule.steps, device, team.size)

    def losses(step: int, batch: Batch) -> dict[str, Tensor]:
        if hasattr(system, "phase"):
            system.phase(step, schedule.steps)
        return system.losses(batch.to(device), rendered=has_renderings(step, schedule.steps, settings))._asdict()

    optimise(
        network,
        losses,
        _batches(settings, samples, mirrored_landmarks(model) if settings.augment else None, team),
        schedule,
        Checkpoints(args.weights.parent / "checkpoints", _run(args, settings, parser is not None)),
        args.metrics,
        team,
        wrapped,
    )
    beside = {name: os.path.relpath(getattr(args, name), args.weights.parent) for name in ("face_model", "parser")}
    about = {"method": settings.method, "network": method.describe(settings), **sizes, **beside}
    return network, about | {"epochs": settings.epochs, "version": __version__}


def has_renderings(step: int, steps: int, settings: TrainSection) -> bool:
    """Whether `step` of `steps` compares renderings with the photographs; the others have landmarks alone.

    ASSUME: landmarks teach shape and pose at half the cost of such a step. Spread over the training, the few with
    renderings teach colour and light at every learning rate; at its end alone, hardly at all.
    """
    count = steps - round(settings.landmark_share * steps)
    if settings.landmark_first:
        return step >= steps - count
    return (step + 1) * count // steps > step * count // steps


def _schedule(settings: TrainSection, samples: int, system: System) -> Schedule:
    """How long and how fast to train; a method with phases has its own course of the learning rate."""
    per_epoch = steps_per_epoch(samples, settings.batch_size)
    times = (settings.epochs * per_epoch, per_epoch, settings.learning_rate, settings.checkpoint_minutes)
    course = partial(annealed_rate, flat_share=settings.flat_share, final_rate=settings.final_rate)
    return Schedule(*times, system.names, getattr(system, "rate", course))


def _batches(
    settings: TrainSection, samples: AlignedSamples, mirrored: Tensor | None, team: Team
) -> Callable[[int], list[Batch]]:
    """What gives this process the pieces of a step's batch."""
    count, size = settings.accumulate, min(settings.batch_size, len(samples))
    if size % (count * team.size) or size < 2 * count * team.size:
        raise ConfigError(
            f"train.batch_size: expected batches of {size} to divide into {team.size} processes and train.accumulate "
            f"{count} pieces of two or more samples each; change one of them"
        )

    vary = vary_as_released if settings.augmentation == "released" else None

    def of_step(step: int) -> list[Batch]:
        drawn = (settings.batch_size, settings.seed, mirrored, settings.single_view_share, vary)
        batch = training_batch(samples, step, *drawn)
        if settings.augment and settings.placement:
            batch = move(
                batch, settings.placement, torch.Generator().manual_seed(settings.seed * 1_000_003 + step + 2**41)
            )
        return batch.pieces(count, team.share)

    return of_step


def _run(args: argparse.Namespace, settings: TrainSection, with_parser: bool) -> str:
    """Digest of all that fixes the numbers of a run."""
    files = [args.face_model, args.align / "samples.npz", *([args.parser] if with_parser else [])]
    return fingerprint(settings.model_dump(mode="json", exclude={"checkpoint_minutes"}), *files)
