"""From the errors to the numbers of the tables. Nothing here prints."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from operator import sub, truediv
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dfmvr.config.evaluation import ReportSection
from dfmvr.datasets.sample import RANDOM_LIGHT
from dfmvr.report.context import WHOLE, Context
from dfmvr.report.tables.errors import PairedErrors, errors_of
from dfmvr.report.tables.statistics import Interval, Resampled, resample_means
from dfmvr.study.methods import FLOOR, MEAN_FACE, OURS, read_key
from dfmvr.study.paper import COMPARISONS, HEADLINES, INFERENCE_MS, PROTOCOL, RANDOM, Comparison, paper_time_ms

CORRESPONDENCE = "correspondence_mm"
"""Column of the scores: distance of corresponding points."""

RATIO, DIFFERENCE, GAP = "ratio_to_mean_face", "difference_to_dfmvr_mm", "gap_closed"
"""How a method stands to others; each has an interval."""


def ended(name: str) -> list[str]:
    """The columns of a value with its interval."""
    return [name, f"{name}_low", f"{name}_high"]


NUMBERS = ["samples", "subjects", "seeds", *ended("mean_mm"), "std_mm", "seed_std_mm"]
NUMBERS += [*ended(RATIO), *ended(DIFFERENCE), *ended(GAP)]
"""Columns of `compare` after the method."""


def gap_closed(mean: Any, mean_face: Any, floor: Any) -> Any:
    """Part of the way from the mean face to the floor that a method goes, of errors or arrays of them."""
    return (mean_face - mean) / (mean_face - floor)


class Bootstrapped(NamedTuple):
    """Errors of several methods, and resamples of their means."""

    errors: PairedErrors
    resampled: Resampled

    def interval(self, statistic: Callable[..., np.ndarray], *methods: str) -> Interval:
        """A statistic of the methods' means with its interval; NaN where a method has no errors."""
        columns = list(self.errors.table)
        if not set(methods) <= set(columns):
            return Interval(np.nan, np.nan, np.nan)
        places = [columns.index(method) for method in methods]
        return self.resampled.interval(lambda means: statistic(*(means[..., place] for place in places)))

    def cells(self, name: str, statistic: Callable[..., np.ndarray], *methods: str) -> dict[str, float]:
        """The same as columns."""
        return dict(zip(ended(name), self.interval(statistic, *methods), strict=True))

    def mean(self, name: str, method: str) -> dict[str, float]:
        """The mean error with its interval as columns."""
        return self.cells(name, lambda mean: mean, method)

    def ratio(self, method: str) -> dict[str, float]:
        """The mean error as a part of the mean face's; nothing for the mean face itself."""
        return self.cells(RATIO, truediv, method, MEAN_FACE) if method != MEAN_FACE else {}

    @property
    def size(self) -> dict[str, int]:
        """Numbers of samples and subjects."""
        return {"samples": len(self.errors.table), "subjects": self.resampled.subjects}


def bootstrapped(errors: PairedErrors, settings: ReportSection) -> Bootstrapped:
    """Resample the subjects.

    The seed depends on the data set alone, so that all tables of one data set rest on the same resamples.
    """
    rng = np.random.default_rng([settings.seed, zlib.crc32(errors.dataset.encode())])
    return Bootstrapped(errors, resample_means(errors.table.to_numpy(), errors.subjects, settings.bootstrap, rng))


def bootstrapped_std(errors: PairedErrors, settings: ReportSection) -> Bootstrapped:
    """The same resamples of the subjects, of the standard deviation of the errors in place of their mean.

    Of a method that was trained several times it is the mean over its trainings: the errors of one network spread more
    than errors averaged over several.
    """
    rng = np.random.default_rng([settings.seed, zlib.crc32(errors.dataset.encode())])
    values = errors.every.to_numpy()
    moments = np.concatenate([values - values.mean(0), (values - values.mean(0)) ** 2], 1)
    found = resample_means(moments, errors.subjects, settings.bootstrap, rng)
    of_method = errors.every.columns.get_level_values(0)

    def stds(means: np.ndarray) -> np.ndarray:
        first, second = np.split(means, 2, -1)
        of_training = np.sqrt(np.maximum(second - first**2, 0) * len(values) / max(len(values) - 1, 1))
        return np.stack([of_training[..., of_method == method].mean(-1) for method in errors.table], -1)

    return Bootstrapped(errors, Resampled(stds(found.means), stds(found.replicates), found.subjects))


def std_of(errors: PairedErrors, method: str) -> float:
    """Standard deviation of a method's errors over the samples, the mean over its trainings."""
    return float(errors.every[method].std(ddof=1).mean())


