"""Pictures after the paper's Figs. 2, 4 to 7, 9, 10, 12, 13 and 15 to 17: rows of samples, columns of what is compared.

Each function draws one picture from an `Exhibit`; which samples and methods it shows is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from dfmvr.config.training import ParseSection
from dfmvr.conventions import ALIGNMENT_POINTS, VIEWS
from dfmvr.geometry.camera import project
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.parse.figures import PALETTE
from dfmvr.parse.weight_map import weight_map
from dfmvr.register.crop import inside_crop
from dfmvr.register.landmarks import align_landmarks
from dfmvr.report.figures.exhibits import Exhibit
from dfmvr.report.figures.panels import draw_landmarks, enlarged, error_tile, grey, mesh_tile, over, rendered
from dfmvr.report.figures.pictures import Tile, close_up, colour_bar, grid, see_mesh, shade_seen
from dfmvr.report.source import TILE_PX, SampleSource, Shapes
from dfmvr.report.tables.table import number
from dfmvr.study.methods import read_key

SMALL_PX = 200
"""Tiles of pictures with many columns."""

ZOOM = 2.6
EYES, MOUTH = slice(36, 48), slice(48, 68)
"""Places among the 68 landmarks."""

EVALUATED, BESIDE, OUTSIDE = (0.35, 0.62, 0.90), (0.70, 0.30, 0.04), (0.86, 0.86, 0.86)
"""Parts of a scan: measured; in the crop but beside the prediction's edge; out of the crop."""

FRONT = VIEWS.index("front")
OF_VIEWS = [f"{view} view" for view in VIEWS]


def _photos(source: SampleSource, sample: str) -> list[Tile]:
    return [Tile(photo) for photo in source.photographs(sample)]


def _heads(methods: Sequence[str]) -> list[str]:
    return [read_key(method).short_name for method in methods]


def input_panel(exhibit: Exhibit, sample: str, settings: ParseSection) -> Image.Image:
    """What goes in: photograph, crop, mask of the face, and the weight map before and after dilation (Figs. 2, 4)."""
    source = exhibit.source
    crops, i = source.crops(sample), source.index(sample)
    rows = []
    for v, photo in enumerate(_photos(source, sample)):
        mask, whole = (np.asarray(source.parsed(name)[i, v]) for name in ("masks", "weights"))
        bare = weight_map(mask, settings.model_copy(update={"dilation_px": 0.0}))
        rows.append([photo, *(Tile(enlarged(p)) for p in (crops[v], PALETTE[mask], grey(bare), grey(whole)))])
    heads = ("photograph", f"crop of {crops.shape[1]} px", "face mask", "weights, not dilated", "weight map")
    return grid(rows, heads, OF_VIEWS, SMALL_PX)


def result_panel(exhibit: Exhibit, sample: str) -> Image.Image:
    """Three views: photograph, classes, weights, DF-MVR's result over the photograph, landmarks."""
    source, views = exhibit.source, rendered(exhibit.source, exhibit.ours, sample)
    i, truth, rows = source.index(sample), source.landmarks(sample), []
    for v, photo in enumerate(source.photographs(sample)):
        mask, weight = (enlarged(source.parsed(name)[i, v]) for name in ("masks", "weights"))
        points = draw_landmarks(photo, truth[v], views.landmarks[0, v].numpy())
        rows.append([Tile(image) for image in (photo, PALETTE[mask], grey(weight), over(views, v, photo), points)])
    return grid(rows, ("photograph", "parsed classes", "weight map", "result over photo", "landmarks"), OF_VIEWS)


def comparison_panel(exhibit: Exhibit, samples: Sequence[str], methods: Sequence[str]) -> Image.Image:
    """Photographs, the mesh of every method with its error, and the scan; a row a sample (Figs. 5, 6)."""
    rows = []
    for sample in samples:
        shapes, errors = exhibit.shapes(sample), exhibit.rmse_mm(sample)
        meshes = [mesh_tile(shapes.predictions[m], f"{number(errors[m], 2)} mm") for m in methods]
        rows.append([*_photos(exhibit.source, sample), *meshes, mesh_tile(shapes.scan)])
    return grid(rows, [*OF_VIEWS, *_heads(methods), "scan"], list(samples), SMALL_PX)


def close_up_panel(exhibit: Exhibit, samples: Sequence[str], methods: Sequence[str]) -> Image.Image:
    """Eyes and mouth on the photograph, on every method's mesh and on the scan; two rows a sample (Fig. 7)."""
    source, side = exhibit.source, round(TILE_PX * ZOOM)
    rows, names = [], []
    for sample in samples:
        shapes = exhibit.shapes(sample)
        photo, points = source.photographs(sample, side)[FRONT], _landmark_shares(source, shapes)
        marked = source.landmarks(sample)[FRONT] / TILE_PX
        seen = [see_mesh(*mesh, 0.0, side) for mesh in (*(shapes.predictions[m] for m in methods), shapes.scan)]
        for name, which in (("eyes", EYES), ("mouth", MOUTH)):
            middle, on_photo = points[which].mean(0), np.nanmean(marked[which], 0)
            tiles = [Tile(shade_seen(close_up(view, middle, TILE_PX))) for view in seen]
            rows.append([Tile(_cut(photo, on_photo)), *tiles])
            names.append(f"{sample}: {name}")
    return grid(rows, ["front view", *_heads(methods), "scan"], names, SMALL_PX)


def _landmark_shares(source: SampleSource, shapes: Shapes) -> np.ndarray:
    """Where the 68 landmarks of the last prediction are seen from the front, in shares of the picture; (68, 2)."""
    vertices, _ = next(reversed(shapes.predictions.values()))
    points = torch.as_tensor(vertices[source.model.landmarks_68.numpy()], dtype=torch.float64)
    return project(points, 1)[:, :2].numpy()


