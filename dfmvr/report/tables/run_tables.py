"""The tables of the page about the run itself: training, samples, run times, face parser, face model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dfmvr.report.captions import caption
from dfmvr.report.inputs import Run
from dfmvr.report.tables.printed import number_cell, whole_cell
from dfmvr.report.tables.table import Column, Table, number, percent
from dfmvr.study.methods import FAMILIES, read_key


def loss_table(runs: dict[str, Run], terms: dict[str, str], names: dict[str, str], family: str) -> Table:
    """Mean of every loss over the last epoch of each run of one training method.

    Args:
        terms: column to title.
        names: printed name of each data set.
        family: the training method.
    """
    rows = []
    for name, run in runs.items():
        last = run.metrics[run.metrics["epoch"] == run.metrics["epoch"].max()]
        row = {"trained_on": names.get(run.data, run.data), "dataset": run.data, "method": name}
        row |= {"epochs": int(run.metrics["epoch"].max()) + 1, "steps": len(run.metrics)}
        rows.append(row | {term: last[term].mean() if term in last else np.nan for term in terms})
    columns = [
        Column("run", lambda row: read_key(row["method"]).name, left=True),
        Column("epochs", whole_cell("epochs")),
        Column("steps", whole_cell("steps")),
    ]
    columns += [
        Column(title, number_cell(term, _significant), "mean over the last epoch") for term, title in terms.items()
    ]
    stem = "losses" if family == "df_mvr" else f"losses_{family}"
    title = f"Final losses, {FAMILIES[family]}"
    return Table(
        stem, title, caption("losses", family=FAMILIES[family]), pd.DataFrame(rows), tuple(columns), "trained_on"
    )


def _significant(value: float) -> str:
    """Three significant digits."""
    return number(value, int(np.clip(2 - np.floor(np.log10(abs(value))), 0, 6)) if value else 0)


def count_table(frame: pd.DataFrame) -> Table:
    """How many samples there are and how many were set aside, by data set, split and step."""
    columns = (
        Column("step", lambda row: row["step"], left=True),
        Column("samples", whole_cell("samples")),
        Column("kept", whole_cell("kept")),
        Column("set aside", whole_cell("set_aside")),
        Column("registered, not converged", whole_cell("not_converged")),
        Column("part of the crop measured", number_cell("coverage", lambda v: percent(v, 1))),
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
        Column("jobs", whole_cell("jobs")),
        Column("time, all jobs (s)", number_cell("seconds", lambda v: number(v, 0))),
        Column("peak memory (MiB)", number_cell("memory_mib", lambda v: number(v, 0))),
    )
    return Table("runtimes", "Run times", caption("runtimes"), frame, columns)


def parser_table(kinds: dict[str, dict[str, Any]], data: str) -> Table:
    """Mean IoU and pixel accuracy of the face parser; `kinds` is kind of image to `parse.metrics.summary`."""
    rows = [{"images": k, **{n: f[n] for n in ("mean_iou", "pixel_accuracy")}} for k, f in kinds.items()]
    columns = (
        Column("held-out images", lambda row: row["images"], left=True),
        Column("mean IoU", number_cell("mean_iou", lambda v: percent(v, 1))),
        Column("pixels right", number_cell("pixel_accuracy", lambda v: percent(v, 1))),
    )
    return Table("parser", "Face parser", caption("parser_table", data=data), pd.DataFrame(rows), columns)


def measure_table(measures: dict[str, Sequence[float]]) -> Table:
    """Mean and standard deviation of distances on the faces of the population."""
    rows = [{"measure": name, "mean_mm": mean, "std_mm": std} for name, (mean, std) in measures.items()]
    columns = (
        Column("distance", lambda row: row["measure"].replace("_", " "), left=True),
        Column("mean", number_cell("mean_mm", lambda v: number(v, 1)), "mm"),
        Column("std", number_cell("std_mm", lambda v: number(v, 1)), "mm"),
    )
    return Table("population", "Population of the face model", caption("population"), pd.DataFrame(rows), columns)


def held_out_table(distances: dict[str, dict[str, float]]) -> Table:
    """Distance of held-out heads from the mean face and from the face model."""
    rows = [{"heads": heads, **found} for heads, found in distances.items()]
    names = list(dict.fromkeys(name for found in distances.values() for name in found))
    columns = [Column("held-out heads", lambda row: row["heads"].replace("_", " "), left=True)]
    columns += [Column(name.replace("_", " "), number_cell(name, lambda v: number(v, 2)), "RMS (mm)") for name in names]
    return Table("held_out", "Held-out heads", caption("held_out"), pd.DataFrame(rows), tuple(columns))
