"""The tables of results: which numbers stand in which column, and what the captions say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from dfmvr.datasets.sample import RANDOM_LIGHT
from dfmvr.report.captions import caption, entries
from dfmvr.report.context import WHOLE, Context
from dfmvr.report.tables.comparisons import CORRESPONDENCE, DIFFERENCE, GAP, RATIO, Compared
from dfmvr.report.tables.learning_curve import GAPS
from dfmvr.report.tables.orders import NOT_RUN
from dfmvr.report.tables.table import (
    MISSING,
    Column,
    Table,
    interval,
    number,
    number_column,
    percent,
    signed,
    text_column,
)
from dfmvr.study.methods import BEST, OURS, OURS_ACROSS, read_key
from dfmvr.study.paper import COMPARISONS, DESIGN, PROTOCOL, RANDOM, Comparison

MANY_STEPS = 1_000_000_000

METHOD = Column("method", lambda row: read_key(row["method"]).name, left=True)

one, two, four, whole = (partial(number, digits=digits) for digits in (1, 2, 4, 0))


def spaced(name: str) -> str:
    """A key as words."""
    return name.replace("_", " ")


def with_data(frame: pd.DataFrame, context: Context) -> pd.DataFrame:
    """The frame with the printed name of each row's data set in front."""
    others = frame.drop(columns="data", errors="ignore")
    return pd.concat([frame["dataset"].map(context.name).rename("data"), others], axis=1)


def _is_ours(row: pd.Series) -> bool:
    return row["method"] in (OURS, OURS_ACROSS)


def _size(row: pd.Series) -> str:
    return f"{row['samples']:.0f} ({row['subjects']:.0f})" if row["samples"] > 0 else NOT_RUN


def _on_the_same_data(comparison: Comparison, context: Context) -> bool:
    """Whether ours are measured on the licensed data, no stand-in."""
    data = getattr(context.configuration.datasets, comparison.datasets[0])
    return data.root is not None


def _of_the_paper(comparison: Comparison, context: Context) -> str:
    """Heading of the columns with the paper's own numbers."""
    licensed = "" if _on_the_same_data(comparison, context) else "licensed "
    return f"paper's own, {licensed}{comparison.paper_data}"


def _comparison_caption(table: Compared, context: Context) -> str:
    """What a comparison shows and on what data, ours and the paper's."""
    comparison, resamples = table.comparison, context.configuration.report.bootstrap
    data = {d: context.name(d) for d in ("pixel_face", "multi_pie", "bosphorus")}
    relit = (context.scores["illumination"] == RANDOM_LIGHT).any()
    told = {"and_light": caption("and_light") if relit else ""}
    parts = [f"{comparison.title}.", caption(f"about_{comparison.name}", **data, **told)]
    parts.append(caption("comparison", how=entries("protocol_names")[PROTOCOL], resamples=resamples))
    if any(read_key(method).view == BEST for method in table.frame["method"]):
        parts.append(caption("best_of_views"))
    if (table.frame["seeds"] > 1).any():
        parts.append(caption("comparison_seeds"))
    beside = "paper_same_data" if _on_the_same_data(comparison, context) else "paper_other_data"
    return " ".join([*parts, caption(beside, paper_data=comparison.paper_data)])


def comparison_table(table: Compared, context: Context) -> Table:
    """One of the paper's tables."""
    comparison, frame = table.comparison, table.frame
    if comparison.by_yaw:
        return _yaw_table(table, context)
    ours, beside = "RMSE in this run (mm)", "this run, between methods"
    paper = _of_the_paper(comparison, context)
    columns = [text_column("method", "label")]
    columns += [Column(DESIGN[key], partial(_design, key), left=True) for key in comparison.design]
    columns += [Column("samples (subjects)", _size), number_column("mean", "mean_mm", group=ours, ends=True)]
    columns += [number_column("std", "std_mm", group=ours)]
    if (frame["seeds"] > 1).any():
        columns += [number_column("seeds", show=whole, group=ours)]
        columns += [number_column("std of the seeds' means", "seed_std_mm", group=ours)]
    columns += [number_column(name, f"paper_{name}_mm", four, paper) for name in ("mean", "std")]
    if not comparison.design:  # a table with those columns would be too wide; the CSV file has the ratio
        columns += [number_column("ratio to the mean face", RATIO, group=beside, ends=True)]
    reference = comparison.rows[comparison.ours].label
    columns += [
        number_column(f"difference to {reference} (mm)", DIFFERENCE, signed, beside, ends=True),
        number_column("gap to the floor closed (%)", GAP, lambda share: number(100 * share, 0), beside, ends=True),
    ]
    text = _comparison_caption(table, context)
    return Table(comparison.name, comparison.title, text, frame, tuple(columns), "data", _is(comparison.ours))


