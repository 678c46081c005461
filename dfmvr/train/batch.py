"""A batch of training samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """What one training step needs."""

    images: Tensor  # (B, 3, 3, S, S) RGB in [0, 1]
    masks: Tensor  # (B, 3, S, S) class ids, int64
    weights: Tensor  # (B, 3, S, S) weight map of the photo loss, 0..255
    landmarks: Tensor  # (B, 3, 68, 2) pixels
    landmarks_3d: Tensor  # (B, 101, 3) mm, NaN where a sample has none
    seen: Tensor  # (B, 3) bool, whether the network sees a view; a view that it does not is black to it

    def to(self, device: torch.device) -> Batch:
        """Copy to a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))

    def pieces(self, count: int, share: Callable[[Tensor], Tensor]) -> list[Batch]:
        """Cut this process's `share` of the rows into `count` pieces."""
        cut = (share(tensor).tensor_split(count) for tensor in self)
        return [Batch(*tensors) for tensors in zip(*cut, strict=True)]
