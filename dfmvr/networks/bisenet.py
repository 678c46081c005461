"""The face parse net (paper III-B): BiSeNet with a ResNet-18 context path and no spatial path.

Modules are named as in the widespread face-parsing implementation, so that its weights (facexlib's
`parsing_bisenet.pth`, 19 classes) and the authors' own (10 classes) load at width 64 with nothing renamed.
Source: Yu et al. 2018, "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation".
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfmvr.conventions import CLASSES
from dfmvr.errors import ConfigError, DataError
from dfmvr.networks.imagenet import MEAN as IMAGENET_MEAN
from dfmvr.networks.imagenet import STD as IMAGENET_STD
from dfmvr.networks.layers import ConvBN, at_least_single, initialise_convolutions, shortcut

SMALLEST_IMAGE_PX = 32


class ParserLogits(NamedTuple):
    """What the parser gives in training mode: the answer and two auxiliary ones, all (N, n_classes, H, W)."""

    main: Tensor
    auxiliary_8: Tensor  # from the features at 1/8 of the image
    auxiliary_16: Tensor  # from the features at 1/16 of the image


class BasicBlock(nn.Module):
    """The residual block of ResNet-18: two 3x3 convolutions."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        kept = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(kept + self.bn2(self.conv2(x)))


class ResNet18(nn.Module):
    """The trunk of the context path: features at 1/8, 1/16 and 1/32 of the image (see BiSeNet, `output_stride`)."""

    def __init__(self, width: int, output_stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 1 if output_stride == 2 else 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if output_stride == 8 else nn.Identity()
        self.layer1 = self._stage(width, width, 1)
        self.layer2 = self._stage(width, 2 * width, 2)
        self.layer3 = self._stage(2 * width, 4 * width, 2)
        self.layer4 = self._stage(4 * width, 8 * width, 2)

    @staticmethod
    def _stage(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
        return nn.Sequential(BasicBlock(in_channels, out_channels, stride), BasicBlock(out_channels, out_channels, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map images (N, 3, H, W) to features of 2, 4 and 8 times `width` channels, each half the size of the last."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        features_8 = self.layer2(self.layer1(x))
        features_16 = self.layer3(features_8)
        return features_8, features_16, self.layer4(features_16)


class AttentionRefinement(nn.Module):
    """Weigh the channels of a feature map by a global look at it."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvBN(in_channels, out_channels, 3)
        self.conv_atten = nn.Conv2d(out_channels, out_channels, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, h, w) to (N, out_channels, h, w)."""
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(F.adaptive_avg_pool2d(x, 1))))


class ContextPath(nn.Module):
    """Features with a wide view, brought back to 1/8 and 1/16 of the image."""

    def __init__(self, width: int, output_stride: int) -> None:
        super().__init__()
        self.resnet = ResNet18(width, output_stride)
        self.arm16 = AttentionRefinement(4 * width, 2 * width)
        self.arm32 = AttentionRefinement(8 * width, 2 * width)
        self.conv_head32 = ConvBN(2 * width, 2 * width, 3)
        self.conv_head16 = ConvBN(2 * width, 2 * width, 3)
        self.conv_avg = ConvBN(8 * width, 2 * width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map images (N, 3, H, W) to the trunk's features at 1/8, and context at 1/8 and 1/16, 2 `width` channels."""
        features_8, features_16, features_32 = self.resnet(x)
        mean = self.conv_avg(F.adaptive_avg_pool2d(features_32, 1))
        context_32 = F.interpolate(self.arm32(features_32) + mean, size=features_16.shape[-2:], mode="nearest")
        context_16 = self.conv_head32(context_32)
        merged_16 = self.arm16(features_16) + context_16
        context_8 = self.conv_head16(F.interpolate(merged_16, size=features_8.shape[-2:], mode="nearest"))
        return features_8, context_8, context_16


class FeatureFusion(nn.Module):
    """Join detail and context, then weigh the channels by a global look."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convblk = ConvBN(channels, channels, 1)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """Map two feature maps of `channels` together to one of `channels`."""
        x = self.convblk(torch.cat((detail, context), 1))
        attention = torch.sigmoid(self.conv2(F.relu(self.conv1(F.adaptive_avg_pool2d(x, 1)))))
        return x * attention + x


class OutputHead(nn.Module):
    """Features to class scores."""

    def __init__(self, in_channels: int, mid_channels: int, n_classes: int) -> None:
        super().__init__()
        self.conv = ConvBN(in_channels, mid_channels, 3)
        self.conv_out = nn.Conv2d(mid_channels, n_classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, h, w) to (N, n_classes, h, w)."""
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Face parser: images to a score for each class and pixel.

    Args:
        n_classes: 10 for this program's classes (`dfmvr.conventions.CLASSES`), 19 for facexlib's weights.
        width: channels of the first stage; 64 is the original.
        output_stride: pixels of the image to one cell of the grid in which classes are told apart: 8 is the original,
            4 leaves out the max pooling, 2 also the stem's stride. The weights have the same shapes.
            ASSUME: at 96 px an eye is 12 x 5 px, less than one cell of 8; small images want 4 or 2. Unlike enlarging
            the image by 2, this enlarges nothing before the first convolution, at the same resolution after it.
        mean, std: of the training images, per channel in [0, 1], subtracted and divided in `forward`. ImageNet's by
            default, as facexlib; the authors' weights want 0.5 and 0.5.
    """

    def __init__(
        self,
        n_classes: int = len(CLASSES),
        width: int = 64,
        output_stride: int = 8,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if output_stride not in (2, 4, 8):
            raise ConfigError(f"BiSeNet: expected output_stride 2, 4 or 8, found {output_stride}")
        if width < 1:
            raise ConfigError(f"BiSeNet: expected a width of 1 or more channels, found {width}")
        self.cp = ContextPath(width, output_stride)
        self.ffm = FeatureFusion(4 * width)
        self.conv_out = OutputHead(4 * width, 4 * width, n_classes)
        self.conv_out16 = OutputHead(2 * width, width, n_classes)
        self.conv_out32 = OutputHead(2 * width, width, n_classes)
        # Not persistent: the state dict holds what the published ones hold and nothing more.
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        initialise_convolutions(self, "fan_in")

    def forward(self, images: Tensor) -> Tensor | ParserLogits:
        """Score the classes of each pixel.

        Args:
            images: (N, 3, H, W) RGB in [0, 1], H and W at least 32.
        Returns:
            Logits (N, n_classes, H, W), float32 at the least; in training mode, two auxiliary ones beside them.
        Raises:
            DataError: images of another shape or smaller.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[-2:]) < SMALLEST_IMAGE_PX:
            raise DataError(
                f"BiSeNet: expected images (N, 3, H, W) of {SMALLEST_IMAGE_PX} px or more, "
                f"found {tuple(images.shape)}; enlarge them"
            )
        features_8, context_8, context_16 = self.cp((images - self.mean) / self.std)
        main = self._enlarge(self.conv_out(self.ffm(features_8, context_8)), images)
        if not self.training:
            return main
        return ParserLogits(
            main,
            self._enlarge(self.conv_out16(context_8), images),
            self._enlarge(self.conv_out32(context_16), images),
        )

    @staticmethod
    def _enlarge(logits: Tensor, images: Tensor) -> Tensor:
        """Bring scores to the size of the images; corners on corners, as the published weights were trained."""
        return F.interpolate(at_least_single(logits), size=images.shape[-2:], mode="bilinear", align_corners=True)
