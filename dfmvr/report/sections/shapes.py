"""Chapters with pictures after the paper's figures: inputs, shapes, meshes to turn, error maps."""

from __future__ import annotations

from dfmvr.datasets.manifest import varied_view
from dfmvr.report.captions import caption
from dfmvr.report.chapter import SHAPES_FROM, Chapter, chapter_of
from dfmvr.report.context import Context
from dfmvr.report.figures import gallery, panels, pictures, scenes
from dfmvr.report.figures.exhibits import MOST_ROWS, Exhibit, angle, exhibits
from dfmvr.report.tables.table import number
from dfmvr.study.methods import FLOOR, MEAN_FACE, OURS, read_key

FIGURES = {"pixel_face": "Fig. 5", "bosphorus": "Fig. 6"}
"""Figure of the paper that compares the shapes of a data set."""


@chapter_of("What goes in", "input", "align", "parse")
def input_chapter(context: Context, chapter: Chapter) -> None:
    """What goes into the network, and the weights of the photo loss (Figs. 2, 4)."""
    parse = context.configuration.parse
    for exhibit in exhibits(context)[:1]:
        weights = {"feature": parse.feature_weight, "face": parse.face_weight, "background": parse.background_weight}
        chapter.say(caption("input", **weights, dilation=f"{parse.dilation_px:g}"))
        sample = exhibit.chosen(1)[0].sample
        greys = [(f"weight {value}, {name}", (value / 255,) * 3) for name, value in weights.items()]
        drawn = gallery.input_panel(exhibit, sample, parse)
        image = pictures.stacked([drawn, panels.class_legend(), pictures.swatches(greys)])
        chapter.picture(image, f"input_{exhibit.dataset}", "input_figure", place=exhibit.place(sample))


@chapter_of("Shapes side by side", "shapes", *SHAPES_FROM)
def shapes_chapter(context: Context, chapter: Chapter) -> None:
    """Meshes of all methods side by side (Figs. 5, 6), then eyes and mouth (Fig. 7)."""
    chapter.say(caption("shapes"))
    angle_shown = number(abs(panels.TURNED_DEG), 0)
    for exhibit in exhibits(context):
        methods, samples = [m for m in exhibit.methods if m not in (MEAN_FACE, FLOOR)], exhibit.samples
        facts = {"figure": FIGURES.get(exhibit.dataset, "Fig. 5"), "data": exhibit.name, "angle": angle_shown}
        image = gallery.comparison_panel(exhibit, samples, methods)
        chapter.picture(image, f"shapes_{exhibit.dataset}", "comparison_figure", **facts, count=len(samples))
        facts = {"data": exhibit.name, "and_ours": caption("and_ours") if OURS in methods else ""}
        image = gallery.close_up_panel(exhibit, samples[:2], methods)
        chapter.picture(image, f"close_up_{exhibit.dataset}", "close_up_figure", **facts, count=len(samples[:2]))


@chapter_of("Faces to turn", "scene", *SHAPES_FROM)
def scene_chapter(context: Context, chapter: Chapter) -> None:
    """A sample of every data set to be turned in three dimensions."""
    chapter.say(caption("scene", triangles=f"{scenes.TRIANGLES:,}"))
    for exhibit in exhibits(context):
        (one,) = exhibit.chosen(1)
        shapes, ours = exhibit.shapes(one.sample), exhibit.ours
        scale = panels.error_scale([shapes])
        layers = scenes.layers_of(shapes, ours, [m for m in (ours, MEAN_FACE, FLOOR) if m in exhibit.methods])
        tiles = [panels.mesh_tile(mesh, yaw_deg=0.0) for mesh in (shapes.scan, shapes.predictions[ours])]
        tiles += [panels.error_tile(shapes, ours, one.error_mm, scale), pictures.Tile(pictures.colour_bar(scale))]
        still = pictures.encode(pictures.grid([tiles], ["scan", read_key(ours).short_name, "error", ""], [""]))
        place, rank = exhibit.place(one.sample), f"rank {one.rank} of {one.of}, RMSE {number(one.error_mm, 2)} mm"
        chapter.scene(place, scenes.scene(layers, scale), still, "scene_figure", place=place, rank=rank)


@chapter_of("Where the errors are", "error_maps", *SHAPES_FROM)
def error_map_chapter(context: Context, chapter: Chapter) -> None:
    """Error maps of all methods with one scale, and what is measured (Fig. 13)."""
    chapter.say(caption("error_maps"))
    rows: list[tuple[Exhibit, list[str], str, list[str]]] = []
    for exhibit in exhibits(context):
        rows.append((exhibit, exhibit.samples, "front", exhibit.samples))
        if by_yaw := one_face_by_yaw(exhibit):
            view = varied_view(exhibit.manifest)
            rows.append((exhibit, list(by_yaw), view, list(map(angle, by_yaw.values()))))
    if not rows:
        return
    scale = panels.error_scale([e.shapes(s) for e, samples, *_ in rows for s in samples[:MOST_ROWS]])
    for exhibit, samples, view, names in rows:
        image = gallery.error_map_panel(exhibit, samples, scale, view, names)
        facts = {"data": exhibit.name, "count": len(samples)}
        if view == "front":
            chapter.picture(image, f"error_maps_{exhibit.dataset}", "error_maps_figure", **facts)
        else:
            yaws = f"{', '.join(names[:-1])} and {names[-1]}"
            facts |= {"yaws": yaws, "view": view}
            chapter.picture(image, f"error_maps_{exhibit.dataset}_by_yaw", "error_maps_by_yaw", **facts)
    _crop(chapter, exhibits(context)[0])


def one_face_by_yaw(exhibit: Exhibit) -> dict[str, float]:
    """Samples of one person, a side view turned by different angles, the smallest first; {} if there are none.

    The person is that with the median error among those that have all angles.
    """
    yaws = exhibit.varied_yaws
    people = yaws.groupby(exhibit.subjects[yaws.index])
    full = [subject for subject, group in people if group.nunique() == yaws.nunique() > 1]
    if not full:
        return {}
    means = {subject: exhibit.errors.loc[people.get_group(subject).index, exhibit.ours].mean() for subject in full}
    subject = sorted(full, key=means.get)[(len(full) - 1) // 2]
    chosen = people.get_group(subject).sort_values(key=abs, kind="stable").drop_duplicates()
    return {str(sample): float(yaw) for sample, yaw in chosen.items()}


def _crop(chapter: Chapter, exhibit: Exhibit) -> None:
    """What part of a scan is measured."""
    sample, protocol = exhibit.chosen(1)[0].sample, exhibit.source.protocol
    drawn = gallery.crop_panel(exhibit, sample)
    parts = (("measured", gallery.EVALUATED), ("beside the mesh", gallery.BESIDE), ("outside", gallery.OUTSIDE))
    radius = caption("crop_radius", radius=number(protocol.crop_radius_mm, 0))
    radius = radius if protocol.crop == "nose_sphere" else caption("crop_sphere")
    image = pictures.stacked([drawn, pictures.swatches(parts, drawn.width)])
    chapter.picture(image, f"crop_{exhibit.dataset}", "crop_figure", place=exhibit.place(sample), radius=radius)
