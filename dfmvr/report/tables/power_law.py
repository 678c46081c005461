"""Error against steps: a power law that ends at a floor, e(n) = c + a n^-b, and where it leads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.report.tables.statistics import Interval, percentile_interval

EXPONENTS = (0.05, 3.0)
"""ASSUME: what b may be. Below, the law cannot be told from a logarithm; above, it is at its floor at once."""

LEAST_POINTS = 3
"""The law has three unknowns."""


class PowerLaw(NamedTuple):
    """One law or many, arrays of one shape (...)."""

    floor: np.ndarray  # c, mm
    factor: np.ndarray  # a, mm
    exponent: np.ndarray  # b

    def error(self, steps: np.ndarray) -> np.ndarray:
        """The error (..., P) in mm after some numbers of steps (P,)."""
        floor, factor, exponent = (part[..., None] for part in self)
        return floor + factor * np.asarray(steps, float) ** -exponent

    def steps(self, error: np.ndarray) -> np.ndarray:
        """The steps (...) after which the error is what is asked for, (...) mm; infinity where it never is."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            steps = ((error - self.floor) / self.factor) ** (-1 / self.exponent)
        return np.where((error > self.floor) & (self.factor > 0), steps, np.inf)


def fit(steps: np.ndarray, errors: np.ndarray, least: np.ndarray | float = 0.0) -> PowerLaw:
    """Fit by least squares, with a >= 0 and c no lower than what no training can beat.

    For every exponent the other two are found in closed form; the exponent is sought on ever finer grids.

    Args:
        steps: (P,) at least three different numbers.
        errors: (..., P) mm.
        least: (...) or one number, mm; the error of the face model fitted to the scans.
    Raises:
        ValueError: fewer than three different numbers of steps.
    """
    steps, errors = np.asarray(steps, float), np.asarray(errors, float)
    if len(np.unique(steps)) < LEAST_POINTS:
        raise ValueError(f"expected {LEAST_POINTS} different numbers of steps at least, found {steps}")
    shape, errors = errors.shape[:-1], errors.reshape(-1, errors.shape[-1])
    least = np.broadcast_to(least, shape).reshape(-1)
    low, high = (np.full(len(errors), np.log(end)) for end in EXPONENTS)
    for _ in range(8):
        grid = np.linspace(low, high, 25, axis=-1)
        squares, _ = _at(steps, errors, least, np.exp(grid))
        best = squares.argmin(-1)
        low, high = (np.take_along_axis(grid, np.clip(best + side, 0, 24)[:, None], 1)[:, 0] for side in (-1, 1))
    exponent = np.exp(np.take_along_axis(grid, best[:, None], 1))
    _, (floor, factor) = _at(steps, errors, least, exponent)
    return PowerLaw(*(part[:, 0].reshape(shape) for part in (floor, factor, exponent)))


def _at(
    steps: np.ndarray, errors: np.ndarray, least: np.ndarray, exponents: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Squared residuals (B, G) of the best law for each of the exponents (B, G), and its c and a."""
    powers = (steps / steps.min()) ** -exponents[..., None]
    errors = errors[:, None]
    off = powers - powers.mean(-1, keepdims=True)
    factor = np.maximum((off * errors).sum(-1) / (off**2).sum(-1), 0)
    floor = errors.mean(-1) - factor * powers.mean(-1)
    below = floor < least[:, None]  # then the best lies where c is as low as it may be
    bound = np.maximum((powers * (errors - least[:, None, None])).sum(-1) / (powers**2).sum(-1), 0)
    floor, factor = np.where(below, least[:, None], floor), np.where(below, bound, factor)
    squares = ((floor[..., None] + factor[..., None] * powers - errors) ** 2).sum(-1)
    return squares, (floor, factor * steps.min() ** exponents)


class Curve(NamedTuple):
    """A law fitted to the errors of several trainings, and to every resample of them."""

    law: PowerLaw
    resampled: PowerLaw  # of shape (B,)
    subjects: int
    steepens: bool
    """Whether the error falls ever faster, as no such law does: the trainings are too short for one."""

    def interval(self, part: str) -> Interval:
        """`floor` or `exponent` with its interval."""
        ends = percentile_interval(getattr(self.resampled, part), self.subjects)
        return Interval(float(getattr(self.law, part)), *ends)

    def steps_to(self, error: float, resampled: np.ndarray) -> Interval:
        """The steps after which an error is reached, with their interval; the error has resamples (B,), too."""
        with np.errstate(divide="ignore"):
            speeds = 1 / self.resampled.steps(resampled)  # 0 where it never is
            low, high = percentile_interval(speeds, self.subjects)
            return Interval(float(self.law.steps(np.array(error))), *(1 / np.array([high, low])).tolist())


def fit_curve(
    steps: np.ndarray, means: np.ndarray, replicates: np.ndarray, least: float, subjects: int, noise: np.ndarray
) -> Curve:
    """Fit the means and all of their resamples.

    Args:
        steps: (P,).
        means: (P,) mean errors, mm.
        replicates: (B, P) the same in resamples of people.
        least: see `fit`.
        subjects: people.
        noise: (B, P) standard normal numbers: with more points than unknowns, each point is moved by as much as the
            points lie off the law.
    """
    law = fit(steps, means, least)
    residual = np.asarray(law.error(steps)) - means
    free = len(steps) - LEAST_POINTS
    scatter = np.sqrt((residual**2).sum() / free) if free else 0.0
    resampled = fit(steps, replicates + scatter * noise, least)
    return Curve(law, resampled, subjects, steepens(steps, means, least))


def steepens(steps: np.ndarray, errors: np.ndarray, least: float) -> bool:
    """Whether what lies above the least error falls faster at the end than at the beginning, on logarithmic axes.

    Of a power law that ends at that floor or a higher one it falls ever more slowly.
    """
    lengths = np.unique(steps)
    above = np.array([errors[steps == length].mean() - least for length in lengths])
    if (above <= 0).any():
        return False
    slopes = np.diff(np.log(above)) / np.diff(np.log(lengths))
    return bool(slopes[-1] < slopes[0])
