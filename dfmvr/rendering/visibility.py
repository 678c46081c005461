"""The visibility pass of the rasteriser: the nearest triangle of every pixel, without gradient.

The triangles' bounding boxes are listed pixel by pixel; each pixel centre is tested against the triangle's three edges,
and a scatter-minimum over depth and triangle, packed in one integer, finds the nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

NEAR_MM = 1.0
"""Triangles with a corner nearer to the camera plane than this, or behind it, are dropped."""

_FAR_PX = 1e15  # beyond, products of coordinates overflow float32; such corners count as not finite
_EMPTY = torch.iinfo(torch.int64).max


def visible_faces(
    projected: Tensor, triangles: Tensor, image_size: tuple[int, int], cull_backfaces: bool = False
) -> Tensor:
    """Index of the nearest triangle at each pixel, without gradient: the visibility pass of `rasterize`.

    Args and rules: see `rasterize`.
    Returns:
        (B, H, W) int64, -1 for background.
    """
    batch, faces = projected.shape[0], triangles.shape[0]
    height, width = image_size
    result = torch.empty((batch, height, width), dtype=torch.int64, device=projected.device)
    with torch.no_grad():
        step = max(1, _limit(projected.device) // max(faces, 1))
        for first in range(0, batch, step):
            part = projected[first : first + step]
            result[first : first + step] = _nearest_face(part, triangles, (height, width), cull_backfaces)
    return result


def edge_areas(dx: Sequence[Tensor], dy: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Twice the area that the point (0, 0) spans with the edge opposite each corner (dx, dy) of a triangle."""
    # an edge's value in the two triangles that share it is the same but for its sign, to the last bit, so that a pixel
    # centre on a common edge is never missed by both
    return dx[1] * dy[2] - dx[2] * dy[1], dx[2] * dy[0] - dx[0] * dy[2], dx[0] * dy[1] - dx[1] * dy[0]


def _nearest_face(projected: Tensor, triangles: Tensor, size: tuple[int, int], cull_backfaces: bool) -> Tensor:
    """`visible_faces` of few enough images to be set up at once."""
    batch, height, width = projected.shape[0], *size
    # a margin on the right and below takes the pixels of blocks that reach over the image's border
    nearest = projected.new_full((batch, height + 1, width + 1), _EMPTY, dtype=torch.int64)
    if triangles.numel():
        drawn, small, large, box = _set_up(projected, triangles, size, cull_backfaces)
        # in a small image most triangles of a dense mesh hold one pixel centre at the most: testing that one at all
        # triangles is cheaper than singling them out first
        _draw(nearest, drawn, ((0, 0),), small)
        index = where(large)
        _draw_large(nearest, drawn.pick(index), [edge.index_select(0, index) for edge in box])
    nearest = nearest[:, :height, :width]
    face = torch.div(nearest & 0xFFFFFFFF, batch, rounding_mode="floor")
    return face.masked_fill_(nearest == _EMPTY, -1)


class _Drawn(NamedTuple):
    """N pairs of a triangle and a pixel."""

    xs: list[Tensor]  # three of (N,) px, relative to the pixel's centre
    ys: list[Tensor]  # three of (N,) px, mirrored if need be, so that all triangles run the same way round
    sign: Tensor  # (N,) -1 where mirrored, else 1
    identity: Tensor  # (N,) int64: triangle * B + image
    column: Tensor  # (N,) pixel
    row: Tensor  # (N,) pixel
    inverse_depth: list[Tensor]  # three of (F * B,), by identity

    def pick(self, index: Tensor) -> _Drawn:
        """The pairs at `index`."""
        xs, ys = ([value.index_select(0, index) for value in values] for values in (self.xs, self.ys))
        return _Drawn(xs, ys, *(value.index_select(0, index) for value in self[2:6]), self.inverse_depth)


def _set_up(
    projected: Tensor, triangles: Tensor, size: tuple[int, int], cull_backfaces: bool
) -> tuple[_Drawn, Tensor, Tensor, list[Tensor]]:
    """All triangles, at the first pixel of their bounding box.

    Returns:
        The pairs, which of them have a box of one pixel, which a larger one, and the box: left, top, right, bottom.
    """
    # images innermost: picking a vertex then copies a row of B numbers
    x, y, depth = projected.permute(2, 1, 0).contiguous()
    usable = (depth > NEAR_MM) & (x.abs() < _FAR_PX) & (y.abs() < _FAR_PX) & (depth < float("inf"))
    x = x.where(usable, x.new_tensor(float("nan")))  # NaN fails every comparison below
    corners = triangles.T.contiguous()
    xs, ys, inverse_depth = (
        [value.index_select(0, corner).view(-1) for corner in corners] for value in (x, y, depth.reciprocal())
    )
    left, right = _extent(xs, size[1])
    top, bottom = _extent(ys, size[0])
    xs = [value.sub_(left).sub_(0.5) for value in xs]
    ys = [value.sub_(top).sub_(0.5) for value in ys]
    area = (xs[1] - xs[0]).mul_(ys[2] - ys[0]).sub_((xs[2] - xs[0]).mul_(ys[1] - ys[0]))
    # counter-clockwise with y up is clockwise with y down
    usable = (area < 0 if cull_backfaces else area != 0).logical_and_(left <= right).logical_and_(top <= bottom)
    small = (left == right).logical_and_(top == bottom)
    large = usable & ~small
    sign = area.sign_()
    ys = [value.mul_(sign) for value in ys]
    drawn = _Drawn(xs, ys, sign, torch.arange(sign.numel(), device=sign.device), left, top, inverse_depth)
    return drawn, small.logical_and_(usable), large, [left, top, right, bottom]


