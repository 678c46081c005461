"""A trained network as one safetensors file, with what is needed to build it in the header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dfmvr.errors import DataError
from dfmvr.files import writing
from dfmvr.networks.df_mvr import DFMVR, NetworkSettings

_SIZES = ("image_size", "identity_size", "expression_size", "texture_size")


class Trained(NamedTuple):
    """A network and where it comes from."""

    network: DFMVR  # in eval mode
    about: dict[str, Any]  # header: settings, sizes, and what the training added


def write_network(path: Path | str, network: DFMVR, about: dict[str, Any]) -> None:
    """Write weights and header, atomically.

    Args:
        about: JSON values; `network` (the settings), image_size, identity_size, expression_size and texture_size are
            needed to build the network again.
    """
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with writing(path) as partial:
        save_file(tensors, str(partial), metadata={"dfmvr": json.dumps(about)})


def read_network(path: Path | str, device: torch.device | str = "cpu") -> Trained:
    """Build a network from its file.

    Raises:
        DataError: the file is missing, unreadable, or not written by `write_network`.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            about = json.loads((file.metadata() or {})["dfmvr"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        settings = NetworkSettings(**about["network"])
        network = DFMVR(settings, **{name: about[name] for name in _SIZES})
        network.load_state_dict(tensors)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; train a network or name another checkpoint") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a network written by `dfmvr train` ({reason})") from None
    return Trained(network.to(device).eval(), about)
