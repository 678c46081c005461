"""The fusion that Tri-UNet is compared with: a plain CNN on every view (Table IV, v1)."""

from __future__ import annotations

from torch import Tensor, nn

from dfmvr.conventions import VIEWS
from dfmvr.networks.unet import DoubleConv


class CNNFusion(nn.Sequential):
    """One CNN for all views, its features of the three concatenated.

    ASSUME: the paper says no more than "traditional CNN". Earlier methods have "shared weights or one backbone" and
    "simply concatenate multi-view image features" (I, III-C), so this one does; it keeps the images' size, since the
    backbone's stem and stages expect it, and is as deep as the first two levels of an encoder.

    Args:
        in_channels: channels of a view: 4 for colour and mask, 3 for colour.
        width: channels of a view's features.
    """

    def __init__(self, in_channels: int = 4, width: int = 64) -> None:
        super().__init__(DoubleConv(in_channels, width), DoubleConv(width, width))
        self.in_channels, self.out_channels = in_channels, len(VIEWS) * width

    def forward(self, views: Tensor) -> Tensor:
        """Concatenate the views' features.

        Args:
            views: (B, 3, in_channels, H, W), left, front, right; any size.
        Returns:
            (B, 3 width, H, W).
        """
        return super().forward(views.flatten(0, 1)).unflatten(0, views.shape[:2]).flatten(1, 2)
