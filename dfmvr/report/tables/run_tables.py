"""The tables of the page about the run itself: training, samples, run times, face parser, face model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from dfmvr.report.captions import caption
from dfmvr.report.context import OK, WHOLE, Context, Run
from dfmvr.report.tables.printed import spaced, two, whole
from dfmvr.report.tables.table import Column, Table, number, number_column, percent, text_column
from dfmvr.study.methods import FAMILIES, read_key
from dfmvr.study.paper import PROTOCOL

one, share = partial(number, digits=1), partial(percent, digits=1)


def loss_table(runs: dict[str, Run], terms: dict[str, str], context: Context, family: str) -> Table:
    """Mean of every loss over the last epoch of each run of one training method.

    Args:
        terms: column to title.
        family: the training method.
    """
    rows = []
    for name, run in runs.items():
        last = run.metrics[run.metrics["epoch"] == run.metrics["epoch"].max()]
        row = {"trained_on": context.name(run.data), "dataset": run.data, "method": name}
        row |= {"epochs": int(run.metrics["epoch"].max()) + 1, "steps": int(run.metrics["step"].max()) + 1}
        rows.append(row | {term: last[term].mean() if term in last else np.nan for term in terms})
    columns = [Column("run", lambda row: read_key(row["method"]).name, left=True)]
    columns += [number_column("epochs", show=whole), number_column("steps", show=whole)]
    group = "mean over the last epoch"
    columns += [number_column(title, term, _significant, group) for term, title in terms.items()]
    stem, named = "losses" if family == "df_mvr" else f"losses_{family}", FAMILIES.get(family, family)
    text = caption("losses", family=named)
    return Table(stem, f"Final losses, {named}", text, pd.DataFrame(rows), tuple(columns), "trained_on")


def _significant(value: float) -> str:
    """Three significant digits."""
    return number(value, int(np.clip(2 - np.floor(np.log10(abs(value))), 0, 6)) if value else 0)


def _steps(context: Context) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Every step that may set samples aside: its data set and name, and a row a sample that entered it."""
    scores = context.scores[(context.scores["protocol"] == PROTOCOL) & (context.scores["region"] == WHOLE)]
    for dataset, manifest in context.manifests.items():
        place = {"data": context.name(dataset), "dataset": dataset}
        failed = manifest[manifest["status"] != OK]
        for split, views in manifest.groupby("split"):
            worst_first = pd.concat([failed[failed["split"] == split], views[views["status"] == OK]])
            yield place | {"step": f"align, {split}"}, worst_first.drop_duplicates("sample")
        aligned = scores[(scores["dataset"] == dataset) & ~scores["sample"].isin(failed["sample"])]
        for method in context.methods:
            scored = aligned[aligned["method"] == method].drop_duplicates("sample")
            if len(scored):
                yield place | {"step": f"score, {read_key(method).name}", "method": method}, scored


def count_table(context: Context) -> Table:
    """How many samples there are and how many each step set aside, and registrations that did not converge."""
    rows = []
    for place, samples in _steps(context):
        kept = int((samples["status"] == OK).sum())
        row = place | {"samples": len(samples), "kept": kept, "set_aside": len(samples) - kept}
        if "method" in place:
            row["coverage"] = samples["coverage"].mean()
            converged = context.converged(place["method"], place["dataset"])
            row["not_converged"] = np.nan if converged is None else int((~converged).sum())
        rows.append(row)
    columns = ["data", "dataset", "step", "samples", "kept", "set_aside", "coverage", "not_converged"]
    shown = (
        text_column("step"),
        number_column("samples", show=whole),
        number_column("kept", show=whole),
        number_column("set aside", "set_aside", whole),
        number_column("registered, not converged", "not_converged", whole),
        number_column("part of the crop measured", "coverage", share),
    )
    frame = pd.DataFrame(rows, columns=columns)
    return Table("samples", "Samples kept and set aside", caption("samples"), frame, shown, "data")


