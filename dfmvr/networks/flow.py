"""How data flow through DF-MVR's network: its blocks in the order of their use, and what each takes from which.

The network is built and run without numbers, so that this takes no time at any size. What joins its blocks is read off
the graph that torch keeps for gradients, not off names or code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dfmvr.conventions import VIEWS
from dfmvr.networks.cnn_fusion import CNNFusion
from dfmvr.networks.heads import CoefficientRegressor
from dfmvr.networks.residual import ResidualNet
from dfmvr.networks.tri_unet import TriUNet
from dfmvr.networks.unet import DecoderLevel, Encoder, UNet

OPENED = (CoefficientRegressor, TriUNet, UNet, CNNFusion, Encoder, DecoderLevel, ResidualNet)
"""What is no block itself but made of blocks; so are lists and dictionaries of modules."""

IMAGES, MASKS = "images", "masks"
"""What goes in, among the sources of the first blocks."""


class NetworkBlock(NamedTuple):
    """A block of a network, as one sample of three views passes it."""

    name: str  # of its module
    kind: str  # the class's name
    given: tuple[int, ...]  # shape of its first input
    shape: tuple[int, ...]  # of its output
    parameters: int
    sources: dict[str, frozenset[str]]
    """The blocks whose outputs it takes, and by which operations on the way: `MaxPool2DWithIndicesBackward0`, say."""


def data_flow(make: Callable[[], nn.Module], image_size: int) -> list[NetworkBlock]:
    """The blocks of the network that `make` makes, in the order of their use.

    Raises:
        ConfigError: a setting or the image size does not fit.
    """
    with torch.device("meta"), torch.enable_grad():
        network = make().eval()
        images = torch.empty(1, len(VIEWS), 3, image_size, image_size, requires_grad=True)
        masks = torch.empty(1, len(VIEWS), image_size, image_size, requires_grad=True)
        tracer = _Tracer({_accumulates(images): IMAGES, _accumulates(masks): MASKS})
        for name, module in _parts("", network):
            module.register_forward_hook(partial(tracer.note, name))
        network(images, masks)
    return tracer.blocks


def _parts(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The blocks that a module is made of, itself if it is one."""
    if not isinstance(module, (*OPENED, nn.ModuleList, nn.ModuleDict)):
        yield name, module
        return
    for key, child in module.named_children():
        yield from _parts(f"{name}.{key}".lstrip("."), child)


class _Tracer:
    """Notes blocks when they have run.

    Args:
        made_by: nodes of the gradient's graph, by what gave them. Kept, since only then are they the same objects.
    """

    def __init__(self, made_by: dict[Any, str]) -> None:
        self.made_by = made_by
        self.blocks: list[NetworkBlock] = []

    def note(self, name: str, module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        """Note a block."""
        sources: dict[str, frozenset[str]] = {}
        for tensor in given:
            for source, passed in self._sources(tensor.grad_fn):
                sources[source] = sources.get(source, frozenset()) | passed
        parameters = sum(parameter.numel() for parameter in module.parameters())
        shapes = tuple(given[0].shape), tuple(out.shape)
        self.blocks.append(NetworkBlock(name, type(module).__name__, *shapes, parameters, sources))
        self.made_by[out.grad_fn] = name

    def _sources(self, node: Any) -> Iterator[tuple[str, frozenset[str]]]:
        """What a node comes from, by which operations."""
        waiting: list[tuple[Any, frozenset[str]]] = [(node, frozenset())]
        while waiting:
            node, passed = waiting.pop()
            if node in self.made_by:
                yield self.made_by[node], passed
            elif node is not None:
                waiting += [(further, passed | {node.name()}) for further, _ in node.next_functions]


def _accumulates(leaf: Tensor) -> Any:
    """The node that stands for a leaf in the gradient's graph."""
    return leaf.view_as(leaf).grad_fn.next_functions[0][0]
