"""Sections of the page about results: comparisons, their spread, regions, protocols, single samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dfmvr.config import PROTOCOLS as BUILT_IN
from dfmvr.config import DatasetsSection, ProtocolSection, ReportSection
from dfmvr.conventions import REGIONS
from dfmvr.report import comparisons, figures, panels, pictures, printed, style
from dfmvr.report.captions import caption
from dfmvr.report.inputs import Study
from dfmvr.report.names import FLOOR, MEAN_FACE, WHOLE, method_name, ours_among
from dfmvr.report.page import Section
from dfmvr.report.tables import Table, interval, number, percent, write_table

PROTOCOL = "paper"


class Report(NamedTuple):
    """What the sections are made from and where tables and figures go."""

    study: Study
    settings: ReportSection
    configuration: dict[str, Any]
    folder: Path

    @property
    def names(self) -> dict[str, str]:
        """Printed names of the data sets."""
        return self.settings.data_names

    @property
    def bootstrap(self) -> comparisons.Bootstrap:
        """How intervals are made."""
        return comparisons.Bootstrap(self.settings.bootstrap, self.settings.seed)

    def name(self, dataset: str) -> str:
        """Printed name of a data set."""
        return self.names.get(dataset, dataset)

    def table(self, section: Section, table: Table, shown: int | None = None) -> None:
        """Write a table's files and show it, or its first rows only."""
        write_table(table, self.folder)
        section.table(table if shown is None else table._replace(frame=table.frame.head(shown)))


def findings(report: Report) -> list[str]:
    """Say in a paragraph for each data set what was found."""
    paragraphs = []
    for dataset in report.study.datasets:
        errors = comparisons.errors_by_method(report.study.scores, dataset, PROTOCOL)
        reference = ours_among(errors)
        if reference is None:
            continue
        found = comparisons.compare(errors, comparisons.resample(errors, report.bootstrap, dataset))
        rows = found.set_index("method")
        ours = rows.loc[reference]
        ends = interval((ours["mean_mm_low"], ours["mean_mm_high"]), _short)
        facts = {"data": report.name(dataset), "samples": len(errors), "subjects": int(ours["subjects"])}
        parts = [caption("finding", **facts, method=method_name(reference), mean=_short(ours["mean_mm"]), ends=ends)]
        if MEAN_FACE in rows.index:
            parts.append(_verdict(ours, rows.loc[MEAN_FACE, "mean_mm"]))
        if pd.notna(ours["gap_closed"]):
            ends = interval((ours["gap_closed_low"], ours["gap_closed_high"]), percent)
            floor = _short(rows.loc[FLOOR, "mean_mm"])
            parts.append(caption("finding_gap", gap=percent(ours["gap_closed"]), ends=ends, floor=floor))
        paragraphs.append(" ".join(parts))
    return paragraphs


def _short(value: float) -> str:
    return number(value, 2)


def _verdict(ours: pd.Series, mean_face_mm: float) -> str:
    """How DF-MVR stands to the mean face, in words that the interval allows."""
    ratio, low, high = (ours[f"ratio_to_mean_face{end}"] for end in ("", "_low", "_high"))
    kind = "finding_better" if high < 1 else "finding_worse" if low > 1 else "finding_equal"
    return caption(kind, percent=percent(abs(ratio - 1)), mean_face=_short(mean_face_mm))


def comparison_sections(report: Report) -> list[Section]:
    """One section for each of the paper's tables that there are scores for."""
    sections = []
    for comparison in comparisons.known_comparisons(report.study.scores):
        frame = comparisons.comparison_frame(report.study.scores, comparison, PROTOCOL, report.bootstrap, report.names)
        if frame.empty:
            continue
        section = Section(f"{comparison.title}: comparison of methods", comparison.name)
        report.table(section, printed.comparison_table(frame, comparison, PROTOCOL, report.settings.bootstrap))
        sections.append(section)
    return sections


def distribution_section(report: Report) -> Section:
    """Cumulative errors."""
    section = Section("How the errors are spread", "spread")
    errors = {d: comparisons.errors_by_method(report.study.scores, d, PROTOCOL) for d in report.study.datasets}
    errors = {report.name(d): table for d, table in errors.items() if not table.empty}
    if not errors:
        return section
    with style.styled():
        picture = style.save_figure(figures.cumulative_errors(errors), "cumulative_errors", report.folder / "figures")
    sizes = "; ".join(f"{name}: n = {len(table)}" for name, table in errors.items())
    section.figure(
        picture,
        "Cumulative error curves of all methods",
        caption("cumulative", protocol=PROTOCOL, sizes=sizes),
        0.55,
    )
    return section


