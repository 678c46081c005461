"""RedNet: ResNet with involutions in the place of its 3x3 convolutions.

Source: Li et al. 2021, "Involution: Inverting the Inherence of Convolution for Visual Recognition".
"""

from __future__ import annotations

from torch import nn

from dfmvr.errors import ConfigError
from dfmvr.networks.involution import GROUP_CHANNELS, Involution
from dfmvr.networks.layers import ConvBN
from dfmvr.networks.residual import ResidualNet


class RedNet(ResidualNet):
    """RedNet without its classifier.

    13,509,374 parameters with 64 input channels, depth 50 and width 64 (13,564,670 with the released code's 256).

    Args:
        in_channels: channels of the input.
        depth, width, stem_pool, fine: see `ResidualNet`.
    """

    def __init__(
        self, in_channels: int, depth: int = 50, width: int = 64, stem_pool: bool = True, fine: int = 0
    ) -> None:
        if width < GROUP_CHANNELS or width % GROUP_CHANNELS:
            raise ConfigError(f"backbone: expected a width divisible by {GROUP_CHANNELS}, found {width}")
        # The stem's own width is half of the net's but has to hold a whole group of channels.
        half = max(width // 2 // GROUP_CHANNELS, 1) * GROUP_CHANNELS
        stem = [
            ConvBN(in_channels, half, 3, stride=2),
            Involution(half, 3),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            ConvBN(half, width, 3),
        ]
        super().__init__(stem, depth, width, stem_pool, fine, lambda channels, stride: Involution(channels, 7, stride))
