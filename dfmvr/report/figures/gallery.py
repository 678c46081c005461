"""Pictures after the paper's Figs. 2, 4 to 7, 9, 10, 12, 13 and 15 to 17: rows of samples, columns of what is compared.

Each function draws one picture from a `source.Source`; which samples and methods it shows is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw

from dfmvr.config.training import ParseSection
from dfmvr.conventions import ALIGNMENT_POINTS, VIEWS
from dfmvr.geometry.camera import project
from dfmvr.parse.figures import PALETTE
from dfmvr.parse.weight_map import weight_map
from dfmvr.report.figures.panels import draw_landmarks, error_tile
from dfmvr.report.figures.pictures import TILE_PX, Tile, close_up, colour_bar, grid, see_mesh, shade_seen
from dfmvr.report.figures.source import Shapes, Source
from dfmvr.report.tables.table import number
from dfmvr.study.methods import read_key

if TYPE_CHECKING:
    from dfmvr.face_model.views import Views

TURNED_DEG = -30.0
"""Yaw of the meshes that stand beside each other: depth shows best from the side."""

ZOOM = 2.6
EYES, MOUTH = slice(36, 48), slice(48, 68)
"""Places among the 68 landmarks."""

EVALUATED, BESIDE, OUTSIDE = (0.35, 0.62, 0.90), (0.70, 0.30, 0.04), (0.86, 0.86, 0.86)
"""Parts of a scan: measured; in the crop but beside the prediction's edge; out of the crop."""


def input_panel(source: Source, sample: str, settings: ParseSection) -> Image.Image:
    """What goes in: photograph, crop, mask of the face, and the weight map before and after dilation (Figs. 2, 4)."""
    crops, i = source.crops(sample), source.index(sample)
    rows = []
    for v, photo in enumerate(source.photographs(sample)):
        mask = np.asarray(source.parsed("masks")[i, v])
        bare = weight_map(mask, settings.model_copy(update={"dilation_px": 0.0}))
        whole = np.asarray(source.parsed("weights")[i, v])
        pictures = [PALETTE[mask], *(np.repeat(weights[..., None], 3, -1) for weights in (bare, whole))]
        rows.append([Tile(photo), *(Tile(_squares(picture)) for picture in (crops[v], *pictures))])
    heads = ("photograph", f"crop of {crops.shape[1]} px", "face mask", "weights, not dilated", "weight map")
    return grid(rows, heads, [f"{name} view" for name in VIEWS], 200)


def _squares(small: np.ndarray) -> np.ndarray:
    """Enlarge a picture (S, S, 3) to a tile, every pixel staying a square."""
    return np.asarray(Image.fromarray(small).resize((TILE_PX, TILE_PX), Image.Resampling.NEAREST))


def mesh_tile(mesh: tuple[np.ndarray, np.ndarray], text: str = "", yaw_deg: float = TURNED_DEG) -> Tile:
    """A mesh in grey."""
    return Tile(shade_seen(see_mesh(*mesh, yaw_deg, TILE_PX)), text)


def comparison_panel(
    source: Source, samples: Sequence[str], methods: Sequence[str], rmse_mm: Sequence[dict[str, float]]
) -> Image.Image:
    """Photographs, the mesh of every method with its error, and the scan; a row a sample (Figs. 5, 6).

    Args:
        rmse_mm: errors of each sample by method.
    """
    rows = []
    for sample, errors in zip(samples, rmse_mm, strict=True):
        shapes = source.shapes(sample)
        photos = [Tile(photo) for photo in source.photographs(sample)]
        meshes = [mesh_tile(shapes.predictions[m], f"{number(errors[m], 2)} mm") for m in methods]
        rows.append([*photos, *meshes, mesh_tile(shapes.scan)])
    heads = [*(f"{view} view" for view in VIEWS), *(read_key(m).short_name for m in methods), "scan"]
    return grid(rows, heads, list(samples), 200)


