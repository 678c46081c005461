"""What networks trained on ImageNet's classes bring along: the colours that they expect, and their weights.

Source: torchvision, `ResNet50_Weights.IMAGENET1K_V1`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from dfmvr.networks.public_weights import fill, read_state_dict

if TYPE_CHECKING:
    from dfmvr.networks.resnet import ResNet

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

_STEM = {"conv1": "stem.0", "bn1": "stem.1"}


def load_imagenet(network: ResNet, path: Path | str) -> None:
    """Give a ResNet of 3 input channels torchvision's weights, trained on ImageNet's classes.

    They expect colours less ImageNet's mean over its deviation; ours come in [-1, 1]. The first convolution takes the
    deviation up, the mean of the normalisation behind it the rest, so that both answer alike: exactly but for the
    border, which our convolution takes for medium grey, theirs for ImageNet's mean colour. What hands on the second
    stage (`fine`), which theirs lacks, stays as it is.

    Args:
        path: such as `resnet50-0676ba61.pth`, a state dict saved by torch; its classifier is left out.
    Raises:
        DataError: the file is missing, no state dict, or of another network: the tensors at fault are named.
    """
    found = read_state_dict(path, "imagenet_weights should name torchvision's resnet50-0676ba61.pth")
    ours = {_ours(name): values for name, values in found.items() if not str(name).startswith("fc.")}
    weights, mean = ours.get("stem.0.weight"), ours.get("stem.1.running_mean")
    if isinstance(weights, Tensor) and isinstance(mean, Tensor) and weights.shape[1:2] == (3,):
        offsets, scales = (weights.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        # c = (y / 2 + 1 / 2 - offset) / scale of a colour y in [-1, 1]
        ours["stem.1.running_mean"] = mean - (weights * ((0.5 - offsets) / scales)).sum((1, 2, 3))
        ours["stem.0.weight"] = weights / (2 * scales)
    ours |= {name: values for name, values in network.state_dict().items() if name.startswith("fine.")}
    fill(network, ours, path, "torchvision's ResNet of this depth and width, such as its ResNet-50")


def _ours(name: str) -> str:
    """Our name of a tensor of torchvision's ResNet: its first layers are our stem."""
    layer, _, rest = str(name).partition(".")
    return f"{_STEM.get(layer, layer)}.{rest}"
