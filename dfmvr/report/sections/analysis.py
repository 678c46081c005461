"""Sections of the page about what the error depends on: loss weights, angle and light, and the worst samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd

from dfmvr.config.training import LossSection
from dfmvr.report.captions import caption
from dfmvr.report.figures import gallery, panels, plots, worst
from dfmvr.report.figures.exhibits import Exhibit
from dfmvr.report.page import Section
from dfmvr.report.sections.figures import MOST_ROWS, add_picture, angle, left_yaws
from dfmvr.report.sections.results import PROTOCOL, Report
from dfmvr.report.tables import comparisons
from dfmvr.report.tables.errors import Errors, errors_of
from dfmvr.report.tables.statistics import Resampled
from dfmvr.report.tables.table import Column, Table, interval, number
from dfmvr.study.methods import OURS, one_of_each_kind, read_key

TITLES = {"photo": "photo loss, w_{p}", "mask": "mask loss, w_{m}"}

CORRELATION_RESAMPLES = 1000


def analysis_sections(report: Report, exhibits: Sequence[Exhibit]) -> list[Section]:
    """All sections of this module, empty ones included."""
    return [
        sensitivity_section(report),
        robustness_section(report, exhibits),
        worst_section(report, exhibits),
    ]


def sensitivity_section(report: Report) -> Section:
    """Error against the weights of photo and mask loss (Fig. 11); empty without such variants."""
    section = Section("Sensitivity to the loss weights", "sensitivity")
    variants = [read_key(method).variant for method in report.study.methods]
    weights = {variant.key: variant.weight for variant in variants if variant.weight}
    loss = LossSection.model_validate(report.configuration.get("train", {}).get("loss", {}))
    usual = {name: float(getattr(loss, name)) for name in TITLES}
    for dataset in report.study.datasets if weights else []:
        errors = errors_of(report.study.scores, dataset, PROTOCOL, methods=[*weights, OURS])
        if errors.table.empty or OURS not in errors.table or len(errors.table.columns) < 2:
            continue
        found = comparisons.resample(errors, report.bootstrap, dataset)
        frame = _by_weight(errors, found, weights, usual).assign(data=report.name(dataset))
        facts = {"data": report.name(dataset), "samples": len(errors.table), "subjects": found.subjects}
        most = max(errors.seeds.values())
        seeds = caption("one_training") if most == 1 else caption("trainings", count=most)
        text = caption("sensitivity_figure", **facts, protocol=PROTOCOL, seeds=seeds)
        alt = f"Error against the weights of the losses, {report.name(dataset)}"
        report.plot(section, f"sensitivity_{dataset}", partial(plots.errors_by_weight, frame, TITLES, usual), alt, text)
        text = caption("sensitivity_table", **facts, protocol=PROTOCOL)
        report.table(section, _weight_table(frame, f"sensitivity_{dataset}", text))
    if section.parts:
        section.paragraphs.append(caption("sensitivity"))
    return section


def _by_weight(
    errors: Errors, found: Resampled, weights: dict[str, tuple[str, float]], usual: dict[str, float]
) -> pd.DataFrame:
    """What `plots.errors_by_weight` draws; the study's own model has a row for each loss."""
    place = {method: i for i, method in enumerate(errors.table.columns)}
    entries = [(m, *weights[m]) for m in place if m != OURS]
    entries += [(OURS, loss, usual[loss]) for loss in dict.fromkeys(loss for _, loss, _ in entries)]
    rows = []
    for method, loss, weight in entries:
        i, reference = place[method], place[OURS]
        mean = found.interval(lambda m, i=i: m[..., i])
        off = found.interval(lambda m, i=i, k=reference: m[..., i] - m[..., k])
        row = {"loss": loss, "weight": weight, "method": method, "seeds": errors.seeds[method]}
        row |= dict(zip(("mean", "mean_low", "mean_high"), mean, strict=True))
        rows.append(row | dict(zip(("difference", "difference_low", "difference_high"), off, strict=True)))
    return pd.DataFrame(rows).sort_values(["loss", "weight"], ascending=[False, True], ignore_index=True)


