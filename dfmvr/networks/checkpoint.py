"""A trained network as one safetensors file, with what is needed to build it in the header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from dfmvr.errors import ConfigError, DataError
from dfmvr.files import writing
from dfmvr.networks.deep3d import Deep3D, Deep3DSettings
from dfmvr.networks.df_mvr import DFMVR, NetworkSettings
from dfmvr.networks.mgcnet import MGCNet
from dfmvr.networks.single_image import SingleImageSettings

NETWORKS: dict[str, tuple[type[nn.Module], type]] = {
    "df_mvr": (DFMVR, NetworkSettings),
    "deng": (Deep3D, Deep3DSettings),
    "shang": (MGCNet, SingleImageSettings),
}
"""Network and settings by the method's name in the header."""

_SIZES = ("image_size", "identity_size", "expression_size", "texture_size")


class Trained(NamedTuple):
    """A network and where it comes from."""

    network: nn.Module  # in eval mode; images and masks to Coefficients
    about: dict[str, Any]  # header: settings, sizes, and what the training added


def write_network(path: Path | str, network: nn.Module, about: dict[str, Any]) -> None:
    """Write weights and header, atomically.

    Args:
        about: JSON values; `method` (df_mvr if absent), `network` (its settings), image_size, identity_size,
            expression_size and texture_size are needed to build the network again.
    """
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with writing(path) as partial:
        save_file(tensors, str(partial), metadata={"dfmvr": json.dumps(about)})


def build_network(about: dict[str, Any], tensors: dict[str, torch.Tensor]) -> nn.Module:
    """Build a network around tensors, without drawing random weights first: that takes seconds at full size.

    Args:
        about: the header.
        tensors: the state dict.
    Returns:
        The network, in evaluation mode.
    Raises:
        ConfigError: a setting does not fit. RuntimeError: the tensors do not.
    """
    kind, settings = NETWORKS[about.get("method", "df_mvr")]
    with torch.device("meta"):
        network = kind(settings(**about["network"]), **{name: about[name] for name in _SIZES})
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}, assign=True)
    return network.to(memory_format=torch.channels_last).eval()


def read_about(path: Path | str) -> dict[str, Any]:
    """Read the header of a network's file alone.

    Raises:
        DataError: as `read_network`.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            return json.loads((file.metadata() or {})["dfmvr"])
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; train a network or name another checkpoint") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from None


def file_beside(checkpoint: Path, name: str) -> Path:
    """A file that a network was trained with, `face_model` or `parser`, which its header names by a relative path.

    Raises:
        ConfigError: it is not there.
        DataError: the checkpoint is unreadable.
    """
    path = checkpoint.parent / str(read_about(checkpoint).get(name, "nothing"))
    if not path.exists():
        option = "--" + name.replace("_", "-")
        raise ConfigError(f"{option}: {checkpoint} was trained with {path}, which is not there; name the file")
    return path


def _unreadable(path: Path | str, error: Exception) -> DataError:
    """What to say of a file that is no network's."""
    return DataError(f"{path}: not a network written by `dfmvr train` ({' '.join(str(error).split())[:200]})")


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
        network = build_network(about, tensors)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; train a network or name another checkpoint") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from None
    return Trained(network.to(device), about)
