"""Pack a training into the files that ship with the package: half precision, each with its SHA-256.

In     a trained network, and the face model and parser that its header names.
Gives  network.safetensors, parser.safetensors and face_model.npz (see `dfmvr.face_model.packed`), and their lines in
       SHA256SUMS, whose other lines stay.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="trained network (.safetensors)")
    parser.add_argument("--note", default="", help="what else its header shall tell, such as the data")
    parser.add_argument("--output", type=Path, required=True, help="folder, such as dfmvr/assets")


def main(args: argparse.Namespace, settings: None) -> None:
    """Write the files.

    Raises:
        ConfigError: the checkpoint names a file that is not there.
        DataError: an input is unreadable, or the face model cannot be packed.
    """
    from dfmvr.assets.files import list_sums
    from dfmvr.assets.shipped import SHIPPED
    from dfmvr.face_model.model import MorphableModel
    from dfmvr.face_model.packed import write_packed
    from dfmvr.networks.checkpoint import file_beside, read_network, write_network
    from dfmvr.parse.parser import load_parser, noted, save_parser

    trained = read_network(args.checkpoint)
    model = MorphableModel.load(file_beside(args.checkpoint, "face_model"))
    parser = load_parser(file_beside(args.checkpoint, "parser"))
    names = {key: SHIPPED[key] for key in ("face_model", "parser")}
    about = trained.about | names | ({"note": args.note} if args.note else {})
    paths = {key: args.output / name for key, name in SHIPPED.items()}
    write_network(paths["checkpoint"], trained.network.half(), about)
    save_parser(paths["parser"], parser.half(), settings=noted(parser.settings))
    write_packed(paths["face_model"], model)
    list_sums(args.output, list(SHIPPED.values()))
    size = sum(path.stat().st_size for path in paths.values())
    logger.info("%s: %s, %.1f MB", args.output, ", ".join(SHIPPED.values()), size / 1e6)
