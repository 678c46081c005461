"""The plots of the page. Each function draws one figure and leaves saving to `style.save_figure`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from dfmvr.report.context import WHOLE, Context
from dfmvr.report.figures.style import styled
from dfmvr.report.tables.learning_curve import LearningCurve, target_error
from dfmvr.study.methods import FLOOR, MEAN_FACE, OURS, one_of_each_kind, read_key


def figure_text(name: str) -> str:
    """Markup `L_{l3d}` of a name as Matplotlib's."""
    before, mark, rest = name.partition("_{")
    subscript, _, after = rest.partition("}")
    return f"{before}$_{{\\mathrm{{{subscript}}}}}${after}" if mark else name


def _look(method: str, width: float = 1.0, name: str = "") -> dict[str, Any]:
    """How a method's line is drawn, `width` times as wide as usual, and what the legend calls it."""
    line, name = read_key(method).line, name or read_key(method).name
    dashes = line.dashes or (None, None)
    return {"color": line.colour, "dashes": dashes, "linewidth": width * line.width, "label": figure_text(name)}


def _axes(count: int, width: float, height: float, columns: int, sharex: bool = False) -> tuple[Figure, list[Axes]]:
    """A grid of `count` axes, `columns` abreast, each of the given size in inches."""
    columns = min(columns, count)
    rows = -(-count // columns)
    size = (width * columns, height * rows)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex)
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


@styled()
def cumulative_errors(errors: dict[str, pd.DataFrame]) -> Figure:
    """Share of the samples whose error is at most x, a panel for each data set.

    Args:
        errors: printed name of the data set to errors in mm, one row a sample and one column a method.
    """
    figure, axes = _axes(len(errors), 4.6, 3.5, 2)
    for ax, (name, table) in zip(axes, errors.items(), strict=True):
        for method in _few(table.columns):
            values = np.sort(table[method].to_numpy())
            share = np.arange(1, len(values) + 1) / len(values)
            ax.step(np.r_[values[0], values], np.r_[0, 100 * share], where="post", **_look(method))
        ax.set(title=name, xlabel="RMSE of a sample (mm)", ylabel="samples (%)", ylim=(0, 100), xlim=(0, None))
    _legend_below(figure, *axes)
    return figure


@styled()
def region_errors(frame: pd.DataFrame, regions: Sequence[str], context: Context) -> Figure:
    """Mean error of every method in every region with its interval, a panel for each data set.

    Args:
        frame: what `comparisons.by_group` gives for `region`.
        regions: the regions, from top to bottom.
    """
    datasets = list(dict.fromkeys(frame["dataset"]))
    chosen = {dataset: _few(dict.fromkeys(rows["method"])) for dataset, rows in frame.groupby("dataset")}
    step, room = 0.16, max(1.0, 0.16 * (max(map(len, chosen.values())) + 1.5))
    figure, axes = _axes(len(datasets), 4.6, 0.42 * room * len(regions) + 1.1, 2)
    for ax, dataset in zip(axes, datasets, strict=True):
        rows = frame[frame["dataset"] == dataset]
        methods = chosen[dataset]
        for i, method in enumerate(methods):
            mine = rows[rows["method"] == method].set_index("region").reindex(regions)
            style, offset = read_key(method).line, (i - (len(methods) - 1) / 2) * step / room
            y = np.arange(len(regions)) + offset
            ax.hlines(y, mine["rmse_mm_low"], mine["rmse_mm_high"], color=style.colour, linewidth=1.4)
            label = figure_text(read_key(method).name)
            ax.plot(mine["rmse_mm"], y, style.marker, color=style.colour, markersize=5, label=label)
        ax.set(title=context.name(dataset), xlabel="mean RMSE (mm)", xlim=(0, None))
        ax.set_yticks(range(len(regions)), ["whole face" if r == WHOLE else r for r in regions])
        ax.set_ylim(len(regions) - 0.5, -0.5)
        ax.grid(axis="y", visible=False)
        for line in np.arange(len(regions) - 1) + 0.5:
            ax.axhline(line, color="#e3e3e3", linewidth=0.7)
    _legend_below(figure, *axes)
    return figure


