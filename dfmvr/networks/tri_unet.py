"""Tri-UNet, the deep fusion of three views (paper III-C, Fig. 3): three encoders, one decoder, attended skips."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError

LEVELS = 5


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        # The biases do nothing before a batch normalisation; they are there because the authors' weights have them.
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class Encoder(nn.Module):
    """One view's encoder: double convolutions with max pooling between them."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        channels = [in_channels] + [width * 2**level for level in range(LEVELS)]
        self.levels = nn.ModuleList(DoubleConv(channels[i], channels[i + 1]) for i in range(LEVELS))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, in_channels, H, W) to five maps, level l of (B, width 2^l, ceil(H / 2^l), ceil(W / 2^l))."""
        features = []
        for i, level in enumerate(self.levels):
            # Ceil mode: a size that is not divisible keeps its last row; the decoder cuts off what that adds.
            x = level(F.max_pool2d(x, 2, ceil_mode=True) if i else x)
            features.append(x)
        return features


class AttentionGate(nn.Module):
    """Additive attention: how much of each place of a skip the decoder lets through.

    psi = sigmoid(BN(conv(relu(BN(conv g) + BN(conv x))))), the output is x psi.
    Source: Oktay et al. 2018, "Attention U-Net: Learning Where to Look for the Pancreas".
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.gate = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner))
        self.skip = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner))
        self.psi = nn.Sequential(nn.Conv2d(inner, 1, 1), nn.BatchNorm2d(1))

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        """Weigh skip (B, channels, h, w) by the decoder's features of the same shape."""
        return skip * torch.sigmoid(self.psi(F.relu(self.gate(gate) + self.skip(skip))))


class DecoderLevel(nn.Module):
    """Enlarge the decoder's features, gate the three skips with them, join the four."""

    def __init__(self, in_channels: int, channels: int, fuse: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, channels, 2, 2)
        self.gates = nn.ModuleList(AttentionGate(channels) for _ in VIEWS)
        self.conv = DoubleConv((1 + len(VIEWS)) * channels, channels) if fuse else nn.Identity()

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Map (B, in_channels, h, w) and three skips (B, channels, 2h, 2w), or a row or column less, to their shape."""
        height, width = skips[0].shape[-2:]
        x = self.up(x)[..., :height, :width]
        return self.conv(torch.cat([x, *(gate(x, skip) for gate, skip in zip(self.gates, skips, strict=True))], 1))


class TriUNet(nn.Module):
    """Fuse three views into one feature map of the images' size.

    80,263,236 parameters at width 64 with four input channels. The released code uses 80,078,532 of them: it builds the
    last double convolution (184,704) but bypasses it, handing on its 256-channel input.

    Args:
        in_channels: channels of a view: 4 for colour and mask, 3 for colour.
        width: channels of the first level and of the output; the paper has 64.
        released_concat: Paper: True hands on the 4 `width` channels of the last concatenation, as the released code
            does; the text says 224 x 224 x 64 (III-C), and that is the default.
    """

    def __init__(self, in_channels: int = 4, width: int = 64, released_concat: bool = False) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.encoders = nn.ModuleList(Encoder(in_channels, width) for _ in VIEWS)
        deepest = width * 2 ** (LEVELS - 1)
        inputs = [len(VIEWS) * deepest] + [width * 2**level for level in range(LEVELS - 2, 0, -1)]
        self.decoder = nn.ModuleList(
            DecoderLevel(channels, width * 2**level, fuse=level > 0 or not released_concat)
            for channels, level in zip(inputs, range(LEVELS - 2, -1, -1), strict=True)
        )
        self.out_channels = width * (1 + len(VIEWS)) if released_concat else width

    def forward(self, views: Tensor) -> Tensor:
        """Fuse the views.

        Args:
            views: (B, 3, in_channels, H, W), left, front, right; any size.
        Returns:
            (B, out_channels, H, W).
        Raises:
            DataError: another number of views or of channels.
        """
        if views.ndim != 5 or tuple(views.shape[1:3]) != (len(VIEWS), self.in_channels):
            raise DataError(
                f"Tri-UNet: expected views (B, {len(VIEWS)}, {self.in_channels}, H, W), found {tuple(views.shape)}"
            )
        features = [encoder(view) for encoder, view in zip(self.encoders, views.unbind(1), strict=True)]
        x = torch.cat([levels[-1] for levels in features], 1)
        for i, level in enumerate(self.decoder):
            x = level(x, [levels[-2 - i] for levels in features])
        return x
