"""Panels of single samples after Figs. 5 and 13 of the paper: what goes in, what comes out, and how far it is off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw

from dfmvr.conventions import CLASSES, VIEWS
from dfmvr.parse.figures import PALETTE
from dfmvr.report.figures.pictures import TILE_PX, Tile, colour_bar, error_picture, font, grid, see_mesh, shade_seen
from dfmvr.report.figures.source import Shapes, Source, registered_shapes
from dfmvr.report.figures.style import PREDICTION_COLOUR, TRUTH_COLOUR
from dfmvr.report.tables.table import number
from dfmvr.study.methods import read_key

__all__ = [
    "Chosen",
    "Shapes",
    "Source",
    "choose_samples",
    "class_legend",
    "draw_landmarks",
    "error_scale",
    "error_tile",
    "inputs_panel",
    "registered_shapes",
    "shapes_panel",
]

THREE_QUARTERS_DEG = -40.0


class Chosen(NamedTuple):
    """A sample for a panel."""

    sample: str
    rank: int  # 1 = smallest error
    of: int
    error_mm: float


def choose_samples(errors: pd.Series, count: int) -> list[Chosen]:
    """Choose samples over the whole range of errors: median, worst, best, then the quarters between, and so on.

    Args:
        errors: by sample.
        count: how many; fewer if there are fewer.
    Returns:
        The chosen ones from the smallest error to the largest.
    """
    order = errors.sort_index(kind="stable").sort_values(kind="stable")
    shares = [0.5, 1.0, 0.0]
    step = 0.25
    while len(shares) < count:
        shares += [s for s in np.arange(step, 1, 2 * step)][::-1]
        step /= 2
    places: list[int] = []
    for share in shares + list(np.linspace(0, 1, len(order))):
        place = round(share * (len(order) - 1))
        if place not in places and len(places) < min(count, len(order)):
            places.append(place)
    return [Chosen(str(order.index[i]), i + 1, len(order), float(order.iloc[i])) for i in sorted(places)]


def inputs_panel(source: Source, sample: str, method: str) -> Image.Image:
    """Three views: photograph, classes, weights, the result over the photograph, landmarks."""
    from dfmvr.face_model.views import render_views

    i = source.index(sample)
    with torch.inference_mode():
        views = render_views(source.model, source.coefficients(method, sample), TILE_PX)
    truth = source.landmarks(sample)
    rows = []
    for v, photo in enumerate(source.photographs(sample)):
        mask, weight = (_enlarge(source.parsed(name)[i, v]) for name in ("masks", "weights"))
        alpha = views.alpha[0, v].numpy()[..., None]
        drawn = 255 * views.image[0, v].permute(1, 2, 0).numpy().clip(0, 1)
        over = np.round(alpha * drawn + (1 - alpha) * photo).astype(np.uint8)
        points = draw_landmarks(photo, truth[v], views.landmarks[0, v].numpy())
        tiles = (photo, PALETTE[mask], np.repeat(weight[..., None], 3, -1), over, points)
        rows.append([Tile(image) for image in tiles])
    heads = ("photograph", "parsed classes", "weight map", "result over photo", "landmarks")
    return grid(rows, heads, [f"{name} view" for name in VIEWS])


def draw_landmarks(photo: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Draw true landmarks as blue rings and predicted ones as red dots on a photograph.

    Args:
        photo: uint8 (S, S, 3).
        truth, predicted: (68, 2) px of the photograph; where a true one is NaN, neither is drawn.
    """
    finer = 3
    size = photo.shape[0] * finer
    image = Image.fromarray(photo).resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    known = np.isfinite(truth).all(-1)
    for x, y in truth[known] * finer:
        draw.ellipse((x - 10, y - 10, x + 10, y + 10), outline="white", width=7)
        draw.ellipse((x - 9, y - 9, x + 9, y + 9), outline=TRUTH_COLOUR, width=5)
    for x, y in predicted[known] * finer:
        draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=PREDICTION_COLOUR, outline="white")
    return np.asarray(image.resize(photo.shape[:2], Image.Resampling.BOX))


def _enlarge(small: np.ndarray) -> np.ndarray:
    """Enlarge (S, S) uint8 to a tile, every pixel staying what it is."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(small)).resize((TILE_PX, TILE_PX), Image.Resampling.NEAREST))


def shapes_panel(shapes: Shapes, rmse_mm: dict[str, float], scale_mm: float) -> Image.Image:
    """Scan and predictions from the front and from the side, and the distance of the scan from each prediction."""
    front, side, maps = [], [], []
    heads = ["scan"]
    meshes = {"": shapes.scan, **shapes.predictions}
    for method, (vertices, triangles) in meshes.items():
        for row, yaw in ((front, 0.0), (side, THREE_QUARTERS_DEG)):
            row.append(Tile(shade_seen(see_mesh(vertices, triangles, yaw, TILE_PX))))
        if not method:
            maps.append(Tile(colour_bar(scale_mm)))
            continue
        heads.append(read_key(method).short_name)
        maps.append(error_tile(shapes, method, rmse_mm[method], scale_mm))
    return grid([front, side, maps], heads, ["front", "three-quarter", "error on scan"])


def error_tile(shapes: Shapes, method: str, rmse_mm: float, scale_mm: float) -> Tile:
    """The scan from the front, coloured by its distance from a prediction, with the sample's error under it."""
    error = shapes.errors_mm[method]
    values = np.stack([np.nan_to_num(error), np.isfinite(error)], -1)
    seen = see_mesh(*shapes.scan, 0.0, TILE_PX, values)
    return Tile(error_picture(seen, scale_mm), f"RMSE {number(rmse_mm, 2)} mm")


def error_scale(all_shapes: Sequence[Shapes]) -> float:
    """One scale for all error maps of the page: the 95th percentile of all distances, in whole mm, at least 2."""
    errors = np.concatenate([e[np.isfinite(e)] for shapes in all_shapes for e in shapes.errors_mm.values()])
    return float(max(2, np.ceil(np.percentile(errors, 95))))


def class_legend() -> Image.Image:
    """The colours of the parsed classes with their names."""
    shown = [(name.replace("_", " "), colour) for name, colour in zip(CLASSES, PALETTE, strict=True)]
    image = Image.new("RGB", (5 * 170, 2 * 26), "white")
    draw = ImageDraw.Draw(image)
    for i, (name, colour) in enumerate(shown):
        left, top = (i % 5) * 170, (i // 5) * 26
        draw.rectangle((left + 2, top + 5, left + 22, top + 21), fill=tuple(map(int, colour)), outline="#555555")
        draw.text((left + 30, top + 13), name, fill="#1d2329", font=font(14), anchor="lm")
    return image
