"""Take over the authors' released weights.

In     a checkpoint of the released code, such as `000000279.pth`: a state dict saved by torch, plain or within a dict
       of more, zip or the older format.
Gives  the network (safetensors) that answers the same faces, as the stages reconstruct and train read it, and, if
       asked for, the checkpoint's face parser.
"""

from __future__ import annotations

import argparse
import logging
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfmvr import __version__
from dfmvr.errors import DataError
from dfmvr.face_model.model import MorphableModel
from dfmvr.networks.checkpoint import build_network, network_header, write_network
from dfmvr.parse.parser import ParseNet, ParserSpec, save_parser
from dfmvr.released.weights import GREY, ReleasedWeights, convert

logger = logging.getLogger(__name__)

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module")
_NAME = re.compile(r"(?:(?:module|model|net|network)\.)*((?:uuunet|rednet_fc|mask_model)\..+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="the released code's checkpoint (.pth)")
    parser.add_argument("--output", type=Path, required=True, help="output: the network (.safetensors)")
    parser.add_argument(
        "--face-model",
        type=Path,
        help="face model (.npz) that it goes with, that of source bfm_2009; its sizes are checked",
    )
    parser.add_argument("--parser", type=Path, help="output: the checkpoint's face parser (.safetensors)")


def _check_size(path: Path, needed: int) -> None:
    """Refuse a file that unpacks to much more than it holds."""
    if needed > 2 * path.stat().st_size + 2**20:
        raise DataError(
            f"{path}: expected numbers stored as they are, found {path.stat().st_size} bytes that unpack to {needed}; "
            "download it again"
        )


def _tensors(value: Any, depth: int = 3) -> dict[str, Tensor]:
    """Find the state dict: `value` itself, or what lies under one of the usual names; empty if there is none."""
    if not isinstance(value, dict) or not depth:
        return {}
    named = {k: v for k, v in value.items() if isinstance(k, str)}
    if any(_NAME.fullmatch(name) for name in named):
        plain = {name: v for name, v in named.items() if isinstance(v, Tensor) and v.layout == torch.strided}
        return {match[1] if (match := _NAME.fullmatch(name)) else name: v for name, v in plain.items()}
    inner = (_tensors(named[name], depth - 1) for name in _WRAPPERS if name in named)
    return next((tensors for tensors in inner if tensors), {})


def _load(path: Path) -> Any:
    """What torch finds in the file, as long as it is tensors and plain values."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_size(path, sum(entry.file_size for entry in archive.infolist()))
        return torch.load(path, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged pickle makes torch raise
        if match := re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error)):
            raise DataError(
                f"{path}: expected tensors alone, found {match[1]}, which could run code and is not loaded; save the "
                "state dict alone, by torch.save(model.state_dict(), ...)"
            ) from None
        reason = "no pickle of tensors" if isinstance(error, pickle.UnpicklingError) else " ".join(str(error).split())
        raise DataError(f"{path}: not a checkpoint that torch can load ({reason[:150]}); download it again") from None


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint; nothing that it may hold beside them is executed.

    Args:
        path: file written by `torch.save`, zip or the older format.
    Returns:
        Name to tensor, without the prefixes of wrappers such as `module.`.
    Raises:
        DataError: the file is missing, damaged, holds code, or holds no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; name the released code's checkpoint, such as 000000279.pth")
    value = _load(path)
    tensors = _tensors(value)
    if not tensors:
        raise DataError(
            f"{path}: expected tensors named uuunet.*, rednet_fc.*, found none; name the checkpoint of MVRNet"
        )
    _check_size(path, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()))
    return tensors


def _check_model(path: Path, released: ReleasedWeights) -> None:
    """Compare the face model's sizes with the checkpoint's."""
    model = MorphableModel.load(path)
    wrong = [
        f"{name} {size}, found {getattr(model, name)}"
        for name, size in released.sizes._asdict().items()
        if name != "image_size" and getattr(model, name) != size
    ]
    if wrong:
        raise DataError(
            f"{path}: expected {'; '.join(wrong)}; the released network needs the face model of source bfm_2009 with "
            "all its components"
        )


def _write_parser(path: Path, released: ReleasedWeights, source: Path) -> None:
    """Write the checkpoint's face parser."""
    if not released.parser:
        raise DataError(f"{source}: no face parser (mask_model.*) in it; leave out --parser")
    parser = ParseNet(ParserSpec(released.sizes.image_size, mean=GREY, std=GREY))
    parser.network.load_state_dict(released.parser)
    save_parser(path, parser, imported=source.name)


def main(args: argparse.Namespace, settings: object = None) -> None:
    """Read, translate and write."""
    released = convert(read_state_dict(args.checkpoint), str(args.checkpoint))
    for kind, names in (("without effect", released.unused), ("not of the released network", released.unexpected)):
        if names:
            logger.info("%d tensors %s, left out: %s", len(names), kind, ", ".join(names))
    if args.face_model is not None:
        _check_model(args.face_model, released)
    if args.parser is not None:
        _write_parser(args.parser, released, args.checkpoint)
    switches = {"raw_labels": True, "shared_lighting": True}
    about = network_header("released_code", released.settings, released.sizes, **switches)
    network = build_network(about, released.network)
    about |= {"imported": args.checkpoint.name, "version": __version__}
    # Files that are not there are asked for when the network is used.
    for name, given, usual in (
        ("face_model", args.face_model, "face_model.npz"),
        ("parser", args.parser, "parser.safetensors"),
    ):
        about[name] = os.path.relpath(given or args.output.with_name(usual), args.output.parent)
    write_network(args.output, network, about)
