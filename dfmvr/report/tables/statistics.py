"""Bootstrap over subjects: intervals of means and of anything computed from the means of several methods.

One set of resamples serves all methods, so differences and ratios between them are paired: each resample draws whole
subjects, and with a subject all its samples and all methods' errors on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

LEVEL = 0.95


class Interval(NamedTuple):
    """A value with the ends of its interval; NaN ends where there are fewer than two subjects."""

    value: float
    low: float
    high: float


class Resampled(NamedTuple):
    """Means of several methods, as measured and in every resample."""

    means: np.ndarray  # (K,)
    replicates: np.ndarray  # (B, K)
    subjects: int

    def interval(self, statistic: Callable[[np.ndarray], np.ndarray], level: float = LEVEL) -> Interval:
        """The value of `statistic`, a function from means (..., K) to (...), and its interval."""
        low, high = percentile_interval(statistic(self.replicates), self.subjects, level)
        return Interval(float(statistic(self.means)), low, high)


def resample_means(values: np.ndarray, subjects: np.ndarray, resamples: int, rng: np.random.Generator) -> Resampled:
    """Resample subjects with replacement and average all samples of the drawn subjects.

    Args:
        values: (N, K) one row a sample, one column a method; finite.
        subjects: (N,) subject of each sample; samples of one subject are not independent.
        resamples: number of resamples B.
        rng: source of randomness.
    Raises:
        ValueError: no sample, or a value that is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"expected at least one sample and finite values, found shape {values.shape}")
    names, index = np.unique(subjects, return_inverse=True)
    counts = np.bincount(index).astype(np.float64)
    sums = np.stack([np.bincount(index, column) for column in values.T], -1)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples).astype(np.float64)
    replicates = (draws @ sums) / (draws @ counts)[:, None]
    return Resampled(values.mean(0), replicates, len(names))


def percentile_interval(replicates: np.ndarray, subjects: int, level: float = LEVEL) -> tuple[float, float]:
    """Expanded percentile interval: quantiles moved outward so that few subjects do not make it too narrow.

    The plain percentile interval of a mean is narrower than Student's by sqrt((n-1)/n) and by the normal quantile
    in place of t's; the quantiles used here make up for both.

    Args:
        replicates: (B,) the statistic in each resample.
        subjects: independent units n that were resampled.
        level: coverage aimed at.
    Returns:
        Low and high end; NaN for fewer than two subjects.
    Source: Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician 69(4).
    """
    if subjects < 2:
        return float("nan"), float("nan")
    tail = ndtr(np.sqrt(subjects / (subjects - 1)) * stdtrit(subjects - 1, (1 - level) / 2))
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)
