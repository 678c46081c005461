"""Aligned samples with their masks, as the networks see them.

B samples, V = 3 views in the order left, front, right, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError
from dfmvr.files import open_npy, read_npz


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


def sample_names(aligned: Path | str, split: str) -> np.ndarray:
    """Names of the aligned samples of one split, in the order of `AlignedSamples`.

    Raises:
        DataError: samples.npz is missing or unreadable.
    """
    table = read_npz(Path(aligned) / "samples.npz", "sample", "split", others=False)
    return table["sample"][table["split"] == split]


class AlignedSamples:
    """The samples of one split of an aligned data set with their masks; images stay on disk until asked for."""

    def __init__(self, aligned: Path | str, parsed: Path | str, split: str) -> None:
        """Open the outputs of the stages align and parse.

        Args:
            aligned: folder with images.npy and samples.npz.
            parsed: folder with masks.npy and weights.npy of the same samples.
            split: `train` or `test`.

        Raises:
            DataError: a file is missing or unreadable, the folders disagree, or the split is empty.
        """
        aligned, parsed = Path(aligned), Path(parsed)
        self._images = open_npy(aligned / "images.npy", "dfmvr align")
        self._masks = open_npy(parsed / "masks.npy", "dfmvr parse")
        self._weights = open_npy(parsed / "weights.npy", "dfmvr parse")
        table = read_npz(aligned / "samples.npz", "landmarks", "landmarks_3d", "sample", "split")
        for name, array in (("masks", self._masks), ("weights", self._weights)):
            if array.shape != self._images.shape[:-1]:
                raise DataError(
                    f"{parsed / name}.npy: expected {self._images.shape[:-1]} as in {aligned / 'images.npy'}, "
                    f"found {array.shape}; run parse again"
                )
        self.rows = np.flatnonzero(table["split"] == split)
        if not len(self.rows):
            raise DataError(f"{aligned}: no sample of the split '{split}'; check the split files of the data set")
        self.names = table["sample"][self.rows]
        self._landmarks = table["landmarks"][self.rows]
        self._landmarks_3d = table["landmarks_3d"][self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def image_size(self) -> int:
        """Width and height of the crops in pixels."""
        return self._images.shape[2]

    def batch(self, indices: np.ndarray) -> Batch:
        """Read the samples at `indices` (B,) of this split, unaugmented."""
        rows = self.rows[indices]
        images = torch.from_numpy(self._images[rows]).permute(0, 1, 4, 2, 3).float().div_(255)
        return Batch(
            images,
            torch.from_numpy(self._masks[rows]).long(),
            torch.from_numpy(self._weights[rows]).float(),
            torch.from_numpy(self._landmarks[indices]).float(),
            torch.from_numpy(self._landmarks_3d[indices]).float(),
            torch.ones(len(indices), len(VIEWS), dtype=torch.bool),
        )
