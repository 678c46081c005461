"""Chapters of results: the paper's tables, the spread of the errors, regions, corresponding points, protocols."""

from __future__ import annotations

from dfmvr.conventions import REGIONS
from dfmvr.report.captions import caption
from dfmvr.report.chapter import Chapter, chapter_of
from dfmvr.report.context import WHOLE, Context
from dfmvr.report.figures import plots
from dfmvr.report.tables import comparisons, orders, printed
from dfmvr.report.tables.errors import errors_of, one_training_each
from dfmvr.study.methods import MEAN, read_key


@chapter_of("Headline figures", "headlines", "reconstruct", "score")
def headline_chapter(context: Context, chapter: Chapter) -> None:
    """The figures of the paper's abstract beside ours."""
    frame = comparisons.headline_frame(context)
    if not frame.empty:
        chapter.table(printed.headline_table(frame, context))


def comparison_chapters(context: Context) -> list[Chapter]:
    """One chapter for each of the paper's tables that there are scores for."""
    chapters = []
    for table in comparisons.compared(context):
        comparison = table.comparison
        title = f"{comparison.title}: {caption(f'title_{comparison.name}')}"
        chapters.append(Chapter(title, comparison.name, context.folder, ("score", "report")))
        if table.frame.empty:
            chapters[-1].note(caption("comparison_none"))
        else:
            chapters[-1].table(printed.comparison_table(table, context))
    return chapters


def _shown_in_figures(context: Context, dataset: str) -> list[str] | None:
    """Methods that the figures of a data set show: those of its first table and any that the study does not know."""
    for comparison, frame, _ in comparisons.compared(context):
        if (frame["dataset"] == dataset).any():
            unknown = [m for m in one_training_each(context.methods) if not read_key(m).known]
            return [key for key, row in comparison.rows.items() if row.method.view != MEAN] + unknown
    return None


@chapter_of("How the errors are spread", "spread", "score")
def spread_chapter(context: Context, chapter: Chapter) -> None:
    """Cumulative errors."""
    every = {d: errors_of(context.scores, d, methods=_shown_in_figures(context, d)).table for d in context.datasets}
    errors = {context.name(d): table for d, table in every.items() if not table.empty}
    if errors:
        sizes = "; ".join(f"{name}: n = {len(table)}" for name, table in errors.items())
        chapter.plot(plots.cumulative_errors(errors), "cumulative_errors", "cumulative", sizes=sizes)


@chapter_of("Errors by region", "regions", "score")
def region_chapter(context: Context, chapter: Chapter) -> None:
    """Errors by region of the face."""
    frame = comparisons.by_group(context, "region")
    order = [r for r in (WHOLE, *REGIONS[1:], REGIONS[0]) if r in set(frame.get("region", []))]
    if len(order) < 2:
        return
    chapter.table(printed.region_table(frame, order, context))
    shown = {d: _shown_in_figures(context, d) for d in context.datasets}
    drawn = [shown[d] is None or m in shown[d] for d, m in zip(frame["dataset"], frame["method"], strict=True)]
    groups = frame.groupby("dataset", sort=False)["samples"].max().items()
    sizes = "; ".join(f"{context.name(dataset)}: n = {size}" for dataset, size in groups)
    chapter.plot(plots.region_errors(frame[drawn], order, context), "regions", "region_figure", sizes=sizes)


@chapter_of("Errors of corresponding points", "correspondence", "score")
def correspondence_chapter(context: Context, chapter: Chapter) -> None:
    """Errors of corresponding points, where they are known."""
    frame = comparisons.by_correspondence(context)
    if not frame.empty:
        chapter.say(caption("correspondence"))
        chapter.table(printed.correspondence_table(frame, context))


@chapter_of("Other protocols", "protocols", "score")
def protocol_chapter(context: Context, chapter: Chapter) -> None:
    """Errors under every protocol, and how the order of the methods changes with it."""
    frame = comparisons.by_group(context, "protocol")
    if not frame.empty:
        ranks = orders.ranking_frame(frame, context.statistics)
        if not ranks.empty:
            chapter.table(printed.ranking_table(ranks, context))
        chapter.table(printed.protocol_table(frame, context))
