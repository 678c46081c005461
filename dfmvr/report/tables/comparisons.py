"""From the errors to the numbers of the tables. Nothing here prints."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dfmvr.report.tables.errors import Errors, errors_of
from dfmvr.report.tables.statistics import Resampled, resample_means
from dfmvr.study.methods import FLOOR, MEAN_FACE, read_key
from dfmvr.study.paper import COMPARISONS, RANDOM, ComparedRow, Comparison

BESIDE = ("ratio_to_mean_face", "difference_to_dfmvr_mm", "gap_closed")
"""How a method stands to others; each has an interval."""

CORRESPONDENCE = "correspondence_mm"
"""Column of the scores: distance of corresponding points."""

UNCOUNTED = (MEAN_FACE, FLOOR)
"""Rows that every table has, whatever its methods."""


class Bootstrap(NamedTuple):
    """How intervals are made."""

    resamples: int
    seed: int


class Block(NamedTuple):
    """Part of a comparison: one data set and, where the table has such columns, one yaw of the left view."""

    dataset: str
    yaw: str
    errors: Errors


def resample(errors: Errors, bootstrap: Bootstrap, dataset: str) -> Resampled:
    """Resample the subjects.

    The seed depends on the data set alone, so that all tables of one data set rest on the same resamples.
    """
    rng = np.random.default_rng([bootstrap.seed, zlib.crc32(dataset.encode())])
    return resample_means(errors.table.to_numpy(), errors.subjects, bootstrap.resamples, rng)


def compare(errors: Errors, resampled: Resampled, ours: str) -> pd.DataFrame:
    """One row a method: mean and spread, and how it stands to the mean face, to `ours` and to the floor.

    Columns that cannot be computed (no mean face, no floor, fewer than two subjects or seeds) hold NaN.
    """
    place = {method: i for i, method in enumerate(errors.table.columns)}
    top, bottom, reference = (place.get(method) for method in (MEAN_FACE, FLOOR, ours))
    nothing = (np.nan, np.nan, np.nan)
    rows = []
    for method, i in place.items():
        beside = dict.fromkeys(BESIDE, nothing)
        if top is not None and i != top:
            beside[BESIDE[0]] = resampled.interval(lambda m, i=i: m[..., i] / m[..., top])
        if reference is not None and i != reference:
            beside[BESIDE[1]] = resampled.interval(lambda m, i=i: m[..., i] - m[..., reference])
        if None not in (top, bottom) and i not in (top, bottom):
            beside[BESIDE[2]] = resampled.interval(
                lambda m, i=i: (m[..., top] - m[..., i]) / (m[..., top] - m[..., bottom])
            )
        row = {"method": method, "samples": len(errors.table), "subjects": resampled.subjects}
        row |= {"seeds": errors.seeds[method], **_named("mean_mm", resampled.interval(lambda m, i=i: m[..., i]))}
        row |= {"std_mm": errors.table[method].std(ddof=1), "seed_std_mm": errors.seed_std[method]}
        rows.append(row | {key: value for name, found in beside.items() for key, value in _named(name, found).items()})
    return pd.DataFrame(rows, columns=["method", *_columns()])


def _named(name: str, values: Sequence[float]) -> dict[str, float]:
    """A value and the ends of its interval as columns."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _columns() -> list[str]:
    """Columns of `compare` after the method."""
    triples = [name + end for name in BESIDE for end in ("", "_low", "_high")]
    means = ["mean_mm", "mean_mm_low", "mean_mm_high", "std_mm", "seed_std_mm"]
    return ["samples", "subjects", "seeds", *means, *triples]


def known_comparisons(scores: pd.DataFrame) -> list[Comparison]:
    """The paper's tables for which there are scores."""
    methods = set(scores["method"].map(lambda name: read_key(name).first.key))
    return [c for c in COMPARISONS if set(c.datasets) & set(scores["dataset"]) and c.is_of(methods)]


def blocks_of(scores: pd.DataFrame, comparison: Comparison, protocol: str, seed: int) -> list[Block]:
    """The parts of a comparison for which there are scores, each with the samples that all of its methods have.

    Args:
        seed: seed of the yaws drawn for the column `random`.
    """
    methods = list(comparison.rows)
    blocks = []
    for dataset in comparison.datasets:
        chosen = scores if comparison.left_yaw is None else scores[scores["left_yaw"] == comparison.left_yaw]
        errors = errors_of(chosen, dataset, protocol, methods=methods)
        if errors.table.empty:
            continue
        if not comparison.by_yaw:
            blocks.append(Block(dataset, "", errors))
            continue
        for yaw, samples in samples_by_yaw(chosen[chosen["dataset"] == dataset], errors, seed).items():
            part = chosen[chosen["sample"].isin(samples)]
            blocks.append(Block(dataset, yaw, errors_of(part, dataset, protocol, methods=methods)))
    return blocks


