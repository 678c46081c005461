"""A trained network made faster: normalisations folded into the convolutions, fewer multiplications, less precision.

The copy answers what the network answers, up to rounding; it can neither be trained nor saved.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.residual import Bottleneck
from dfmvr.networks.winograd import WinogradConv

WINOGRAD_CHANNELS = 64
"""ASSUME: fewest input and output channels for which the transformed convolution is the faster one."""


def _fold(module: nn.Module) -> None:
    """Fold the normalisations of a module's own layers into the convolutions before them."""
    if isinstance(module, nn.Sequential):
        names = list(module._modules)
        pairs = zip(names, names[1:], strict=False)
    elif isinstance(module, Bottleneck):
        pairs = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))
    else:
        return
    for first, second in pairs:
        conv, bn = module.get_submodule(first), module.get_submodule(second)
        if isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d):
            setattr(module, first, fuse_conv_bn_eval(conv, bn))
            setattr(module, second, nn.Identity())


def _transform(module: nn.Module) -> None:
    """Replace a sequence's 3x3 convolutions of many channels, and the ReLU after them."""
    if not isinstance(module, nn.Sequential):
        return
    names = list(module._modules)
    for i, name in enumerate(names):
        conv = module.get_submodule(name)
        plain = isinstance(conv, nn.Conv2d) and (conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1))
        if not plain or min(conv.in_channels, conv.out_channels) < WINOGRAD_CHANNELS:
            continue
        after = next((n for n in names[i + 1 :] if not isinstance(module.get_submodule(n), nn.Identity)), None)
        relu = after is not None and isinstance(module.get_submodule(after), nn.ReLU)
        setattr(module, name, WinogradConv(conv, 4, relu))
        if relu:
            setattr(module, after, nn.Identity())


def for_inference(network: DFMVR, precision: torch.dtype = torch.float32) -> DFMVR:
    """Make a fast copy of a network.

    Args:
        precision: float32, or bfloat16 for all but the heads.
    Returns:
        A network in evaluation mode, without gradients.
    """
    fast = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(fast.modules()):
        _fold(module)
    for module in list(fast.modules()) if precision == torch.float32 else ():
        _transform(module)
    fast.fusion.to(precision, memory_format=torch.channels_last)
    fast.backbone.to(precision, memory_format=torch.channels_last)
    fast.precision = precision
    return fast
