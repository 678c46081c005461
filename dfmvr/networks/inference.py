"""A trained network made faster: normalisations folded into the convolutions, fewer multiplications, less precision.

It answers what it answered, up to rounding; it can neither be trained nor saved.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dfmvr.networks.df_mvr import DFMVR
from dfmvr.networks.residual import Bottleneck
from dfmvr.networks.unet import Decoder, DoubleConv, Encoder
from dfmvr.networks.winograd import WinogradConv

WINOGRAD_CHANNELS = 64
"""ASSUME: fewest input and output channels for which the transformed convolution is the faster one."""


class MatrixUp(nn.Module):
    """A 2x2 transposed convolution with stride 2 as one product of matrices: faster where weights outnumber places."""

    def __init__(self, conv: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.register_buffer("weight", conv.weight.detach().permute(0, 2, 3, 1).flatten(1).contiguous())
        self.register_buffer("bias", conv.bias.detach().repeat(4))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out_channels, 2 H, 2 W), in channels_last."""
        images, channels, height, width = x.shape
        flat = torch.addmm(self.bias, x.permute(0, 2, 3, 1).reshape(-1, channels), self.weight)
        out = flat.view(images, height, width, 2, 2, -1).transpose(2, 3)
        return out.reshape(images, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


def _fold(module: nn.Module) -> None:
    """Fold the normalisations of a module's own layers into the convolutions before them."""
    pairs: Iterable[tuple[str, str]] = ()
    if isinstance(module, nn.Sequential):
        pairs = pairwise(name for name, _ in module.named_children())
    elif isinstance(module, Bottleneck):
        pairs = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))
    for first, second in pairs:
        conv, bn = module.get_submodule(first), module.get_submodule(second)
        if isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d):
            setattr(module, first, fuse_conv_bn_eval(conv, bn))
            setattr(module, second, nn.Identity())


def _transform(double: DoubleConv, tile: int) -> None:
    """Replace the 3x3 convolutions of many channels, and the ReLU after them; normalisations are folded in already."""
    for place, after in ((0, 2), (3, 5)):
        if min(double[place].in_channels, double[place].out_channels) >= WINOGRAD_CHANNELS:
            double[place] = WinogradConv(double[place], tile, relu=True)
            double[after] = nn.Identity()


def for_inference(network: DFMVR, precision: torch.dtype = torch.float32) -> DFMVR:
    """Make a network fast: itself, as to copy it takes a third of the time.

    Args:
        precision: float32, or bfloat16 for all but the heads; float64 of a network in double precision.
    Returns:
        The network in evaluation mode, without gradients; on a CPU, but in half precision, of twice the size.
    """
    network.eval().requires_grad_(False)
    for module in list(network.modules()):
        _fold(module)
    # GPUs have libraries that do the same; half precision would lose too many digits.
    apt = precision.itemsize >= torch.float32.itemsize and network.mean_angles.device.type == "cpu"
    modules = list(network.fusion.modules()) if apt else []
    # The deepest maps are so small, and their weights so many, that large tiles do not pay there.
    deepest = [encoder.levels[-1] for encoder in modules if isinstance(encoder, Encoder)]
    for module in modules:
        if isinstance(module, DoubleConv):
            _transform(module, tile=2 if module in deepest else 4)
        if isinstance(module, Decoder):
            module[0].up = MatrixUp(module[0].up)
    for part in (network.fusion, network.backbone):
        part.to(precision, memory_format=torch.channels_last)
    network.precision = precision
    return network