def headline_table(frame: pd.DataFrame, context: Context) -> Table:
    """The figures of the paper's abstract; `frame` is what `comparisons.headline_frame` gives."""
    frame = with_data(frame, context)
    frame["label"] = frame["figure"].map(entries("headline_names")) + ", " + frame["data"]
    columns = (
        text_column("figure", "label"),
        number_column("paper", "paper", one),
        number_column("from the paper's means", "paper_means", one),
        number_column("this run", "ours", one, ends=True),
        Column("samples (subjects)", lambda row: f"{row['samples']:.0f}" if pd.isna(row["subjects"]) else _size(row)),
        text_column("machine"),
    )
    text = caption("headlines", resamples=context.configuration.report.bootstrap)
    return Table("headlines", "Headline figures", text, frame, columns)


def _is(method: str) -> Callable[[pd.Series], bool]:
    return lambda row: row["method"] == method


def _design(key: str, row: pd.Series) -> str:
    """What a row of Table IV is; Y and N as the paper prints them."""
    return {True: "Y", False: "N"}.get(row[key], row[key]) if row[key] != "" else ""


def _yaw_table(table: Compared, context: Context) -> Table:
    """A comparison with a column for each yaw of the side view that varies; the CSV file has a row for each."""
    comparison, frame = table.comparison, table.frame
    yaws = list(dict.fromkeys(frame["left_yaw"]))
    keys = ["data", "dataset", "method", "label"]
    shown = ["mean_mm", "mean_mm_low", "mean_mm_high", "paper_mean_mm"]
    wide = frame.pivot(index=keys, columns="left_yaw", values=shown).reindex(
        pd.MultiIndex.from_frame(frame[keys].drop_duplicates())
    )
    wide.columns = [f"{yaw}_{name}" for name, yaw in wide.columns]
    wide = wide.reset_index()
    subjects = frame.groupby("dataset")["subjects"].max()
    wide["place"] = [f"{row.data}, {subjects[row.dataset]:.0f} subjects in every column" for row in wide.itertuples()]

    def name(row: pd.Series) -> str:
        return row["label"] + ("" if pd.notna(row[f"{yaws[0]}_mean_mm"]) else f" ({NOT_RUN})")

    heads = {yaw: yaw if yaw == RANDOM else f"{yaw}°" for yaw in yaws}
    ours, paper = "mean RMSE in this run (mm), by yaw of the side view", _of_the_paper(comparison, context)
    columns = [Column("method", name, left=True)]
    columns += [number_column(head, f"{yaw}_mean_mm", group=ours, ends=True) for yaw, head in heads.items()]
    columns += [number_column(head, f"{yaw}_paper_mean_mm", four, paper) for yaw, head in heads.items()]
    text = _comparison_caption(table, context)
    emphasised = _is(comparison.ours)
    return Table(comparison.name, comparison.title, text, wide, tuple(columns), "place", emphasised, frame)


def claims_table(frame: pd.DataFrame, context: Context) -> Table:
    """Orders of methods that the paper reports, and whether they are found; `frame` is `orders.tested_claims`."""

    def order(row: pd.Series) -> str:
        yaw = "at random" if row["left_yaw"] == RANDOM else f"at {row['left_yaw']}°"
        told = f"{row['better_label']} < {row['worse_label']}" + (f", side view {yaw}" if row["left_yaw"] else "")
        return told + (", std" if row["of"] == "std" else "")

    def with_seeds(row: pd.Series) -> str:
        return interval(row[["decided_low", "decided_high"]], signed) if row["seeds_degrees"] > 0 else MISSING

    columns = (
        Column("order of the errors in the paper", order, left=True),
        number_column("paper's own difference (mm)", "paper_difference_mm", partial(signed, digits=4)),
        Column("samples (subjects)", _size),
        number_column("difference in this run (mm)", "difference_mm", signed, ends=True),
        *([Column("with seeds", with_seeds)] if (frame["seeds_degrees"] > 0).any() else []),
        text_column("verdict"),
    )
    text = caption("claims", resamples=context.configuration.report.bootstrap)
    return Table("claims", "Orders that the paper reports", text, frame, columns, "place")


