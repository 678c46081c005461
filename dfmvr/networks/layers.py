"""Layers that several networks have."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvBN(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.activate = nn.ReLU(inplace=True)


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """What a residual block puts its branch upon, a 1x1 convolution; None: its input, where that has the same shape."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


def initialise_convolutions(network: nn.Module, mode: str) -> None:
    """Draw the weights of all convolutions as for ReLU (He et al. 2015), by fan in or fan out; biases become 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # there, normal_ loads a compiler
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def at_least_single(x: Tensor) -> Tensor:
    """The tensor, in single precision where it has less."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
