"""A scan and its predictions as a scene that the page turns in three dimensions (`templates/viewer.js`).

In: `source.Shapes`. Out: a JSON object that holds everything; the arrays are base64 of little-endian numbers.

    low, step     a stored coordinate c (uint16) stands for low + step * c, mm; x right, y up, face toward +z
    scale_mm      the error that the last of the `stops` (sRGB in [0, 1]) stands for
    layers        name, positions (N, 3) uint16, triangles (F, 3) uint16, and values (N, 3) uint8: the error, the error
                  smoothed for the lines, both in 1/255 of scale_mm, and 255 where it was measured, else 0
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array, diags_array
from scipy.spatial import KDTree

from dfmvr.geometry.surface import import_open3d
from dfmvr.report.figures.style import ERROR_STOPS
from dfmvr.report.source import Shapes
from dfmvr.study.methods import read_key
from dfmvr.webpage.pages import held_numbers

TRIANGLES = 14000
"""Triangles of a layer, at the most: four layers then take some 800 kB of the page."""

MARGIN_MM = 12.0
"""How far a scan is shown beyond the part that is measured."""

NEAR_MM = 4.0
"""A vertex of a prediction bears the error of the scan's point nearest to it, if that is no further away."""

SMOOTHING = 6
"""Steps in which errors are averaged with their neighbours' before lines are drawn, as noise would tear those."""


class Layer(NamedTuple):
    """A mesh with the error at its vertices, NaN where it was not measured."""

    name: str
    vertices: np.ndarray  # (N, 3) mm
    triangles: np.ndarray  # (F, 3)
    errors_mm: np.ndarray  # (N,)


def layers_of(shapes: Shapes, scanned_for: str, methods: list[str]) -> list[Layer]:
    """The scan with its distance from one prediction, and the predictions with theirs from the scan.

    Args:
        shapes: of a sample.
        scanned_for: the method whose errors the scan bears.
        methods: the predictions shown.
    """
    vertices, triangles = shapes.scan
    scan = _near(Layer("scan", vertices, triangles, shapes.errors_mm[scanned_for]))
    predictions = []
    for method in methods:
        errors = shapes.errors_mm[method]
        known = np.isfinite(errors)
        distance, nearest = KDTree(vertices[known]).query(shapes.predictions[method][0])
        on_mesh = np.where(distance <= NEAR_MM, errors[known][nearest], np.nan)
        name = read_key(method).short_name.replace("_{", "_").replace("}", "")
        predictions.append(Layer(name, *shapes.predictions[method], on_mesh))
    return [thinned(layer) for layer in (scan, *predictions)]


def _near(scan: Layer) -> Layer:
    """The scan without what lies far from the measured part."""
    known = np.isfinite(scan.errors_mm)
    distance, _ = KDTree(scan.vertices[known]).query(scan.vertices, distance_upper_bound=MARGIN_MM)
    return _compact(scan, np.isfinite(distance))


def _compact(layer: Layer, kept: np.ndarray) -> Layer:
    """The part of a mesh whose vertices are kept."""
    place = np.cumsum(kept) - 1
    triangles = place[layer.triangles[kept[layer.triangles].all(1)]]
    return Layer(layer.name, layer.vertices[kept], triangles, layer.errors_mm[kept])


def thinned(layer: Layer) -> Layer:
    """The same surface with fewer triangles; a vertex bears the error of the old one nearest to it."""
    if len(layer.triangles) > TRIANGLES:
        o3d = import_open3d()
        mesh = o3d.geometry.TriangleMesh(
            o3d.utility.Vector3dVector(layer.vertices), o3d.utility.Vector3iVector(layer.triangles.astype(np.int32))
        )
        small = mesh.simplify_quadric_decimation(TRIANGLES)
        vertices, triangles = np.asarray(small.vertices), np.asarray(small.triangles)
        _, nearest = KDTree(layer.vertices).query(vertices)
        layer = Layer(layer.name, vertices, triangles, layer.errors_mm[nearest])
    used = np.zeros(len(layer.vertices), bool)
    used[layer.triangles] = True
    return _compact(layer, used)


def scene(layers: list[Layer], scale_mm: float) -> dict[str, Any]:
    """What the page's script needs to show the layers, ready for JSON."""
    every = np.concatenate([layer.vertices for layer in layers])
    low, step = every.min(0), float(np.ptp(every, axis=0).max()) / 65535
    return {
        "low": [round(float(value), 4) for value in low],
        "step": step,
        "scale_mm": scale_mm,
        "stops": [[int(stop[i : i + 2], 16) / 255 for i in (1, 3, 5)] for stop in ERROR_STOPS],
        "layers": [
            {
                "name": layer.name,
                "positions": held_numbers((layer.vertices - low) / step, np.uint16),
                "triangles": held_numbers(layer.triangles, np.uint16),
                "values": held_numbers(_values(layer, scale_mm), np.uint8),
            }
            for layer in layers
        ],
    }


def _values(layer: Layer, scale_mm: float) -> np.ndarray:
    """Error, smoothed error and whether it was measured, each (N,) in [0, 255]."""
    known = np.isfinite(layer.errors_mm)
    raw, smooth = (
        np.round(255 * np.clip(e / scale_mm, 0, 1)) for e in (np.nan_to_num(layer.errors_mm), _smooth(layer))
    )
    return np.stack([raw, smooth, 255 * known], -1)


def _smooth(layer: Layer) -> np.ndarray:
    """Errors averaged over the neighbours on the mesh that have one; (N,) mm, 0 where there is none near."""
    known = np.isfinite(layer.errors_mm).astype(float)
    edges = np.concatenate([layer.triangles[:, pair] for pair in ((0, 1), (1, 2), (2, 0))])
    edges = np.concatenate([edges, edges[:, ::-1]])
    count = len(known)
    near = coo_array((np.ones(len(edges)), edges.T), (count, count)).tocsr() + diags_array(np.ones(count))
    total, weight = np.nan_to_num(layer.errors_mm), known
    for _ in range(SMOOTHING):
        total, weight = near @ total, near @ weight
        total, weight = total / np.maximum(weight, 1e-12), (weight > 0).astype(float)
    return total