def set_aside_table(context: Context, shown: int) -> Table:
    """One row a sample and step that set it aside, with the reason; the caption speaks of the first `shown`."""
    columns = ["data", "dataset", "step", "sample", "reason"]
    parts = [rows[rows["status"] != OK].assign(**place) for place, rows in _steps(context)]
    frame = pd.concat(part.reindex(columns=columns) for part in parts).reset_index(drop=True)
    more = caption("set_aside_more", shown=shown, total=len(frame)) if len(frame) > shown else ""
    text = caption("set_aside", more=more)
    told = tuple(map(text_column, ("sample", "step", "reason")))
    return Table("set_aside", "Samples set aside", text, frame, told, "data")


def runtime_table(benchmarks: pd.DataFrame) -> Table:
    """Run time and memory of every stage, and of all."""
    measured = {"jobs": ("job", "nunique"), "seconds": ("seconds", "sum"), "cpu_seconds": ("cpu_seconds", "sum")}
    measured["memory_mib"] = ("memory_mib", "max")
    columns = (
        text_column("stage"),
        number_column("jobs", show=whole),
        number_column("time, all jobs (s)", "seconds", whole),
        number_column("CPU time (hours)", "cpu_seconds", lambda seconds: number(seconds / 3600, 2)),
        number_column("peak memory (MiB)", "memory_mib", whole),
    )
    frame = benchmarks.groupby("stage", sort=False).agg(**measured).reset_index()
    every = benchmarks.assign(stage="all").groupby("stage").agg(**measured).reset_index()
    frame = pd.concat([frame, every], ignore_index=True)
    return Table(
        "runtimes", "Run times", caption("runtimes"), frame, columns, emphasised=lambda row: row["stage"] == "all"
    )


def total_costs(benchmarks: pd.DataFrame) -> dict[str, float]:
    """CPU hours of all jobs, hours in which any of them ran, and the peak memory of one, MiB.

    A job ran up to the time of its file: the hours are those of the union of these spans.
    """
    spans = sorted(zip(benchmarks["end"] - benchmarks["seconds"], benchmarks["end"], strict=True))
    wall, last = 0.0, -np.inf
    for start, end in spans:
        wall += max(0.0, end - max(start, last))
        last = max(last, end)
    hours = {"cpu_hours": float(benchmarks["cpu_seconds"].sum()) / 3600, "wall_hours": wall / 3600}
    return hours | {"memory_mib": float(benchmarks["memory_mib"].max())}


def parser_table(kinds: dict[str, dict[str, Any]], data: str) -> Table:
    """Mean IoU and pixel accuracy of the face parser; `kinds` is kind of image to `parse.metrics.summary`."""
    rows = [{"images": k, **{n: f[n] for n in ("mean_iou", "pixel_accuracy")}} for k, f in kinds.items()]
    columns = (
        text_column("held-out images", "images"),
        number_column("mean IoU", "mean_iou", share),
        number_column("pixels right", "pixel_accuracy", share),
    )
    return Table("parser", "Face parser", caption("parser_table", data=data), pd.DataFrame(rows), columns)


def measure_table(measures: dict[str, Sequence[float]]) -> Table:
    """Mean and standard deviation of distances on the faces of the population."""
    rows = [{"measure": name, "mean_mm": mean, "std_mm": std} for name, (mean, std) in measures.items()]
    columns = [Column("distance", lambda row: spaced(row["measure"]), left=True)]
    columns += [number_column(name, f"{name}_mm", one, "mm") for name in ("mean", "std")]
    text = caption("population")
    return Table("population", "Population of the face model", text, pd.DataFrame(rows), tuple(columns))


def held_out_table(distances: dict[str, dict[str, float]]) -> Table:
    """Distance of held-out heads from the mean face and from the face model."""
    rows = [{"heads": heads, **found} for heads, found in distances.items()]
    names = list(dict.fromkeys(name for found in distances.values() for name in found))
    columns = [Column("held-out heads", lambda row: spaced(row["heads"]), left=True)]
    columns += [number_column(spaced(name), name, two, "RMS (mm)") for name in names]
    return Table("held_out", "Held-out heads", caption("held_out"), pd.DataFrame(rows), tuple(columns))
