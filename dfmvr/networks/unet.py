"""U-Net: its parts, and the fusion of three views by one plain U-Net (Table IV, v2).

Source: Ronneberger et al. 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation", and, for the gates,
Oktay et al. 2018, "Attention U-Net: Learning Where to Look for the Pancreas".
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfmvr.conventions import VIEWS

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
    """The contracting half: double convolutions with max pooling between them."""

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
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.gate = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner))
        self.skip = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner))
        self.psi = nn.Sequential(nn.Conv2d(inner, 1, 1), nn.BatchNorm2d(1))

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        """Weigh skip (B, channels, h, w) by the decoder's features of the same shape."""
        inner = self.gate(gate).add_(self.skip(skip)).relu_()  # in place: no gradient needs the summands
        return skip * self.psi(inner).sigmoid_()


class DecoderLevel(nn.Module):
    """Enlarge the decoder's features, join them with the skips, each behind a gate of its own if there are gates."""

    def __init__(self, in_channels: int, channels: int, skips: int, gated: bool, fuse: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, channels, 2, 2)
        self.gates = nn.ModuleList(AttentionGate(channels) for _ in range(skips)) if gated else None
        self.conv = DoubleConv((1 + skips) * channels, channels) if fuse else nn.Identity()

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Map (B, in_channels, h, w) and skips (B, channels, 2h, 2w), or a row or column less, to the skips' shape."""
        height, width = skips[0].shape[-2:]
        x = self.up(x)[..., :height, :width]
        if self.gates is not None:
            skips = [gate(x, skip) for gate, skip in zip(self.gates, skips, strict=True)]
        return self.conv(torch.cat([x, *skips], 1))


class Decoder(nn.ModuleList):
    """The expanding half, fed by one encoder or by several whose skips are joined.

    Args:
        width: channels of the first level.
        encoders: number of encoders.
        gated: whether attention weighs the skips.
        last_concat: end with the last concatenation, of (1 + encoders) `width` channels, instead of convolving it.
    """

    def __init__(self, width: int, encoders: int = 1, gated: bool = False, last_concat: bool = False) -> None:
        inputs = [encoders * width * 2 ** (LEVELS - 1)] + [width * 2**level for level in range(LEVELS - 2, 0, -1)]
        super().__init__(
            DecoderLevel(channels, width * 2**level, encoders, gated, fuse=level > 0 or not last_concat)
            for channels, level in zip(inputs, range(LEVELS - 2, -1, -1), strict=True)
        )
        self.out_channels = width * (1 + encoders) if last_concat else width

    def forward(self, features: list[list[Tensor]]) -> Tensor:
        """Map the five maps of each encoder to (B, out_channels, H, W)."""
        x = torch.cat([levels[-1] for levels in features], 1)
        for i, level in enumerate(self):
            x = level(x, [levels[-2 - i] for levels in features])
        return x


class UNet(nn.Module):
    """Three views fused by one U-Net without attention (Table IV, v2).

    ASSUME: the paper says no more than "Unet". The plain one sees the views as one image of three times the channels.
    With `late`, it sees one view after the other, and what it makes of the three is concatenated, for the paper's
    remark that v2 does "the direct concatenation of features at the end" (V-D).

    Args:
        in_channels: channels of a view: 4 for colour and mask, 3 for colour.
        width: channels of the first level.
        last_concat: hand on the last concatenation (2 `width` channels), as in `TriUNet`.
        late: fuse at the end instead of at the beginning.
    """

    def __init__(self, in_channels: int = 4, width: int = 64, last_concat: bool = False, late: bool = False) -> None:
        super().__init__()
        self.in_channels, self.late = in_channels, late
        self.encoder = Encoder(in_channels if late else len(VIEWS) * in_channels, width)
        self.decoder = Decoder(width, last_concat=last_concat)
        self.out_channels = self.decoder.out_channels * (len(VIEWS) if late else 1)

    def forward(self, views: Tensor) -> Tensor:
        """Fuse the views.

        Args:
            views: (B, 3, in_channels, H, W), left, front, right; any size.
        Returns:
            (B, out_channels, H, W).
        """
        images = views.flatten(0, 1) if self.late else views.flatten(1, 2)
        out = self.decoder([self.encoder(images)])
        return out.unflatten(0, views.shape[:2]).flatten(1, 2) if self.late else out
