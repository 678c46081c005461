"""The fusion that Tri-UNet is compared with: a plain CNN on every view (Table IV, v1)."""

from __future__ import annotations

from torch import Tensor, nn

from dfmvr.conventions import VIEWS
from dfmvr.networks.unet import DoubleConv


class CNNFusion(nn.Sequential):
    """One CNN for all views, its features of the three concatenated.

    ASSUME: the paper says no more than "traditional CNN". Earlier methods have "shared weights or one backbone" and
    "simply concatenate multi-view image features" (I, III-C), so this one does; it keeps the images' size, since the
    backbone's stem and stages expect it. It is as deep as makes it cost what Tri-UNet costs, within 5 % at any width
    of 8 and more, so that the comparison is of ideas and not of effort; its weights, shared by all pixels of one size
    where a U-Net's lie in its small maps, are a hundredth of Tri-UNet's.

    Args:
        in_channels: channels of a view: 4 for colour and mask, 3 for colour.
        width: channels of a view's features.
        last_concat: whether the Tri-UNet of equal cost hands on its last concatenation, one convolution less.
    """

    def __init__(self, in_channels: int = 4, width: int = 64, last_concat: bool = False) -> None:
        blocks = 7 if last_concat else 8
        super().__init__(DoubleConv(in_channels, width), *(DoubleConv(width, width) for _ in range(blocks - 1)))
        self.in_channels, self.out_channels = in_channels, len(VIEWS) * width

    def forward(self, views: Tensor) -> Tensor:
        """Concatenate the views' features.

        Args:
            views: (B, 3, in_channels, H, W), left, front, right; any size.
        Returns:
            (B, 3 width, H, W).
        """
        return super().forward(views.flatten(0, 1)).unflatten(0, views.shape[:2]).flatten(1, 2)
