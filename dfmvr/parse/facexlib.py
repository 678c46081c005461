"""Public weights of the same network: facexlib's `parsing_bisenet.pth` (19 classes of CelebAMask-HQ, width 64)."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from dfmvr.errors import DataError
from dfmvr.parse.parser import BISENET_19, ParseNet, ParserSpec

FACEXLIB_SIZE_PX = 512
"""Side of the images these weights were trained on; smaller ones are enlarged to it."""


def load_facexlib(path: Path | str, image_size: int = FACEXLIB_SIZE_PX) -> ParseNet:
    """Read facexlib's weights into our parser, which merges the 19 classes into our 10 exactly (`parser.merge_19`).

    Args:
        path: `parsing_bisenet.pth`, a state dict saved by torch.
        image_size: side in px of the images the network shall see.
    Raises:
        DataError: the file is missing, no state dict, or not of this network: the tensors at fault are named.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; parse.facexlib_weights should name facexlib's parsing_bisenet.pth")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).split("\n", 1)[0]
        raise DataError(f"{path}: not a state dict that torch can load ({reason}); download it again") from None
    parser = ParseNet(ParserSpec(image_size, width=64, output_stride=8, labels=len(BISENET_19)))
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected a dict of tensors, found {type(found).__name__}; download it again")
    try:
        parser.network.load_state_dict(found)
    except (AttributeError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not the weights of a BiSeNet of 19 classes and width 64 ({reason})") from None
    return parser
