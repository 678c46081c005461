"""The batch of every step of a training: drawn, augmented, the same for a seed whatever came before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dfmvr.conventions import VIEWS
from dfmvr.train.augment import mirror, move, vary_colours
from dfmvr.train.samples import AlignedSamples, Batch

if TYPE_CHECKING:
    from dfmvr.config.training import TrainSection


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
    if settings.augment:
        generator = generator_of(seed, step)
        images = vary(batch.images, generator)
        if images is None:
            batch = mirror(batch, torch.rand(count, generator=generator) < 0.5, mirrored_101)
            images = vary_colours(batch.images, generator)
        batch = batch._replace(images=images)
    return move(batch, settings.placement, generator_of(seed, step, 2)) if settings.placement else batch
