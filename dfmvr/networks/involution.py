"""Involution: a convolution whose kernel varies with the place and is shared by the channels of a group.

Source: Li et al. 2021, "Involution: Inverting the Inherence of Convolution for Visual Recognition".
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import product
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

    def __init__(
        self, size: Sequence[int], output_size: Sequence[int], groups: int, kernel_size: int, stride: int
    ) -> None:
        self.images, self.channels, self.height, self.width = size
        self.rows, self.columns = output_size[-2:]
        self.groups, self.kernel_size, self.stride = groups, kernel_size, stride

    def phases(self, x: Tensor) -> Tensor:
        """Pad x (B, C, H, W) and lay it out as (stride, stride, C/G, rows, columns, B G)."""
        s, pad = self.stride, self.kernel_size // 2
        height, width = (-(-(n + 2 * pad) // s) for n in (self.height, self.width))
        x = x.unflatten(1, (self.groups, -1)).permute(2, 3, 4, 0, 1)
        phases = x.new_zeros(s, s, x.shape[0], height, width, self.images, self.groups)
        for of_phases, of_x in self._places():
            phases[of_phases] = x[of_x]
        return phases.flatten(-2)

    def from_phases(self, phases: Tensor) -> Tensor:
        """Undo `phases`: back to (B, C, H, W) in channels_last, the padding cut off."""
        phases = phases.unflatten(-1, (self.images, self.groups))
        ordered = phases.new_empty(self.images, self.height, self.width, self.groups, phases.shape[2])
        x = ordered.permute(4, 1, 2, 0, 3)
        for of_phases, of_x in self._places():
            x[of_x] = phases[of_phases]
        return ordered.flatten(3).permute(0, 3, 1, 2)

    def _places(self) -> Iterator[tuple[tuple[int | slice, ...], tuple[slice, ...]]]:
        """For each phase, its place in (stride, stride, C/G, rows, columns, ...) and in (C/G, H, W, ...)."""
        s, pad = self.stride, self.kernel_size // 2
        for i, j in product(range(s), repeat=2):
            first = [(phase - pad) % s for phase in (i, j)]
            counts = [len(range(f, n, s)) for f, n in zip(first, (self.height, self.width), strict=True)]
            starts = [(f + pad) // s for f in first]
            within = (slice(start, start + count) for start, count in zip(starts, counts, strict=True))
            yield (i, j, slice(None), *within), (slice(None), *(slice(f, None, s) for f in first))

    def maps(self, x: Tensor) -> Tensor:
        """Lay out a kernel or an output (B, G n, h, w) as (n, h, w, B G)."""
        maps = x.unflatten(1, (self.groups, -1)).permute(2, 3, 4, 0, 1)
        return maps.clone(memory_format=torch.contiguous_format).flatten(-2)  # never the tensor itself

    def from_maps(self, maps: Tensor) -> Tensor:
        """Undo `maps`, in channels_last."""
        return _in_order(maps.unflatten(-1, (self.images, self.groups)))

    def tap(self, phases: Tensor, index: int) -> Tensor:
        """View of the values (C/G, h, w, B G) that the kernel's entry `index` multiplies."""
        i, j = divmod(index, self.kernel_size)
        return self.taps(phases, i, j)[:, 0]

    def taps(self, phases: Tensor, i: int, first: int) -> Tensor:
        """View (C/G, n, h, w, B G) of what the entries first, first + stride, first + 2 stride ... of the kernel's row
        i multiply.
        """
        (row, i), (column, j) = divmod(i, self.stride), divmod(first, self.stride)
        of_phase_i, of_phase_j, *strides = phases.stride()
        count = -(-(self.kernel_size - first) // self.stride)
        size = (phases.shape[2], count, self.rows, self.columns, phases.shape[-1])
        offset = i * of_phase_i + j * of_phase_j + row * strides[1] + column * strides[2]
        return phases.as_strided(size, (strides[0], strides[2], *strides[1:]), offset)


def _in_order(x: Tensor) -> Tensor:
    """Lay (n, h, w, B, G) out as (B, G n, h, w) in channels_last, as the layers around an involution want it."""
    return x.permute(3, 1, 2, 4, 0).contiguous().flatten(3).permute(0, 3, 1, 2)


# Operators of their own, so that what does not look into them (tensors without data, flop counters) knows their
# shapes and their cost. The gradients are written out because autograd through 49 slices keeps and adds 49 padded maps.
@torch.library.custom_op(
    "dfmvr::involve",
    mutates_args=(),
    schema="(Tensor x, Tensor weight, int kernel_size, int stride) -> (Tensor, Tensor, Tensor)",
)
def _involve(x: Tensor, weight: Tensor, kernel_size: int, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """out[b, g, c, p] = sum_k weight[b, g, k, p] x[b, g, c, p + offset_k], one multiply-add of whole maps a tap k.

    Beside it x and weight, laid out as the gradients want them too.
    """
    layout = Layout(x.shape, weight.shape, weight.shape[1] // kernel_size**2, kernel_size, stride)
    phases, kernel = layout.phases(x), layout.maps(weight)
    # Sums of 49 products in half precision would lose half of its digits.
    values, factors = at_least_single(phases), at_least_single(kernel)
    out = layout.tap(values, 0) * factors[0]
    for k in range(1, kernel_size**2):
        out.addcmul_(layout.tap(values, k), factors[k])
    return layout.from_maps(out).to(x.dtype), phases, kernel


@torch.library.custom_op(
    "dfmvr::involve_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor phases, Tensor kernel, int[] size, int kernel_size, int stride) -> (Tensor, Tensor)",
)
def _involve_backward(
    grad: Tensor, phases: Tensor, kernel: Tensor, size: Sequence[int], kernel_size: int, stride: int
) -> tuple[Tensor, Tensor]:
    """Gradients of x, which is of that size, and weight, from that of the output and what `_involve` gave beside it."""
    layout = Layout(size, grad.shape, size[1] // phases.shape[2], kernel_size, stride)
    dtypes = phases.dtype, kernel.dtype
    phases, kernel = at_least_single(phases), at_least_single(kernel)
    grad = layout.maps(at_least_single(grad))
    grad_phases, grad_kernel = torch.zeros_like(phases), torch.empty_like(kernel)
    for k in range(kernel_size**2):
        layout.tap(grad_phases, k).addcmul_(grad, kernel[k])
    # A row of the kernel at once, channel by channel: its sums stay within a cache, and the products are never written.
    rows = [(i, first) for i in range(kernel_size) for first in range(min(stride, kernel_size))]
    for i, first in rows:
        sums = grad_kernel[i * kernel_size + first : (i + 1) * kernel_size : stride]
        factors = zip(grad.unbind(0), layout.taps(phases, i, first).unbind(0), strict=True)
        torch.mul(*next(factors), out=sums)
        for of_output, of_input in factors:
            sums.addcmul_(of_output, of_input)
    return layout.from_phases(grad_phases).to(dtypes[0]), layout.from_maps(grad_kernel).to(dtypes[1])


def _like(x: Tensor, shape: Sequence[int]) -> Tensor:
    """An empty tensor of the shape, laid out as the operators lay out what they give."""
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


@_involve.register_fake
def _(x: Tensor, weight: Tensor, kernel_size: int, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    (images, channels, *size), places = x.shape, weight.shape[-2:]
    groups = weight.shape[1] // kernel_size**2
    padded = (-(-(n + kernel_size - 1) // stride) for n in size)
    phases = x.new_empty(stride, stride, channels // groups, *padded, images * groups)
    kernel = weight.new_empty(kernel_size**2, *places, images * groups)
    return _like(x, (images, channels, *places)), phases, kernel


@_involve_backward.register_fake
def _(
    grad: Tensor, phases: Tensor, kernel: Tensor, size: Sequence[int], kernel_size: int, stride: int
) -> tuple[Tensor, Tensor]:
    taps = size[1] // phases.shape[2] * kernel_size**2
    return _like(phases, size), _like(kernel, (size[0], taps, *grad.shape[-2:]))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*output[1:])
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)
    ctx.size, ctx.kernel_size, ctx.stride = inputs[0].shape, *inputs[2:]


def _gradients(ctx: Any, grad: Tensor, *_: None) -> tuple[Tensor | None, Tensor | None, None, None]:
    if grad is None:
        return None, None, None, None
    return *_involve_backward(grad, *ctx.saved_tensors, ctx.size, ctx.kernel_size, ctx.stride), None, None


_involve.register_autograd(_gradients, setup_context=_keep)


@register_flop_formula(torch.ops.dfmvr.involve)
def _flops(x: Any, weight: Any, kernel_size: int, stride: int, *, out_shape: Any = None, **_: Any) -> int:
    """A multiplication and an addition a tap and output value; arguments are shapes."""
    return 2 * kernel_size**2 * math.prod(out_shape[0])


@register_flop_formula(torch.ops.dfmvr.involve_backward)
def _flops_backward(grad: Any, phases: Any, kernel: Any, size: Any, kernel_size: int, stride: int, **_: Any) -> int:
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
    return _involve(x, weight, kernel_size, stride)[0]


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
