"""Means, spreads and intervals once more, from the scores, by plain loops: only the reading of files is shared."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm, t

from dfmvr.conventions import VIEWS
from dfmvr.datasets.manifest import read_manifest
from dfmvr.report.inputs import SCORE_COLUMNS, read_table

Rows = dict[tuple[str, ...], dict[str, Any]]
"""Rows of a table by the texts in its key columns."""

_ENDS = ("_best", "_mean")


def method_and_seed(name: str) -> tuple[str, int]:
    """Method and seed of a score folder's name."""
    before, mark, after = name.rpartition("_seed")
    digits = after[: len(after) - len(after.lstrip("0123456789"))]
    return (before + after[len(digits) :], int(digits)) if mark and digits else (name, -1)


class Scores:
    """All scores by data set, protocol and region, then by sample, then by the folder's name."""

    def __init__(self, files: Iterable[Path], root: Path) -> None:
        self.datasets: list[str] = []
        self.protocols: list[str] = []
        self.regions: list[str] = []
        self.names: set[str] = set()
        self.subject: dict[tuple[str, str], str] = {}
        self.yaw: dict[tuple[str, str], float] = {}
        self._errors: dict[tuple[str, str, str], dict[str, dict[str, tuple[float, ...]]]] = {}
        for path in files:
            self._read(path)
        for dataset in self.datasets:
            manifest = read_manifest(root / "align" / dataset / "manifest.parquet")
            for row in manifest[manifest["view"] == "left"].itertuples():
                self.yaw[dataset, row.sample] = row.yaw

    def _read(self, path: Path) -> None:
        for row in read_table(path, SCORE_COLUMNS, "score").itertuples():
            self.names.add(row.method)
            seen = (self.datasets, row.dataset), (self.protocols, row.protocol), (self.regions, row.region)
            for values, value in seen:
                if value not in values:
                    values.append(value)
            if row.status == "ok":
                self.subject[row.dataset, row.sample] = row.subject
                place = self._errors.setdefault((row.dataset, row.protocol, row.region), {})
                place.setdefault(row.sample, {})[row.method] = (
                    row.rmse_mm,
                    row.mean_mm,
                    getattr(row, "correspondence_mm", math.nan),
                )

    def paired(
        self,
        place: tuple[str, str, str],
        statistic: int = 0,
        methods: list[str] | None = None,
        chosen: Callable[[str], bool] = lambda sample: True,
    ) -> Paired:
        """Errors of the methods (None: all) on the chosen samples that all of them have."""
        table = {s: by for s, by in self._errors.get(place, {}).items() if chosen(s)}
        table = {s: {n: v[statistic] for n, v in by.items() if not math.isnan(v[statistic])} for s, by in table.items()}
        columns = _columns({name for by in table.values() for name in by}, methods)
        needed = {name for seeds in columns.values() for names in seeds for name in names}
        kept = sorted((s for s, by in table.items() if needed <= set(by)), key=lambda s: (self.subject[place[0], s], s))
        if not columns:
            kept = []
        return Paired(place[0], kept, [self.subject[place[0], s] for s in kept], columns, [table[s] for s in kept])


def _columns(names: set[str], methods: list[str] | None) -> dict[str, list[list[str]]]:
    """Of each method the names that make it up: one list a seed, of one name or of three views."""
    found: dict[str, list[list[str]]] = {}
    by_part = {method_and_seed(name): name for name in names}
    left = set(names)
    for variant in ("shang", "shang_multi_pie"):
        for seed in sorted({seed for _, seed in by_part}):
            views = [by_part.get((f"{variant}_from_{view}", seed)) for view in VIEWS]
            if None not in views:
                left -= set(views)
                for end in _ENDS:
                    found.setdefault(variant + end, []).append(views)
    for name in sorted(left):
        found.setdefault(method_and_seed(name)[0], []).append([name])
    return {m: seeds for m, seeds in found.items() if methods is None or m in methods}


class Paired:
    """Errors of several methods on the same samples."""

    def __init__(
        self,
        dataset: str,
        samples: list[str],
        subjects: list[str],
        columns: dict[str, list[list[str]]],
        table: list[dict[str, float]],
    ) -> None:
        self.dataset, self.samples, self.subjects = dataset, samples, subjects
        self.of_seed = {
            method: [[self._one(method, [row[n] for n in names]) for row in table] for names in seeds]
            for method, seeds in columns.items()
        }
        self.errors = {m: [sum(e) / len(e) for e in zip(*seeds, strict=True)] for m, seeds in self.of_seed.items()}
        self._replicates: dict[str, np.ndarray] = {}

    @staticmethod
    def _one(method: str, errors: list[float]) -> float:
        return min(errors) if method.endswith("_best") else sum(errors) / len(errors)

    def mean(self, method: str) -> float:
        """Mean error over the samples."""
        return sum(self.errors[method]) / len(self.samples)

    def std(self, method: str) -> float:
        """Standard deviation over the samples."""
        return _spread(self.errors[method])

    def seed_std(self, method: str) -> float:
        """Standard deviation of the mean errors of the seeds."""
        return _spread([sum(e) / len(e) for e in self.of_seed[method]])

    def resample(self, resamples: int, seed: int) -> None:
        """Mean of every method in every resample of the subjects."""
        names = sorted(set(self.subjects))
        rng = np.random.default_rng([seed, zlib.crc32(self.dataset.encode())])
        draws = rng.multinomial(len(names), [1 / len(names)] * len(names), size=resamples)
        place = np.array([names.index(subject) for subject in self.subjects])
        values = np.array([self.errors[m] for m in self.errors])
        means = np.empty((resamples, len(values)))
        for b, draw in enumerate(draws):
            often = draw[place]  # how often each sample is in this resample
            means[b] = (values * often).sum(1) / often.sum()
        self._replicates = dict(zip(self.errors, means.T, strict=True))

    def three(self, name: str, statistic: Callable[..., Any], *methods: str) -> dict[str, float]:
        """A statistic of the means of some methods with its interval, as columns."""
        count = len(set(self.subjects))
        value = statistic(*(self.mean(m) for m in methods))
        low = high = math.nan
        if count > 1:
            share = norm.cdf(math.sqrt(count / (count - 1)) * t.ppf(0.025, count - 1))
            ordered = sorted(statistic(*(self._replicates[m] for m in methods)).tolist())
            low, high = _quantile(ordered, share), _quantile(ordered, 1 - share)
        return {name: value, f"{name}_low": low, f"{name}_high": high}


def _spread(values: list[float]) -> float:
    if len(values) < 2:
        return math.nan
    middle = sum(values) / len(values)
    return math.sqrt(sum((v - middle) ** 2 for v in values) / (len(values) - 1))


def _quantile(ordered: list[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