def compare(found: Bootstrapped, ours: str) -> pd.DataFrame:
    """One row a method: mean and spread, and how it stands to the mean face, to `ours` and to the floor.

    Columns that cannot be computed (no mean face, no floor, fewer than two subjects or seeds) hold NaN.
    """
    rows = []
    for method in found.errors.table:
        row = {"method": method, **found.size, "seeds": found.errors.seeds[method], **found.mean("mean_mm", method)}
        row |= {"std_mm": std_of(found.errors, method), "seed_std_mm": found.errors.seed_std[method]}
        row |= found.ratio(method)
        row |= found.cells(DIFFERENCE, sub, method, ours) if method != ours else {}
        if method not in (MEAN_FACE, FLOOR):
            row |= found.cells(GAP, gap_closed, method, MEAN_FACE, FLOOR)
        rows.append(row)
    return pd.DataFrame(rows, columns=["method", *NUMBERS])


class Block(NamedTuple):
    """Part of a comparison: one data set and, where the table has such columns, one yaw of the varied view."""

    yaw: str
    found: Bootstrapped


class Compared(NamedTuple):
    """One of the paper's tables with our numbers."""

    comparison: Comparison
    frame: pd.DataFrame  # as `comparison_frame` gives it
    blocks: list[Block]


@lru_cache(maxsize=1)
def compared(context: Context) -> list[Compared]:
    """Fill in the paper's tables, as far as there are scores."""
    methods = {read_key(name).first.key for name in context.methods}
    tables = []
    for comparison in COMPARISONS:
        if set(comparison.datasets) & set(context.datasets) and comparison.is_of(methods):
            blocks = blocks_of(context, comparison)
            tables.append(Compared(comparison, comparison_frame(context, comparison, blocks), blocks))
    return tables


def blocks_of(context: Context, comparison: Comparison) -> list[Block]:
    """The parts of a comparison for which there are scores, each with the samples that all of its methods have."""
    settings, blocks = context.configuration.report, []
    for dataset in comparison.datasets:
        scores = context.scores
        if comparison.left_yaw is not None:
            scores = scores[scores["left_yaw"].abs() == abs(comparison.left_yaw)]
        errors = errors_of(scores, dataset, methods=comparison.rows)
        parts = {"": errors}
        if comparison.by_yaw and not errors.table.empty:
            by_yaw = samples_by_yaw(scores[scores["dataset"] == dataset], errors, settings.seed)
            chosen = {yaw: scores[scores["sample"].isin(samples)] for yaw, samples in by_yaw.items()}
            parts = {yaw: errors_of(part, dataset, methods=comparison.rows) for yaw, part in chosen.items()}
        blocks += [Block(yaw, bootstrapped(part, settings)) for yaw, part in parts.items() if not part.table.empty]
    return blocks


def samples_by_yaw(scores: pd.DataFrame, errors: PairedErrors, seed: int) -> dict[str, list[str]]:
    """Samples of every yaw of the side view that varies, and of a yaw drawn at random for each subject.

    All columns have the same subjects: those with a sample at every yaw. Where yaw and light were drawn when the
    photographs were made, these samples are the last column, and subjects without one are left out. Else the draw is
    one whole number below the number of yaws for each subject, in the order of their names; the yaws are in the order
    of their size.

    Args:
        scores: of one data set.
        errors: of the methods compared.
        seed: seed of the draw.
    Returns:
        Yaw in degrees without sign, or `random`, to samples; nothing where no yaw is known.
    """
    of_sample = scores.drop_duplicates("sample").set_index("sample").reindex(errors.samples)
    table = pd.DataFrame({"subject": errors.subjects, "sample": errors.samples})
    table["yaw"] = of_sample["left_yaw"].abs().to_numpy()
    relit = table[(of_sample["illumination"] == RANDOM_LIGHT).to_numpy()]
    table = table.dropna(subset="yaw")
    if len(relit):
        table = table[table["subject"].isin(relit["subject"])]
    yaws = sorted(table["yaw"].unique())
    whole = table.groupby("subject")["yaw"].nunique()
    subjects = sorted(whole.index[whole == len(yaws)])
    table = table[table["subject"].isin(subjects)]
    if table.empty:
        return {}
    found = {f"{yaw:g}": table.loc[table["yaw"] == yaw, "sample"].tolist() for yaw in yaws}
    if len(relit):
        found[RANDOM] = relit.loc[relit["subject"].isin(subjects), "sample"].tolist()
    elif len(yaws) > 1:
        drawn = np.random.default_rng(seed).integers(len(yaws), size=len(subjects))
        of_subject = dict(zip(subjects, np.array(yaws)[drawn], strict=True))
        found[RANDOM] = table.loc[table["yaw"] == table["subject"].map(of_subject), "sample"].tolist()
    return found


