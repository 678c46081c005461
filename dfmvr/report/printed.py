"""The tables of the page: which numbers stand in which column, and what the captions say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dfmvr.report.captions import caption
from dfmvr.report.names import HIGHLIGHTED, PROTOCOLS, WHOLE, Comparison, method_name
from dfmvr.report.tables import Column, Table, interval, number, percent

NOT_RUN = "not run"


def _cell(name: str, show: Callable[[float], str] = number) -> Callable[[pd.Series], str]:
    return lambda row: show(row[name])


def _ends(name: str, show: Callable[[float], str] = number) -> Callable[[pd.Series], str]:
    return lambda row: interval((row[f"{name}_low"], row[f"{name}_high"]), show)


def _signed(value: float) -> str:
    return number(value, 3, signed=True)


def _ours(row: pd.Series) -> bool:
    return row["method"] in HIGHLIGHTED


def comparison_table(frame: pd.DataFrame, comparison: Comparison, protocol: str, resamples: int) -> Table:
    """One of the paper's tables; `frame` is what `comparisons.comparison_frame` gives."""
    paper_data = ", ".join(dict.fromkeys(frame.loc[frame["paper_data"] != "", "paper_data"]))
    ours, beside = "RMSE in this run (mm)", "this run, between methods"
    paper = f"paper's own, licensed {paper_data}"

    def name(row: pd.Series) -> str:
        return method_name(row["method"]) if row["method"] else row["paper_method"]

    def size(row: pd.Series) -> str:
        return NOT_RUN if not row["method"] else f"{row['samples']:.0f} ({row['subjects']:.0f})"

    columns = (
        Column("method", name, left=True),
        Column("samples (subjects)", size),
        Column("mean", _cell("mean_mm"), ours, ends=_ends("mean_mm")),
        Column("std", _cell("std_mm"), ours),
        Column("mean", _cell("paper_mean_mm", lambda v: number(v, 4)), paper),
        Column("std", _cell("paper_std_mm", lambda v: number(v, 4)), paper),
        Column("ratio to the mean face", _cell("ratio_to_mean_face"), beside, ends=_ends("ratio_to_mean_face")),
        Column(
            "difference to DF-MVR (mm)",
            _cell("difference_to_dfmvr_mm", _signed),
            beside,
            ends=_ends("difference_to_dfmvr_mm", _signed),
        ),
        Column("gap to the floor closed", _cell("gap_closed", percent), beside, ends=_ends("gap_closed", percent)),
    )
    text = caption(
        "comparison",
        title=comparison.title,
        protocol=protocol,
        how=PROTOCOLS.get(protocol, protocol),
        resamples=resamples,
        paper_data=paper_data,
    )
    return Table(comparison.name, comparison.title, text, frame, columns, "data", _ours)


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

    columns = [Column("method", lambda row: method_name(row["method"]), left=True)]
    columns += [Column("n", lambda row: f"{row[f'{regions[0]}_samples']:.0f}")]
    columns += [Column("whole face" if r == WHOLE else r, cell(r), "mean RMSE (mm)") for r in regions]
    return Table(
        "regions", "Errors by region", caption("regions", protocol=protocol), wide, tuple(columns), "data", _ours
    )


def protocol_table(frame: pd.DataFrame, names: dict[str, str]) -> Table:
    """Both statistics under every protocol; `frame` is what `comparisons.by_group` gives for `protocol`."""
    frame = frame.copy()
    frame.insert(0, "data", [names.get(d, d) for d in frame["dataset"]])
    groups = ("RMSE, point to plane (mm)", "mean, point to surface (mm)")
    columns = [
        Column("protocol", lambda row: row["protocol"].replace("_", " "), left=True),
        Column("method", lambda row: method_name(row["method"]), left=True),
        Column("samples", _cell("samples", lambda v: f"{v:.0f}")),
    ]
    for statistic, group in zip(("rmse_mm", "mean_mm"), groups, strict=True):
        columns += [
            Column("mean", _cell(statistic), group, ends=_ends(statistic)),
            Column("std", _cell(f"{statistic}_std"), group),
        ]
    kinds = "; ".join(
        f"{p.replace('_', ' ')}: {PROTOCOLS[p]}" for p in dict.fromkeys(frame["protocol"]) if p in PROTOCOLS
    )
    return Table(
        "protocols", "Errors by protocol", caption("protocols", kinds=kinds), frame, tuple(columns), "data", _ours
    )


def real_scan_table(frame: pd.DataFrame) -> Table:
    """Errors on the scan of one person: one row a protocol and method."""
    columns = (
        Column("protocol", lambda row: row["protocol"].replace("_", " "), left=True),
        Column("method", lambda row: method_name(row["method"]), left=True),
        Column("RMSE, point to plane (mm)", _cell("rmse_mm")),
        Column("mean, point to surface (mm)", _cell("mean_mm")),
        Column("part of the crop measured", _cell("coverage", lambda v: percent(v, 1))),
    )
    return Table("real_scan", "A scan of a real person", caption("real_scan_table"), frame, columns, "", _ours)


