"""Batches of aligned samples: read, augmented, the same for a seed whatever came before.

B samples, V = 3 views in the order left, front, right, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError
from dfmvr.files import open_npy, read_npz
from dfmvr.train.augment import mirror, move, vary_colours
from dfmvr.train.batch import Batch

if TYPE_CHECKING:
    from dfmvr.config.training import TrainSection


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


def generator_of(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """Random numbers that depend on nothing but the seed, the step, and what they are for."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step + stream * 2**40) % 2**63)


def training_batch(
    samples: AlignedSamples,
    step: int,
    settings: TrainSection,
    mirrored_101: Tensor,
    vary: Callable[[Tensor, torch.Generator], Tensor | None] = lambda images, generator: None,
) -> Batch:
    """The batch of one global step, augmented as the settings say.

    It depends on the step and the settings alone, so a resumed run sees what an uninterrupted one would have seen.

    Args:
        mirrored_101: (101,) index of each 3D landmark's mirror image.
        vary: another variation of images, which may decline; else samples are mirrored by chance and their colours
            varied.
    """
    size, seed = settings.batch_size, settings.seed
    epoch, within = divmod(step, steps_per_epoch(len(samples), size))
    batch = samples.batch(epoch_order(len(samples), seed, epoch)[within * size : (within + 1) * size])
    count = len(batch.images)
    if settings.single_view_share:
        seen = draw_single_views(count, settings.single_view_share, generator_of(seed, step, 1))
        batch = batch._replace(seen=seen)
    if not settings.augment:
        return batch
    generator = generator_of(seed, step)
    images = vary(batch.images, generator)
    if images is None:
        batch = mirror(batch, torch.rand(count, generator=generator) < 0.5, mirrored_101)
        images = vary_colours(batch.images, generator)
    batch = batch._replace(images=images)
    return move(batch, settings.placement, generator_of(seed, step, 2)) if settings.placement else batch
