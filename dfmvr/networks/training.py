"""The training loop: Adam, cosine annealing, atomic checkpoints, exact resume.

A checkpoint holds the network, the optimiser and the number of steps done. Everything else (order, augmentation,
learning rate) is a function of the step and the seed, so a run that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dfmvr.errors import DataError
from dfmvr.files import sha256_of, writing
from dfmvr.networks.parallel import Team, accumulating

logger = logging.getLogger(__name__)

Terms = dict[str, Tensor]
_ALONE = Team()


def cosine_rate(step: int, steps: int) -> float:
    """Factor of the learning rate at `step` of `steps`: from 1 to 0 by half a cosine (Loshchilov & Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    steps: int
    steps_per_epoch: int
    learning_rate: float  # of the first step
    checkpoint_minutes: float
    names: tuple[str, ...]  # losses to note, `total` among them
    rate: Callable[[int, int], float] = cosine_rate  # of a step and the number of steps, a factor of the learning rate


class Checkpoints:
    """The newest state of a run in one file, written whole or not at all."""

    def __init__(self, path: Path | str, fingerprint: str, ended: str = "") -> None:
        """Name the file and the run.

        Args:
            fingerprint: of everything that fixes the run; a checkpoint of another one is not resumed.
            ended: the same of a run that has ended, where more must be the same for its network to be taken again than
                for a stopped run to go on, such as the code.
        """
        self.path, self.fingerprint, self.ended = Path(path), fingerprint, ended or fingerprint

    def save(self, step: int, network: nn.Module, optimiser: torch.optim.Optimizer | None, **more: Any) -> None:
        """Write the state after `step` steps, and what else the run must know to go on; no optimiser: it has ended."""
        states: dict[str, Any] = {"fingerprint": self.ended, "step": step, "network": network.state_dict()}
        if optimiser is not None:
            states |= {"fingerprint": self.fingerprint, "optimiser": optimiser.state_dict()}
        with writing(self.path) as partial:
            torch.save({**states, **more}, partial)

    def restore(self, network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        """Load the newest state, and give all that was saved; nothing where there is no checkpoint of this run."""
        if not self.path.exists():
            return {}
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file; all mean the same here
            logger.warning("%s: not a readable checkpoint (%s); starting anew", self.path, type(error).__name__)
            return {}
        if state.get("fingerprint") != (self.fingerprint if "optimiser" in state else self.ended):
            logger.info("%s: of other settings, data or code; starting anew", self.path)
            return {}
        network.load_state_dict(state["network"])
        if "optimiser" in state:
            optimiser.load_state_dict(state["optimiser"])
            logger.info("%s: going on from step %d", self.path, state["step"])
        else:
            logger.info("%s: the same training has ended, after %d steps; taking its network", self.path, state["step"])
        return state


def fingerprint(settings: dict[str, Any], *files: Path | str) -> str:
    """Digest of settings and of the contents of files, to tell runs apart.

    Raises:
        DataError: a file cannot be read.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for file in files:
        try:
            digest.update(bytes.fromhex(sha256_of(file)))
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror}); run the stage that makes it") from None
    return digest.hexdigest()


class Metrics:
    """Losses of every step as CSV, flushed with each checkpoint; a resumed run drops what came after its checkpoint."""

    def __init__(self, path: Path | str, names: tuple[str, ...], first_step: int) -> None:
        """Open `path` and keep the rows of the steps before `first_step`.

        Raises:
            DataError: rows are missing.
        """
        self.path, self.names = Path(path), ["step", "epoch", "learning_rate", *names]
        self.rows: list[list[str]] = []
        if first_step:
            with self.path.open(newline="", encoding="utf-8") as stream:
                header, *rows = csv.reader(stream)
            self.rows = rows[:first_step]
            if header != self.names or len(self.rows) < first_step:
                raise DataError(f"{path}: expected {first_step} rows, found {len(rows)}; remove the checkpoints")

    def add(self, step: int, epoch: int, rate: float, terms: Terms) -> None:
        """Note the losses of one step."""
        values = [f"{float(terms[name]):.6g}" for name in self.names[3:]]
        self.rows.append([str(step), str(epoch), f"{rate:.6g}", *values])

    def flush(self) -> None:
        """Write all rows."""
        with writing(self.path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([self.names, *self.rows])


class Parts:
    """What each part of a run has cost, from start or resumption to its last checkpoint: CSV, for the report.

    CPU seconds are those of this process alone; `ended` is in seconds since 1970.
    """

    NAMES = ("first_step", "steps", "seconds", "cpu_seconds", "ended")

    def __init__(self, path: Path, first_step: int) -> None:
        """Begin a part at `first_step` and keep those before it; a run that starts anew has none."""
        self.path, self.first = path, first_step
        self.rows: list[list[str]] = []
        if first_step and path.exists():  # a run that an earlier version began has no such file
            with path.open(newline="", encoding="utf-8") as stream:
                self.rows = [row for row in csv.reader(stream) if row[0].isdecimal() and int(row[0]) < first_step]
        self.began, self.cpu_began = time.monotonic(), time.process_time()

    def flush(self, end: int) -> None:
        """Write all parts, this one up to the step `end`."""
        seconds, cpu = time.monotonic() - self.began, time.process_time() - self.cpu_began
        row = [self.first, end - self.first, f"{seconds:.1f}", f"{cpu:.1f}", f"{time.time():.0f}"]
        with writing(self.path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([self.NAMES, *self.rows, row])


def prefetched(make: Callable[[int], Any], first: int, last: int) -> Iterator[Any]:
    """Yield make(first) .. make(last - 1), each made in a thread while the one before it is used."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(make, first)
        for index in range(first, last):
            value = future.result()
            if index + 1 < last:
                future = pool.submit(make, index + 1)
            yield value


def add_gradients(
    losses: Callable[[int, Any], Terms], step: int, pieces: Sequence[Any], team: Team, network: nn.Module
) -> Terms:
    """Add the gradient of the mean loss over the equal pieces of a batch to the parameters.

    Returns:
        The losses, means over pieces and processes, detached.
    Raises:
        DataError: a loss is not finite.
    """
    parts = []
    for i, piece in enumerate(pieces):
        with accumulating(network, i + 1 == len(pieces)):
            terms = losses(step, piece)
            values = torch.stack([term.detach().float() for term in terms.values()])
            if not torch.isfinite(terms["total"].detach()):
                found = ", ".join(f"{n} {v:.4g}" for n, v in zip(terms, values.tolist(), strict=True))
                raise DataError(f"step {step}: expected finite losses, found {found}; lower train.learning_rate")
            (terms["total"] / len(pieces)).backward()
        parts.append(values)
    return dict(zip(terms, team.mean(torch.stack(parts).mean(0)), strict=True))


def optimise(  # noqa: PLR0913, the parts of a run
    network: nn.Module,
    losses: Callable[[int, Any], Terms],
    batch_of: Callable[[int], Sequence[Any]],
    schedule: Schedule,
    checkpoints: Checkpoints,
    metrics_path: Path | str,
    team: Team = _ALONE,
    wrapped: nn.Module | None = None,
) -> int:
    """Minimise losses(step, batch)["total"] over the network's parameters.

    Args:
        network: what is trained; its state is what checkpoints hold.
        losses: from a step and a piece of its batch to named scalars, one of them `total`.
        batch_of: from a step to the pieces of its batch, equally large, depending on nothing else.
        schedule: number of steps, learning rate, time between checkpoints.
        checkpoints: where to go on from and to save to.
        metrics_path: CSV with one row a step; what the parts of the run cost stands beside it in `parts.csv`.
        team: the processes that share the work; the first writes.
        wrapped: the network as `losses` calls it, if that is `team.wrap` of it.
    Returns:
        The step that the run went on from.
    Raises:
        DataError: the loss is not finite.
    """
    from tqdm import tqdm

    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.learning_rate, fused=True)
    first = checkpoints.restore(network, optimiser).get("step", 0)
    unfinished = Path(metrics_path).with_name("metrics.partial.csv")
    metrics = Metrics(unfinished, schedule.names, first)
    parts = Parts(unfinished.with_name("parts.csv"), first)
    bar = tqdm(total=schedule.steps, initial=first, unit="step", mininterval=5, disable=None if team.leads else True)
    saved = time.monotonic()
    for step, batch in enumerate(prefetched(batch_of, first, schedule.steps), first):
        rate = schedule.learning_rate * schedule.rate(step, schedule.steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        terms = add_gradients(losses, step, batch, team, network if wrapped is None else wrapped)
        optimiser.step()
        metrics.add(step, step // schedule.steps_per_epoch, rate, terms)
        bar.update()
        last = step + 1 == schedule.steps
        if team.leads and (last or time.monotonic() - saved > 60 * schedule.checkpoint_minutes):
            metrics.flush()
            checkpoints.save(step + 1, network, None if last else optimiser)
            parts.flush(step + 1)
            loss = float(terms["total"])
            bar.set_postfix(loss=f"{loss:.4g}")
            logger.info("step %d of %d, loss %.4g", step + 1, schedule.steps, loss)
            saved = time.monotonic()
    bar.close()
    if team.leads:
        if first == schedule.steps:  # it had ended, or was stopped between its last checkpoint and its end
            parts.flush(first)
        with writing(metrics_path) as partial:
            partial.write_bytes(unfinished.read_bytes())
    return first
