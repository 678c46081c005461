"""The tables of results: which numbers stand in which column, and what the captions say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd

from dfmvr.report.captions import caption
from dfmvr.report.inputs import WHOLE
from dfmvr.report.tables.errors import DERIVED
from dfmvr.report.tables.table import Column, Table, interval, number, percent
from dfmvr.study.methods import OURS, OURS_ACROSS, read_key
from dfmvr.study.paper import DESIGN, RANDOM, Comparison

NOT_RUN = "not run"

PROTOCOLS = {
    "paper": "95 mm about the nose tip, size free",
    "metrical": "95 mm about the nose tip, size kept",
    "released_code": "sphere of the authors' released code, size free",
}
"""What sets each built-in protocol apart."""


class Told(NamedTuple):
    """What captions tell of a run."""

    protocol: str
    resamples: int
    names: dict[str, str]
    """Printed names of the data sets."""
    licensed: frozenset[str] = frozenset()
    """Data sets that are the real ones, no stand-ins."""

    def name(self, dataset: str) -> str:
        """Printed name of a data set."""
        return self.names.get(dataset, dataset)


def number_cell(name: str, show: Callable[[float], str] = number) -> Callable[[pd.Series], str]:
    """Print a column of the frame."""
    return lambda row: show(row[name])


def whole_cell(name: str) -> Callable[[pd.Series], str]:
    """Print a column of whole numbers."""
    return number_cell(name, lambda value: number(value, 0))


def _ends(name: str, show: Callable[[float], str] = number) -> Callable[[pd.Series], str]:
    return lambda row: interval((row[f"{name}_low"], row[f"{name}_high"]), show)


def _interval_column(header: str, name: str, group: str = "", show: Callable[[float], str] = number) -> Column:
    """A column whose cells have intervals."""
    return Column(header, number_cell(name, show), group, ends=_ends(name, show))


def _signed(value: float) -> str:
    return number(value, 3, signed=True)


def _four(value: float) -> str:
    return number(value, 4)


def _ours(row: pd.Series) -> bool:
    return row["method"] in (OURS, OURS_ACROSS)


def _hundredfold(value: float) -> str:
    return number(100 * value, 0)


def _size(row: pd.Series) -> str:
    return f"{row['samples']:.0f} ({row['subjects']:.0f})" if row["samples"] > 0 else NOT_RUN


def _of_the_paper(comparison: Comparison, told: Told) -> str:
    """Heading of the columns with the paper's own numbers."""
    licensed = "" if _on_the_same_data(comparison, told) else "licensed "
    return f"paper's own, {licensed}{comparison.paper_data}"


def _on_the_same_data(comparison: Comparison, told: Told) -> bool:
    return comparison.datasets[0] in told.licensed


def _comparison_caption(frame: pd.DataFrame, comparison: Comparison, told: Told) -> str:
    """What a comparison shows and on what data, ours and the paper's."""
    data = {d: told.name(d) for d in ("pixel_face", "multi_pie", "bosphorus")}
    parts = [
        caption(f"about_{comparison.name}", **data),
        caption(
            "comparison",
            protocol=told.protocol,
            how=PROTOCOLS.get(told.protocol, told.protocol),
            resamples=told.resamples,
        ),
    ]
    if frame["method"].isin(DERIVED).any():
        parts.append(caption("best_of_views"))
    if (frame["seeds"] > 1).any():
        parts.append(caption("comparison_seeds"))
    beside = "paper_same_data" if _on_the_same_data(comparison, told) else "paper_other_data"
    return " ".join([f"{comparison.title}.", *parts, caption(beside, paper_data=comparison.paper_data)])


def comparison_table(frame: pd.DataFrame, comparison: Comparison, told: Told) -> Table:
    """One of the paper's tables; `frame` is what `comparisons.comparison_frame` gives."""
    if comparison.by_yaw:
        return _yaw_table(frame, comparison, told)
    ours, beside, paper = "RMSE in this run (mm)", "this run, between methods", _of_the_paper(comparison, told)
    columns = [Column("method", lambda row: row["label"], left=True)]
    columns += [Column(DESIGN[key], _design_cell(key), left=True) for key in DESIGN if key in frame]
    columns += [Column("samples (subjects)", _size)]
    columns += [_interval_column("mean", "mean_mm", ours), Column("std", number_cell("std_mm"), ours)]
    if (frame["seeds"] > 1).any():
        columns += [Column("seeds", whole_cell("seeds"), ours)]
        columns += [Column("std of the seeds' means", number_cell("seed_std_mm"), ours)]
    columns += [Column(name, number_cell(f"paper_{name}_mm", _four), paper) for name in ("mean", "std")]
    reference = comparison.rows[comparison.ours].label
    if not set(DESIGN) & set(frame):  # a table with those columns would be too wide; the CSV file has the ratio
        columns += [_interval_column("ratio to the mean face", "ratio_to_mean_face", beside)]
    columns += [
        _interval_column(f"difference to {reference} (mm)", "difference_to_dfmvr_mm", beside, _signed),
        _interval_column("gap to the floor closed (%)", "gap_closed", beside, _hundredfold),
    ]
    text = _comparison_caption(frame, comparison, told)
    return Table(comparison.name, comparison.title, text, frame, tuple(columns), "data", _is(comparison.ours))


