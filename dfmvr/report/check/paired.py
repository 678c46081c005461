"""What the check reads, and errors side by side with resamples of their people; see `dfmvr.report.check.compare`."""

from __future__ import annotations

import copy
import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError
from dfmvr.study.methods import FLOOR, MEAN_FACE, OURS, TestedMethod, read_key

Row = dict[str, Any]
Rows = dict[tuple[str, ...], Row]
"""Rows of a table by the texts in its key columns."""


def read_plain(path: Path) -> Row:
    """What a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def opened(path: Path, read: Callable[[Path], Any]) -> Any:
    """What a file holds, or an error that names it."""
    try:
        return read(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run the stage that makes it") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable table ({' '.join(str(error).split())})") from error


class Paired:
    """Errors of several methods on the samples of one data set that all of them have, and resamples of its subjects."""

    def __init__(self, scores: pd.DataFrame, made: Row, column: str = "rmse_mm", methods: Any = None) -> None:
        """Take the errors in a column of the scores; `methods`: the keys of those that are compared, None: all."""
        self.dataset = scores["dataset"].iloc[0] if len(scores) else ""
        wide = scores.pivot_table(index=["subject", "sample"], columns="method", values=column, aggfunc="first")
        tested = list(map(read_key, wide))
        columns = {(m.first.key, m.seed): wide[m.key] for m in tested}
        for variant, seed in {(m.variant, m.seed) for m in tested if m.variant.one_view}:
            of_views = [(TestedMethod(variant, view=view).key, seed) for view in VIEWS]
            if set(of_views) <= set(columns):
                views = [columns.pop(key) for key in of_views]
                columns[f"{variant.key}_best", seed] = np.minimum.reduce(views)
                columns[f"{variant.key}_mean", seed] = sum(views) / len(views)
        chosen = {key: errors for key, errors in columns.items() if methods is None or key[0] in methods}
        every = pd.DataFrame(chosen, index=wide.index).dropna() if chosen else wide.iloc[:0, :0]
        self.every, self.errors = every, every.T.groupby(level=0).mean().T if len(every) else every
        if self.errors.empty:
            return
        people, place = np.unique(every.index.get_level_values("subject"), return_inverse=True)
        trainings, count = every.mean().groupby(level=0), len(people)
        self.of_method = pd.DataFrame({"seeds": trainings.size(), "seed_std_mm": trainings.std()})
        self.of_method["samples"], self.of_method["subjects"] = len(every), count
        rng = np.random.default_rng([made["seed"], zlib.crc32(self.dataset.encode())])
        self.often = rng.multinomial(count, [1 / count] * count, made["bootstrap"])[:, place]
        means = self.often @ self.errors.to_numpy() / self.often.sum(1)[:, None]
        self.resampled = pd.DataFrame(means if count > 1 else means * math.nan, columns=self.errors.columns)
        self.value = self.errors.mean()
        self.tail = norm.cdf(math.sqrt(count / (count - 1)) * t.ppf(0.025, count - 1)) if count > 1 else 0.0

    @property
    def size(self) -> Row:
        """Numbers of samples and subjects."""
        return {"samples": len(self.errors), "subjects": int(self.of_method["subjects"].iloc[0])}

    def beside(self, columns: pd.DataFrame) -> Paired:
        """The same with more columns (method, seed) on the same samples; such as are there already are replaced."""
        other = copy.copy(self)
        other.every = pd.concat([self.every.drop(columns=columns.columns, errors="ignore"), columns], axis=1)
        other.errors = other.every.T.groupby(level=0).mean().T
        other.value = other.errors.mean()
        other.of_method = pd.DataFrame({"seeds": other.every.mean().groupby(level=0).size()})
        means = self.often @ other.errors.to_numpy() / self.often.sum(1)[:, None]
        other.resampled = pd.DataFrame(means + 0 * self.resampled.iloc[:, :1].to_numpy(), columns=other.errors.columns)
        return other

    def of_std(self) -> Paired:
        """The same of the standard deviation of the errors, the mean over the trainings of a method."""
        other, share = copy.copy(self), self.often / self.often.sum(1)[:, None]
        off = self.every - self.every.mean()
        squares = share @ (off**2).to_numpy() - (share @ off.to_numpy()) ** 2
        drawn = pd.DataFrame(np.sqrt(squares.clip(0) * len(off) / max(len(off) - 1, 1)), columns=off.columns)
        other.resampled = drawn.T.groupby(level=0).mean().T + 0 * self.resampled
        other.value = self.every.std().groupby(level=0).mean()
        return other

    def contrast(self, weights: dict[str, int]) -> tuple[float, float, float]:
        """A sum of methods, each as often as it counts, with its interval."""
        drawn = sum(weight * self.resampled[method] for method, weight in weights.items())
        low, high = drawn.quantile([self.tail, 1 - self.tail])
        return float(sum(weight * self.value[method] for method, weight in weights.items())), low, high

    def three(self, name: str, statistic: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
        """A statistic of the methods' means with its interval; the rows are methods."""
        ends = statistic(self.resampled).quantile([self.tail, 1 - self.tail])
        value = statistic(self.errors.mean().to_frame().T)
        return pd.concat([value, ends]).set_axis([name, f"{name}_low", f"{name}_high"]).T

    def rows(self, name: str, ours: str = OURS) -> dict[str, Row]:
        """All numbers of every method; `name` is that of the mean error."""
        if self.errors.empty:
            return {}
        std = self.every.std().groupby(level=0).mean()
        parts = [self.of_method, self.three(name, lambda e: e), std.rename("std_mm"), std.rename(f"{name}_std")]
        if MEAN_FACE in self.errors:
            ratio = self.three("ratio_to_mean_face", lambda e: e.div(e[MEAN_FACE], axis=0))
            parts.append(ratio.drop(index=MEAN_FACE))
        if ours in self.errors:
            parts.append(self.three("difference", lambda e: e.sub(e[ours], axis=0)))
            parts.append(self.three("difference_to_dfmvr_mm", lambda e: e.sub(e[ours], axis=0)).drop(index=ours))
        if {MEAN_FACE, FLOOR} <= set(self.errors):
            gap = self.three("gap_closed", lambda e: e.rsub(e[MEAN_FACE], axis=0).div(e[MEAN_FACE] - e[FLOOR], axis=0))
            parts.append(gap.drop(index=[MEAN_FACE, FLOOR]))
        return pd.concat(parts, axis=1).to_dict("index")
