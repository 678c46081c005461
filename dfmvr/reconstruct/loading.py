"""Which networks photographs are shown: options of commands, and what loads them, which alone imports torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dfmvr.align.find import AUTO, FINDERS

if TYPE_CHECKING:
    from dfmvr.reconstruct.photographs.reconstructor import Reconstructor


def add_networks(parser: argparse.ArgumentParser) -> None:
    """Declare which networks photographs are shown, for `load_reconstructor`."""
    finder = "of landmarks (default: auto: mediapipe where it is installed, else own, which ships)"
    parser.add_argument("--finder", choices=(AUTO, *FINDERS), default=AUTO, help=finder)
    parser.add_argument("--parser", type=Path, help="face parser (default: the one that the network was trained with)")
    parser.add_argument("--checkpoint", type=Path, help="trained network (.safetensors; default: the one that ships)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--face-model", type=Path, help="face model (default: the one trained with)")


def load_reconstructor(args: argparse.Namespace) -> Reconstructor:
    """The networks for photographs, as `add_networks` has them.

    Raises:
        UnavailableError: the device is not to be had here; else as `Reconstructor.load`.
    """
    from dfmvr.networks.device import pick_device
    from dfmvr.reconstruct.photographs.reconstructor import Reconstructor

    files = {"parser": args.parser, "face_model": args.face_model}
    return Reconstructor.load(args.checkpoint, **files, finder=args.finder, device=pick_device(args.device))