def _is(method: str) -> Callable[[pd.Series], bool]:
    return lambda row: row["method"] == method


def _design_cell(key: str) -> Callable[[pd.Series], str]:
    """What a row of Table IV is; Y and N as the paper prints them."""
    return lambda row: {True: "Y", False: "N"}.get(row[key], row[key]) if row[key] != "" else ""


def _yaw_table(frame: pd.DataFrame, comparison: Comparison, told: Told) -> Table:
    """A comparison with a column for each yaw of the left view; the CSV file has a row for each."""
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

    def head(yaw: str) -> str:
        return yaw if yaw == RANDOM else f"{yaw}°"

    ours, paper = "mean RMSE in this run (mm), by yaw of the left view", _of_the_paper(comparison, told)
    columns = [Column("method", name, left=True)]
    columns += [_interval_column(head(yaw), f"{yaw}_mean_mm", ours) for yaw in yaws]
    columns += [Column(head(yaw), number_cell(f"{yaw}_paper_mean_mm", _four), paper) for yaw in yaws]
    text = _comparison_caption(frame, comparison, told)
    emphasised = _is(comparison.ours)
    return Table(comparison.name, comparison.title, text, wide, tuple(columns), "place", emphasised, frame)


def claims_table(frame: pd.DataFrame, told: Told) -> Table:
    """Orders of methods that the paper reports, and whether they are found; frames of `orders.claims_frame`."""

    def order(row: pd.Series) -> str:
        at = f", left view at {row['left_yaw']}°" if row["left_yaw"] not in ("", RANDOM) else ""
        at = ", left view at random" if row["left_yaw"] == RANDOM else at
        return f"{row['better_label']} < {row['worse_label']}{at}"

    columns = (
        Column("order of the errors in the paper", order, left=True),
        Column("paper's own difference (mm)", number_cell("paper_difference_mm", _signed4)),
        Column("samples (subjects)", _size),
        _interval_column("difference in this run (mm)", "difference_mm", show=_signed),
        Column("verdict", lambda row: row["verdict"], left=True),
    )
    text = caption("claims", protocol=told.protocol, resamples=told.resamples)
    return Table("claims", "Orders that the paper reports", text, frame, columns, "place")


def _signed4(value: float) -> str:
    return number(value, 4, signed=True)


def ranking_table(frame: pd.DataFrame, told: Told) -> Table:
    """Ranks of the methods by protocol; `frame` is what `orders.ranking_frame` gives."""
    frame = frame.assign(data=[told.name(d) for d in frame["dataset"]])
    rows: list[dict[str, Any]] = []
    for dataset, part in frame.groupby("dataset", sort=False):
        place = {"data": told.name(dataset), "dataset": dataset}
        for method, own in part.groupby("method", sort=False):
            rows.append(place | {"method": method} | _by_protocol(own, "rank") | _by_protocol(own, "error_mm"))
        rows.append(place | {"method": ""} | _by_protocol(part.drop_duplicates("protocol"), "kendall_tau"))
    protocols = list(dict.fromkeys(frame["protocol"]))
    statistics = dict(zip(frame["protocol"], frame["statistic"], strict=True))

    def cell(protocol: str) -> Callable[[pd.Series], str]:
        return lambda row: (
            f"{row[f'rank_{protocol}']:.0f} ({number(row[f'error_mm_{protocol}'])})"
            if row["method"]
            else f"{row[f'kendall_tau_{protocol}']:.2f}".replace("-", "\u2212")
        )

    columns = [
        Column("method", lambda row: read_key(row["method"]).name if row["method"] else "Kendall's τ", left=True)
    ]
    columns += [Column(p.replace("_", " "), cell(p), "rank and mean error (mm), by protocol") for p in protocols]
    kinds = "; ".join(f"{p.replace('_', ' ')}: {_STATISTICS[statistics[p]]}" for p in protocols)
    text = caption("rankings", protocol=told.protocol, kinds=kinds)
    frame = frame[["data", *frame.columns.drop("data")]]
    return Table("rankings", "Ranks by protocol", text, pd.DataFrame(rows), tuple(columns), "data", _ours, frame)


