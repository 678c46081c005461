"""Chapters about what the error depends on: loss weights, angle and light, and the worst samples."""

from __future__ import annotations

from functools import partial
from operator import sub

import pandas as pd

from dfmvr.report.captions import caption
from dfmvr.report.chapter import Chapter, chapter_of
from dfmvr.report.context import Context
from dfmvr.report.figures import gallery, panels, plots, worst
from dfmvr.report.figures.exhibits import Chosen, Exhibit, angle, exhibits
from dfmvr.report.tables import learning_curve
from dfmvr.report.tables.comparisons import Bootstrapped, bootstrapped
from dfmvr.report.tables.errors import errors_of
from dfmvr.report.tables.printed import learning_curve_fit_table, learning_curve_table, two, whole
from dfmvr.report.tables.table import Column, Table, interval, number, number_column, signed, text_column
from dfmvr.study.methods import OURS, one_of_each_kind, read_key

TITLES = {"photo": "photo loss, w_{p}", "mask": "mask loss, w_{m}"}

CORRELATION_RESAMPLES = 1000


@chapter_of("Sensitivity to the loss weights", "sensitivity", "score")
def sensitivity_chapter(context: Context, chapter: Chapter) -> None:
    """Error against the weights of photo and mask loss (Fig. 11); empty without such variants."""
    chapter.say(caption("sensitivity"))
    variants = [read_key(method).variant for method in context.methods]
    weights = {variant.key: variant.weight for variant in variants if variant.weight}
    usual = {name: float(getattr(context.configuration.train.loss, name)) for name in TITLES}
    for dataset in context.datasets if weights else []:
        errors = errors_of(context.scores, dataset, methods=[*weights, OURS])
        if errors.table.empty or OURS not in errors.table or len(errors.table.columns) < 2:
            continue
        found = bootstrapped(errors, context.configuration.report)
        frame = _by_weight(found, weights, usual).assign(data=context.name(dataset))
        facts = {"data": context.name(dataset), **found.size}
        most = max(errors.seeds.values())
        seeds = caption("one_training") if most == 1 else caption("trainings", count=most)
        name = f"sensitivity_{dataset}"
        figure = plots.errors_by_weight(frame, TITLES, usual)
        chapter.plot(figure, name, "sensitivity_figure", **facts, seeds=seeds)
        columns = (
            Column("loss", lambda row: TITLES[row["loss"]], left=True),
            Column("weight", lambda row: f"{row['weight']:g}"),
            number_column("trainings", "seeds", whole),
            number_column("mean (mm)", "mean", ends=True),
            number_column("difference (mm)", "difference", ends=True)._replace(
                cell=lambda row: signed(row["difference"])
            ),
        )
        text = caption("sensitivity_table", **facts)
        chapter.table(Table(name, chapter.title, text, frame, columns, "data", lambda row: row["method"] == OURS))


def _by_weight(found: Bootstrapped, weights: dict[str, tuple[str, float]], usual: dict[str, float]) -> pd.DataFrame:
    """What `plots.errors_by_weight` draws; the study's own model has a row for each loss."""
    entries = [(m, *weights[m]) for m in found.errors.table if m != OURS]
    entries += [(OURS, loss, usual[loss]) for loss in dict.fromkeys(loss for _, loss, _ in entries)]
    rows = []
    for method, loss, weight in entries:
        row = {"loss": loss, "weight": weight, "method": method, "seeds": found.errors.seeds[method]}
        rows.append(row | found.mean("mean", method) | found.cells("difference", sub, method, OURS))
    return pd.DataFrame(rows).sort_values(["loss", "weight"], ascending=[False, True], ignore_index=True)


@chapter_of("Error against steps", "learning_curve", "train", "score")
def learning_curve_chapter(context: Context, chapter: Chapter) -> None:
    """How the error falls with the length of the training, and where that leads."""
    curves = learning_curve.learning_curves(context)
    if not curves:
        return
    chapter.say(caption("learning_curve"))
    names = [f"{read_key(one.name).name}, {context.name(one.dataset)}" for one in curves]
    figure = plots.learning_curves(curves, names, learning_curve.GAPS)
    sizes = " and ".join(dict.fromkeys(str(one.found.resampled.subjects) for one in curves))
    chapter.plot(figure, "learning_curve", "learning_curve_figure", subjects=sizes)
    fits = learning_curve.fits_frame(context)
    if fits.empty:
        chapter.note(caption("learning_curve_short"))
    else:
        chapter.table(learning_curve_fit_table(fits))
        if early := [name for one, name in zip(curves, names, strict=True) if one.curve and one.curve.steepens]:
            chapter.note(caption("learning_curve_early", names="; ".join(early)))
    chapter.table(learning_curve_table(learning_curve.points_frame(context)))


@chapter_of("Robustness to angle and light", "robustness", "align", "reconstruct", "score")
def robustness_chapter(context: Context, chapter: Chapter) -> None:
    """Error and landmarks where the angle of a side view or the light changes (Fig. 12)."""
    chapter.say(caption("robustness"))
    for dataset in context.datasets:
        frame = errors_by_yaw(context, dataset)
        if frame.empty:
            continue
        facts = {key: _span(frame[key]) for key in ("samples", "subjects")}
        figure = plots.errors_by_yaw(frame)
        chapter.plot(figure, f"robustness_{dataset}", "robustness_figure", data=context.name(dataset), **facts)
    for exhibit in exhibits(context):
        shown = _one_of_each_kind(exhibit)
        if len(shown) > 1:
            image = gallery.landmark_panel(exhibit, list(shown), list(shown.values()))
            facts = {"data": exhibit.name, "count": len(shown)}
            chapter.picture(image, f"landmarks_{exhibit.dataset}", "landmarks_figure", **facts)


