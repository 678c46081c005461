"""Batches of aligned samples: read, augmented, the same for a seed whatever came before.

B samples, V = 3 views in the order left, front, right, S pixels a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dfmvr.conventions import MIRRORED_68, MIRRORED_CLASS, VIEWS
from dfmvr.errors import DataError
from dfmvr.files import open_npy, read_npz

GREY = (0.299, 0.587, 0.114)
"""Luma weights, ITU-R BT.601."""


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
    table = read_npz(Path(aligned) / "samples.npz", "sample", "split")
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
        table = read_npz(aligned / "samples.npz", "landmarks", "landmarks_3d", "sample", "subject", "split")
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
        self.subjects = table["subject"][self.rows]
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


def mirror(batch: Batch, which: Tensor, mirrored_101: Tensor) -> Batch:
    """Exchange the samples of `which` (B,) bool by their mirror images.

    The left view becomes the right one, left features become right ones, and 3D x changes its sign.
    ASSUME: a mirrored face is as likely a face as the original.

    Args:
        mirrored_101: (101,) index of each 3D landmark's mirror image.
    """
    if not which.any():
        return batch
    size = batch.images.shape[-1]
    classes = torch.tensor(MIRRORED_CLASS)
    landmarks = batch.landmarks[which].flip(1)[:, :, torch.tensor(MIRRORED_68)]
    landmarks = torch.stack((size - landmarks[..., 0], landmarks[..., 1]), -1)
    points = batch.landmarks_3d[which][:, mirrored_101] * torch.tensor([-1.0, 1.0, 1.0])
    changed = (
        batch.images[which].flip(1, -1),
        classes[batch.masks[which].flip(1, -1)],
        batch.weights[which].flip(1, -1),
        landmarks,
        points,
        batch.seen[which].flip(1),
    )
    result = Batch(*(tensor.clone() for tensor in batch))
    for tensor, values in zip(result, changed, strict=True):
        tensor[which] = values
    return result


def vary_colours(images: Tensor, generator: torch.Generator) -> Tensor:
    """Vary brightness, contrast, saturation, tint and sharpness of each sample, the same for its three views.

    Code: the released code varies otherwise and more (`vary_as_released`); ours varies less, since the photographs are
    varied already.

    Args:
        images: (B, V, 3, S, S) RGB in [0, 1].
    """
    count = len(images)

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        values = torch.rand((count, 1, channels, 1, 1), generator=generator)
        return (low + (high - low) * values).to(images)

    grey_weights = images.new_tensor(GREY)[:, None, None]
    result = images * uniform(0.7, 1.3) * uniform(0.9, 1.1, 3)
    mean = (result * grey_weights).sum(2, keepdim=True).mean((1, 3, 4), keepdim=True)
    result = mean + (result - mean) * uniform(0.7, 1.3)
    grey = (result * grey_weights).sum(2, keepdim=True)
    result = grey + (result - grey) * uniform(0.6, 1.4)
    smooth = torch.nn.functional.avg_pool2d(result.flatten(0, 2), 3, 1, 1, count_include_pad=False).view_as(result)
    result = smooth + (result - smooth) * uniform(0.2, 1.5)
    noise = torch.randn(result.shape, generator=generator).to(images)
    return (result + noise * uniform(0.0, 0.02)).clamp(0, 1)


def epoch_order(samples: int, seed: int, epoch: int) -> np.ndarray:
    """Order (samples,) in which an epoch visits the samples; depends on nothing but its arguments."""
    return np.random.default_rng([seed, epoch]).permutation(samples)


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Steps of an epoch; the last, smaller batch is left out unless it is the only one."""
    return max(1, samples // batch_size)


def draw_single_views(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Choose what the network sees of each sample (V-C): all three views or, with probability `share`, one alone.

    Returns:
        (count, 3) bool; each view alone is as likely as the others.
    """
    seen = torch.ones(count, len(VIEWS), dtype=torch.bool)
    single = torch.rand(count, generator=generator) < share
    view = torch.randint(len(VIEWS), (count,), generator=generator)
    seen[single] = torch.nn.functional.one_hot(view[single], len(VIEWS)).bool()
    return seen


def training_batch(
    samples: AlignedSamples,
    step: int,
    batch_size: int,
    seed: int,
    mirrored_101: Tensor | None,
    single_view_share: float = 0.0,
    vary: Callable[[Tensor, torch.Generator], Tensor] | None = None,
) -> Batch:
    """The batch of one global step, augmented unless `mirrored_101` is None.

    Samples are mirrored by chance and their colours varied; `vary`, where given, varies the images instead of both.
    It depends on the step and the seed alone, so a resumed run sees what an uninterrupted one would have seen.
    """
    epoch, within = divmod(step, steps_per_epoch(len(samples), batch_size))
    chosen = epoch_order(len(samples), seed, epoch)[within * batch_size : (within + 1) * batch_size]
    batch = samples.batch(chosen)
    if single_view_share:
        drawn = torch.Generator().manual_seed((seed * 1_000_003 + step + 2**40) % 2**63)
        batch = batch._replace(seen=draw_single_views(len(chosen), single_view_share, drawn))
    if mirrored_101 is None:
        return batch
    generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
    if vary is not None:
        return batch._replace(images=vary(batch.images, generator))
    batch = mirror(batch, torch.rand(len(chosen), generator=generator) < 0.5, mirrored_101)
    return batch._replace(images=vary_colours(batch.images, generator))


def cosine_rate(step: int, steps: int) -> float:
    """Factor of the learning rate at `step` of `steps`: from 1 to 0 by half a cosine (Loshchilov & Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))


def annealed_rate(step: int, steps: int, flat_share: float = 0.0, final_rate: float = 0.0) -> float:
    """Factor of the learning rate at `step` of `steps`: 1 for `flat_share` of them, then by half a cosine to the last.

    With the defaults, `cosine_rate`.
    """
    flat = round(flat_share * steps)
    return 1.0 if step < flat else final_rate + (1 - final_rate) * cosine_rate(step - flat, max(1, steps - flat))