def _weight_table(frame: pd.DataFrame, name: str, text: str) -> Table:
    def ends(key: str, digits: int = 3) -> Column:
        return Column(
            f"{key} (mm)",
            lambda row: number(row[key], digits, signed=key == "difference"),
            ends=lambda row: interval((row[f"{key}_low"], row[f"{key}_high"]), lambda v: number(v, digits)),
        )

    columns = (
        Column("loss", lambda row: TITLES[row["loss"]], left=True),
        Column("weight", lambda row: f"{row['weight']:g}"),
        Column("trainings", lambda row: str(row["seeds"])),
        ends("mean"),
        ends("difference"),
    )
    title = "Sensitivity to the loss weights"
    return Table(name, title, text, frame, columns, "data", lambda row: row["method"] == OURS)


def robustness_section(report: Report, exhibits: Sequence[Exhibit]) -> Section:
    """Error and landmarks where the left view's angle or the light changes (Fig. 12)."""
    section = Section("Robustness to angle and light", "robustness")
    for dataset in report.study.datasets:
        frame = errors_by_yaw(report, dataset)
        if frame.empty:
            continue
        labels = {method: read_key(method).short_name for method in frame["method"]}
        facts = {"data": report.name(dataset), "protocol": PROTOCOL}
        facts |= {key: _span(frame[key]) for key in ("samples", "subjects")}
        alt = f"Error against the yaw of the left view, {report.name(dataset)}"
        draw = partial(plots.errors_by_yaw, frame, labels)
        report.plot(section, f"robustness_{dataset}", draw, alt, caption("robustness_figure", **facts))
    for exhibit in exhibits:
        shown = _one_of_each_kind(report, exhibit)
        if len(shown) > 1:
            image = gallery.landmark_panel(exhibit.source, list(shown), exhibit.ours, list(shown.values()))
            alt = f"Landmarks of photographs and reconstructions, {exhibit.name}"
            text = caption("landmarks_figure", data=exhibit.name, count=len(shown))
            add_picture(report, section, image, f"landmarks_{exhibit.dataset}", alt, text)
    if section.parts:
        section.paragraphs.append(caption("robustness"))
    return section


def errors_by_yaw(report: Report, dataset: str) -> pd.DataFrame:
    """Mean error of the compared methods at every yaw of the left view: method, yaw (degrees, without sign), mean, ...

    Empty where there are fewer than two angles.
    """
    scores = report.study.scores[report.study.scores["dataset"] == dataset]
    yaws = sorted(scores["left_yaw"].dropna().unique(), key=abs)
    rows = []
    for yaw in yaws if len(yaws) > 1 else []:
        errors = errors_of(scores[scores["left_yaw"] == yaw], dataset, PROTOCOL)
        if errors.table.empty:
            continue
        found = comparisons.resample(errors, report.bootstrap, dataset)
        shown = one_of_each_kind(list(errors.table.columns))
        for method, i in ((m, list(errors.table.columns).index(m)) for m in shown):
            mean, low, high = found.interval(lambda m, i=i: m[..., i])
            row = {"method": method, "yaw": abs(float(yaw)), "mean": mean, "low": low, "high": high}
            rows.append(row | {"samples": len(errors.table), "subjects": found.subjects})
    return pd.DataFrame(rows, columns=["method", "yaw", "mean", "low", "high", "samples", "subjects"])


def _span(numbers: pd.Series) -> str:
    """One number, or the smallest and the largest."""
    low, high = numbers.min(), numbers.max()
    return str(low) if low == high else f"{low} to {high}"