def close_up_panel(source: Source, samples: Sequence[str], methods: Sequence[str]) -> Image.Image:
    """Eyes and mouth on the photograph, on every method's mesh and on the scan; two rows a sample (Fig. 7)."""
    side = round(TILE_PX * ZOOM)
    rows, names = [], []
    for sample in samples:
        shapes = source.shapes(sample)
        photo, points = source.photographs(sample, side)[VIEWS.index("front")], _landmark_shares(source, shapes)
        marked = source.landmarks(sample)[VIEWS.index("front")] / TILE_PX
        seen = [see_mesh(*mesh, 0.0, side) for mesh in (*(shapes.predictions[m] for m in methods), shapes.scan)]
        for name, which in (("eyes", EYES), ("mouth", MOUTH)):
            middle, on_photo = points[which].mean(0), np.nanmean(marked[which], 0)
            tiles = [Tile(shade_seen(close_up(view, middle, TILE_PX))) for view in seen]
            rows.append([Tile(_cut(photo, on_photo)), *tiles])
            names.append(f"{sample}: {name}")
    return grid(rows, ["front view", *(read_key(m).short_name for m in methods), "scan"], names, 200)


def _landmark_shares(source: Source, shapes: Shapes) -> np.ndarray:
    """Where the 68 landmarks of the last prediction are seen from the front, in shares of the picture; (68, 2)."""
    vertices, _ = next(reversed(shapes.predictions.values()))
    points = torch.as_tensor(vertices[source.model.landmarks_68.numpy()], dtype=torch.float64)
    return project(points, 1)[:, :2].numpy()


