"""3x3 convolutions with fewer multiplications, for inference on CPUs.

A tile of m x m outputs of a 3x3 convolution needs (m + 2)^2 multiplications of transformed inputs by transformed weights
instead of 9 m^2: 2.25 times fewer for m = 2, 4 times for m = 4. All tiles together are (m + 2)^2 products of matrices.

Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", F(2x2, 3x3) and F(4x4, 3x3).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK_BYTES = 2_000_000
"""ASSUME: what a tile row and its successors may take while they are transformed: about a second-level cache."""
CHUNK_TILES = 48
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

    Faster than the plain one where there are many channels; the weights take (m + 2)^2 / 9 times the memory. The largest
    error is some 1e-5 of the largest output with m = 4 and 1e-6 with m = 2 (the plain one's, too, is about 2e-6).

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
        m = self.tile
        images, channels, height, width = x.shape
        rows, columns = -(-height // m), -(-width // m)
        padding = (0, 0, 1, columns * m - width + 1, 1, rows * m - height + 1)
        padded = F.pad(x.permute(0, 2, 3, 1), padding).contiguous()
        out = x.new_empty(images, height, width, self.out_channels)
        row_bytes = (m + 2) ** 2 * images * columns * (channels + self.out_channels) * x.element_size()
        step = max(CHUNK_BYTES // row_bytes, -(-CHUNK_TILES // (images * columns)))
        for first in range(0, rows, step):
            top, bottom = m * first, m * min(first + step, rows)
            tiles = self._tiles(padded[:, top : bottom + 2], columns)
            part = out[:, top:bottom]
            torch.add(self._outputs(tiles, images, columns)[:, : part.shape[1], :width], self.bias, out=part)
            if self.relu:
                part.relu_()
        return out.permute(0, 3, 1, 2)

    def _tiles(self, padded: Tensor, columns: int) -> Tensor:
        """Transform the tiles of some rows (B, h m + 2, W + 2, C): (column, row in tile; B h w; C), flat in front."""
        m, n = self.tile, self.tile + 2
        images, height, width, channels = padded.shape
        rows = (height - 2) // m
        image, line, place, _ = padded.stride()
        lines = padded.as_strided((n, images, rows, width * channels), (line, image, m * line, 1))
        lines = (self.input_change @ lines.reshape(n, -1)).view(n, images, rows, width, channels)
        number, image, line, place, _ = lines.stride()
        tiles = lines.as_strided((n, n, images, rows, columns, channels), (place, number, image, line, m * place, 1))
        return (self.input_change @ tiles.reshape(n, -1)).view(n * n, -1, channels)

    def _outputs(self, tiles: Tensor, images: int, columns: int) -> Tensor:
        """Multiply and transform back: (B, h m, w m, out_channels)."""
        m, n = self.tile, self.tile + 2
        out = torch.bmm(tiles, self.weight).view(n, -1)
        out = (self.output_change @ out).view(m, n, -1).transpose(0, 1).reshape(n, -1)
        out = (self.output_change @ out).view(m, m, images, -1, columns, self.out_channels)
        return out.permute(2, 3, 0, 4, 1, 5).reshape(images, -1, m * columns, self.out_channels)
