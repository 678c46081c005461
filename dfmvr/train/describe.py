"""Tell how large a variant is, parameters and operations of each part, and what the trainings of the study take.

In     the configuration, or one of its variants; with --measure, this machine.
Gives  two tables on standard output.

Operations are those of one sample's forward pass, a multiplication and an addition counting as two; tables of other
papers often count both as one. What is done value by value (normalisation, activation, pooling) is not counted.
Those of a training are the network's, thrice for each sample: forward, and back to its inputs and to its weights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dfmvr.assets.files import asset
from dfmvr.conventions import VIEWS
from dfmvr.networks.device import pick_device
from dfmvr.networks.heads import NetworkSizes
from dfmvr.train.command import training_of
from dfmvr.train.foretell import measured, steps_of, training_samples

if TYPE_CHECKING:
    from dfmvr.config.configuration import Config
    from dfmvr.config.training import TrainSection


class PartSize(NamedTuple):
    """How large a part of the network is."""

    name: str
    kind: str
    parameters: int
    flops: int  # of one sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of the configuration are the command line's."""
    parser.add_argument("--method", help="variant of the configuration to describe (default: the section train)")
    parser.add_argument("--image-size", type=int, help="pixels (default: align.image_size)")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="measure a step of every training here: minutes on CPUs at the paper's size",
    )
    parser.add_argument(
        "--rows", type=int, help="samples of a measured step (default: what a GPU gets of a batch; 2 on CPUs)"
    )
    parser.add_argument(
        "--face-model", type=Path, help="face model (.npz) of a measured step (default: the shipped one)"
    )
    parser.add_argument("--device", help="cpu or cuda, where a step is measured (default: cuda where there is one)")


def describe(make: Callable[[], nn.Module], image_size: int) -> list[PartSize]:
    """Count the parameters and the operations of each part of a network that `make` makes, in the order of their use.

    Raises:
        ConfigError: a setting or the image size does not fit.
    """
    counter = FlopCounterMode(display=False)
    with torch.device("meta"):  # shapes without numbers: full size in no time
        network = make().eval()
        images = torch.empty(1, len(VIEWS), 3, image_size, image_size)
        with counter:
            network(images, torch.empty(1, len(VIEWS), image_size, image_size))
    whole = type(network).__name__
    counts = {name.removeprefix(f"{whole}."): sum(n.values()) for name, n in counter.get_flop_counts().items()}

    def flops_of(name: str, module: nn.Module) -> int:
        # What is never called itself, but its parts one by one, has no count of its own.
        return counts.get(name) or sum(flops_of(f"{name}.{key}", child) for key, child in module.named_children())

    def part(name: str, module: nn.Module) -> PartSize:
        parameters = sum(p.numel() for p in module.parameters())
        return PartSize(name, type(module).__name__, parameters, flops_of(name, module))

    children = sorted(network.named_children(), key=lambda child: child[0] != "fusion")
    parts = [part(*child) for child in children]
    return [*parts, PartSize("total", whole, *(sum(p[i] for p in parts) for i in (2, 3)))]


def table(parts: list[PartSize]) -> str:
    """Lines of the parts, aligned."""
    lines = [f"{'part':<10} {'kind':<12} {'parameters':>12} {'GFLOP':>10}"]
    lines += [f"{p.name:<10} {p.kind:<12} {p.parameters:>12,} {p.flops / 1e9:>10.3f}" for p in parts]
    return "\n".join(lines) + "\n"


def _short(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def trainings_table(args: argparse.Namespace, whole: Config, image_size: int, names: list[str]) -> str:
    """Lines of the trainings: samples, steps and operations of each, and what it takes if that is to be measured."""
    face, rows, hours = whole.face_model, [], []
    sizes = NetworkSizes(image_size, face.identity_components, face.expression_components, face.albedo_components)
    device = pick_device(args.device).type if args.measure else ""
    samples = {data: training_samples(whole, data) for data in dict.fromkeys(whole.variant(n).data for n in names)}
    for name in names:
        settings = whole.variant(name)
        network = training_of(settings).make_network
        flops = describe(lambda make=network, told=settings: make(told, sizes), image_size)[-1].flops
        steps = steps_of(settings, samples[settings.data])
        cells = [name, settings.data, f"{samples[settings.data]:,}", f"{steps:,}"]
        cells.append(_short(3e-15 * flops * settings.batch_size * steps))
        if args.measure:
            alone = max(1, settings.gpus) * settings.accumulate
            count = args.rows or (max(2, settings.batch_size // alone) if device == "cuda" else 2)
            found = measured(
                settings, whole.parse, image_size, args.face_model or asset("face_model.npz"), count, device
            )
            seconds = found.seconds * settings.batch_size / count / max(1, settings.gpus if device == "cuda" else 1)
            hours.append(seconds * steps / 3600)
            cells += [_short(seconds), f"{found.peak_bytes / 2**30:.1f}", f"{hours[-1]:,.2f}"]
        rows.append(cells)
    heads = ["training", "data", "samples", "steps", "PFLOP", *(["s/step", "GiB", "hours"] if args.measure else [])]
    if args.measure:
        rows.append(["the study", *[""] * 6, f"{sum(hours):,.2f}"])
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = (
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in [heads, *rows]
    )
    return "\n".join(line.rstrip() for line in lines) + "\n"


def main(args: argparse.Namespace, settings: TrainSection) -> None:
    """Print the tables.

    Raises:
        UnavailableError: the device is not to be had here.
    """
    whole = args.configuration
    if args.method:
        settings = whole.variant(args.method)
    face = whole.face_model
    image_size = args.image_size or whole.align.image_size
    sizes = NetworkSizes(image_size, face.identity_components, face.expression_components, face.albedo_components)
    parts = describe(lambda: training_of(settings).make_network(settings, sizes), image_size)
    names = [args.method] if args.method else list(whole.trained_on())
    sys.stdout.write(f"One sample of {image_size} px.\n{table(parts)}\n")
    sys.stdout.write(trainings_table(args, whole, image_size, names))
