"""The photographs the parser learns from, read from CelebAMask-HQ and turned into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from dfmvr.datasets import celebamask_hq
from dfmvr.errors import DataError
from dfmvr.parse import augment

_CACHE_BYTES = 2 << 30
"""Decoded photographs kept in memory, at the most; those beyond are read again when needed."""


Batch = tuple[Tensor, Tensor, dict[int, str]]
"""Images (N, 3, S, S) float in [0, 1], masks (N, S, S) int64, and why items were left out: id to reason."""


class Photos(Dataset):
    """Crops of the items of one split; an item is addressed by its epoch and its place in the list.

    What an address gives depends on nothing but the seed, so neither the order nor the number of workers matters.
    """

    def __init__(
        self, items: Sequence[celebamask_hq.Item], size: int, seed: int, varied: bool, swap_sides: bool = False
    ) -> None:
        self.items, self.size, self.seed, self.varied, self.swap_sides = items, size, seed, varied, swap_sides
        self._cache: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._room = _CACHE_BYTES

    def __len__(self) -> int:
        return len(self.items)

    def photo(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """An item's photograph (2S, 2S, 3) and mask (2S, 2S), uint8. DataError if it cannot be read."""
        if index in self._cache:
            return self._cache[index]
        # Twice the size of a crop, which shows nearly the whole picture, is all that a crop can use.
        item, size = self.items[index], 2 * self.size
        photo = celebamask_hq.read_image(item, size), celebamask_hq.read_mask(item, size, self.swap_sides)
        self._room -= photo[0].nbytes + photo[1].nbytes
        if self._room >= 0:
            self._cache[index] = photo
        return photo

    def crop(self, index: int, epoch: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """A crop (S, S, 3) and its mask (S, S), uint8, varied at random by (seed, epoch, index) or just framed."""
        image, mask = self.photo(index)
        if not self.varied:
            return augment.cut(image, mask, augment.aligned_framing(mask), self.size)
        return augment.augment(image, mask, self.size, np.random.default_rng([self.seed, epoch, index]))

    def __getitem__(self, address: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | tuple[int, str]:
        epoch, index = address
        try:
            return self.crop(index, epoch)
        except DataError as error:
            return self.items[index].id, str(error)


class Order(Sampler[list[tuple[int, int]]]):
    """The addresses of steps [start, stop): a new order each epoch, incomplete batches left out."""

    def __init__(self, count: int, batch: int, seed: int, start: int, stop: int) -> None:
        self.count, self.batch, self.seed, self.start, self.stop = count, min(batch, count), seed, start, stop

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.stop):
            epoch, place = divmod(step, self.count // self.batch)
            order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
            yield [(epoch, int(i)) for i in order[place * self.batch : (place + 1) * self.batch]]


def collate(found: list) -> Batch:
    """Stack what could be read; name what could not."""
    whole = [pair for pair in found if isinstance(pair[1], np.ndarray)]
    broken = {pair[0]: pair[1] for pair in found if isinstance(pair[1], str)}
    if not whole:
        return torch.zeros(0, 3, 1, 1), torch.zeros(0, 1, 1, dtype=torch.int64), broken
    images = torch.from_numpy(np.stack([image for image, _ in whole])).permute(0, 3, 1, 2).contiguous()
    masks = torch.from_numpy(np.stack([mask for _, mask in whole])).long()
    return images.float() / 255, masks, broken


def batches(photos: Photos, order: Sampler, workers: int = 0) -> DataLoader:
    """Read the batches of `order`, in that order, with `workers` processes (0: in this one)."""
    return DataLoader(
        photos, batch_sampler=order, num_workers=workers, collate_fn=collate, persistent_workers=workers > 0
    )
