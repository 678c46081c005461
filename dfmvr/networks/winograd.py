"""3x3 convolutions with fewer multiplications, for inference on CPUs.

A tile of m x m outputs of a 3x3 convolution needs (m + 2)^2 multiplications of transformed inputs by transformed
weights instead of 9 m^2: 2.25 times fewer for m = 2, 4 times for m = 4. All tiles together are (m + 2)^2 products of
matrices.

Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", F(2x2, 3x3) and F(4x4, 3x3).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK_BYTES = 2_000_000
"""Rows of tiles are transformed together as long as they stay within the size of a cache."""
CHUNK_TILES = 112
"""Tiles at the least, however large they are: products of matrices of fewer rows are slow."""

_INPUT = {
    2: ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    4: (
        *((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0)),
        *((0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1)),
    ),
}
_WEIGHT = {
    2: ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    4: (
        *((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6)),
        *((1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1)),
    ),
}
_OUTPUT = {
    2: ((1, 1, 1, 0), (0, 1, -1, -1)),
    4: ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
}


class WinogradConv(nn.Module):
    """A 3x3 convolution with padding 1 and stride 1, and the ReLU after it.

    Faster than the plain one where there are many channels (the whole network at the paper's size takes 0.7 of the time
    with AVX-512, half of it with AVX2); the weights take (m + 2)^2 / 9 times the memory. In single
    precision, the largest error is some 1e-5 of the largest output with m = 4, 1e-6 with m = 2 (plainly, 2e-6).

    Args:
        conv: the convolution, its normalisation folded in.
        tile: m, 2 or 4.
        relu: whether negative outputs become 0.
    """

    def __init__(self, conv: nn.Conv2d, tile: int, relu: bool) -> None:
        super().__init__()
        self.tile, self.relu, self.out_channels = tile, relu, conv.out_channels
        change = torch.tensor(_WEIGHT[tile], dtype=torch.double)
        weight = torch.einsum("ia,ocab,jb->jico", change, conv.weight.detach().double(), change)
        bias = conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
        self.register_buffer("weight", weight.flatten(0, 1).to(conv.weight.dtype).contiguous())
        self.register_buffer("bias", bias.clone())
        self.register_buffer("input_change", torch.tensor(_INPUT[tile]).to(bias))
        self.register_buffer("output_change", torch.tensor(_OUTPUT[tile]).to(bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out_channels, H, W), in channels_last."""
        m, x = self.tile, x.permute(0, 2, 3, 1)
        images, height, width, channels = x.shape
        rows, columns = -(-height // m), -(-width // m)
        out = x.new_empty(images, height, width, self.out_channels)
        row_bytes = (m + 2) ** 2 * images * columns * (channels + self.out_channels) * x.element_size()
        step = max(CHUNK_BYTES // row_bytes, -(-CHUNK_TILES // (images * columns)))
        for first in range(0, rows, step):
            top, bottom = m * first, m * min(first + step, rows)
            before, after = int(top == 0), max(bottom + 1 - height, 0)
            part = x[:, max(top - 1, 0) : bottom + 1]
            part = F.pad(part, (0, 0, 1, m * columns - width + 1, before, after))
            self._write(self._tiles(part), out[:, top:bottom])
        return out.permute(0, 3, 1, 2)

    def _tiles(self, padded: Tensor) -> Tensor:
        """Transform the tiles of (B, h m + 2, w m + 2, C) to (column and row in the tile, B h w, C)."""
        m, n = self.tile, self.tile + 2
        images, height, width, channels = padded.shape
        rows, columns, line = (height - 2) // m, (width - 2) // m, width * channels
        lines = padded.as_strided((images, rows, n, line), (height * line, m * line, line, 1))
        change = self.input_change
        lines = torch.bmm(change.expand(images * rows, n, n), lines.flatten(0, 1))
        tiles = lines.as_strided((n, n, images * rows, columns, channels), (channels, line, n * line, m * channels, 1))
        return (change @ tiles.reshape(n, -1)).view(n * n, -1, channels)

    def _write(self, tiles: Tensor, out: Tensor) -> None:
        """Multiply by the weights, transform back, and write to rows (B, h m, W, out_channels) of the output."""
        m, n = self.tile, self.tile + 2
        products = torch.bmm(tiles, self.weight)
        products[n + 1] += self.bias  # that of the point 1, which goes into every output as it is
        products = (self.output_change @ products.view(n, -1)).view(m, n, -1)
        products = torch.bmm(self.output_change.expand(m, m, n), products)
        images, height, width, channels = out.shape
        rows, columns = -(-height // m), -(-width // m)
        found = products.view(m, m, images, rows, columns, channels).permute(2, 3, 1, 4, 0, 5)
        if height % m or width % m:
            found = found.reshape(images, rows * m, columns * m, channels)[:, :height, :width]
        else:
            out = out.unflatten(2, (columns, m)).unflatten(1, (rows, m))
        if self.relu:
            torch.clamp_min(found, 0, out=out)
        else:
            out.copy_(found)
