"""ResNet, the backbone that RedNet is compared with (Table IV, v3).

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", with the stride in the 3x3 convolution, as the
usual implementations have it.
"""

from __future__ import annotations

from torch import nn

from dfmvr.networks.residual import ResidualNet


class ResNet(ResidualNet):
    """ResNet without its classifier: 23,508,032 parameters with 3 input channels, depth 50 and width 64.

    ASSUME: in DF-MVR from scratch, like RedNet; no ImageNet weights exist for a stem of 64 or 256 input channels.

    Args:
        in_channels: channels of the input.
        depth, width, stem_pool, fine: see `ResidualNet`.
    """

    def __init__(
        self, in_channels: int, depth: int = 50, width: int = 64, stem_pool: bool = True, fine: int = 0
    ) -> None:
        stem = [
            nn.Conv2d(in_channels, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        super().__init__(
            stem,
            depth,
            width,
            stem_pool,
            fine,
            lambda channels, stride: nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
        )
