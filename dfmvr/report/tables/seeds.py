"""What another seed of a training does to a difference between methods, beside what other people would."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from dfmvr.report.context import Context
from dfmvr.report.tables.errors import PairedErrors, errors_of
from dfmvr.report.tables.statistics import LEVEL, Interval
from dfmvr.study.methods import read_key


class SeedSpread(NamedTuple):
    """How much the trainings of one method differ, found from all that were trained more than once."""

    std_mm: float
    degrees: int  # of freedom: trainings beyond the first of each method

    def half_width(self, weights: Mapping[str, int], seeds: Mapping[str, int]) -> float:
        """Half of the 95 % interval of a sum of methods, mm, as other seeds alone would have it; 0 where none is known.

        ASSUME: what was trained once varies as what was trained again, and two answers of one network as two networks'.

        Args:
            weights: how often each method counts in the sum.
            seeds: trainings of each method.
        """
        if not self.degrees:
            return 0.0
        trained = {method: weight for method, weight in weights.items() if read_key(method).variant.has_network}
        variance = sum(weight**2 / seeds[method] for method, weight in trained.items())
        return float(stdtrit(self.degrees, (1 + LEVEL) / 2) * self.std_mm * np.sqrt(variance))


def of_trainings(errors: PairedErrors, of: str) -> pd.Series:
    """Mean or standard deviation of the errors of every training, mm."""
    return errors.every.std(ddof=1) if of == "std" else errors.every.mean()


@lru_cache(maxsize=8)
def seed_spread(context: Context, dataset: str, of: str) -> SeedSpread:
    """The spread over the seeds, pooled over all methods tested on a data set, each training counted once.

    Means are taken over the same people, so that the spread is that of the trainings; how seeds and people go together
    is in the interval over people as well, which makes the two together rather too wide than too narrow.
    """
    found = of_trainings(errors_of(context.scores, dataset), of)
    squares, degrees, seen = 0.0, 0, set()
    for method in dict.fromkeys(found.index.get_level_values(0)):
        own, variant = found[method], read_key(method).answers.variant
        if len(own) > 1 and variant not in seen:
            seen.add(variant)
            squares += float(((own - own.mean()) ** 2).sum())
            degrees += len(own) - 1
    return SeedSpread(np.sqrt(squares / degrees) if degrees else 0.0, degrees)


def with_seeds(over_people: Interval, half_width: float) -> Interval:
    """Widen an interval over people by what seeds do, the two being independent.

    Source: Zou & Donner 2008, "Construction of confidence limits about effect measures", Statistics in Medicine 27: the
    distances of the ends from the value are added as squares, each side for itself.
    """
    value, low, high = over_people
    below, above = np.hypot(value - low, half_width), np.hypot(high - value, half_width)
    return Interval(value, float(value - below), float(value + above))
