"""Sections of the page about results: what is learnt, comparisons, their spread, regions, protocols, single samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from dfmvr.config.data import DatasetsSection
from dfmvr.config.evaluation import PROTOCOLS as BUILT_IN
from dfmvr.config.evaluation import ProtocolSection, ReportSection
from dfmvr.conventions import REGIONS
from dfmvr.report.captions import caption
from dfmvr.report.figures import panels, pictures, plots, style
from dfmvr.report.inputs import WHOLE, Study
from dfmvr.report.page import Section
from dfmvr.report.tables import comparisons, orders, printed
from dfmvr.report.tables.errors import errors_by_method, errors_of, one_training_each
from dfmvr.report.tables.table import Table, number, write_table
from dfmvr.study.methods import MEAN, one_of_each_kind, ours_among, read_key
from dfmvr.study.paper import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

    @property
    def told(self) -> printed.Told:
        """What captions tell of the run."""
        given = self.configuration.get("datasets", {})
        licensed = frozenset(name for name, data in given.items() if (data or {}).get("root"))
        return printed.Told(PROTOCOL, self.settings.bootstrap, self.names, licensed)

    def name(self, dataset: str) -> str:
        """Printed name of a data set."""
        return self.names.get(dataset, dataset)

    @property
    def statistics(self) -> dict[str, str]:
        """What each protocol calls its error, as a column of the scores."""
        columns = {"rms_point_to_plane": "rmse_mm", "mean_point_to_surface": "mean_mm"}
        protocols = dict.fromkeys(self.study.scores["protocol"])
        return {protocol: columns[protocol_settings(self, protocol).statistic] for protocol in protocols}

    def table(self, section: Section, table: Table, shown: int | None = None) -> None:
        """Write a table's files and show it, or its first rows only."""
        write_table(table, self.folder)
        section.table(table if shown is None else table._replace(frame=table.frame.head(shown)))

    def plot(self, section: Section, name: str, draw: Callable[[], Figure], alt: str, text: str) -> None:
        """Draw a plot in the style of the report, write its files and show it."""
        with style.styled():
            picture = style.save_figure(draw(), name, self.folder / "figures")
        section.figure(picture, alt, text, 0.55)


class Compared(NamedTuple):
    """One of the paper's tables with our numbers."""

    comparison: Comparison
    frame: pd.DataFrame  # as `comparisons.comparison_frame` gives it
    claims: pd.DataFrame  # as `orders.claims_frame` gives it


def compared(report: Report) -> list[Compared]:
    """Fill in the paper's tables, as far as there are scores."""
    given = (report.study.scores, PROTOCOL, report.bootstrap, report.names)
    scores, *rest = given
    return [
        Compared(c, comparisons.comparison_frame(scores, c, *rest), orders.claims_frame(scores, c, *rest))
        for c in comparisons.known_comparisons(scores)
    ]


def comparison_sections(report: Report, tables: list[Compared]) -> list[Section]:
    """One section for each of the paper's tables that there are scores for."""
    sections = []
    for comparison, frame, _ in tables:
        section = Section(f"{comparison.title}: {caption(f'title_{comparison.name}')}", comparison.name)
        if frame.empty:
            section.note(caption("comparison_none"))
        else:
            report.table(section, printed.comparison_table(frame, comparison, report.told))
        sections.append(section)
    return sections


def _shown_in_figures(report: Report, dataset: str, tables: list[Compared]) -> list[str] | None:
    """Methods that the figures of a data set show: those of its first table and any that the study does not know."""
    for comparison, frame, _ in tables:
        if (frame["dataset"] == dataset).any():
            unknown = [m for m in one_training_each(report.study.methods) if not read_key(m).known]
            return [key for key, row in comparison.rows.items() if row.method.view != MEAN] + unknown
    return None


def distribution_section(report: Report, tables: list[Compared]) -> Section:
    """Cumulative errors."""
    section = Section("How the errors are spread", "spread")
    shown = {d: _shown_in_figures(report, d, tables) for d in report.study.datasets}
    errors = {d: errors_of(report.study.scores, d, PROTOCOL, methods=shown[d]).table for d in report.study.datasets}
    errors = {report.name(d): table for d, table in errors.items() if not table.empty}
    if not errors:
        return section
    sizes = "; ".join(f"{name}: n = {len(table)}" for name, table in errors.items())
    text = caption("cumulative", protocol=PROTOCOL, sizes=sizes)
    draw = partial(plots.cumulative_errors, errors)
    report.plot(section, "cumulative_errors", draw, "Cumulative error curves of all methods", text)
    return section


def region_section(report: Report, tables: list[Compared]) -> Section:
    """Errors by region of the face."""
    section = Section("Errors by region", "regions")
    frame = comparisons.by_group(report.study.scores, report.bootstrap, "region", {"protocol": PROTOCOL})
    order = [r for r in (WHOLE, *REGIONS[1:], REGIONS[0]) if r in set(frame.get("region", []))]
    if len(order) < 2:
        return section
    report.table(section, printed.region_table(frame, order, report.names, PROTOCOL))
    shown = {d: _shown_in_figures(report, d, tables) for d in report.study.datasets}
    drawn = [shown[d] is None or m in shown[d] for d, m in zip(frame["dataset"], frame["method"], strict=True)]
    sizes = "; ".join(
        f"{report.name(d)}: n = {rows['samples'].max()}" for d, rows in frame.groupby("dataset", sort=False)
    )
    text = caption("region_figure", protocol=PROTOCOL, sizes=sizes)
    draw = partial(plots.region_errors, frame[drawn], order, report.names)
    report.plot(section, "regions", draw, "Mean error of every method in every region", text)
    return section


def correspondence_section(report: Report) -> Section:
    """Errors of corresponding points, where they are known."""
    section = Section("Errors of corresponding points", "correspondence")
    frame = comparisons.by_correspondence(report.study.scores, report.bootstrap, PROTOCOL)
    if not frame.empty:
        section.paragraphs.append(caption("correspondence"))
        report.table(section, printed.correspondence_table(frame, report.names, PROTOCOL))
    return section


def protocol_section(report: Report) -> Section:
    """Errors under every protocol, and how the order of the methods changes with it."""
    section = Section("Other protocols", "protocols")
    frame = comparisons.by_group(report.study.scores, report.bootstrap, "protocol", {"region": WHOLE})
    if frame.empty:
        return section
    ranks = orders.ranking_frame(frame, report.statistics, PROTOCOL)
    if not ranks.empty:
        report.table(section, printed.ranking_table(ranks, report.told))
    report.table(section, printed.protocol_table(frame, report.names))
    return section


def panel_section(report: Report) -> Section:
    """Samples from the best to the worst."""
    section = Section("Samples, from the best to the worst", "samples")
    protocol = protocol_settings(report)
    reading = DatasetsSection.model_validate(report.configuration.get("datasets", {}))
    chosen: list[tuple[panels.Source, panels.Chosen, pd.Series]] = []
    for dataset in report.study.datasets:
        # Pictures cannot be averaged: of a method with several seeds the first is shown, under its own name.
        one_each = report.study.scores["method"].isin(one_training_each(report.study.methods))
        errors = errors_by_method(report.study.scores[one_each], dataset, PROTOCOL)
        methods = one_of_each_kind(errors.columns)
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


def protocol_settings(report: Report, protocol: str = PROTOCOL) -> ProtocolSection:
    """Settings of a protocol; those of the default one are what the panels show."""
    given = report.configuration.get("register", {}).get("protocols", {}).get(protocol)
    return BUILT_IN.get(protocol, ProtocolSection()) if given is None else ProtocolSection.model_validate(given)
