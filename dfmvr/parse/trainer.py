"""How the face parse net learns: its loss, its learning rate, its epochs, stopped and resumed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from dfmvr.config.training import ParseSection
from dfmvr.conventions import CLASSES
from dfmvr.datasets import celebamask_hq
from dfmvr.errors import DataError
from dfmvr.networks.training import Checkpoints, fingerprint
from dfmvr.parse import metrics
from dfmvr.parse.facexlib import load_facexlib
from dfmvr.parse.parser import ParseNet, ParserSpec, predict
from dfmvr.parse.photos import Order, Photos, batches

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises from 0."""

POLY_POWER = 0.9

CLASS_SHARES = (0.56, 0.38, 0.006, 0.006, 0.004, 0.004, 0.028, 0.004, 0.006, 0.008)
"""Rough share of the pixels of an aligned crop that each class has."""


def class_weights(exponent: float) -> Tensor:
    """Weight of each class in the loss, (10,): its share to the power of -exponent, 1 on the average of all pixels.

    ASSUME: the paper and BiSeNet's public code weigh all pixels alike (0). In a training of a minute, not of a day, the
    small parts of the face, 1 % of the pixels, are then not learnt at all; with an exponent of 0.7 they grow fat.
    """
    shares = torch.tensor(CLASS_SHARES)
    weights = shares.pow(-exponent)
    return weights / (weights * shares).sum()


def make_optimiser(settings: ParseSection, network: torch.nn.Module) -> torch.optim.Optimizer:
    """What moves the weights.

    Paper: silent on it. SGD is that of BiSeNet's public code, momentum 0.9 and decay 5e-4, but for the tenfold rate of
    its heads. AdamW needs fewer steps. At width 64, 240 steps of 8 images of 64 px of the stand-in gave a mean IoU of
    0.49 by AdamW at 1e-3, 0.41 at 1e-2, and 0.17 by SGD at 1e-2 with all classes alike (`dfmvr parse pretrain
    --image-size 64 --data results/simulate/celebamask_hq --weights p.safetensors --set parse.width=64 --set
    parse.epochs=4`, with the keys `optimiser`, `learning_rate` and `class_exponent`).
    """
    if settings.optimiser == "sgd":
        return torch.optim.SGD(network.parameters(), lr=settings.learning_rate, momentum=0.9, weight_decay=5e-4)
    return torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.01)


