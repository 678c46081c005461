"""Chapters about single views and about texture, after the paper's Figs. 9, 10, 16 and 17."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import torch

from dfmvr.conventions import VIEWS
from dfmvr.report.captions import caption
from dfmvr.report.chapter import SHAPES_FROM, Chapter, chapter_of
from dfmvr.report.context import OK, Context
from dfmvr.report.figures import gallery
from dfmvr.report.figures.exhibits import MOST_ROWS, Exhibit, exhibits, tests_on
from dfmvr.report.source import SampleSource
from dfmvr.report.tables import statistics
from dfmvr.report.tables.printed import METHOD, two, whole
from dfmvr.report.tables.table import Column, Table, interval
from dfmvr.study.methods import FLOOR, OURS, TestedMethod, in_order, read_key


@chapter_of("From one view", "single_view", *SHAPES_FROM)
def single_view_chapter(context: Context, chapter: Chapter) -> None:
    """What methods make of one view alone (Fig. 9)."""
    chapter.say(caption("single_view"))
    for exhibit in exhibits(context):
        tests = tests_on(context, exhibit.dataset)
        variants = {m.variant: None for m in map(read_key, in_order(tests)) if m.view and not m.seed}
        if not any(variant.family == "df_mvr" for variant in variants):
            continue
        every = {variant.key: [TestedMethod(variant, view=view).key for view in VIEWS] for variant in variants}
        families = {key: [test if test in tests else "" for test in names] for key, names in every.items()}
        shown = [test for names in families.values() for test in names if test]
        shown = dict.fromkeys([*shown, exhibit.ours, *({FLOOR} & set(exhibit.methods))])
        of_views = exhibit._replace(errors=tests[list(shown)].dropna())
        named = {read_key(family).name: names for family, names in families.items()}
        for one in of_views.chosen(min(2, context.configuration.report.panels)):
            image = gallery.single_view_panel(of_views, one.sample, named)
            name = f"single_view_{exhibit.dataset}_{one.rank:03d}"
            chapter.picture(image, name, "single_view_figure", place=exhibit.place(one.sample))
        if complete := {family: names for family, names in families.items() if all(names)}:
            _agreement(context, chapter, of_views, complete)


def _agreement(context: Context, chapter: Chapter, exhibit: Exhibit, families: dict[str, list[str]]) -> None:
    """How much the answers to the three views differ."""
    settings, subjects = context.configuration.report, exhibit.subjects.reindex(exhibit.errors.index).dropna()
    differ = partial(disagreement, exhibit.source)
    values = np.array([[differ(tests, str(sample)) for tests in families.values()] for sample in subjects.index])
    rng = np.random.default_rng(settings.seed)
    found = statistics.resample_means(values, subjects.to_numpy(), settings.bootstrap, rng)
    rows = []
    for i, family in enumerate(families):
        ends = dict(zip(("difference_mm", "low", "high"), found.interval(lambda m, i=i: m[..., i]), strict=True))
        rows.append({"data": exhibit.name, "dataset": exhibit.dataset, "method": family, "n": len(values), **ends})
    columns = (
        METHOD,
        Column("n", lambda row: whole(row["n"])),
        Column(
            "difference (mm)",
            lambda row: two(row["difference_mm"]),
            ends=lambda row: interval((row["low"], row["high"]), two),
        ),
    )
    name, text = f"agreement_{exhibit.dataset}", caption("agreement")
    chapter.table(Table(name, "Agreement of single views", text, pd.DataFrame(rows), columns, "data"))


def disagreement(source: SampleSource, tests: list[str], sample: str) -> float:
    """RMS distance, mm, between corresponding points of the registered meshes of tests, averaged over their pairs."""
    meshes = []
    for test in tests:
        found = source.coefficients(test, sample)
        with torch.inference_mode():
            vertices = source.model.shape(found.identity, found.expression)[0].double().numpy()
        meshes.append(source.registered(test, sample).apply(vertices))
    pairs = combinations(meshes, 2)
    return float(np.mean([np.sqrt(((a - b) ** 2).sum(1).mean()) for a, b in pairs]))


@chapter_of("With texture", "texture", "face_model", "align", "reconstruct")
def texture_chapter(context: Context, chapter: Chapter) -> None:
    """Faces with their texture, and the expressions of one person (Figs. 10, 16, 17)."""
    chapter.say(caption("texture"))
    without = f"{OURS}_without_l3d"
    for exhibit in exhibits(context):
        samples, ours = exhibit.samples, exhibit.ours
        for method in dict.fromkeys((ours, without if without in exhibit.errors else ours)):
            image = gallery.texture_panel(exhibit.source, samples, method, samples)
            facts = {"data": exhibit.name, "method": read_key(method).name, "count": len(samples)}
            facts |= {"figure": "Fig. 10" if method == OURS else "Fig. 16"}
            chapter.picture(image, f"texture_{exhibit.dataset}_{method}", "texture_figure", **facts)
        _expressions(chapter, exhibit)
    _without_scans(context, chapter)


def _without_scans(context: Context, chapter: Chapter) -> None:
    """People held out of a training on a data set without scans, of each another of the samples (Fig. 16)."""
    most = min(MOST_ROWS, context.configuration.report.panels)
    for method, run in context.training.items():
        answered = context.root / "reconstruct" / method / run.data / "coefficients.npz"
        if run.data in context.datasets or not answered.exists() or not most:
            continue
        manifest = context.manifests[run.data]
        kept = manifest[(manifest["split"] == "test") & (manifest["status"] == OK)]
        of_people = [list(dict.fromkeys(rows["sample"])) for _, rows in kept.groupby("subject")][:most]
        samples = [own[i * (len(own) - 1) // max(1, most - 1)] for i, own in enumerate(of_people)]
        image = gallery.texture_panel(context.source(run.data), samples, method, samples)
        facts = {"data": context.name(run.data), "method": read_key(method).name, "count": len(samples)}
        chapter.picture(image, f"texture_{run.data}_{method}", "texture_held_out", **facts)


def _expressions(chapter: Chapter, exhibit: Exhibit) -> None:
    """All expressions of one person of whom no other picture is, if there are several."""
    people = exhibit.subjects[~exhibit.errors.index.isin(exhibit.samples)].value_counts()
    theirs = exhibit.told("expression")[exhibit.subjects == (people.index[0] if len(people) else "")]
    shown = theirs.drop_duplicates().iloc[: 2 * MOST_ROWS]
    if len(shown) < 2:
        return
    names = [f"expression {name}" for name in shown]
    image = gallery.texture_panel(exhibit.source, [str(sample) for sample in shown.index], exhibit.ours, names)
    facts = {"data": exhibit.name, "method": read_key(exhibit.ours).name, "count": len(shown)}
    chapter.picture(image, f"expressions_{exhibit.dataset}", "expressions_figure", **facts)