@styled()
def training_curves(training: dict[str, pd.DataFrame], terms: dict[str, str]) -> Figure:
    """Every loss against the epoch, a panel for each term, one line a training run.

    Args:
        training: the metrics of each run with a column `epoch` (fractional allowed) and one a term.
        terms: column to title, in the order of the panels.
    """
    figure, axes = _axes(len(terms), 3.1, 2.3, 3, sharex=True)
    for ax, (term, title) in zip(axes, terms.items(), strict=True):
        for variant, frame in training.items():
            known = frame.reindex(columns=["epoch", term]).dropna()  # steps without renderings have no photo loss
            if known.empty:
                continue
            ax.plot(known["epoch"], known[term], **_look(variant, 0.8))
        ax.set_title(figure_text(title))
        ax.set_xlabel("epoch")
        ax.set_ylim(bottom=0)
    _legend_below(figure, *axes)
    return figure


@styled()
def errors_by_weight(frame: pd.DataFrame, titles: dict[str, str], usual: dict[str, float]) -> Figure:
    """Mean error against the weight of a loss, and the paired difference from the usual weight below it (Fig. 11).

    Args:
        frame: one row a loss and weight: loss, weight, then mean, low, high and difference, difference_low,
            difference_high in mm.
        titles: loss to its symbol and name; one column of panels each.
        usual: the weight of each loss that the study uses.
    """
    losses = [loss for loss in titles if loss in set(frame["loss"])]
    figure = Figure(figsize=(3.6 * len(losses), 4.4), layout="constrained")
    grid = figure.subplots(2, len(losses), squeeze=False, sharex="col", sharey="row", height_ratios=(1.25, 1))
    style = read_key(OURS).line
    for (top, bottom), loss in zip(grid.T, losses, strict=True):
        rows = frame[frame["loss"] == loss].sort_values("weight")
        for ax, name in ((top, "mean"), (bottom, "difference")):
            ends = rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]
            spread = np.clip(np.nan_to_num(np.stack([end.to_numpy(float) for end in ends])), 0, None)
            look = {"color": style.colour, "marker": "o", "markersize": 5, "linewidth": 1.4, "capsize": 3}
            ax.errorbar(rows["weight"], rows[name], spread, **look)
            chosen = rows["weight"] == usual[loss]
            ax.plot(rows["weight"][chosen], rows[name][chosen], "o", color="white", markersize=2.4, zorder=4)
        top.set_title(figure_text(titles[loss]))
        bottom.set_xlabel(f"weight (the study's: {usual[loss]:g})")
        bottom.axhline(0, color="#555555", linewidth=0.8)
        bottom.set_xticks(rows["weight"].to_numpy())
    grid[0, 0].set_ylabel("mean RMSE (mm)")
    grid[1, 0].set_ylabel("difference (mm)")
    return figure


@styled()
def errors_by_yaw(frame: pd.DataFrame) -> Figure:
    """Mean error of every method against the yaw of the side view that varies, with intervals (Fig. 12).

    Args:
        frame: one row a method and yaw: method, yaw (degrees), mean, low, high in mm.
    """
    figure = Figure(figsize=(5.4, 4.2), layout="constrained")
    ax = figure.subplots()
    methods = list(dict.fromkeys(frame["method"]))
    for i, method in enumerate(methods):
        rows, line = frame[frame["method"] == method].sort_values("yaw"), read_key(method).line
        place = rows["yaw"] + 0.5 * (i - (len(methods) - 1) / 2)  # beside each other, so that no interval hides another
        ax.vlines(place, rows["low"], rows["high"], color=line.colour, linewidth=1.3)
        look = _look(method, 0.8, read_key(method).short_name)
        ax.plot(place, rows["mean"], line.marker, linestyle="-", markersize=5, **look)
    yaws = sorted(frame["yaw"].unique())
    ax.set_xticks(yaws, [f"{yaw:g}\u00b0" for yaw in yaws])
    ax.set(xlabel="yaw of the side view that varies", ylabel="mean RMSE (mm)", ylim=(0, None))
    _legend_below(figure, ax)
    return figure