def _rule(row: pd.Series) -> str:
    return entries("best_view_rules")[row["rule"]]


def best_view_table(frame: pd.DataFrame) -> Table:
    """Errors by rule of choosing among three views; `frame` is what `best_view.worth_frame` gives."""
    columns = (
        METHOD,
        Column("view", _rule, left=True),
        number_column("samples", show=whole),
        number_column("mean RMSE (mm)", "mean_mm", ends=True),
        number_column("above the best of three (mm)", "worth_mm", signed, ends=True),
    )
    return Table("best_view", "What the best of three views is worth", caption("best_view"), frame, columns, "data")


def best_view_orders_table(frame: pd.DataFrame) -> Table:
    """The paper's orders by rule; `frame` is what `best_view.orders_frame` gives."""
    titles = {comparison.name: comparison.title for comparison in COMPARISONS}
    places = zip(frame["table"], frame["data"], strict=True)
    frame.insert(0, "place", [f"{titles[table]}, {data}" for table, data in places])

    def order(row: pd.Series) -> str:
        return " < ".join(
            read_key(row[side]).name.removesuffix(", best of three views") for side in ("better", "worse")
        )

    columns = (
        Column("order", order, left=True),
        Column("view", _rule, left=True),
        number_column("difference (mm)", "difference_mm", signed, ends=True),
        text_column("verdict"),
    )
    text = caption("best_view_orders")
    return Table("best_view_orders", "The orders without the choice", text, frame, columns, "place")


def ranking_table(frame: pd.DataFrame, context: Context) -> Table:
    """Ranks of the methods by protocol; `frame` is what `orders.ranking_frame` gives."""
    frame = with_data(frame, context)
    rows: list[dict[str, Any]] = []
    for (data, dataset), part in frame.groupby(["data", "dataset"], sort=False):
        place = {"data": data, "dataset": dataset}
        for method, own in part.groupby("method", sort=False):
            rows.append(place | {"method": method} | _by_protocol(own, "rank") | _by_protocol(own, "error_mm"))
        rows.append(place | {"method": ""} | _by_protocol(part.drop_duplicates("protocol"), "kendall_tau"))
    statistics = dict(zip(frame["protocol"], frame["statistic"], strict=True))

    def cell(protocol: str, row: pd.Series) -> str:
        if row["method"]:
            return f"{row[f'rank_{protocol}']:.0f} ({number(row[f'error_mm_{protocol}'])})"
        return f"{row[f'kendall_tau_{protocol}']:.2f}".replace("-", "\u2212")

    columns = [Column("method", lambda row: METHOD.cell(row) if row["method"] else "Kendall's τ", left=True)]
    group = "rank and mean error (mm), by protocol"
    columns += [Column(spaced(protocol), partial(cell, protocol), group) for protocol in statistics]
    told = entries("statistic_names")
    kinds = "; ".join(f"{spaced(protocol)}: {told[name]}" for protocol, name in statistics.items())
    text = caption("rankings", kinds=kinds)
    return Table("rankings", "Ranks by protocol", text, pd.DataFrame(rows), tuple(columns), "data", _is_ours, frame)


def _by_protocol(rows: pd.DataFrame, name: str) -> dict[str, float]:
    return {f"{name}_{protocol}": value for protocol, value in zip(rows["protocol"], rows[name], strict=True)}


def region_table(frame: pd.DataFrame, regions: list[str], context: Context) -> Table:
    """Mean error by region; `frame` is what `comparisons.by_group` gives for `region`."""
    keys = ["dataset", "method"]
    wide = frame.pivot(index=keys, columns="region", values=["rmse_mm", "rmse_mm_low", "rmse_mm_high", "samples"])
    wide = wide.reindex(list(dict.fromkeys(zip(frame["dataset"], frame["method"], strict=True))))
    wide.columns = [f"{region}_{statistic}" for statistic, region in wide.columns]
    wide = with_data(wide.reset_index(), context)
    columns = [METHOD, number_column("n", f"{regions[0]}_samples", whole)]
    heads = {region: "whole face" if region == WHOLE else region for region in regions}
    columns += [number_column(head, f"{r}_rmse_mm", two, "mean RMSE (mm)") for r, head in heads.items()]
    text = caption("regions")
    return Table("regions", "Errors by region", text, wide, tuple(columns), "data", _is_ours)