def _cut(photo: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """A tile of a larger photograph about a place in shares of its size."""
    half, side = TILE_PX // 2, len(photo)
    x, y = (int(np.clip(round(share * side), half, side - half)) for share in centre)
    return photo[y - half : y + half, x - half : x + half]


def single_view_panel(exhibit: Exhibit, sample: str, families: dict[str, Sequence[str]]) -> Image.Image:
    """What each method makes of one view alone: a row a method, a column a view, the scan at the end (Fig. 9).

    Args:
        families: printed name of a method to its tests on the left, front and right view; "" where one was not run.
    """
    shapes, rmse_mm = exhibit.shapes(sample), exhibit.rmse_mm(sample)
    rows: list[list[Tile | None]] = [[*_photos(exhibit.source, sample), mesh_tile(shapes.scan)]]
    for tests in families.values():
        tiles = [mesh_tile(shapes.predictions[t], f"{number(rmse_mm[t], 2)} mm") if t else None for t in tests]
        rows.append([*tiles, None])
    return grid(rows, [*OF_VIEWS, "scan"], ["the one input", *families], 220)


def texture_panel(source: SampleSource, samples: Sequence[str], method: str, names: Sequence[str]) -> Image.Image:
    """Photographs, the bare mesh, and the face as rendered in every view; a row a sample (Figs. 10, 16, 17)."""
    rows = []
    for sample in samples:
        views = rendered(source, method, sample)
        mesh = views.vertices[0].numpy(), source.model.triangles.numpy()
        faces = [Tile(over(views, v, 255)) for v in range(len(VIEWS))]
        rows.append([*_photos(source, sample), mesh_tile(mesh, yaw_deg=0.0), *faces])
    return grid(rows, [*OF_VIEWS, "mesh", *(f"rendered, {view}" for view in VIEWS)], names, SMALL_PX)


def landmark_panel(exhibit: Exhibit, samples: Sequence[str], names: Sequence[str]) -> Image.Image:
    """True landmarks and those of DF-MVR on the three photographs; a row a sample (Figs. 12, 15)."""
    source, rows = exhibit.source, []
    for sample in samples:
        found, truth = rendered(source, exhibit.ours, sample).landmarks[0].numpy(), source.landmarks(sample)
        drawn = (draw_landmarks(p, truth[v], found[v]) for v, p in enumerate(source.photographs(sample)))
        known, errors = np.isfinite(truth).all(-1), np.linalg.norm(found - truth, axis=-1)
        texts = [f"{number(float(errors[v][known[v]].mean() * 224 / TILE_PX), 1)} px" for v in range(len(VIEWS))]
        rows.append([Tile(image, text) for image, text in zip(drawn, texts, strict=True)])
    return grid(rows, OF_VIEWS, names)


def error_map_panel(
    exhibit: Exhibit, samples: Sequence[str], scale_mm: float, view: str, names: Sequence[str]
) -> Image.Image:
    """The error maps of all methods beside each other, with one scale; a row a sample (Fig. 13).

    Args:
        view: the photograph that stands before them.
    """
    rows = []
    for i, sample in enumerate(samples):
        shapes, errors = exhibit.shapes(sample), exhibit.rmse_mm(sample)
        maps = [error_tile(shapes, method, errors[method], scale_mm) for method in exhibit.methods]
        photo = _photos(exhibit.source, sample)[VIEWS.index(view)]
        rows.append([photo, *maps, None if i else Tile(colour_bar(scale_mm))])
    return grid(rows, [f"{view} view", *_heads(exhibit.methods), ""], names, SMALL_PX)


def worst_panel(exhibit: Exhibit, sample: str, scale_mm: float) -> Image.Image:
    """Photographs, DF-MVR's mesh, scan and error map of one sample, all from the front (Fig. 14)."""
    shapes, ours = exhibit.shapes(sample), exhibit.ours
    meshes = [mesh_tile(mesh, yaw_deg=0.0) for mesh in (shapes.predictions[ours], shapes.scan)]
    error = error_tile(shapes, ours, exhibit.rmse_mm(sample)[ours], scale_mm)
    tiles = [*_photos(exhibit.source, sample), *meshes, error, Tile(colour_bar(scale_mm))]
    return grid([tiles], [*OF_VIEWS, *_heads([ours]), "scan", "error", ""], [""], SMALL_PX)


def crop_panel(exhibit: Exhibit, sample: str) -> Image.Image:
    """The part of a scan that is measured, from three sides, with the seven landmarks of the registration."""
    shapes, scan = exhibit.shapes(sample), exhibit.source.scan(sample)
    inside, measured = inside_crop(scan, exhibit.source.protocol), np.isfinite(shapes.errors_mm[exhibit.ours])
    parts = np.where(measured[:, None], EVALUATED, np.where(inside[:, None], BESIDE, OUTSIDE))
    vertices, triangles = shapes.scan
    every = max(1, len(vertices) // 1000)  # the scan was moved as a whole: some points tell how
    moved = align_landmarks(scan.vertices[::every], vertices[::every]).apply(scan.landmarks)
    tiles = []
    for yaw in (0.0, -50.0, 50.0):
        seen = see_mesh(vertices, triangles, yaw, TILE_PX, parts)
        tiles.append(Tile(_with_dots(shade_seen(seen, seen.values), _turned(moved, yaw))))
    return grid([tiles], ["front", "from one side", "from the other"], [""])


def _turned(points: np.ndarray, yaw_deg: float) -> np.ndarray:
    """Where points (n, 3) mm are seen after a turn, px of a tile; (n, 3) with their depth."""
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