def hard_cross_entropy(
    logits: Tensor, masks: Tensor, weights: Tensor | None = None, threshold: float = 0.7, fewest: int = 16
) -> Tensor:
    """Mean cross-entropy of the hard pixels: those whose true class gets a probability below `threshold`.

    Args:
        logits: (N, C, H, W).
        masks: (N, H, W) int64 class ids.
        weights: (C,) of the classes in the mean; None weighs all alike.
        threshold: probability in (0, 1).
        fewest: at least one pixel in so many is used, the hardest ones.
    Returns:
        Scalar.
    Source: online hard example mining of BiSeNet's public training code (0.7, 1/16).
    """
    loss = F.cross_entropy(logits, masks, reduction="none").flatten()
    weight = torch.ones_like(loss) if weights is None else weights[masks.flatten()]
    hard = loss.detach() > -np.log(threshold)
    least = max(1, len(loss) // fewest)
    if int(hard.sum()) < least:
        hard = loss.detach().topk(least).indices
    return (weight[hard] * loss[hard]).sum() / weight[hard].sum()


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Learning rate of a step: a linear rise, then the polynomial decay of BiSeNet."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (1 - (step - warm) / max(1, steps - warm)) ** POLY_POWER


def new_parser(settings: ParseSection, image_size: int) -> ParseNet:
    """A parser to be trained: random weights drawn from the seed, or facexlib's."""
    if settings.facexlib_weights is not None:
        return load_facexlib(settings.facexlib_weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return ParseNet(ParserSpec(image_size, settings.width, settings.output_stride))


def evaluate(parser: ParseNet, photos: Photos, black: bool = False, batch: int = 32) -> tuple[dict, dict[int, str]]:
    """IoU of a parser on held-out crops.

    Args:
        parser: the network; its mode is kept.
        photos: unvaried crops.
        black: paint the background black, as it is in renderings.
        batch: crops at a time.
    Returns:
        `metrics.summary` of all pixels, and id to reason of unreadable items.
    """
    training = parser.training
    parser.eval()
    counts = np.zeros((len(CLASSES),) * 2, np.int64)
    broken: dict[int, str] = {}
    for start in range(0, len(photos), batch):
        found = [photos[0, i] for i in range(start, min(start + batch, len(photos)))]
        broken |= {pair[0]: pair[1] for pair in found if isinstance(pair[1], str)}
        whole = [pair for pair in found if isinstance(pair[1], np.ndarray)]
        if whole:
            images, masks = (np.stack(part) for part in zip(*whole, strict=True))
            images = images * (masks > 0)[..., None] if black else images
            counts += metrics.confusion(masks, predict(parser, images))
    parser.train(training)
    return metrics.summary(counts), broken


def run_fingerprint(settings: ParseSection, image_size: int, photos: Photos) -> str:
    """What a checkpoint belongs to: the settings, and names, sizes and times of the training images and masks."""
    stats = [
        (item.id, *(_stamp(path) for path in (item.image, *map(item.mask_file, celebamask_hq.PARTS))))
        for item in photos.items
    ]
    about = {"settings": settings.model_dump(mode="json", exclude={"checkpoint_minutes"}), "image_size": image_size}
    return fingerprint(about | {"images": stats, "swap_sides": photos.swap_sides})


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (-1, -1)
    return stat.st_size, stat.st_mtime_ns


class Trainer:
    """Trains a parser; stopped at any step and started again, it gives the same weights as in one go.

    Args:
        settings: the section `parse`.
        image_size: side of the crops in pixels.
        train, validation: photographs; those for training are varied.
        checkpoint: file that keeps the state between runs.
        device: where the network runs.
    """

    def __init__(
        self,
        settings: ParseSection,
        train: Photos,
        validation: Photos,
        checkpoint: Path,
        device: str = "cpu",
    ) -> None:
        self.settings, self.train_photos, self.validation = settings, train, validation
        self.parser = new_parser(settings, train.size).to(device).train()
        self.optimiser = make_optimiser(settings, self.parser)
        self.checkpoints = Checkpoints(checkpoint, run_fingerprint(settings, train.size, train))
        self._saved = time.monotonic()
        state = self.checkpoints.restore(self.parser.network, self.optimiser)
        self.step = state.get("step", 0)
        self.losses, self.history = state.get("losses", []), state.get("history", [])
        self.set_aside: dict[int, str] = state.get("set_aside", {})

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        more = {"losses": self.losses, "history": self.history, "set_aside": self.set_aside}
        self.checkpoints.save(self.step, self.parser.network, self.optimiser, **more)
        self._saved = time.monotonic()

    def update(self, images: Tensor, masks: Tensor, rate: float) -> float:
        """Take one step on images (N, 3, S, S) and masks (N, S, S); the loss before it."""
        device = next(self.parser.parameters()).device
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        weights, masks = class_weights(self.settings.class_exponent).to(device), masks.to(device)
        heads = self.parser.heads(images.to(device))
        loss = torch.stack([hard_cross_entropy(head, masks, weights) for head in heads]).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def train(self, workers: int = 0, until: int | None = None) -> None:
        """Train to the end, or up to step `until`; a checkpoint is written every `checkpoint_minutes`.

        Raises:
            DataError: not a single training image could be read.
        """
        s, count = self.settings, len(self.train_photos)
        per_epoch = count // min(s.batch_size, count)
        total = per_epoch * s.epochs
        order = Order(count, s.batch_size, s.seed, self.step, total if until is None else min(until, total))
        bar = tqdm(total=total, initial=self.step, desc="pretrain parser", unit="step", disable=None)
        for images, masks, broken in batches(self.train_photos, order, workers):
            self.set_aside |= broken
            if len(images) > 1:  # batch normalisation needs two
                self.losses.append(self.update(images, masks, learning_rate(self.step, total, s.learning_rate)))
            self.step += 1
            bar.update()
            if self.step % per_epoch == 0:
                self._end_epoch(self.step // per_epoch)
                bar.set_postfix(loss=self.history[-1]["loss"], miou=self.history[-1]["validation_mean_iou"])
            if time.monotonic() - self._saved > 60 * s.checkpoint_minutes:
                self.save()
        bar.close()
        self.save()

    def _end_epoch(self, epoch: int) -> None:
        if not self.losses:
            reason = next(iter(self.set_aside.values()), "fewer than two images a batch")
            raise DataError(f"not one batch of training images could be read: {reason}")
        found, broken = evaluate(self.parser, self.validation)
        self.set_aside |= broken
        entry = {"epoch": epoch, "loss": float(np.mean(self.losses)), "validation_mean_iou": found["mean_iou"]}
        self.history.append(entry)
        self.losses = []