def _extent(coordinate: list[Tensor], size: int) -> tuple[Tensor, Tensor]:
    """First and last pixel whose centre lies between the corners' coordinates, clipped to the image."""
    low = torch.minimum(torch.minimum(coordinate[0], coordinate[1]), coordinate[2])
    high = torch.maximum(torch.maximum(coordinate[0], coordinate[1]), coordinate[2])
    return low.sub_(0.5).ceil_().clamp_(min=0), high.sub_(0.5).floor_().clamp_(max=size - 1)


def _draw(nearest: Tensor, drawn: _Drawn, offsets: Sequence[tuple[int, int]], mask: Tensor | None = None) -> None:
    """Enter the triangles' depth at their pixels, moved by each of the offsets (right, down), into the z-buffer.

    The z-buffer `nearest` (B, H + 1, W + 1) holds depth and identity in one integer: the bits of a positive float32
    order as the number does, so that the least integer is the nearest triangle, the lowest index first.
    """
    batch, height, width = nearest.shape
    for right, down in offsets:
        xs = [value - right for value in drawn.xs] if right else drawn.xs
        ys = [value - drawn.sign for value in drawn.ys] if down else drawn.ys
        edges = edge_areas(xs, ys)
        inside = torch.minimum(torch.minimum(edges[0], edges[1]), edges[2]) >= 0
        inside = where(inside if mask is None else inside.logical_and_(mask))
        edges = [edge.index_select(0, inside) for edge in edges]
        identity, column, row = (value.index_select(0, inside) for value in drawn[3:6])
        weight = sum(e * d.index_select(0, identity) for e, d in zip(edges, drawn.inverse_depth, strict=True))
        depth = (sum(edges) / weight).float()
        key = (depth.view(torch.int32).long() << 32).bitwise_or_(identity)
        key.masked_fill_(~(depth < float("inf")), _EMPTY)
        place = (identity % batch).mul_(height).add_(row.long()).mul_(width).add_(column.long())
        nearest.view(-1).scatter_reduce_(0, place.add_(down * width + right), key, "amin")


def _draw_large(nearest: Tensor, drawn: _Drawn, box: list[Tensor]) -> None:
    """Cut the bounding boxes into blocks of 2 x 2 pixels and draw these, a bounded number at a time."""
    columns = ((box[2] - box[0]).long() >> 1) + 1
    blocks = ((box[3] - box[1]).long() >> 1).add_(1).mul_(columns)
    ends = blocks.cumsum(0)
    total = int(ends[-1]) if ends.numel() else 0
    limit = _limit(nearest.device)
    for first in range(0, total, limit):
        number = torch.arange(first, min(first + limit, total), device=nearest.device)
        # the blocks' triangles; the first is the faster way where all blocks go at once
        which = torch.repeat_interleave(blocks) if total <= limit else torch.searchsorted(ends, number, right=True)
        part = drawn.pick(which)
        number -= (ends - blocks).index_select(0, which)
        across = columns.index_select(0, which)
        row = torch.div(number, across, rounding_mode="floor")
        right, down = (2 * step.to(part.sign.dtype) for step in (number - row * across, row))
        xs = [value.sub_(right) for value in part.xs]
        ys = [value.addcmul_(down, part.sign, value=-1) for value in part.ys]
        part = part._replace(xs=xs, ys=ys, column=part.column + right, row=part.row + down)
        _draw(nearest, part, ((0, 0), (1, 0), (0, 1), (1, 1)))


def _limit(device: torch.device) -> int:
    """Triangles set up, or blocks of pixels tested, at once: bounds the memory, and on a GPU is enough to fill it."""
    return 1 << 20 if device.type == "cpu" else 1 << 24


def where(mask: Tensor) -> Tensor:
    """Flat indices of the True elements."""
    # on the CPU, NumPy finds them up to ten times faster than torch.nonzero, which would be a tenth of all the time
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.reshape(-1).nonzero()[:, 0]
