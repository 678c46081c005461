"""From the scores to errors side by side: trainings with other seeds and single views folded into one method each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfmvr.report.inputs import WHOLE
from dfmvr.study.methods import BEST, MEAN, VARIANTS, TestedMethod, in_order, read_key

DERIVED = {
    method.key: method
    for variant in VARIANTS.values()
    if variant.one_view
    for method in (TestedMethod(variant, view=BEST), TestedMethod(variant, view=MEAN))
}
"""What is made of several tested methods: the smallest or the mean of their errors, sample by sample."""


class Errors(NamedTuple):
    """Errors of several methods on the samples that all of them were scored on."""

    table: pd.DataFrame  # one row a sample (index: subject, sample), one column a method; means over its seeds
    seeds: dict[str, int]
    """Trainings of each method."""
    seed_std: dict[str, float]
    """Standard deviation of the mean errors of each method's trainings; NaN for a single one."""

    @property
    def samples(self) -> pd.Index:
        """Names of the samples."""
        return self.table.index.get_level_values("sample")

    @property
    def subjects(self) -> np.ndarray:
        """Subject of each sample."""
        return self.table.index.get_level_values("subject").to_numpy()


def errors_of(
    scores: pd.DataFrame,
    dataset: str,
    protocol: str,
    region: str = WHOLE,
    statistic: str = "rmse_mm",
    methods: Iterable[str] | None = None,
) -> Errors:
    """Put the errors of all methods on one data set side by side.

    Only samples that every method was scored on are kept, so that the columns are comparable and paired; a method
    without any score has no column. A method of `DERIVED` takes the place of those that it is made from.

    Args:
        scores: the scores of all methods and data sets, as the stage `score` writes them.
        statistic: `rmse_mm` (root mean square point-to-plane) or `mean_mm` (mean unsigned point-to-surface).
        methods: those compared; None: all.
    """
    wide = _side_by_side(scores, dataset, protocol, region, statistic)
    columns = {_method_and_seed(name): wide[name] for name in wide.columns}
    if methods is not None:
        wanted = set(methods)
        wanted |= {part.key for name in wanted & set(DERIVED) for part in DERIVED[name].parts}
        columns = {key: values for key, values in columns.items() if key[0] in wanted}
    columns = _with_derived(columns)
    if methods is not None:
        columns = {key: values for key, values in columns.items() if key[0] in set(methods)}
    names = in_order({method for method, _ in columns})
    every = pd.DataFrame(columns, index=wide.index).dropna().sort_index()
    trainings = {name: every[[key for key in columns if key[0] == name]] for name in names}
    return Errors(
        pd.DataFrame({name: table.mean(axis=1) for name, table in trainings.items()}, index=every.index),
        {name: table.shape[1] for name, table in trainings.items()},
        {name: float(table.mean().std(ddof=1)) for name, table in trainings.items()},
    )


def _method_and_seed(name: str) -> tuple[str, int]:
    method = read_key(name)
    return method.first.key, method.seed


def _with_derived(columns: dict[tuple[str, int], pd.Series]) -> dict[tuple[str, int], pd.Series]:
    """Replace the single views of a method by the best and the mean of them, for every seed that has them all."""
    made, used = {}, set()
    for name, method in DERIVED.items():
        for seed in sorted({seed for _, seed in columns}):
            keys = [(part.key, seed) for part in method.parts]
            if set(keys) <= set(columns):
                views = np.stack([columns[key] for key in keys], -1)
                made[name, seed] = pd.Series(
                    views.min(-1) if method.view == BEST else views.mean(-1), columns[keys[0]].index
                )
                used |= set(keys)
    return {key: values for key, values in columns.items() if key not in used} | made


def errors_by_method(
    scores: pd.DataFrame, dataset: str, protocol: str, region: str = WHOLE, statistic: str = "rmse_mm"
) -> pd.DataFrame:
    """Errors of all methods by their own names, every seed and view a column, on the samples that all have."""
    wide = _side_by_side(scores, dataset, protocol, region, statistic)
    return wide[in_order(wide.columns)].dropna().sort_index()


def _side_by_side(scores: pd.DataFrame, dataset: str, protocol: str, region: str, statistic: str) -> pd.DataFrame:
    """One row a sample (index: subject, sample), one column a method; NaN where one was set aside."""
    chosen = scores[
        (scores["dataset"] == dataset)
        & (scores["protocol"] == protocol)
        & (scores["region"] == region)
        & (scores["status"] == "ok")
    ]
    return chosen.pivot_table(index=["subject", "sample"], columns="method", values=statistic, aggfunc="first")


def one_training_each(methods: Iterable[str]) -> list[str]:
    """Of every method the first training alone, for what cannot be averaged, such as a picture."""
    first: dict[str, str] = {}
    for method in in_order(methods):
        first.setdefault(read_key(method).first.key, method)
    return list(first.values())
