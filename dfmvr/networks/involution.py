"""Involution: a convolution whose kernel varies with the place and is shared by the channels of a group.

Source: Li et al. 2021, "Involution: Inverting the Inherence of Convolution for Visual Recognition".
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from dfmvr.errors import ConfigError
from dfmvr.networks.layers import ConvBN, at_least_single

GROUP_CHANNELS = 16
REDUCTION = 4


class Layout:
    """Where a tap of the kernel reads, for tensors laid out so that a tap is one long contiguous run.

    The place of a value is (channel in group, row, column, image x group): the kernel lacks only the first of these, so
    that a tap multiplies rows of columns x images x groups numbers without a break, be the feature map as small as it
    may. With a stride, even and odd rows and columns are first taken apart ("phases"), so that this holds there too.
    """

    def __init__(self, x: Tensor, weight: Tensor, kernel_size: int, stride: int) -> None:
        self.images, self.channels, self.height, self.width = x.shape
        self.kernel_size, self.stride = kernel_size, stride
        self.groups = weight.shape[1] // kernel_size**2
        self.rows, self.columns = weight.shape[-2:]

    def phases(self, x: Tensor) -> Tensor:
        """Pad x (B, C, H, W) and lay it out as (stride, stride, C/G, rows, columns, B G)."""
        s, pad = self.stride, self.kernel_size // 2
        height, width = (-(-(n + 2 * pad) // s) * s for n in (self.height, self.width))
        x = x.unflatten(1, (self.groups, -1)).permute(2, 3, 4, 0, 1)
        padded = x.new_zeros(x.shape[0], height, width, self.images, self.groups)
        padded[:, pad : pad + self.height, pad : pad + self.width] = x
        padded = padded.view(-1, height // s, s, width // s, s, self.images * self.groups)
        return padded.permute(2, 4, 0, 1, 3, 5).contiguous()

    def from_phases(self, phases: Tensor) -> Tensor:
        """Undo `phases`: back to (B, C, H, W), the padding cut off."""
        s, pad = self.stride, self.kernel_size // 2
        height, width = phases.shape[-3:-1]
        x = phases.permute(2, 3, 0, 4, 1, 5).reshape(-1, height * s, width * s, self.images, self.groups)
        x = x[:, pad : pad + self.height, pad : pad + self.width]
        return x.permute(3, 4, 0, 1, 2).reshape(self.images, self.channels, self.height, self.width)

    def maps(self, x: Tensor) -> Tensor:
        """Lay out a kernel or an output (B, G n, h, w) as (n, h, w, B G)."""
        return x.unflatten(1, (self.groups, -1)).permute(2, 3, 4, 0, 1).contiguous().flatten(-2)

    def from_maps(self, maps: Tensor) -> Tensor:
        """Undo `maps`."""
        maps = maps.unflatten(-1, (self.images, self.groups))
        return maps.permute(3, 4, 0, 1, 2).reshape(self.images, -1, self.rows, self.columns)

    def tap(self, phases: Tensor, index: int) -> Tensor:
        """View of the values (C/G, h, w, B G) that the kernel's entry `index` multiplies."""
        (i, row), (j, column) = (divmod(n, self.stride)[::-1] for n in divmod(index, self.kernel_size))
        return phases[i, j, :, row : row + self.rows, column : column + self.columns]


# Operators of their own, so that what does not look into them (tensors without data, flop counters) knows their
# shapes and their cost. The gradients are written out because autograd through 49 slices keeps and adds 49 padded maps.
@torch.library.custom_op(
    "dfmvr::involve", mutates_args=(), schema="(Tensor x, Tensor weight, int kernel_size, int stride) -> Tensor"
)
def _involve(x: Tensor, weight: Tensor, kernel_size: int, stride: int) -> Tensor:
    """out[b, g, c, p] = sum_k weight[b, g, k, p] x[b, g, c, p + offset_k], one multiply-add of whole maps a tap k."""
    layout = Layout(x, weight, kernel_size, stride)
    # Sums of 49 products in half precision would lose half of its digits.
    phases, kernel = layout.phases(at_least_single(x)), layout.maps(at_least_single(weight))
    out = layout.tap(phases, 0) * kernel[0]
    for k in range(1, kernel_size**2):
        out.addcmul_(layout.tap(phases, k), kernel[k])
    return layout.from_maps(out).to(x.dtype)