def _one_of_each_kind(report: Report, exhibit: Exhibit) -> dict[str, str]:
    """For every angle of the left view, or else every light, the sample with the median error and what to call it.

    The samples are of different people, as far as there are as many.
    """
    manifest = report.study.manifests[exhibit.dataset].drop_duplicates("sample").set_index("sample")
    lights = manifest["illumination"].reindex(exhibit.errors.index).map("light {}".format)
    yaws = left_yaws(report, exhibit).sort_values(key=abs, kind="stable").map(angle)
    kinds = yaws if yaws.nunique() > 1 else lights
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


def worst_section(report: Report, exhibits: Sequence[Exhibit]) -> Section:
    """The samples with the largest errors, what stands out about them, and what goes with the error (Fig. 14)."""
    section = Section("The worst samples, and why", "worst")
    for exhibit in exhibits:
        table = worst.measure(exhibit, report.study.scores)
        if not section.paragraphs:
            samples = " and ".join(str(len(e.errors)) for e in exhibits)
            section.paragraphs.append(caption("worst", far_off=number(worst.FAR_OFF, 0), samples=samples))
        for one in exhibit.worst(min(MOST_ROWS, report.settings.panels)):
            _bad_sample(report, section, exhibit, one, table)
        resamples = min(report.settings.bootstrap, CORRELATION_RESAMPLES)
        found = worst.correlations(exhibit, table, resamples, report.settings.seed)
        if not found.empty:
            report.table(section, _correlation_table(exhibit, found, table, resamples))
    return section


def _bad_sample(report: Report, section: Section, exhibit: Exhibit, one: panels.Chosen, table: pd.DataFrame) -> None:
    """A picture of a bad sample, and the reasons in words."""
    shapes = exhibit.source.shapes(one.sample)
    image = gallery.worst_panel(exhibit.source, one.sample, exhibit.ours, one.error_mm, panels.error_scale([shapes]))
    part = worst.worst_region(report.study.scores, exhibit, one.sample)
    sentences = []
    if part is not None:
        facts = {"error": number(part.rmse_mm, 2), "median": number(part.usual_mm, 2)}
        sentences.append(caption("worst_region", region=part.region, share=f"{100 * part.share:.0f} %", **facts))
    causes = worst.causes(table, one.sample)
    causes += [caption("worst_not_converged")] if worst.not_converged(exhibit, one.sample) else []
    sentences.append(caption("worst_causes", causes="; ".join(causes)) if causes else caption("worst_none"))
    place = f"{exhibit.name}, sample {one.sample}"
    facts = {"rank": one.rank, "of": one.of, "error": number(one.error_mm, 2), "reasons": " ".join(sentences)}
    name = f"worst_{exhibit.dataset}_{one.rank:03d}"
    text = caption("worst_figure", place=place, **facts)
    add_picture(report, section, image, name, f"A sample with a large error, {place}", text)


def _correlation_table(exhibit: Exhibit, found: pd.DataFrame, table: pd.DataFrame, resamples: int) -> Table:
    """Rank correlations with the error, and the medians of the measures."""
    medians = table.median()
    frame = found.assign(
        data=exhibit.name,
        dataset=exhibit.dataset,
        name=[worst.MEASURES[m].name for m in found["measure"]],
        median=[float(medians[m]) for m in found["measure"]],
        unit=[worst.MEASURES[m].unit for m in found["measure"]],
    )
    columns = (
        Column("measure", lambda row: row["name"], left=True),
        Column("median", lambda row: worst.shown(row["median"], worst.MEASURES[row["measure"]])),
        Column("n", lambda row: str(row["n"])),
        Column(
            "rank correlation",
            lambda row: number(row["correlation"], 2, signed=True),
            ends=lambda row: interval((row["low"], row["high"]), lambda v: number(v, 2, signed=True)),
        ),
    )
    method = read_key(exhibit.ours).name
    text = caption("correlations", data=f"{exhibit.name}, {method}", resamples=resamples)
    return Table(f"causes_{exhibit.dataset}", "What goes with the error", text, frame, columns, "data")
