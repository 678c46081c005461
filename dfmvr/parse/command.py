"""Stage `parse`: pretrains the face parse net and writes masks and weight maps of aligned crops.

dfmvr parse --data FOLDER --image-size S --weights FILE [--metrics FILE] [--figure FILE] [--examples FILE]
    trains on CelebAMask-HQ (or its stand-in), tests on its test split
dfmvr parse --apply FOLDER --weights FILE --output FOLDER [--examples FILE]
    parses the crops that `dfmvr align` wrote
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dfmvr.errors import ConfigError

if TYPE_CHECKING:
    from dfmvr.config.training import ParseSection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument("--data", type=Path, metavar="FOLDER", help="CelebAMask-HQ: train the parser on it")
    work.add_argument("--apply", type=Path, metavar="FOLDER", help="aligned crops: write their masks and weight maps")
    parser.add_argument("--reading", metavar="JSON", help="the section datasets.celebamask_hq as JSON (with --data)")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="the parser, written or read")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="masks.npy and weights.npy (with --apply)")
    parser.add_argument("--image-size", type=int, metavar="PX", help="side of the crops (with --data)")
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="JSON of IoU and history (with --data)")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="picture of the IoU of each class (with --data)")
    parser.add_argument("--examples", type=Path, metavar="FILE", help="picture of some masks and weight maps")
    parser.add_argument("--device", default="cpu", help="where the network runs: cpu (default), cuda, cuda:1")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: torch's choice)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that read photographs")


def main(args: argparse.Namespace, settings: ParseSection) -> None:
    """Train a parser, or apply one.

    Raises:
        ConfigError: options that do not go together.
        DataError: the data or the weights cannot be read.
        OutputError: an output cannot be written.
    """
    import torch

    if args.threads is not None:
        torch.set_num_threads(max(1, args.threads))
    if args.apply is not None:
        if args.output is None:
            raise ConfigError("--apply needs --output, the folder of the masks")
        from dfmvr.parse.masks import apply

        apply(args.apply, args.weights, args.output, settings, args.device, examples=args.examples)
        return
    if args.image_size is None or args.image_size < 32:
        raise ConfigError(f"--data needs --image-size of 32 or more, found {args.image_size}")
    from dfmvr.parse.run import pretrain

    pretrain(args, settings)