@torch.library.custom_op(
    "dfmvr::involve_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor x, Tensor weight, int kernel_size, int stride) -> (Tensor, Tensor)",
)
def _involve_backward(grad: Tensor, x: Tensor, weight: Tensor, kernel_size: int, stride: int) -> tuple[Tensor, Tensor]:
    """Gradients of x and weight, from that of the output."""
    layout = Layout(x, weight, kernel_size, stride)
    phases, kernel = layout.phases(at_least_single(x)), layout.maps(at_least_single(weight))
    grad = layout.maps(at_least_single(grad))
    grad_phases, grad_kernel = torch.zeros_like(phases), torch.empty_like(kernel)
    for k in range(kernel_size**2):
        layout.tap(grad_phases, k).addcmul_(grad, kernel[k])
        torch.sum(grad * layout.tap(phases, k), 0, out=grad_kernel[k])
    return layout.from_phases(grad_phases).to(x.dtype), layout.from_maps(grad_kernel).to(weight.dtype)


@_involve.register_fake
def _(x: Tensor, weight: Tensor, kernel_size: int, stride: int) -> Tensor:
    return x.new_empty((*x.shape[:2], *weight.shape[-2:]))


@_involve_backward.register_fake
def _(grad: Tensor, x: Tensor, weight: Tensor, kernel_size: int, stride: int) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.kernel_size, ctx.stride = inputs[2:]


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
    return *_involve_backward(grad, *ctx.saved_tensors, ctx.kernel_size, ctx.stride), None, None


_involve.register_autograd(_gradients, setup_context=_keep)


@register_flop_formula(torch.ops.dfmvr.involve)
def _flops(x: Any, weight: Any, kernel_size: int, stride: int, *, out_shape: Any = None, **_: Any) -> int:
    """A multiplication and an addition a tap and output value; arguments are shapes."""
    return 2 * kernel_size**2 * math.prod(out_shape)


@register_flop_formula(torch.ops.dfmvr.involve_backward)
def _flops_backward(grad: Any, x: Any, weight: Any, kernel_size: int, stride: int, **_: Any) -> int:
    """As many again for each of the two gradients."""
    return 4 * kernel_size**2 * math.prod(grad)


def involve(x: Tensor, weight: Tensor, kernel_size: int, stride: int = 1) -> Tensor:
    """Apply to every place of x the kernel of that place, zeros beyond the border.

    Args:
        x: (B, C, H, W).
        weight: (B, G kernel_size^2, h, w), h = ceil(H / stride), w = ceil(W / stride); G divides C. The channel of tap
            (i, j) of group g is (g kernel_size + i) kernel_size + j.
        kernel_size: odd.
    Returns:
        (B, C, h, w), type of x; sums are float32 at the least. Differentiable once.
    """
    return _involve(x, weight, kernel_size, stride)


class Involution(nn.Module):
    """Involution layer: the kernels are a small network's answer to the features at their place.

    Args:
        channels: a multiple of 16, the channels that share a kernel.
        kernel_size: odd.
        stride: with 2, the kernels are made from features averaged over 2 x 2.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        if channels % GROUP_CHANNELS or kernel_size % 2 == 0:
            raise ConfigError(
                f"involution: expected channels divisible by {GROUP_CHANNELS} and an odd kernel, "
                f"found {channels} channels and a kernel of {kernel_size}"
            )
        self.kernel_size, self.stride = kernel_size, stride
        # Ceil mode: an odd map keeps its last row and column, as the strided 1x1 convolution of the shortcut does.
        self.pool = nn.AvgPool2d(stride, stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.conv1 = ConvBN(channels, channels // REDUCTION, 1)
        # Within a named container, for the names of the authors' weights (conv2.conv.weight).
        taps = channels // GROUP_CHANNELS * kernel_size**2
        self.conv2 = nn.Sequential(OrderedDict(conv=nn.Conv2d(channels // REDUCTION, taps, 1)))

    def start_as_identity(self, share: float = 0.1) -> None:
        """Set the weights so that every kernel is nearly the one that passes the features on.

        A fresh involution mixes the places under its kernel at random, so that what lies where is lost until the
        kernels have learnt better; small images have no places to spare.

        Args:
            share: of the initial weights of the kernels that is kept.
        """
        conv = self.conv2.conv
        with torch.no_grad():
            conv.weight.mul_(share)
            conv.bias.zero_()
            conv.bias.view(-1, self.kernel_size**2)[:, self.kernel_size**2 // 2] = 1

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, ceil(H / stride), ceil(W / stride))."""
        return involve(x, self.conv2(self.conv1(self.pool(x))), self.kernel_size, self.stride)