def comparison_frame(context: Context, comparison: Comparison, blocks: list[Block]) -> pd.DataFrame:
    """One of the paper's tables: our numbers for every data set there is, with the paper's in columns of their own.

    Returns:
        data, dataset, left_yaw (where the table has such columns), method, label, what each row of Table IV is, the
        columns of `compare` (empty for a method that was not run), and paper_method, paper_data, paper_mean_mm,
        paper_std_mm. The paper's numbers stand beside the first data set only.
    """
    rows = []
    for yaw, found in blocks:
        dataset = found.errors.dataset
        numbers = compare(found, comparison.ours).set_index("method")
        for method, row in comparison.rows.items():
            beside: dict[str, Any] = {}
            if row.printed and dataset == blocks[0].found.errors.dataset:
                beside = {"paper_method": row.paper, "paper_data": comparison.paper_data}
                beside |= {"paper_mean_mm": row.paper_mean(yaw), "paper_std_mm": row.printed.get("std", np.nan)}
            if method not in numbers.index and not beside and method not in (MEAN_FACE, FLOOR):
                continue
            place = {"data": context.name(dataset), "dataset": dataset, "left_yaw": yaw}
            place |= {"method": method, "label": row.label}
            place |= {key: row.design.get(key, "") for key in comparison.design}
            rows.append(place | (numbers.loc[method].to_dict() if method in numbers.index else {}) | beside)
    columns = ["data", "dataset", *(["left_yaw"] if comparison.by_yaw else []), "method", "label", *comparison.design]
    frame = pd.DataFrame(
        rows, columns=[*columns, *NUMBERS, "paper_method", "paper_data", "paper_mean_mm", "paper_std_mm"]
    )
    texts = dict.fromkeys(("paper_method", "paper_data"), "")
    return frame.astype(dict.fromkeys(texts, object)).fillna(texts)


def percent_below(ours: Any, *others: Any) -> Any:
    """By how many percent an error, or an array of them, lies below the least of others."""
    return 100 * (1 - ours / np.minimum.reduce(others))


def headline_frame(context: Context) -> pd.DataFrame:
    """The figures of the paper's abstract: by how many percent DF-MVR is better, and how long a face takes.

    Returns:
        figure, dataset, method, label; paper (what it says), paper_means (what its own tables' means give), ours with
        its interval, samples and subjects; of the time to a face `machine`.
    """
    rows, tables = [], {table.comparison.name: table for table in compared(context)}
    for headline in (h for h in HEADLINES if h.table in tables):
        comparison, blocks = tables[headline.table].comparison, tables[headline.table].blocks
        means = percent_below(*(comparison.rows[method].paper_mean() for method in headline.methods))
        for _, found in blocks:
            row = {"figure": headline.name, "dataset": found.errors.dataset, "method": headline.ours, "machine": ""}
            row |= {"paper": headline.printed, "paper_means": means}
            if set(headline.methods) <= set(found.errors.table):
                better = found.interval(percent_below, *headline.methods)
                rows.append(row | found.size | dict(zip(ended("ours"), better, strict=True)))
    for dataset in context.datasets:
        if told := context.summary("reconstruct", f"{OURS}/{dataset}/inference.json"):
            row = {"figure": INFERENCE_MS, "dataset": dataset, "method": OURS, "machine": told["machine"]}
            rows.append(row | {"paper": paper_time_ms(), "ours": told["ms"], "samples": told["samples"]})
    columns = ["figure", "dataset", "method", "paper", "paper_means", *ended("ours"), "samples", "subjects", "machine"]
    return pd.DataFrame(rows, columns=columns)


def by_group(context: Context, key: str) -> pd.DataFrame:
    """Mean errors of every method for each value of a column of the scores: each `region` or `protocol`.

    Returns:
        dataset, method, the key, samples, subjects, then value, low, high and std of rmse_mm and of mean_mm.
    """
    rows = []
    for dataset in dict.fromkeys(context.scores["dataset"]):
        for value in dict.fromkeys(context.scores[key]):
            place = {"protocol": PROTOCOL, "region": WHOLE} | {key: value}
            tables = {s: errors_of(context.scores, dataset, **place, statistic=s) for s in ("rmse_mm", "mean_mm")}
            if any(errors.table.empty for errors in tables.values()):
                continue
            found = {s: bootstrapped(errors, context.configuration.report) for s, errors in tables.items()}
            for method in tables["rmse_mm"].table:
                row = {"dataset": dataset, "method": method, key: value} | found["rmse_mm"].size
                for statistic, errors in tables.items():
                    std = {f"{statistic}_std": std_of(errors, method)}
                    row |= found[statistic].mean(statistic, method) | std
                rows.append(row)
    return pd.DataFrame(rows)


def by_correspondence(context: Context) -> pd.DataFrame:
    """Mean errors of corresponding points of every method, where the true surface has the predictions' topology.

    Returns:
        dataset, method, samples, subjects, correspondence_mm and its ratio to the mean face's, with their intervals;
        empty where nothing corresponds.
    """
    scores, rows = context.scores, []
    for dataset in dict.fromkeys(scores["dataset"]) if CORRESPONDENCE in scores else []:
        errors = errors_of(scores[scores[CORRESPONDENCE].notna()], dataset, statistic=CORRESPONDENCE)
        if not errors.table.empty:
            found = bootstrapped(errors, context.configuration.report)
            for m in errors.table:
                row = {"dataset": dataset, "method": m, **found.size, **found.mean(CORRESPONDENCE, m)}
                rows.append(row | dict.fromkeys(ended(RATIO), np.nan) | found.ratio(m))
    return pd.DataFrame(rows)
