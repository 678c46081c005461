"""From the scores to the numbers of the tables. Nothing here prints."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml

from dfmvr.report.names import COMPARISONS, FLOOR, MEAN_FACE, WHOLE, Comparison, ordered, ours_among
from dfmvr.report.statistics import Resampled, resample_means


class Bootstrap(NamedTuple):
    """How intervals are made."""

    resamples: int
    seed: int


def errors_by_method(
    scores: pd.DataFrame, dataset: str, protocol: str, region: str = WHOLE, statistic: str = "rmse_mm"
) -> pd.DataFrame:
    """Errors side by side: one row a sample (index: subject, sample), one column a method.

    Only samples that every method was scored on are kept, so that the columns are comparable and paired; a method
    without any score has no column.

    Args:
        scores: the scores of all methods and data sets, as the stage `score` writes them.
        statistic: `rmse_mm` (root mean square point-to-plane) or `mean_mm` (mean unsigned point-to-surface).
    """
    chosen = scores[
        (scores["dataset"] == dataset)
        & (scores["protocol"] == protocol)
        & (scores["region"] == region)
        & (scores["status"] == "ok")
    ]
    wide = chosen.pivot_table(index=["subject", "sample"], columns="method", values=statistic, aggfunc="first")
    return wide[ordered(set(wide.columns))].dropna().sort_index()


def resample(errors: pd.DataFrame, bootstrap: Bootstrap, dataset: str) -> Resampled:
    """Resample the subjects of a table made by `errors_by_method`.

    The seed depends on the data set alone, so that all tables of one data set rest on the same resamples.
    """
    rng = np.random.default_rng([bootstrap.seed, zlib.crc32(dataset.encode())])
    subjects = errors.index.get_level_values("subject").to_numpy()
    return resample_means(errors.to_numpy(), subjects, bootstrap.resamples, rng)


def compare(errors: pd.DataFrame, resampled: Resampled) -> pd.DataFrame:
    """One row a method: mean and spread, and how it stands to the mean face, to DF-MVR and to the floor.

    Columns that cannot be computed (no mean face, no floor, fewer than two subjects) hold NaN.
    """
    place = {method: i for i, method in enumerate(errors.columns)}
    reference = ours_among(place)
    top, bottom, ours = (place.get(method) for method in (MEAN_FACE, FLOOR, reference))
    nothing = (np.nan, np.nan, np.nan)
    rows = []
    for method, i in place.items():
        mean = resampled.interval(lambda m, i=i: m[..., i])
        ratio = difference = gap = nothing
        if top is not None and method != MEAN_FACE:
            ratio = resampled.interval(lambda m, i=i: m[..., i] / m[..., top])
        if ours is not None and method != reference:
            difference = resampled.interval(lambda m, i=i: m[..., i] - m[..., ours])
        if None not in (top, bottom) and i not in (top, bottom):
            gap = resampled.interval(lambda m, i=i: (m[..., top] - m[..., i]) / (m[..., top] - m[..., bottom]))
        row = {"method": method, "samples": len(errors), "subjects": resampled.subjects}
        row |= _named("mean_mm", mean) | {"std_mm": errors[method].std(ddof=1)}
        row |= _named("ratio_to_mean_face", ratio) | _named("difference_to_dfmvr_mm", difference)
        rows.append(row | _named("gap_closed", gap))
    return pd.DataFrame(rows)


def _named(name: str, values: Sequence[float]) -> dict[str, float]:
    """A value and the ends of its interval as columns."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def paper_numbers() -> dict[str, list[dict]]:
    """The numbers printed in the paper's tables: `table_1` and so on, each a list of rows."""
    return yaml.safe_load(resources.files(__package__).joinpath("paper_tables.yaml").read_text(encoding="utf-8"))


def comparison_frame(
    scores: pd.DataFrame, comparison: Comparison, protocol: str, bootstrap: Bootstrap, names: dict[str, str]
) -> pd.DataFrame:
    """One of the paper's tables: our numbers for every data set there is, with the paper's in columns of their own.

    Args:
        names: printed name of each data set.
    Returns:
        The columns of `compare` after `data` and `label`, then paper_method, paper_data, paper_mean_mm, paper_std_mm.
        The paper's rows stand beside the first data set only; a row without `method` was not run here.
    """
    printed = {row["method"]: row for row in paper_numbers()[comparison.name]}
    present = [d for d in comparison.datasets if d in set(scores["dataset"])]
    blocks = []
    for dataset in present:
        chosen = scores if comparison.left_yaw is None else scores[scores["left_yaw"] == comparison.left_yaw]
        errors = errors_by_method(chosen, dataset, protocol)
        if errors.empty:
            continue
        found = compare(errors, resample(errors, bootstrap, dataset)).set_index("method")
        for row in comparison.rows:
            ours = found.loc[row.method].to_dict() if row.method in found.index else {}
            paper = printed.get(row.paper, {}) if dataset == present[0] else {}
            if not ours and not paper:
                continue
            blocks.append(
                {"data": names.get(dataset, dataset), "dataset": dataset, "method": row.method if ours else "", **ours}
                | {"paper_method": paper.get("method", ""), "paper_data": paper.get("dataset", "")}
                | {"paper_mean_mm": paper.get("mean", np.nan), "paper_std_mm": paper.get("std", np.nan)}
            )
    columns = ["data", "dataset", "method", *_columns(), "paper_method", "paper_data", "paper_mean_mm", "paper_std_mm"]
    return pd.DataFrame(blocks, columns=columns)


def _columns() -> list[str]:
    """Columns of `compare` after the method."""
    derived = ("ratio_to_mean_face", "difference_to_dfmvr_mm", "gap_closed")
    triples = [name + end for name in derived for end in ("", "_low", "_high")]
    return ["samples", "subjects", "mean_mm", "mean_mm_low", "mean_mm_high", "std_mm", *triples]


def by_group(scores: pd.DataFrame, bootstrap: Bootstrap, key: str, within: dict[str, str]) -> pd.DataFrame:
    """Mean errors of every method for each value of a column of the scores, such as each region or protocol.

    Args:
        key: `region` or `protocol`.
        within: value of the other of the two, e.g. {"protocol": "paper"}.
    Returns:
        dataset, method, the key, samples, subjects, then value, low, high and std of rmse_mm and of mean_mm.
    """
    rows = []
    for dataset in dict.fromkeys(scores["dataset"]):
        for value in dict.fromkeys(scores[key]):
            place = within | {key: value}
            tables = {s: errors_by_method(scores, dataset, **place, statistic=s) for s in ("rmse_mm", "mean_mm")}
            if any(errors.empty for errors in tables.values()):
                continue
            found = {s: resample(errors, bootstrap, dataset) for s, errors in tables.items()}
            for i, method in enumerate(tables["rmse_mm"].columns):
                row = {"dataset": dataset, "method": method, key: value}
                row |= {"samples": len(tables["rmse_mm"]), "subjects": found["rmse_mm"].subjects}
                for statistic, errors in tables.items():
                    row |= _named(statistic, found[statistic].interval(lambda m, i=i: m[..., i]))
                    row[f"{statistic}_std"] = errors[method].std(ddof=1)
                rows.append(row)
    return pd.DataFrame(rows)


def known_comparisons(scores: pd.DataFrame) -> list[Comparison]:
    """The paper's tables for which there are scores."""
    return [c for c in COMPARISONS if set(c.datasets) & set(scores["dataset"])]