def loss_table(training: dict[str, pd.DataFrame], terms: dict[str, str]) -> Table:
    """Mean of every loss over the last epoch of each run."""
    rows = []
    for variant, frame in training.items():
        last = frame[frame["epoch"] == frame["epoch"].max()]
        row = {"method": variant, "epochs": int(frame["epoch"].max()) + 1, "steps": len(frame)}
        rows.append(row | {term: last[term].mean() if term in last else np.nan for term in terms})
    columns = [
        Column("run", lambda row: method_name(row["method"]), left=True),
        Column("epochs", _cell("epochs", lambda v: f"{v:.0f}")),
        Column("steps", _cell("steps", lambda v: f"{v:.0f}")),
    ]
    columns += [Column(title, _cell(term, _significant), "mean over the last epoch") for term, title in terms.items()]
    return Table("losses", "Final losses", caption("losses"), pd.DataFrame(rows), tuple(columns), emphasised=_ours)


def _significant(value: float) -> str:
    """Three significant digits."""
    return number(value, int(np.clip(2 - np.floor(np.log10(abs(value))), 0, 6)) if value else 0)


def count_table(frame: pd.DataFrame) -> Table:
    """How many samples there are and how many were set aside, by data set, split and step."""
    columns = (
        Column("step", lambda row: row["step"], left=True),
        Column("samples", _cell("samples", lambda v: f"{v:.0f}")),
        Column("kept", _cell("kept", lambda v: f"{v:.0f}")),
        Column("set aside", _cell("set_aside", lambda v: f"{v:.0f}")),
        Column("part of the crop measured", _cell("coverage", lambda v: percent(v, 1))),
    )
    return Table("samples", "Samples kept and set aside", caption("samples"), frame, columns, "data")


def set_aside_table(frame: pd.DataFrame, shown: int) -> Table:
    """The first `shown` samples set aside, with the reason."""
    columns = (
        Column("sample", lambda row: row["sample"], left=True),
        Column("step", lambda row: row["step"], left=True),
        Column("reason", lambda row: row["reason"], left=True),
    )
    more = caption("set_aside_more", shown=shown, total=len(frame)) if len(frame) > shown else ""
    return Table("set_aside", "Samples set aside", caption("set_aside", more=more), frame, columns, "data")


def runtime_table(frame: pd.DataFrame) -> Table:
    """Run time and memory of every stage."""
    columns = (
        Column("stage", lambda row: row["stage"], left=True),
        Column("jobs", _cell("jobs", lambda v: f"{v:.0f}")),
        Column("time, all jobs (s)", _cell("seconds", lambda v: number(v, 0))),
        Column("peak memory (MiB)", _cell("memory_mib", lambda v: number(v, 0))),
    )
    return Table("runtimes", "Run times", caption("runtimes"), frame, columns)


def parser_table(kinds: dict[str, dict[str, Any]], data: str) -> Table:
    """Mean IoU and pixel accuracy of the face parser; `kinds` is kind of image to `parse.metrics.summary`."""
    rows = [{"images": k, **{n: f[n] for n in ("mean_iou", "pixel_accuracy")}} for k, f in kinds.items()]
    columns = (
        Column("held-out images", lambda row: row["images"], left=True),
        Column("mean IoU", _cell("mean_iou", lambda v: percent(v, 1))),
        Column("pixels right", _cell("pixel_accuracy", lambda v: percent(v, 1))),
    )
    return Table("parser", "Face parser", caption("parser_table", data=data), pd.DataFrame(rows), columns)


def measure_table(measures: dict[str, Sequence[float]]) -> Table:
    """Mean and standard deviation of distances on the faces of the population."""
    rows = [{"measure": name, "mean_mm": mean, "std_mm": std} for name, (mean, std) in measures.items()]
    columns = (
        Column("distance", lambda row: row["measure"].replace("_", " "), left=True),
        Column("mean", _cell("mean_mm", lambda v: number(v, 1)), "mm"),
        Column("std", _cell("std_mm", lambda v: number(v, 1)), "mm"),
    )
    return Table("population", "Population of the face model", caption("population"), pd.DataFrame(rows), columns)


def held_out_table(distances: dict[str, dict[str, float]]) -> Table:
    """Distance of held-out heads from the mean face and from the face model."""
    rows = [{"heads": heads, **found} for heads, found in distances.items()]
    names = list(dict.fromkeys(name for found in distances.values() for name in found))
    columns = [Column("held-out heads", lambda row: row["heads"].replace("_", " "), left=True)]
    columns += [Column(name.replace("_", " "), _cell(name, lambda v: number(v, 2)), "RMS (mm)") for name in names]
    return Table("held_out", "Held-out heads", caption("held_out"), pd.DataFrame(rows), tuple(columns))