_STATISTICS = {"rmse_mm": "RMSE, point to plane", "mean_mm": "mean distance, point to surface"}


def _by_protocol(rows: pd.DataFrame, name: str) -> dict[str, float]:
    return {f"{name}_{protocol}": value for protocol, value in zip(rows["protocol"], rows[name], strict=True)}


def region_table(frame: pd.DataFrame, regions: list[str], names: dict[str, str], protocol: str) -> Table:
    """Mean error by region; `frame` is what `comparisons.by_group` gives for `region`."""
    keys = ["dataset", "method"]
    wide = frame.pivot(index=keys, columns="region", values=["rmse_mm", "rmse_mm_low", "rmse_mm_high", "samples"])
    order = list(dict.fromkeys(zip(frame["dataset"], frame["method"], strict=True)))
    wide = wide.reindex(order)
    wide.columns = [f"{region}_{statistic}" for statistic, region in wide.columns]
    wide = wide.reset_index()
    wide.insert(0, "data", [names.get(d, d) for d in wide["dataset"]])

    def cell(region: str) -> Callable[[pd.Series], str]:
        return lambda row: number(row[f"{region}_rmse_mm"], 2)

    columns = [Column("method", lambda row: read_key(row["method"]).name, left=True)]
    columns += [Column("n", lambda row: f"{row[f'{regions[0]}_samples']:.0f}")]
    columns += [Column("whole face" if r == WHOLE else r, cell(r), "mean RMSE (mm)") for r in regions]
    return Table(
        "regions", "Errors by region", caption("regions", protocol=protocol), wide, tuple(columns), "data", _ours
    )


def protocol_table(frame: pd.DataFrame, names: dict[str, str]) -> Table:
    """Both statistics under every protocol; `frame` is what `comparisons.by_group` gives for `protocol`."""
    frame = frame.copy()
    frame.insert(0, "data", [names.get(d, d) for d in frame["dataset"]])
    places = zip(frame["data"], frame["protocol"].str.replace("_", " "), strict=True)
    frame.insert(0, "place", [f"{data}, protocol '{protocol}'" for data, protocol in places])
    groups = ("RMSE, point to plane (mm)", "mean, point to surface (mm)")
    columns = [
        Column("method", lambda row: read_key(row["method"]).name, left=True),
        Column("samples", whole_cell("samples")),
    ]
    for statistic, group in zip(("rmse_mm", "mean_mm"), groups, strict=True):
        columns += [
            _interval_column("mean", statistic, group),
            Column("std", number_cell(f"{statistic}_std"), group),
        ]
    kinds = "; ".join(
        f"{p.replace('_', ' ')}: {PROTOCOLS[p]}" for p in dict.fromkeys(frame["protocol"]) if p in PROTOCOLS
    )
    return Table(
        "protocols", "Errors by protocol", caption("protocols", kinds=kinds), frame, tuple(columns), "place", _ours
    )


def correspondence_table(frame: pd.DataFrame, names: dict[str, str], protocol: str) -> Table:
    """Errors of corresponding points; `frame` is what `comparisons.by_correspondence` gives."""
    frame = frame.copy()
    frame.insert(0, "data", [names.get(d, d) for d in frame["dataset"]])
    columns = (
        Column("method", lambda row: read_key(row["method"]).name, left=True),
        Column("samples", whole_cell("samples")),
        _interval_column("same point (mm)", "correspondence_mm", ""),
        _interval_column("ratio to the mean face", "ratio_to_mean_face", ""),
    )
    text = caption("correspondence_table", protocol=protocol)
    return Table("correspondence", "Errors of corresponding points", text, frame, columns, "data", _ours)


def real_scan_table(frame: pd.DataFrame) -> Table:
    """Errors on the scan of one person: one row a protocol and method."""
    columns = (
        Column("protocol", lambda row: row["protocol"].replace("_", " "), left=True),
        Column("method", lambda row: read_key(row["method"]).name, left=True),
        Column("RMSE, point to plane (mm)", number_cell("rmse_mm")),
        Column("mean, point to surface (mm)", number_cell("mean_mm")),
        Column("part of the crop measured", number_cell("coverage", lambda v: percent(v, 1))),
    )
    return Table("real_scan", "A scan of a real person", caption("real_scan_table"), frame, columns, "", _ours)
