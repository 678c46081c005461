"""Sections of the page with pictures after the paper's figures: inputs, shapes, meshes to turn, error maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from PIL import Image

from dfmvr.config.training import ParseSection
from dfmvr.report.captions import caption
from dfmvr.report.figures import gallery, panels, pictures, scenes, style
from dfmvr.report.figures.exhibits import Exhibit
from dfmvr.report.page import Section
from dfmvr.report.sections.results import PROTOCOL, Report, protocol_settings
from dfmvr.report.tables.table import number
from dfmvr.study.methods import FLOOR, MEAN_FACE, OURS, read_key

MOST_ROWS = 3
"""Samples in a picture, at the most."""

FIGURES = {"pixel_face": "Fig. 5", "bosphorus": "Fig. 6"}
"""Figure of the paper that compares the shapes of a data set."""


def figure_sections(report: Report, exhibits: Sequence[Exhibit]) -> list[Section]:
    """All sections of this module, empty ones included."""
    return [
        input_section(report, exhibits),
        shapes_section(report, exhibits),
        scene_section(report, exhibits),
        error_map_section(report, exhibits),
    ]


def add_picture(report: Report, section: Section, image: Image.Image, name: str, alt: str, text: str) -> None:
    """Write a picture as JPEG and show it."""
    picture = pictures.encode(image)
    style.save_picture(picture, name, report.folder / "figures")
    section.figure(picture, alt, text, 0.8)


def samples_of(report: Report, exhibit: Exhibit) -> list[str]:
    """The samples that a picture shows."""
    return [one.sample for one in exhibit.chosen(min(MOST_ROWS, report.settings.panels))]


def input_section(report: Report, exhibits: Sequence[Exhibit]) -> Section:
    """What goes into the network, and the weights of the photo loss (Figs. 2, 4)."""
    section = Section("What goes in", "input")
    parse = ParseSection.model_validate(report.configuration.get("parse", {}))
    for exhibit in exhibits[:1]:
        weights = {"feature": parse.feature_weight, "face": parse.face_weight, "background": parse.background_weight}
        section.paragraphs.append(caption("input", **weights, dilation=f"{parse.dilation_px:g}"))
        sample = exhibit.chosen(1)[0].sample
        greys = [(f"weight {value}, {name}", (value / 255,) * 3) for name, value in weights.items()]
        drawn = gallery.input_panel(exhibit.source, sample, parse)
        image = pictures.stacked([drawn, panels.class_legend(), pictures.swatches(greys)])
        place = f"{exhibit.name}, sample {sample}"
        text = caption("input_figure", place=place)
        add_picture(report, section, image, f"input_{exhibit.dataset}", f"Inputs of the network, {place}", text)
    return section


def shapes_section(report: Report, exhibits: Sequence[Exhibit]) -> Section:
    """Meshes of all methods side by side (Figs. 5 to 7)."""
    section = Section("Shapes side by side", "shapes")
    for exhibit in exhibits:
        samples = samples_of(report, exhibit)
        methods = [m for m in exhibit.source.methods if m not in (MEAN_FACE, FLOOR)]
        image = gallery.comparison_panel(exhibit.source, samples, methods, [exhibit.rmse_mm(s) for s in samples])
        facts = {"figure": FIGURES.get(exhibit.dataset, "Fig. 5"), "data": exhibit.name, "protocol": PROTOCOL}
        facts |= {"count": len(samples), "angle": number(abs(gallery.TURNED_DEG), 0)}
        alt = f"Photographs, meshes of all methods, and scans, {exhibit.name}"
        text = caption("comparison_figure", **facts)
        add_picture(report, section, image, f"shapes_{exhibit.dataset}", alt, text)
        _close_ups(report, section, exhibit, samples[:2], methods)
    if section.parts:
        section.paragraphs.append(caption("shapes"))
    return section


def _close_ups(report: Report, section: Section, exhibit: Exhibit, samples: list[str], methods: Sequence[str]) -> None:
    """Eyes and mouth."""
    image = gallery.close_up_panel(exhibit.source, samples, methods)
    and_ours = caption("and_ours") if OURS in methods else ""
    text = caption("close_up_figure", data=exhibit.name, count=len(samples), and_ours=and_ours)
    alt = f"Eyes and mouths of photographs, meshes and scans, {exhibit.name}"
    add_picture(report, section, image, f"close_up_{exhibit.dataset}", alt, text)


def scene_section(report: Report, exhibits: Sequence[Exhibit]) -> Section:
    """A sample of every data set to be turned in three dimensions."""
    section = Section("Faces to turn", "scene")
    for exhibit in exhibits:
        one = exhibit.chosen(1)[0]
        shapes = exhibit.source.shapes(one.sample)
        scale = panels.error_scale([shapes])
        methods = [m for m in (exhibit.ours, MEAN_FACE, FLOOR) if m in shapes.predictions]
        layers = scenes.layers_of(shapes, exhibit.ours, methods)
        place = f"{exhibit.name}, sample {one.sample}"
        tiles = [
            gallery.mesh_tile(shapes.scan, yaw_deg=0.0),
            gallery.mesh_tile(shapes.predictions[exhibit.ours], yaw_deg=0.0),
            panels.error_tile(shapes, exhibit.ours, one.error_mm, scale),
            pictures.Tile(pictures.colour_bar(scale)),
        ]
        still = pictures.encode(pictures.grid([tiles], ["scan", read_key(exhibit.ours).short_name, "error", ""], [""]))
        rank = f"rank {one.rank} of {one.of}, RMSE {number(one.error_mm, 2)} mm"
        text = caption("scene_figure", place=place, rank=rank, protocol=PROTOCOL)
        alt = f"Scan, mesh and error of DF-MVR, {place}"
        section.scene(place, scenes.scene(layers, scale), still, alt, text)
    if section.parts:
        section.paragraphs.append(caption("scene", triangles=f"{scenes.TRIANGLES:,}"))
    return section


def error_map_section(report: Report, exhibits: Sequence[Exhibit]) -> Section:
    """Error maps of all methods with one scale, and what is measured (Fig. 13)."""
    section = Section("Where the errors are", "error_maps")
    rows: list[tuple[Exhibit, list[str], str, str, list[str]]] = []
    for exhibit in exhibits:
        samples = samples_of(report, exhibit)
        text = caption("error_maps_figure", data=exhibit.name, count=len(samples))
        rows.append((exhibit, samples, "front", text, samples))
        by_yaw = one_face_by_yaw(report, exhibit)
        if by_yaw:
            names = [angle(yaw) for yaw in by_yaw.values()]
            facts = {"data": exhibit.name, "yaws": listed(names), "count": len(names)}
            rows.append((exhibit, list(by_yaw), "left", caption("error_maps_by_yaw", **facts), names))
    if not rows:
        return section
    section.paragraphs.append(caption("error_maps"))
    scale = panels.error_scale([e.source.shapes(s) for e, samples, *_ in rows for s in samples[:MOST_ROWS]])
    for exhibit, samples, view, text, names in rows:
        errors = [exhibit.rmse_mm(sample) for sample in samples]
        image = gallery.error_map_panel(exhibit.source, samples, errors, scale, view, names)
        name = f"error_maps_{exhibit.dataset}" + ("" if view == "front" else "_by_yaw")
        add_picture(report, section, image, name, f"Error maps of all methods, {exhibit.name}", text)
    _crop(report, section, exhibits[0])
    return section


def one_face_by_yaw(report: Report, exhibit: Exhibit) -> dict[str, float]:
    """Samples of one person whose left view is turned by different angles, the smallest first; {} if there are none.

    The person is that with the median error among those that have all angles.
    """
    yaws = left_yaws(report, exhibit)
    if yaws.nunique() < 2:
        return {}
    people = yaws.groupby(exhibit.subjects[yaws.index])
    full = [subject for subject, group in people if group.nunique() == yaws.nunique()]
    if not full:
        return {}
    means = {subject: exhibit.errors.loc[people.get_group(subject).index, exhibit.ours].mean() for subject in full}
    subject = sorted(full, key=means.get)[(len(full) - 1) // 2]
    chosen = people.get_group(subject).sort_values(key=abs, kind="stable").drop_duplicates()
    return {str(sample): float(yaw) for sample, yaw in chosen.items()}


def left_yaws(report: Report, exhibit: Exhibit) -> pd.Series:
    """Nominal yaw of the left view by sample, degrees, where it is known."""
    rows = report.study.manifests[exhibit.dataset].query("view == 'left'").set_index("sample")
    return rows["yaw"].reindex(exhibit.errors.index).dropna()


def angle(yaw_deg: float) -> str:
    """An angle to the left or right in print, without its sign."""
    return f"{number(abs(yaw_deg), 0)}°"


def listed(names: Iterable[str]) -> str:
    """Names with commas, and `and` before the last."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _crop(report: Report, section: Section, exhibit: Exhibit) -> None:
    """What part of a scan is measured."""
    sample, protocol = exhibit.chosen(1)[0].sample, protocol_settings(report)
    drawn = gallery.crop_panel(exhibit.source, sample, exhibit.ours)
    parts = (("measured", gallery.EVALUATED), ("beside the mesh", gallery.BESIDE), ("outside", gallery.OUTSIDE))
    radius = caption("crop_radius", radius=number(protocol.crop_radius_mm, 0))
    radius = radius if protocol.crop == "nose_sphere" else caption("crop_sphere")
    place = f"{exhibit.name}, sample {sample}"
    image = pictures.stacked([drawn, pictures.swatches(parts, drawn.width)])
    text = caption("crop_figure", place=place, radius=radius)
    add_picture(report, section, image, f"crop_{exhibit.dataset}", f"The measured part of a scan, {place}", text)