def region_section(report: Report) -> Section:
    """Errors by region of the face."""
    section = Section("Errors by region", "regions")
    frame = comparisons.by_group(report.study.scores, report.bootstrap, "region", {"protocol": PROTOCOL})
    order = [r for r in (WHOLE, *REGIONS[1:], REGIONS[0]) if r in set(frame.get("region", []))]
    if len(order) < 2:
        return section
    report.table(section, printed.region_table(frame, order, report.names, PROTOCOL))
    with style.styled():
        drawn = figures.region_errors(frame, order, report.names)
        picture = style.save_figure(drawn, "regions", report.folder / "figures")
    sizes = "; ".join(
        f"{report.name(d)}: n = {rows['samples'].max()}" for d, rows in frame.groupby("dataset", sort=False)
    )
    section.figure(
        picture,
        "Mean error of every method in every region",
        caption("region_figure", protocol=PROTOCOL, sizes=sizes),
        0.55,
    )
    return section


def protocol_section(report: Report) -> Section:
    """Errors under every protocol."""
    section = Section("Other protocols", "protocols")
    frame = comparisons.by_group(report.study.scores, report.bootstrap, "protocol", {"region": WHOLE})
    if not frame.empty:
        report.table(section, printed.protocol_table(frame, report.names))
    return section


def panel_section(report: Report) -> Section:
    """Samples from the best to the worst."""
    section = Section("Samples, from the best to the worst", "samples")
    protocol = protocol_settings(report)
    reading = DatasetsSection.model_validate(report.configuration.get("datasets", {}))
    chosen: list[tuple[panels.Source, panels.Chosen, pd.Series]] = []
    for dataset in report.study.datasets:
        errors = comparisons.errors_by_method(report.study.scores, dataset, PROTOCOL)
        methods = panels.shown_methods(errors.columns)
        ours = ours_among(methods)
        if ours is None or not report.settings.panels:
            continue
        source = panels.Source(report.study.root, dataset, methods, protocol, reading)
        errors = errors.droplevel("subject")
        for one in panels.choose_samples(errors[ours], report.settings.panels):
            chosen.append((source, one, errors.loc[one.sample]))
    if not chosen:
        return section
    section.paragraphs.append(caption("panels"))
    legend = pictures.encode(panels.class_legend(), 92)
    section.figure(legend, "Colours of the parsed classes", caption("classes"), 0.85)
    shapes = [source.shapes(one.sample) for source, one, _ in chosen]
    scale = panels.error_scale(shapes)
    for (source, one, errors), found in zip(chosen, shapes, strict=True):
        _panel(report, section, source, one, found, errors, scale)
    return section


def _panel(
    report: Report,
    section: Section,
    source: panels.Source,
    one: panels.Chosen,
    found: panels.Shapes,
    errors: pd.Series,
    scale: float,
) -> None:
    """Add the two pictures of one sample."""
    place = f"{report.name(source.dataset)}, sample {one.sample}"
    section.heading(f"{place}: rank {one.rank} of {one.of}, RMSE {number(one.error_mm, 2)} mm")
    both = {
        "inputs": (
            panels.inputs_panel(source, one.sample, ours_among(source.methods)),
            "Inputs and result over the photographs",
        ),
        "shapes": (panels.shapes_panel(found, errors.to_dict(), scale), "Scan, meshes and error maps"),
    }
    for kind, (image, alt) in both.items():
        picture = pictures.encode(image)
        style.save_picture(picture, f"sample_{source.dataset}_{one.rank:03d}_{kind}", report.folder / "figures")
        text = caption(f"panel_{kind}", place=place, protocol=PROTOCOL)
        section.figure(picture, f"{alt}, {place}", text, 0.8)


def protocol_settings(report: Report) -> ProtocolSection:
    """Settings of the protocol that the panels show."""
    given = report.configuration.get("register", {}).get("protocols", {}).get(PROTOCOL)
    return BUILT_IN[PROTOCOL] if given is None else ProtocolSection.model_validate(given)