def protocol_table(frame: pd.DataFrame, context: Context) -> Table:
    """Both statistics under every protocol; `frame` is what `comparisons.by_group` gives for `protocol`."""
    frame = with_data(frame, context)
    places = zip(frame["data"], frame["protocol"], strict=True)
    frame.insert(0, "place", [f"{data}, protocol '{spaced(protocol)}'" for data, protocol in places])
    columns = [METHOD, number_column("samples", show=whole)]
    for name, group in (("rmse_mm", "RMSE, point to plane (mm)"), ("mean_mm", "mean, point to surface (mm)")):
        columns += [number_column("mean", name, group=group, ends=True)]
        columns += [number_column("std", f"{name}_std", group=group)]
    told = entries("protocol_names")
    kinds = "; ".join(f"{spaced(p)}: {told[p]}" for p in dict.fromkeys(frame["protocol"]) if p in told)
    text = caption("protocols", kinds=kinds)
    return Table("protocols", "Errors by protocol", text, frame, tuple(columns), "place", _is_ours)


def correspondence_table(frame: pd.DataFrame, context: Context) -> Table:
    """Errors of corresponding points; `frame` is what `comparisons.by_correspondence` gives."""
    columns = (
        METHOD,
        number_column("samples", show=whole),
        number_column("same point (mm)", CORRESPONDENCE, ends=True),
        number_column("ratio to the mean face", RATIO, ends=True),
    )
    text, frame = caption("correspondence_table"), with_data(frame, context)
    return Table("correspondence", "Errors of corresponding points", text, frame, columns, "data", _is_ours)


CURVE = Column("variant", lambda row: read_key(row["curve"]).name, left=True)


def steps_text(steps: float) -> str:
    """A number of steps with two significant digits; `never`, or more than anyone would take."""
    if pd.isna(steps):
        return MISSING
    if steps > MANY_STEPS:
        return "never" if np.isinf(steps) else f"over {MANY_STEPS:,}"
    return f"{float(f'{steps:.2g}'):,.0f}"


def learning_curve_fit_table(frame: pd.DataFrame) -> Table:
    """The laws through the learning curves; `frame` is what `learning_curve.fits_frame` gives."""
    group = "steps at which so much of the gap is closed"
    columns = (
        CURVE,
        number_column("trainings", "points", whole),
        number_column("exponent", show=two, ends=True),
        number_column("floor (mm)", "floor_mm", two, ends=True),
        *(number_column(f"{share:.0%}", f"steps_{100 * share:.0f}", steps_text, group, ends=True) for share in GAPS),
    )
    text = caption("learning_curve_fit")
    return Table("learning_curve_fit", "The power law with a floor", text, frame, columns, "data")


def learning_curve_table(frame: pd.DataFrame) -> Table:
    """The trainings of several lengths; `frame` is what `learning_curve.points_frame` gives."""
    columns = (
        CURVE,
        number_column("steps", show=lambda steps: f"{steps:,.0f}"),
        Column("samples (subjects)", _size),
        number_column("mean RMSE (mm)", "mean_mm", ends=True),
        number_column("gap to the floor closed (%)", GAP, lambda share: number(100 * share, 0), ends=True),
    )
    return Table(
        "learning_curve", "Trainings of several lengths", caption("learning_curve_table"), frame, columns, "data"
    )


def real_scan_table(frame: pd.DataFrame) -> Table:
    """Errors on the scan of one person: one row a protocol and method."""
    columns = (
        Column("protocol", lambda row: spaced(row["protocol"]), left=True),
        METHOD,
        number_column("RMSE, point to plane (mm)", "rmse_mm"),
        number_column("mean, point to surface (mm)", "mean_mm"),
        number_column("part of the crop measured", "coverage", partial(percent, digits=1)),
    )
    return Table("real_scan", "A scan of a real person", caption("real_scan_table"), frame, columns, "", _is_ours)