def samples_by_yaw(scores: pd.DataFrame, errors: Errors, seed: int) -> dict[str, list[str]]:
    """Samples of every yaw of the left view, and of a yaw drawn at random for each subject.

    All columns have the same subjects: those with a sample at every yaw. The draw is one whole number below the number
    of yaws for each of these subjects, in the order of their names; the yaws are in the order of their size.

    Args:
        scores: of one data set.
        errors: of the methods compared.
        seed: seed of the draw.
    Returns:
        Yaw in degrees without sign, or `random`, to samples; nothing where no yaw is known.
    """
    yaw_of = scores.drop_duplicates("sample").set_index("sample")["left_yaw"].abs()
    table = pd.DataFrame({"subject": errors.subjects, "sample": errors.samples})
    table["yaw"] = yaw_of.reindex(table["sample"]).to_numpy()
    table = table.dropna(subset="yaw")
    yaws = sorted(table["yaw"].unique())
    whole = table.groupby("subject")["yaw"].nunique()
    subjects = sorted(whole.index[whole == len(yaws)])
    table = table[table["subject"].isin(subjects)]
    if table.empty:
        return {}
    found = {f"{yaw:g}": table.loc[table["yaw"] == yaw, "sample"].tolist() for yaw in yaws}
    if len(yaws) > 1:
        drawn = np.random.default_rng(seed).integers(len(yaws), size=len(subjects))
        of_subject = dict(zip(subjects, np.array(yaws)[drawn], strict=True))
        found[RANDOM] = table.loc[table["yaw"] == table["subject"].map(of_subject), "sample"].tolist()
    return found


def comparison_frame(
    scores: pd.DataFrame, comparison: Comparison, protocol: str, bootstrap: Bootstrap, names: dict[str, str]
) -> pd.DataFrame:
    """One of the paper's tables: our numbers for every data set there is, with the paper's in columns of their own.

    Args:
        names: printed name of each data set.
    Returns:
        data, dataset, left_yaw (where the table has such columns), method, label, what each row of Table IV is, the
        columns of `compare` (empty for a method that was not run), and paper_method, paper_data, paper_mean_mm,
        paper_std_mm. The paper's numbers stand beside the first data set only.
    """
    blocks = blocks_of(scores, comparison, protocol, bootstrap.seed)
    rows = []
    for block in blocks:
        resampled = resample(block.errors, bootstrap, block.dataset)
        found = compare(block.errors, resampled, comparison.ours).set_index("method")
        for method, row in comparison.rows.items():
            paper = _beside(comparison, row, block.yaw) if block.dataset == blocks[0].dataset else {}
            if method not in found.index and not paper and method not in UNCOUNTED:
                continue
            place = {"data": names.get(block.dataset, block.dataset), "dataset": block.dataset}
            place |= {"left_yaw": block.yaw, "method": method, "label": row.label}
            place |= {key: row.printed.get(key, "") for key in comparison.design}
            numbers = found.loc[method].to_dict() if method in found.index else {}
            rows.append(place | numbers | paper)
    columns = ["data", "dataset", *(["left_yaw"] if comparison.by_yaw else []), "method", "label", *comparison.design]
    columns += [*_columns(), "paper_method", "paper_data", "paper_mean_mm", "paper_std_mm"]
    return (
        pd.DataFrame(rows, columns=columns)
        .astype(dict.fromkeys(["paper_method", "paper_data"], object))
        .fillna({"paper_method": "", "paper_data": ""})
    )


def _beside(comparison: Comparison, row: ComparedRow, yaw: str) -> dict[str, Any]:
    """The paper's own numbers for a row as columns; empty where it has none."""
    if not row.printed:
        return {}
    return {
        "paper_method": row.paper,
        "paper_data": comparison.paper_data,
        "paper_mean_mm": row.paper_mean(yaw),
        "paper_std_mm": row.printed.get("std", np.nan),
    }


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
            tables = {s: errors_of(scores, dataset, **place, statistic=s) for s in ("rmse_mm", "mean_mm")}
            if any(errors.table.empty for errors in tables.values()):
                continue
            found = {s: resample(errors, bootstrap, dataset) for s, errors in tables.items()}
            for i, method in enumerate(tables["rmse_mm"].table.columns):
                row = {"dataset": dataset, "method": method, key: value}
                row |= {"samples": len(tables["rmse_mm"].table), "subjects": found["rmse_mm"].subjects}
                for statistic, errors in tables.items():
                    row |= _named(statistic, found[statistic].interval(lambda m, i=i: m[..., i]))
                    row[f"{statistic}_std"] = errors.table[method].std(ddof=1)
                rows.append(row)
    return pd.DataFrame(rows)


def by_correspondence(scores: pd.DataFrame, bootstrap: Bootstrap, protocol: str) -> pd.DataFrame:
    """Mean errors of corresponding points of every method, where the true surface has the predictions' topology.

    Returns:
        dataset, method, samples, subjects, correspondence_mm and its ratio to the mean face's, with their intervals;
        empty where nothing corresponds.
    """
    rows = []
    for dataset in dict.fromkeys(scores["dataset"]) if CORRESPONDENCE in scores else []:
        known = scores[scores[CORRESPONDENCE].notna()]
        errors = errors_of(known, dataset, protocol, statistic=CORRESPONDENCE)
        if errors.table.empty:
            continue
        found = resample(errors, bootstrap, dataset)
        place = {method: i for i, method in enumerate(errors.table.columns)}
        for method, i in place.items():
            row = {"dataset": dataset, "method": method, "samples": len(errors.table), "subjects": found.subjects}
            row |= _named(CORRESPONDENCE, found.interval(lambda m, i=i: m[..., i]))
            ratio = (np.nan, np.nan, np.nan)
            if MEAN_FACE in place and method != MEAN_FACE:
                ratio = found.interval(lambda m, i=i, k=place[MEAN_FACE]: m[..., i] / m[..., k])
            rows.append(row | _named("ratio_to_mean_face", ratio))
    return pd.DataFrame(rows)