@styled()
def learning_curves(curves: Sequence[LearningCurve], names: Sequence[str], gaps: Sequence[float]) -> Figure:
    """Error against steps with the laws that lead on from there, a panel for each curve; all axes are logarithmic.

    Args:
        curves: what `learning_curve.learning_curves` gives.
        names: what each is called.
        gaps: parts of the gap between mean face and floor, drawn as lines.
    """
    figure, axes = _axes(len(curves), 4.6, 3.8, 2)
    for ax, one, name in zip(axes, curves, names, strict=True):
        colour = read_key(OURS).line.colour
        found = [one.found.interval(lambda mean: mean, method) for method in one.methods]
        value, low, high = np.array(found).T
        spread = np.nan_to_num(np.clip([value - low, high - value], 0, None))
        ax.errorbar(one.steps, value, spread, fmt="o", color=colour, markersize=5, capsize=3, label="trained")
        last = one.steps.max()
        ahead = np.geomspace(one.steps.min(), 100 * last, 200)
        if one.curve is not None:
            drawn = one.curve.resampled.error(ahead)
            ends = np.quantile(drawn, [0.025, 0.975], axis=0)
            ax.fill_between(ahead, *ends, color=colour, alpha=0.15, linewidth=0, label="95 % of the resampled laws")
            law = one.curve.law.error(ahead)
            ax.plot(ahead[ahead <= last], law[ahead <= last], color=colour, label="power law with a floor")
            ax.plot(ahead[ahead >= last], law[ahead >= last], color=colour, dashes=(4, 2), label="where it leads")
        for share in (0.0, *gaps, 1.0) if {MEAN_FACE, FLOOR} <= set(one.found.errors.table) else ():
            error, _ = target_error(one.found, share)
            text = {0.0: "mean face", 1.0: "floor"}.get(share, f"{100 * share:.0f} % of the gap closed")
            ax.axhline(error, color="#555555", linewidth=0.8, dashes=(1, 2))
            ax.annotate(text, (1, error), (-2, 2), ha="right", fontsize=7.5, **_BESIDE)
        ax.set(title=name, xscale="log", yscale="log", xlabel="steps", ylabel="mean RMSE (mm)")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 3, 5, 7)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
    _legend_below(figure, *axes)
    return figure


_BESIDE = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "bottom"}


@styled()
def class_scores(scores: dict[str, dict[str, float]], mean: float) -> Figure:
    """Intersection over union of every class of the face parser.

    Args:
        scores: kind of image to class to value in [0, 1]; the first kind is drawn as bars, others as marks.
        mean: mean over the classes for the first kind, drawn as a line.
    """
    figure, (ax,) = _axes(1, 5.4, 3.2, 1)
    (kind, first), *others = scores.items()
    names = [name.replace("_", " ") for name in first]
    values = np.array([100 * value for value in first.values()])
    ax.barh(names, np.nan_to_num(values), color="#9dbfe0", height=0.7, label=kind)
    for i, value in enumerate(values):
        text = f"{value:.0f}" if np.isfinite(value) else "none"
        ax.annotate(text, (1, i), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center")
    for other, found in others:
        ax.plot([100 * v for v in found.values()], names, "D", color="#1b1b1b", markersize=4, label=other)
    ax.axvline(100 * mean, color="#0b5394", linewidth=1.2, dashes=(4, 2))
    if np.isfinite(mean):
        side = "left" if mean < 0.1 else "right" if mean > 0.9 else "center"
        ax.annotate(f"mean {100 * mean:.1f}", (100 * mean, 1), (0, 2), ha=side, fontsize=8, **_ABOVE)
    ax.set(xlim=(0, 100), xlabel="intersection over union (%)")
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    _legend_below(figure, ax)
    return figure


_ABOVE = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "bottom"}


def _legend_below(figure: Figure, *panels: Axes) -> None:
    """One legend for all panels, under them: every name once, whichever panels have it."""
    entries: dict[str, Artist] = {}
    for ax in panels:
        handles, labels = ax.get_legend_handles_labels()
        if ax.containers:  # bars come before marks
            handles, labels = handles[::-1], labels[::-1]
        entries |= {label: handle for label, handle in zip(labels, handles, strict=True) if label not in entries}
    longest = max(len(label) for label in entries)
    columns = max(1, int(figure.get_figwidth() / (0.075 * longest + 0.65)))
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=min(columns, len(entries)),
        handlelength=3.2,
        fontsize=8,
    )


MOST_LINES = 7
"""Curves of more methods than this in one panel cannot be told apart."""


def _few(methods: Iterable[str]) -> list[str]:
    """The methods, or of many those that the paper's figures show."""
    methods = list(methods)
    return methods if len(methods) <= MOST_LINES else one_of_each_kind(methods)
