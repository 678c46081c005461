"""The chapters of the page, in their order. A further one is a further entry."""

from __future__ import annotations

from dfmvr.report.chapter import Chapter
from dfmvr.report.context import Context
from dfmvr.report.sections import (
    analysis,
    background,
    learnt,
    network,
    provenance,
    real_scan,
    samples,
    shapes,
    tables,
    views,
)

CHAPTERS = (
    learnt.learnt_chapter,
    tables.headline_chapter,
    tables.comparison_chapters,
    learnt.best_view_chapter,
    tables.spread_chapter,
    tables.region_chapter,
    tables.correspondence_chapter,
    tables.protocol_chapter,
    real_scan.real_scan_chapter,
    network.network_chapter,
    shapes.input_chapter,
    shapes.shapes_chapter,
    shapes.scene_chapter,
    shapes.error_map_chapter,
    views.single_view_chapter,
    views.texture_chapter,
    analysis.learning_curve_chapter,
    analysis.sensitivity_chapter,
    analysis.robustness_chapter,
    analysis.worst_chapter,
    samples.sample_chapter,
    background.training_chapter,
    background.parser_chapter,
    background.face_model_chapter,
    background.set_aside_chapter,
    background.method_chapter,
    provenance.maker_chapter,
)


LARGE = (
    network.network_chapter,
    shapes.input_chapter,
    shapes.scene_chapter,
    views.texture_chapter,
    analysis.worst_chapter,
    samples.sample_chapter,
)
"""Chapters of pictures that a small page does without."""


def chapters(context: Context, large: bool = True) -> list[Chapter]:
    """Make all chapters, empty ones included, or those of a small page, and write the files of what they show."""
    made: list[Chapter] = []
    for make in (
        make for make in reversed(CHAPTERS) if large or make not in LARGE
    ):  # the samples, near the end, read most files: what is missing is told early
        one = make(context)
        made[:0] = one if isinstance(one, list) else [one]
    return made
