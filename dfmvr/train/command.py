"""Train one variant of DF-MVR (Sec. IV).

In     aligned crops with masks and weight maps, the face model, the parser.
Gives  the trained network (safetensors) and the losses of every step (CSV). A run that was stopped goes on from its
       last checkpoint, in `checkpoints/` beside the weights, with the numbers that it would have had. One that has
       ended and is asked for again takes its network from there, if settings, data and code are the same.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dfmvr import __version__
from dfmvr.dependencies import files_reached
from dfmvr.errors import ConfigError
from dfmvr.face_model.model import MorphableModel
from dfmvr.networks.checkpoint import start_from, write_network
from dfmvr.networks.device import pick_device
from dfmvr.networks.heads import NetworkSizes
from dfmvr.networks.parallel import Team, join
from dfmvr.networks.training import Checkpoints, Schedule, fingerprint, optimise
from dfmvr.parse.parser import load_parser
from dfmvr.train.batches import steps_per_epoch, training_batch
from dfmvr.train.memory import keep_freed_memory
from dfmvr.train.samples import AlignedSamples, Batch
from dfmvr.train.system import TrainingSystem

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


def training_of(settings: TrainSection) -> type[TrainingSystem]:
    """How the settings' method is trained; other methods' code is not imported."""
    return importlib.import_module(f"dfmvr.train.methods.{settings.kind}").TRAINING


def train(
    args: argparse.Namespace, settings: TrainSection, device: torch.device, team: Team
) -> tuple[nn.Module, dict[str, Any]]:
    """Train, or go on training, as the options and settings say.

    Returns:
        The network and what its file tells about it.
    """
    samples = AlignedSamples(args.align, args.parse, "train")
    model = MorphableModel.load(args.face_model)
    mirrored = mirrored_landmarks(model)
    sizes = NetworkSizes(samples.image_size, model.identity_size, model.expression_size, model.texture_size)
    training = training_of(settings)
    torch.manual_seed(settings.seed)
    network = training.make_network(settings, sizes)
    training.start(network, settings)
    if settings.initial_weights:
        start_from(network, training.header(settings, sizes), settings.initial_weights)
    network.to(device).train()
    wrapped = team.wrap(network, device)
    parser = load_parser(args.parser, device) if training.needs_parser(settings) else None
    system = training(settings, wrapped, model.to(device), parser, samples.image_size)
    per_epoch = steps_per_epoch(len(samples), settings.batch_size)
    times = (settings.epochs * per_epoch, per_epoch, settings.learning_rate, settings.checkpoint_minutes)
    schedule = Schedule(*times, system.names, system.rate)
    logger.info("%d samples, %d steps an epoch", len(samples), per_epoch)
    logger.info("%d steps on %s, %d processes", schedule.steps, device, team.size)
    expect_whole_pieces(settings, len(samples), team)

    def losses(step: int, batch: Batch) -> dict[str, Tensor]:
        system.phase(step, schedule.steps)
        return system.losses(batch.to(device), has_renderings(step, schedule.steps, settings))._asdict()

    def batch_of(step: int) -> list[Batch]:
        batch = training_batch(samples, step, settings, mirrored, system.vary)
        return batch.pieces(settings.accumulate, team.share)

    run = _run(args, settings, parser is not None)
    checkpoints = Checkpoints(checkpoint_of(args), run, fingerprint({"run": run}, *code_of(settings)))
    optimise(network, losses, batch_of, schedule, checkpoints, args.metrics, team, wrapped)
    beside = {name: os.path.relpath(getattr(args, name), args.weights.parent) for name in ("face_model", "parser")}
    about = training.header(settings, sizes) | beside
    return network, about | {"epochs": settings.epochs, "version": __version__}


def checkpoint_of(args: argparse.Namespace) -> Path:
    """Where a training that is stopped goes on from."""
    return args.weights.parent / "checkpoints" / "last.pt"


def code_of(settings: TrainSection) -> tuple[Path, ...]:
    """The files that a training runs on."""
    return files_reached(*(f"dfmvr.train.{module}" for module in ("command", f"methods.{settings.kind}")))


def has_renderings(step: int, steps: int, settings: TrainSection) -> bool:
    """Whether `step` of `steps` compares renderings with the photographs; the others have landmarks alone.

    ASSUME: landmarks teach shape and pose at half the cost of such a step. Spread over the training, the few with
    renderings teach colour and light at every learning rate; at its end alone, hardly at all.
    """
    share = settings.deng.landmark_share if settings.method == "deng" else settings.landmark_share
    count = steps - round(share * steps)
    if settings.landmark_first:
        return step >= steps - count
    return (step + 1) * count // steps > step * count // steps


def expect_whole_pieces(settings: TrainSection, samples: int, team: Team) -> None:
    """Check that batches divide into the pieces and processes.

    Raises:
        ConfigError: they do not.
    """
    count, size = settings.accumulate, min(settings.batch_size, samples)
    if size % (count * team.size) or size < 2 * count * team.size:
        raise ConfigError(
            f"train.batch_size: expected batches of {size} to divide into {team.size} processes and train.accumulate "
            f"{count} pieces of two or more samples each; change one of them"
        )


def mirrored_landmarks(model: MorphableModel) -> Tensor:
    """Index (101,) of the mirror image of each 3D landmark: the landmark nearest to it on the mean face.

    Raises nothing: on an asymmetric model the nearest landmark is an approximation of at most the asymmetry.
    """
    points = model.mean[model.landmarks_101]
    return torch.cdist(points * points.new_tensor([-1.0, 1.0, 1.0]), points).argmin(1).cpu()


def _run(args: argparse.Namespace, settings: TrainSection, with_parser: bool) -> str:
    """Digest of all that fixes the numbers of a run."""
    samples = [args.align / "samples.npz", args.align / "images.npy"]
    samples += [args.parse / name for name in ("masks.npy", "weights.npy")]
    files = [args.face_model, *samples, *([args.parser] if with_parser else []), *settings.files]
    return fingerprint(settings.model_dump(mode="json", exclude={"checkpoint_minutes", "hours"}), *files)