def _cut(photo: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """A tile of a larger photograph about a place in shares of its size."""
    half, side = TILE_PX // 2, len(photo)
    x, y = (int(np.clip(round(share * side), half, side - half)) for share in centre)
    return photo[y - half : y + half, x - half : x + half]


def single_view_panel(
    source: Source, sample: str, families: dict[str, Sequence[str]], rmse_mm: dict[str, float]
) -> Image.Image:
    """What each method makes of one view alone: a row a method, a column a view, the scan at the end (Fig. 9).

    Args:
        families: printed name of a method to its tests on the left, front and right view; "" where one was not run.
        rmse_mm: errors of the sample by test.
    """
    shapes = source.shapes(sample)
    rows: list[list[Tile | None]] = [[*(Tile(photo) for photo in source.photographs(sample)), mesh_tile(shapes.scan)]]
    for tests in families.values():
        tiles = [mesh_tile(shapes.predictions[t], f"{number(rmse_mm[t], 2)} mm") if t else None for t in tests]
        rows.append([*tiles, None])
    return grid(rows, [*(f"{view} view" for view in VIEWS), "scan"], ["the one input", *families], 220)


def texture_panel(source: Source, samples: Sequence[str], method: str, names: Sequence[str]) -> Image.Image:
    """Photographs, the bare mesh, and the face as rendered in every view; a row a sample (Figs. 10, 16, 17)."""
    rows = []
    for sample in samples:
        views = _views(source, method, sample)
        mesh = views.vertices[0].numpy(), source.model.triangles.numpy()
        rendered = [Tile(_on_white(views, v)) for v in range(len(VIEWS))]
        rows.append([*(Tile(photo) for photo in source.photographs(sample)), mesh_tile(mesh, yaw_deg=0.0), *rendered])
    heads = [*(f"{view} view" for view in VIEWS), "mesh", *(f"rendered, {view}" for view in VIEWS)]
    return grid(rows, heads, names, 200)


def _views(source: Source, method: str, sample: str) -> Views:
    from dfmvr.face_model.views import render_views

    with torch.inference_mode():
        return render_views(source.model, source.coefficients(method, sample), TILE_PX)


def _on_white(views: Views, view: int) -> np.ndarray:
    """What a view of the first face shows, on white; uint8 (S, S, 3)."""
    alpha = views.alpha[0, view].numpy()[..., None]
    drawn = views.image[0, view].permute(1, 2, 0).numpy().clip(0, 1)
    return np.round(255 * (alpha * drawn + 1 - alpha)).astype(np.uint8)


def landmark_panel(source: Source, samples: Sequence[str], method: str, names: Sequence[str]) -> Image.Image:
    """True and predicted landmarks on the three photographs; a row a sample (Figs. 12, 15)."""
    rows = []
    for sample in samples:
        views, truth = _views(source, method, sample), source.landmarks(sample)
        photos = source.photographs(sample)
        drawn = (draw_landmarks(p, truth[v], views.landmarks[0, v].numpy()) for v, p in enumerate(photos))
        known = np.isfinite(truth).all(-1)
        errors = np.linalg.norm(views.landmarks[0].numpy() - truth, axis=-1)
        texts = [f"{number(float(errors[v][known[v]].mean() * 224 / TILE_PX), 1)} px" for v in range(len(VIEWS))]
        rows.append([Tile(image, text) for image, text in zip(drawn, texts, strict=True)])
    return grid(rows, [f"{view} view" for view in VIEWS], names)


def error_map_panel(
    source: Source,
    samples: Sequence[str],
    rmse_mm: Sequence[dict[str, float]],
    scale_mm: float,
    view: str,
    names: Sequence[str],
) -> Image.Image:
    """The error maps of all methods beside each other, with one scale; a row a sample (Fig. 13).

    Args:
        view: the photograph that stands before them.
    """
    rows = []
    for i, (sample, errors) in enumerate(zip(samples, rmse_mm, strict=True)):
        shapes = source.shapes(sample)
        maps = [error_tile(shapes, method, errors[method], scale_mm) for method in source.methods]
        photo = source.photographs(sample)[VIEWS.index(view)]
        rows.append([Tile(photo), *maps, None if i else Tile(colour_bar(scale_mm))])
    return grid(rows, [f"{view} view", *(read_key(m).short_name for m in source.methods), ""], names, 200)


def worst_panel(source: Source, sample: str, method: str, rmse_mm: float, scale_mm: float) -> Image.Image:
    """Photographs, mesh, scan and error map of one sample, all from the front (Fig. 14)."""
    shapes = source.shapes(sample)
    tiles = [Tile(photo) for photo in source.photographs(sample)]
    tiles += [mesh_tile(mesh, yaw_deg=0.0) for mesh in (shapes.predictions[method], shapes.scan)]
    tiles += [error_tile(shapes, method, rmse_mm, scale_mm), Tile(colour_bar(scale_mm))]
    heads = [*(f"{view} view" for view in VIEWS), read_key(method).short_name, "scan", "error", ""]
    return grid([tiles], heads, [""], 200)


def crop_panel(source: Source, sample: str, method: str) -> Image.Image:
    """The part of a scan that is measured, from three sides, with the seven landmarks of the registration."""
    from dfmvr.register.crop import inside_crop

    shapes, scan = source.shapes(sample), source.scan(sample)
    inside, measured = inside_crop(scan, source.protocol), np.isfinite(shapes.errors_mm[method])
    parts = np.where(measured[:, None], EVALUATED, np.where(inside[:, None], BESIDE, OUTSIDE))
    vertices, triangles = shapes.scan
    moved = _moved_like(scan.vertices, vertices, scan.landmarks)
    tiles = []
    for yaw in (0.0, -50.0, 50.0):
        seen = see_mesh(vertices, triangles, yaw, TILE_PX, parts)
        tiles.append(Tile(_with_dots(shade_seen(seen, seen.values), _turned(moved, yaw))))
    return grid([tiles], ["front", "from one side", "from the other"], [""])


def _moved_like(before: np.ndarray, after: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Move points (n, 3) as a scan was moved from `before` to `after`, both (N, 3)."""
    from dfmvr.register.landmarks import align_landmarks

    every = max(1, len(before) // 1000)
    return align_landmarks(before[::every], after[::every]).apply(points)


def _turned(points: np.ndarray, yaw_deg: float) -> np.ndarray:
    """Where points (n, 3) mm are seen after a turn, px of a tile; (n, 3) with their depth."""
    from dfmvr.geometry.rotation import euler_to_rotmat

    rotation = euler_to_rotmat(torch.tensor([0.0, np.radians(yaw_deg), 0.0], dtype=torch.float64))
    return project(torch.as_tensor(points, dtype=torch.float64) @ rotation.T, TILE_PX).numpy()


def _with_dots(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Draw the alignment points (7, 3) on a picture, the nose tip larger."""
    finer = 3
    image = Image.fromarray(picture).resize((TILE_PX * finer,) * 2, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for name, (x, y, _) in zip(ALIGNMENT_POINTS, points * (finer, finer, 1), strict=True):
        radius = 12 if name == "nose_tip" else 7
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill="#1d2329", outline="white", width=3)
    return np.asarray(image.resize((TILE_PX,) * 2, Image.Resampling.BOX))
