"""The chapter of test samples from the best to the worst: inputs, result, and how far it is off."""

from __future__ import annotations

from dfmvr.report.captions import caption
from dfmvr.report.chapter import Chapter, chapter_of
from dfmvr.report.context import Context
from dfmvr.report.figures import gallery, panels, pictures
from dfmvr.report.figures.exhibits import whole_range
from dfmvr.report.tables.table import number


@chapter_of("Samples, from the best to the worst", "samples", "align", "parse", "reconstruct", "register", "score")
def sample_chapter(context: Context, chapter: Chapter) -> None:
    """Two pictures of each sample, all error maps with one scale."""
    exhibits = whole_range(context)
    chosen = [(exhibit, one) for exhibit in exhibits for one in exhibit.chosen(context.configuration.report.panels)]
    if not chosen:
        return
    chapter.say(caption("panels"))
    chapter.figure(pictures.encode(panels.class_legend(), 92), 0.85, "classes")
    scale = panels.error_scale([exhibit.shapes(one.sample) for exhibit, one in chosen])
    for exhibit, one in chosen:
        place = exhibit.place(one.sample)
        chapter.heading(f"{place}: rank {one.rank} of {one.of}, RMSE {number(one.error_mm, 2)} mm")
        name = f"sample_{exhibit.dataset}_{one.rank:03d}"
        chapter.picture(gallery.result_panel(exhibit, one.sample), f"{name}_inputs", "panel_inputs", place=place)
        shapes = panels.shapes_panel(exhibit.shapes(one.sample), exhibit.rmse_mm(one.sample), scale)
        chapter.picture(shapes, f"{name}_shapes", "panel_shapes", place=place)
