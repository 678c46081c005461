"""Sections of the page about single views and about texture, after the paper's Figs. 9, 10, 16 and 17."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import torch

from dfmvr.conventions import VIEWS
from dfmvr.report.captions import caption
from dfmvr.report.figures import gallery, panels
from dfmvr.report.figures.exhibits import Exhibit, errors_of_tests, source_of
from dfmvr.report.figures.source import Source
from dfmvr.report.page import Section
from dfmvr.report.sections.figures import MOST_ROWS, add_picture, samples_of
from dfmvr.report.sections.results import PROTOCOL, Report
from dfmvr.report.tables import statistics
from dfmvr.report.tables.table import Column, Table, interval, number
from dfmvr.study.methods import FLOOR, OURS, TestedMethod, in_order, read_key


def view_sections(report: Report, exhibits: Sequence[Exhibit]) -> list[Section]:
    """All sections of this module, empty ones included."""
    return [single_view_section(report, exhibits), texture_section(report, exhibits)]


def single_view_section(report: Report, exhibits: Sequence[Exhibit]) -> Section:
    """What methods make of one view alone (Fig. 9)."""
    section = Section("From one view", "single_view")
    for exhibit in exhibits:
        tests = errors_of_tests(report.study.scores, exhibit.dataset)
        variants = {m.variant: None for m in map(read_key, in_order(tests)) if m.view and not m.seed}
        if not any(variant.family == "df_mvr" for variant in variants):
            continue
        families = {
            v.key: [key if (key := TestedMethod(v, view=view).key) in tests else "" for view in VIEWS] for v in variants
        }
        shown = [test for names in families.values() for test in names if test]
        errors = tests[[*shown, exhibit.ours]].dropna()
        source = source_of(report, exhibit.dataset, [*shown, FLOOR] if FLOOR in exhibit.errors else shown)
        named = {read_key(family).name: names for family, names in families.items()}
        for one in panels.choose_samples(errors[exhibit.ours], min(2, report.settings.panels)):
            image = gallery.single_view_panel(source, one.sample, named, errors.loc[one.sample].to_dict())
            place = f"{exhibit.name}, sample {one.sample}"
            text = caption("single_view_figure", place=place, protocol=PROTOCOL)
            name = f"single_view_{exhibit.dataset}_{one.rank:03d}"
            add_picture(report, section, image, name, f"Meshes from single views, {place}", text)
        whole = {family: names for family, names in families.items() if all(names)}
        if whole:
            subjects = exhibit.subjects.reindex(errors.index)
            _agreement(report, section, exhibit, source, whole, subjects.dropna())
    if section.parts:
        section.paragraphs.append(caption("single_view"))
    return section


def _agreement(
    report: Report,
    section: Section,
    exhibit: Exhibit,
    source: Source,
    families: dict[str, list[str]],
    subjects: pd.Series,
) -> None:
    """How much the answers to the three views differ."""
    values = np.array([[disagreement(source, tests, str(s)) for tests in families.values()] for s in subjects.index])
    rng = np.random.default_rng(report.settings.seed)
    found = statistics.resample_means(values, subjects.to_numpy(), report.settings.bootstrap, rng)
    rows = []
    for i, family in enumerate(families):
        value, low, high = found.interval(lambda m, i=i: m[..., i])
        place = {"data": exhibit.name, "dataset": exhibit.dataset, "method": family, "n": len(values)}
        rows.append(place | {"difference_mm": value, "low": low, "high": high})
    columns = (
        Column("method", lambda row: read_key(row["method"]).name, left=True),
        Column("n", lambda row: str(row["n"])),
        Column(
            "difference (mm)",
            lambda row: number(row["difference_mm"], 2),
            ends=lambda row: interval((row["low"], row["high"]), lambda v: number(v, 2)),
        ),
    )
    name, text = f"agreement_{exhibit.dataset}", caption("agreement")
    report.table(section, Table(name, "Agreement of single views", text, pd.DataFrame(rows), columns, "data"))


def disagreement(source: Source, tests: Sequence[str], sample: str) -> float:
    """RMS distance, mm, between corresponding points of the registered meshes of tests, averaged over their pairs."""
    meshes = []
    for test in tests:
        found = source.coefficients(test, sample)
        with torch.inference_mode():
            vertices = source.model.shape(found.identity, found.expression)[0].double().numpy()
        meshes.append(source.registered(test, sample).apply(vertices))
    pairs = combinations(meshes, 2)
    return float(np.mean([np.sqrt(((a - b) ** 2).sum(1).mean()) for a, b in pairs]))


def texture_section(report: Report, exhibits: Sequence[Exhibit]) -> Section:
    """Faces with their texture, and the expressions of one person (Figs. 10, 16, 17)."""
    section = Section("With texture", "texture")
    for exhibit in exhibits:
        samples = samples_of(report, exhibit)
        ours, without = exhibit.ours, f"{OURS}_without_l3d"
        for method in dict.fromkeys((ours, without if without in exhibit.errors else ours)):
            image = gallery.texture_panel(exhibit.source, samples, method, samples)
            facts = {"data": exhibit.name, "method": read_key(method).name, "count": len(samples)}
            text = caption("texture_figure", figure="Fig. 10" if method == OURS else "Fig. 16", **facts)
            name = f"texture_{exhibit.dataset}_{method}"
            alt = f"Faces with texture, {exhibit.name}"
            add_picture(report, section, image, name, alt, text)
        people = exhibit.subjects[~exhibit.errors.index.isin(samples)].value_counts()
        _expressions(report, section, exhibit, str(people.index[0]) if len(people) else "")
    if section.parts:
        section.paragraphs.append(caption("texture"))
    return section


def _expressions(report: Report, section: Section, exhibit: Exhibit, subject: str) -> None:
    """All expressions of one person, if there are several."""
    manifest = report.study.manifests[exhibit.dataset].drop_duplicates("sample").set_index("sample")
    theirs = exhibit.errors.index[exhibit.subjects == subject]
    expressions = manifest["expression"].reindex(theirs).drop_duplicates()
    if len(expressions) < 2:
        return
    shown = expressions.iloc[: 2 * MOST_ROWS]
    names = [f"expression {name}" for name in shown]
    image = gallery.texture_panel(exhibit.source, [str(s) for s in shown.index], exhibit.ours, names)
    facts = {"data": exhibit.name, "method": read_key(exhibit.ours).name, "count": len(shown)}
    text = caption("expressions_figure", **facts)
    alt = f"Expressions of one person, {exhibit.name}"
    add_picture(report, section, image, f"expressions_{exhibit.dataset}", alt, text)
