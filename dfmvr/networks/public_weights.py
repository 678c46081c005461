"""Weights that others published: a state dict saved by torch, for a network of ours that has the same parts."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dfmvr.errors import DataError


def read_state_dict(path: Path | str, key: str) -> dict[str, Any]:
    """Read a state dict as it was published.

    Args:
        path: the file; nothing but tensors and plain values is taken from it.
        key: of the configuration that names the file, with what it should name, for the messages.
    Raises:
        DataError: it is missing or holds something else.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; {key}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).split("\n", 1)[0]
        raise DataError(f"{path}: not a state dict that torch can load ({reason}); download it again") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected a dict of tensors, found {type(found).__name__}; download it again")
    return found


def fill(network: nn.Module, found: dict[str, Any], path: Path | str, what: str) -> None:
    """Give a network the weights of a state dict with its own names.

    Args:
        what: the network that the file should hold, for the message.
    Raises:
        DataError: the weights are not of this network: the tensors at fault are named.
    """
    try:
        network.load_state_dict(found)
    except (AttributeError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not the weights of {what} ({reason})") from None
