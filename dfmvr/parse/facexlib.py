"""Public weights of the same network: facexlib's `parsing_bisenet.pth` (19 classes of CelebAMask-HQ, width 64)."""

from __future__ import annotations

from pathlib import Path

from dfmvr.networks.public_weights import fill, read_state_dict
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
    found = read_state_dict(path, "parse.facexlib_weights should name facexlib's parsing_bisenet.pth")
    parser = ParseNet(ParserSpec(image_size, width=64, output_stride=8, labels=len(BISENET_19)))
    fill(parser.network, found, path, "a BiSeNet of 19 classes and width 64")
    return parser
