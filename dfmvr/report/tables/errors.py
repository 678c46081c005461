"""From the scores to errors side by side: trainings with other seeds and single views folded into one method each."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfmvr.report.context import OK, WHOLE
from dfmvr.study.methods import BEST, MEAN, TestedMethod, in_order, read_key
from dfmvr.study.paper import PROTOCOL


class PairedErrors(NamedTuple):
    """Errors of several methods on the samples that all of them were scored on."""

    dataset: str
    table: pd.DataFrame  # one row a sample (index: subject, sample), one column a method; means over its seeds
    seeds: dict[str, int]
    """Trainings of each method."""
    seed_std: dict[str, float]
    """Standard deviation of the mean errors of each method's trainings; NaN for a single one."""
    every: pd.DataFrame
    """Those of every training, a column each: (method, seed)."""

    @property
    def samples(self) -> pd.Index:
        """Names of the samples."""
        return self.table.index.get_level_values("sample")

    @property
    def subjects(self) -> np.ndarray:
        """Subject of each sample."""
        return self.table.index.get_level_values("subject").to_numpy()


def side_by_side(
    scores: pd.DataFrame, dataset: str, protocol: str = PROTOCOL, region: str = WHOLE, statistic: str = "rmse_mm"
) -> pd.DataFrame:
    """Errors of all tests on a data set as they were run, every seed and view a column.

    Returns:
        One row a sample (index: subject, sample), one column a method, in order; NaN where one was set aside.
    """
    place = {"dataset": dataset, "protocol": protocol, "region": region, "status": OK}
    chosen = scores[np.logical_and.reduce([scores[column] == value for column, value in place.items()])]
    wide = chosen.pivot_table(index=["subject", "sample"], columns="method", values=statistic, aggfunc="first")
    return wide[in_order(wide.columns)].sort_index()


def errors_of(
    scores: pd.DataFrame,
    dataset: str,
    protocol: str = PROTOCOL,
    region: str = WHOLE,
    statistic: str = "rmse_mm",
    methods: Collection[str] | None = None,
) -> PairedErrors:
    """Put the errors of all methods on one data set side by side.

    Only samples that every method was scored on are kept, so that the columns are comparable and paired; a method
    without any score has no column. What is made of several single views takes their place.

    Args:
        scores: the scores of all methods and data sets, as the stage `score` writes them.
        statistic: `rmse_mm` (root mean square point-to-plane) or `mean_mm` (mean unsigned point-to-surface).
        methods: those compared; None: all.
    """
    wide = side_by_side(scores, dataset, protocol, region, statistic)
    columns = _with_views_folded({read_key(name): wide[name] for name in wide.columns})
    columns = {method: values for method, values in columns.items() if methods is None or method.first.key in methods}
    names = in_order({method.first.key for method in columns})
    every = pd.DataFrame({(m.first.key, m.seed): values for m, values in columns.items()}, index=wide.index)
    every = every.dropna().sort_index()
    trainings = {name: every[[key for key in every if key[0] == name]] for name in names}
    return PairedErrors(
        dataset,
        pd.DataFrame({name: table.mean(axis=1) for name, table in trainings.items()}, index=every.index),
        {name: table.shape[1] for name, table in trainings.items()},
        {name: float(table.mean().std(ddof=1)) for name, table in trainings.items()},
        every,
    )


def _with_views_folded(columns: dict[TestedMethod, pd.Series]) -> dict[TestedMethod, pd.Series]:
    """Replace the single views of a method by the best and the mean of them, for every seed that has them all."""
    folded = dict(columns)
    for variant, seed in {(method.variant, method.seed): None for method in columns if method.variant.one_view}:
        best, mean = (TestedMethod(variant, seed, view) for view in (BEST, MEAN))
        if set(best.parts) <= set(columns):
            views = pd.concat([folded.pop(part) for part in best.parts], axis=1).to_numpy()
            index = columns[best.parts[0]].index
            folded |= {best: pd.Series(views.min(-1), index), mean: pd.Series(views.mean(-1), index)}
    return folded


def one_training_each(methods: Iterable[str]) -> list[str]:
    """Of every method the first training alone, for what cannot be averaged, such as a picture."""
    first: dict[str, str] = {}
    for method in in_order(methods):
        first.setdefault(read_key(method).first.key, method)
    return list(first.values())