def errors_by_yaw(context: Context, dataset: str) -> pd.DataFrame:
    """Mean error of the compared methods at every yaw of the varied view: method, yaw (degrees, unsigned), mean, ...

    Empty where there are fewer than two angles.
    """
    scores = context.scores[context.scores["dataset"] == dataset]
    yaws = sorted(scores["left_yaw"].dropna().unique(), key=abs)
    rows = []
    for yaw in yaws if len(yaws) > 1 else []:
        errors = errors_of(scores[scores["left_yaw"] == yaw], dataset)
        if errors.table.empty:
            continue
        found = bootstrapped(errors, context.configuration.report)
        for method in one_of_each_kind(list(errors.table.columns)):
            mean, low, high = found.interval(lambda m: m, method)
            row = {"method": method, "yaw": abs(float(yaw)), "mean": mean, "low": low, "high": high}
            rows.append(row | found.size)
    return pd.DataFrame(rows, columns=["method", "yaw", "mean", "low", "high", "samples", "subjects"])


def _span(numbers: pd.Series) -> str:
    """One number, or the smallest and the largest."""
    low, high = numbers.min(), numbers.max()
    return str(low) if low == high else f"{low} to {high}"


def _one_of_each_kind(exhibit: Exhibit) -> dict[str, str]:
    """For every angle of the varied view, or else every light, the sample with the median error and what to call it.

    The samples are of different people, as far as there are as many.
    """
    yaws = exhibit.varied_yaws.sort_values(key=abs, kind="stable").map(angle)
    kinds = yaws if yaws.nunique() > 1 else exhibit.told("illumination").map("light {}".format)
    shown: dict[str, str] = {}
    people: set[str] = set()
    for kind in list(dict.fromkeys(kinds))[:4] if kinds.nunique() > 1 else []:
        order = exhibit.errors.loc[kinds.index[kinds == kind], exhibit.ours].sort_values(kind="stable").index
        middle = sorted(order, key=lambda s: abs(list(order).index(s) - (len(order) - 1) / 2))
        new = [sample for sample in middle if exhibit.subjects[sample] not in people]
        chosen = (new or middle)[0]
        people.add(exhibit.subjects[chosen])
        shown[str(chosen)] = kind
    return shown


@chapter_of("The worst samples, and why", "worst", "align", "parse", "reconstruct", "register", "score")
def worst_chapter(context: Context, chapter: Chapter) -> None:
    """The samples with the largest errors, what stands out about them, and what goes with the error (Fig. 14)."""
    settings = context.configuration.report
    if exhibits(context):
        samples = " and ".join(str(len(exhibit.errors)) for exhibit in exhibits(context))
        chapter.say(caption("worst", far_off=number(worst.FAR_OFF, 0), samples=samples))
    for exhibit in exhibits(context):
        table = worst.measure(exhibit, context.scores)
        for one in exhibit.worst(exhibit.most):
            _bad_sample(context, chapter, exhibit, one, table)
        resamples = min(settings.bootstrap, CORRELATION_RESAMPLES)
        found = worst.correlations(exhibit, table, resamples, settings.seed)
        if not found.empty:
            chapter.table(_correlation_table(exhibit, found, table, resamples))


def _bad_sample(context: Context, chapter: Chapter, exhibit: Exhibit, one: Chosen, table: pd.DataFrame) -> None:
    """A picture of a bad sample, and the reasons in words."""
    scale = panels.error_scale([exhibit.shapes(one.sample)])
    region = worst.worst_region(context.scores, exhibit, one.sample)
    sentences = []
    if region is not None:
        facts = {"error": two(region.rmse_mm), "median": two(region.usual_mm), "share": f"{100 * region.share:.0f} %"}
        sentences.append(caption("worst_region", region=region.region, **facts))
    causes = worst.causes(table, one.sample)
    causes += [caption("worst_not_converged")] if worst.not_converged(exhibit, one.sample) else []
    sentences.append(caption("worst_causes", causes="; ".join(causes)) if causes else caption("worst_none"))
    facts = {"rank": one.rank, "of": one.of, "error": two(one.error_mm), "reasons": " ".join(sentences)}
    image, name = gallery.worst_panel(exhibit, one.sample, scale), f"worst_{exhibit.dataset}_{one.rank:03d}"
    chapter.picture(image, name, "worst_figure", place=exhibit.place(one.sample), **facts)


def _correlation_table(exhibit: Exhibit, found: pd.DataFrame, table: pd.DataFrame, resamples: int) -> Table:
    """Rank correlations with the error, and the medians of the measures."""
    measures = [worst.MEASURES[name] for name in found["measure"]]
    frame = found.assign(
        data=exhibit.name,
        dataset=exhibit.dataset,
        name=[measure.name for measure in measures],
        median=table.median()[found["measure"]].to_numpy(),
        unit=[measure.unit for measure in measures],
    )
    show = partial(signed, digits=2)
    columns = (
        text_column("measure", "name"),
        Column("median", lambda row: worst.shown(row["median"], worst.MEASURES[row["measure"]])),
        number_column("n", show=whole),
        Column(
            "rank correlation",
            lambda row: show(row["correlation"]),
            ends=lambda row: interval((row["low"], row["high"]), show),
        ),
    )
    text = caption("correlations", data=f"{exhibit.name}, {read_key(exhibit.ours).name}", resamples=resamples)
    return Table(f"causes_{exhibit.dataset}", "What goes with the error", text, frame, columns, "data")
