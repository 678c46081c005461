"""Tell how large a variant is: parameters and operations of each part.

In     the configuration, or one of its variants.
Gives  a table on standard output.

Operations are those of one sample's forward pass, a multiplication and an addition counting as two; tables of other
papers often count both as one. What is done value by value (normalisation, activation, pooling) is not counted.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dfmvr.conventions import VIEWS
from dfmvr.networks.df_mvr import DFMVR, NetworkSettings

if TYPE_CHECKING:
    from dfmvr.config.training import TrainSection


class Part(NamedTuple):
    """A part of the network."""

    name: str
    kind: str
    parameters: int
    flops: int  # of one sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of the configuration are the command line's."""
    parser.add_argument("--method", help="variant of the configuration to describe (default: the section train)")
    parser.add_argument("--image-size", type=int, help="pixels (default: align.image_size)")


def describe(settings: NetworkSettings, image_size: int, sizes: dict[str, int]) -> list[Part]:
    """Count the parameters and the operations of each part of a network.

    Args:
        image_size: width and height of the images in pixels.
        sizes: identity_size, expression_size, texture_size of the face model.
    Raises:
        ConfigError: a setting or the image size does not fit.
    """
    counter = FlopCounterMode(display=False)
    with torch.device("meta"):  # shapes without numbers: full size in no time
        network = DFMVR(settings, image_size, **sizes).eval()
        images = torch.empty(1, len(VIEWS), 3, image_size, image_size)
        with counter:
            network(images, torch.empty(1, len(VIEWS), image_size, image_size))
    counts = {name.removeprefix("DFMVR."): sum(each.values()) for name, each in counter.get_flop_counts().items()}

    def part(name: str, module: nn.Module) -> Part:
        # A container that is never called itself has no count of its own.
        flops = (
            counts[name]
            if name in counts
            else sum(counts.get(f"{name}.{key}", 0) for key, _ in module.named_children())
        )
        return Part(name, type(module).__name__, sum(p.numel() for p in module.parameters()), flops)

    parts = [part(name, module) for name, module in network.named_children()]
    return [*parts, Part("total", type(network).__name__, *(sum(p[i] for p in parts) for i in (2, 3)))]


def table(parts: list[Part]) -> str:
    """Lines of the parts, aligned."""
    lines = [f"{'part':<10} {'kind':<12} {'parameters':>12} {'GFLOP':>10}"]
    lines += [f"{p.name:<10} {p.kind:<12} {p.parameters:>12,} {p.flops / 1e9:>10.3f}" for p in parts]
    return "\n".join(lines) + "\n"


def main(args: argparse.Namespace, settings: TrainSection) -> None:
    """Print the table."""
    whole = args.configuration
    if args.method:
        settings = whole.variant(args.method)
    sizes = {
        "identity_size": whole.face_model.identity_components,
        "expression_size": whole.face_model.expression_components,
        "texture_size": whole.face_model.albedo_components,
    }
    image_size = args.image_size or whole.align.image_size
    network = NetworkSettings(**settings.network.model_dump())
    sys.stdout.write(f"One sample of {image_size} px.\n{table(describe(network, image_size, sizes))}")
