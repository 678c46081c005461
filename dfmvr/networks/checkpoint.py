"""A trained network as one safetensors file, with what is needed to build it in the header."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from dfmvr.errors import ConfigError, DataError
from dfmvr.networks.heads import NetworkSizes
from dfmvr.networks.kinds import NETWORKS
from dfmvr.networks.weights_file import made_by, read_about, read_tensors, write_weights

if TYPE_CHECKING:
    from dfmvr.config.section import Section

MAKER = "dfmvr train"


class Trained(NamedTuple):
    """A network and where it comes from."""

    network: nn.Module  # in eval mode; images and masks to Coefficients
    about: dict[str, Any]  # header: settings, sizes, and what the training added


def write_network(path: Path | str, network: nn.Module, about: dict[str, Any]) -> None:
    """Write weights and header, atomically.

    Args:
        about: JSON values, among them `network_header`'s.
    """
    write_weights(path, network.state_dict(), about)


def network_header(kind: str, settings: Section, sizes: NetworkSizes, **switches: bool) -> dict[str, Any]:
    """What is needed to build a network again.

    Args:
        kind: a name of `NETWORKS`.
        settings: the section of the configuration that it was built from.
        sizes: of its images and its face model.
        switches: further arguments that it was built with.
    """
    return {"method": kind, "network": settings.model_dump(mode="json"), "switches": switches, **sizes._asdict()}


def _as_written_today(about: dict[str, Any]) -> dict[str, Any]:
    """A header of any version, in which the released code's departures may stand among the network's settings.

    Raises:
        DataError: it was trained on colours that networks no longer get.
    """
    network, kind = {"fine": 0} | about["network"], about.get("method", "df_mvr")
    if "released_concat" in network:
        network["last_concat"] = network.pop("released_concat")
    inputs, lighting = (network.pop(name, False) for name in ("released_inputs", "shared_lighting"))
    switches = dict(about.get("switches", {}))
    if inputs or lighting:
        kind, switches = "released_code", {"raw_inputs": inputs, "shared_lighting": lighting}
    if "raw_inputs" in switches:
        # Colours were in [0, 1] as well, which was wrong for the authors' weights: those never saw such.
        if (raw := switches.pop("raw_inputs")) and "imported" not in about:
            raise DataError("a network trained on colours in [0, 1], where they are in [-1, 1] now; train it again")
        switches["raw_labels"] = raw
    return about | {"method": kind, "network": network, "switches": switches}


def build_network(about: dict[str, Any], tensors: dict[str, torch.Tensor]) -> nn.Module:
    """Build a network around tensors, without drawing random weights first: that takes seconds at full size.

    Args:
        about: the header.
        tensors: the state dict.
    Returns:
        The network, in evaluation mode.
    Raises:
        ConfigError: a setting does not fit. RuntimeError: the tensors do not.
        DataError: it wants other inputs than today's networks get.
        AttributeError, KeyError: the header lacks something.
    """
    about = _as_written_today(about)
    module, name = NETWORKS[about["method"]]
    make = getattr(importlib.import_module(f"dfmvr.{module}"), name)
    # Not the section itself: what was written was one, and photographs do without the time to import pydantic.
    settings, sizes = SimpleNamespace(**about["network"]), NetworkSizes(*(about[n] for n in NetworkSizes._fields))
    with torch.device("meta"):
        network = make(settings, sizes, **about["switches"])
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}, assign=True)
    return network.to(memory_format=torch.channels_last).eval()


def start_from(network: nn.Module, header: dict[str, Any], path: Path | str) -> None:
    """Give a network the weights of a trained one.

    Args:
        network: as it was built.
        header: what `network_header` says of it.
        path: the trained network's file.
    Raises:
        ConfigError: the two are not built alike.
        DataError: the file is missing, unreadable, or not written by `write_network`.
    """
    with made_by(MAKER, path):
        about = _as_written_today(read_about(path))
        expected, found = _flat(header), _flat({name: about[name] for name in header})
        for name in sorted(expected.keys() | found.keys()):
            here, there = expected.get(name), found.get(name)
            if here != there:
                raise ConfigError(
                    f"train.initial_weights: {path} has {name} {there}, expected {here}, as the settings have it; give "
                    "the training the settings of that network, or start from another"
                )
        network.load_state_dict(read_tensors(path))


def _flat(header: dict[str, Any]) -> dict[str, Any]:
    """A header with its inner dictionaries' values beside the others, `network.width` and so on."""
    inner = {name: value for name, value in header.items() if isinstance(value, dict)}
    pairs = {f"{name}.{key}": value for name, values in inner.items() for key, value in values.items()}
    return {name: value for name, value in header.items() if name not in inner} | pairs


def file_beside(checkpoint: Path, name: str) -> Path:
    """A file that a network was trained with, `face_model` or `parser`, which its header names by a relative path.

    Raises:
        ConfigError: it is not there.
        DataError: the checkpoint is unreadable.
    """
    with made_by(MAKER, checkpoint):
        path = checkpoint.parent / str(read_about(checkpoint).get(name, "nothing"))
    if not path.exists():
        option = "--" + name.replace("_", "-")
        raise ConfigError(f"{option}: {checkpoint} was trained with {path}, which is not there; name the file")
    return path


def read_network(path: Path | str, device: torch.device | str = "cpu") -> Trained:
    """Build a network from its file.

    Raises:
        DataError: the file is missing, unreadable, or not written by `write_network`.
    """
    with made_by(MAKER, path):
        about = read_about(path)
        network = build_network(about, read_tensors(path))
    return Trained(network.to(device), about)
