"""Tell how large a variant is: parameters and operations of each part.

In     the configuration, or one of its variants.
Gives  a table on standard output.

Operations are those of one sample's forward pass, a multiplication and an addition counting as two; tables of other
papers often count both as one. What is done value by value (normalisation, activation, pooling) is not counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dfmvr.conventions import VIEWS
from dfmvr.networks.heads import NetworkSizes
from dfmvr.train.command import training_of

if TYPE_CHECKING:
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


def main(args: argparse.Namespace, settings: TrainSection) -> None:
    """Print the table."""
    whole = args.configuration
    if args.method:
        settings = whole.variant(args.method)
    face = whole.face_model
    image_size = args.image_size or whole.align.image_size
    sizes = NetworkSizes(image_size, face.identity_components, face.expression_components, face.albedo_components)
    parts = describe(lambda: training_of(settings).make_network(settings, sizes), image_size)
    sys.stdout.write(f"One sample of {image_size} px.\n{table(parts)}")
