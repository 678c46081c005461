"""Tri-UNet, the deep fusion of three views (paper III-C, Fig. 3): three encoders, one decoder, attended skips."""

from __future__ import annotations

from torch import Tensor, nn

from dfmvr.conventions import VIEWS
from dfmvr.networks.unet import Decoder, Encoder


class TriUNet(nn.Module):
    """Fuse three views into one feature map of the images' size.

    80,263,236 parameters at width 64 with four input channels. The released code uses 80,078,532 of them: it builds the
    last double convolution (184,704) but bypasses it, handing on its 256-channel input.

    Args:
        in_channels: channels of a view: 4 for colour and mask, 3 for colour.
        width: channels of the first level and of the output; the paper has 64.
        last_concat: hand on the 4 `width` channels of the last concatenation instead of convolving them to `width`.
            Paper: the text says 224 x 224 x 64 (III-C); the released code hands on 256.
    """

    def __init__(self, in_channels: int = 4, width: int = 64, last_concat: bool = False) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.encoders = nn.ModuleList(Encoder(in_channels, width) for _ in VIEWS)
        self.decoder = Decoder(width, len(VIEWS), gated=True, last_concat=last_concat)
        self.out_channels = self.decoder.out_channels

    def forward(self, views: Tensor) -> Tensor:
        """Fuse the views.

        Args:
            views: (B, 3, in_channels, H, W), left, front, right; any size.
        Returns:
            (B, out_channels, H, W).
        """
        return self.decoder([encoder(view) for encoder, view in zip(self.encoders, views.unbind(1), strict=True)])
