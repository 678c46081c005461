"""What pictures of single samples are put together from: meshes, error maps, landmarks, enlarged masks, legends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from dfmvr.conventions import CLASSES
from dfmvr.face_model.views import Views, render_views
from dfmvr.parse.figures import PALETTE
from dfmvr.report.figures.pictures import Tile, colour_bar, error_picture, font, grid, see_mesh, shade_seen
from dfmvr.report.figures.style import PREDICTION_COLOUR, TRUTH_COLOUR
from dfmvr.report.source import TILE_PX, SampleSource, Shapes
from dfmvr.report.tables.table import number
from dfmvr.study.methods import read_key

TURNED_DEG = -30.0
"""Yaw of the meshes that stand beside each other: depth shows best from the side."""

THREE_QUARTERS_DEG = -40.0


def mesh_tile(mesh: tuple[np.ndarray, np.ndarray], text: str = "", yaw_deg: float = TURNED_DEG) -> Tile:
    """A mesh in grey."""
    return Tile(shade_seen(see_mesh(*mesh, yaw_deg, TILE_PX)), text)


def error_tile(shapes: Shapes, method: str, rmse_mm: float, scale_mm: float) -> Tile:
    """The scan from the front, coloured by its distance from a prediction, with the sample's error under it."""
    error = shapes.errors_mm[method]
    values = np.stack([np.nan_to_num(error), np.isfinite(error)], -1)
    seen = see_mesh(*shapes.scan, 0.0, TILE_PX, values)
    return Tile(error_picture(seen, scale_mm), f"RMSE {number(rmse_mm, 2)} mm")


def error_scale(all_shapes: Sequence[Shapes]) -> float:
    """One scale for several error maps: the 95th percentile of all distances, in whole mm, at least 2."""
    errors = np.concatenate([e[np.isfinite(e)] for shapes in all_shapes for e in shapes.errors_mm.values()])
    return float(max(2, np.ceil(np.percentile(errors, 95))))


def shapes_panel(shapes: Shapes, rmse_mm: dict[str, float], scale_mm: float) -> Image.Image:
    """Scan and predictions from the front and from the side, and the distance of the scan from each prediction."""
    meshes = [shapes.scan, *shapes.predictions.values()]
    front, side = ([mesh_tile(mesh, yaw_deg=yaw) for mesh in meshes] for yaw in (0.0, THREE_QUARTERS_DEG))
    maps = [error_tile(shapes, method, rmse_mm[method], scale_mm) for method in shapes.predictions]
    heads = ["scan", *(read_key(method).short_name for method in shapes.predictions)]
    rows = [front, side, [Tile(colour_bar(scale_mm)), *maps]]
    return grid(rows, heads, ["front", "three-quarter", "error on scan"])


def rendered(source: SampleSource, method: str, sample: str) -> Views:
    """The face that a method found, as the three cameras see it, at the size of a tile."""
    with torch.inference_mode():
        return render_views(source.model, source.coefficients(method, sample), TILE_PX)


def over(views: Views, view: int, background: np.ndarray | float) -> np.ndarray:
    """What a view of the first face shows, over a background with values to 255; uint8 (S, S, 3)."""
    alpha = views.alpha[0, view].numpy()[..., None]
    drawn = 255 * views.image[0, view].permute(1, 2, 0).numpy().clip(0, 1)
    return np.round(alpha * drawn + (1 - alpha) * background).astype(np.uint8)


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


def enlarged(small: np.ndarray) -> np.ndarray:
    """A picture (S, S) or (S, S, 3) uint8 at the size of a tile, every pixel staying a square."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(small)).resize((TILE_PX,) * 2, Image.Resampling.NEAREST))


def grey(weights: np.ndarray) -> np.ndarray:
    """Weights (S, S) as a picture (S, S, 3)."""
    return np.repeat(weights[..., None], 3, -1)


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
