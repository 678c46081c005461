"""What RedNet and ResNet share: stages of bottlenecks, each with a layer of its own kind that looks around."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfmvr.errors import ConfigError
from dfmvr.networks.involution import Involution
from dfmvr.networks.layers import ConvBN, initialise_convolutions, shortcut

FINER = 4
"""How many times as fine as the last map that of the second stage is."""

BLOCKS = {14: (1, 1, 1, 1), 26: (1, 2, 4, 1), 38: (2, 3, 5, 2), 50: (3, 4, 6, 3)}
EXPANSION = 4


class Bottleneck(nn.Module):
    """Residual block: 1x1 convolution, a layer that looks around, 1x1 convolution to 4 times the channels.

    Args:
        spatial: the layer in the middle, from `channels` to as many; strides if the block does.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, spatial: nn.Module) -> None:
        super().__init__()
        out_channels = EXPANSION * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = spatial
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        nn.init.zeros_(self.bn3.weight)  # a fresh block is its shortcut: deep nets then start as shallow ones
        self.downsample = shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, 4 channels, ceil(H / stride), ceil(W / stride))."""
        kept = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu_()  # in place: no gradient needs what is overwritten
        x = self.bn2(self.conv2(x)).relu_()
        return self.bn3(self.conv3(x)).add_(kept).relu_()


class ResidualNet(nn.Module):
    """A stem and four stages of bottlenecks, without a classifier.

    Args:
        stem: halves the images, and halves them again if `stem_pool`; `width` channels come out.
        depth: 14, 26, 38 or 50; 14, one block a stage, is ours, for CPUs.
        width: channels after the stem and in the bottlenecks of the first stage; 64 is the original. Stages double it.
        stem_pool: whether the stem ends with a max pooling, as in the original. Without it all maps are twice as large:
            at 64 px the last one then has 4 x 4 places instead of 2 x 2 (at 224 px the original's has 7 x 7).
        fine: hand on so many channels of the second stage too, each 4 x 4 of its places as 16 channels of one place.
            ASSUME: within its 4 x 4 places, the last map tells where something lies by its channels alone, which long
            trainings learn; from histograms of gradients on so coarse a grid, least squares find a third of what they
            find on one four times as fine (docs/limits.md).
        spatial: makes the layer that looks around, from channels and stride.
    """

    def __init__(
        self,
        stem: list[nn.Module],
        depth: int,
        width: int,
        stem_pool: bool,
        fine: int,
        spatial: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ConfigError(f"backbone: expected depth {', '.join(map(str, BLOCKS))}, found {depth}")
        self.stem = nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1) if stem_pool else nn.Identity())
        stages, channels = [], width
        for stage, blocks in enumerate(BLOCKS[depth]):
            mid = width * 2**stage
            strides = [1 if stage == 0 else 2] + [1] * (blocks - 1)
            layers = []
            for stride in strides:
                layers.append(Bottleneck(channels, mid, stride, spatial(mid, stride)))
                channels = EXPANSION * mid
            stages.append(nn.Sequential(*layers))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fine = ConvBN(EXPANSION * 2 * width, fine, 1) if fine else None
        self.out_channels, self.stride = channels + fine * FINER**2, 32 if stem_pool else 16
        initialise_convolutions(self, "fan_out")

    def start_quickly(self) -> None:
        """Set the weights for a short training: involutions begin as identities, and every block takes some part.

        ASSUME: 0.2 of a block's branch. The original begins with none of it (its last normalisation is 0), which takes
        Adam hundreds of steps to grow: fine for hundreds of epochs, not for a dozen.
        """
        for module in self.modules():
            if isinstance(module, Involution):
                module.start_as_identity()
            if isinstance(module, Bottleneck):
                nn.init.constant_(module.bn3.weight, 0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to features (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        return self.after_first(self.layer1(self.stem(x)))

    def after_first(self, first: Tensor) -> Tensor:
        """Map what the first stage gives to what the network gives."""
        second = self.layer2(first)
        last = self.layer4(self.layer3(second))
        if self.fine is None:
            return last
        (height, width), (h, w) = second.shape[-2:], last.shape[-2:]
        fine = F.pad(self.fine(second), (0, FINER * w - width, 0, FINER * h - height))
        return torch.cat((last, F.pixel_unshuffle(fine, FINER)), 1)
