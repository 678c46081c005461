"""Distances of scans from registered predictions, and the numbers made of them (Sec. IV-A).

Each point of the cropped scan is measured against the prediction's surface, twice: `rmse_mm` is the root mean square
of its distance along the normal (interpolated from the vertices, so that it is unique on edges too) at the closest
point of the surface; `mean_mm` is the mean of its unsigned distance from that point. Points whose closest point lies
on an open edge of the prediction are beside it and do not count; `coverage` is the share of the others.

Paper: a point-to-plane distance of the two (V-A), which leaves open from which to which, along what normal, and what
becomes of such points. From the scan, every place of the face counts alike, however fine the prediction's mesh is.

The closest point flatters: a cheek that has slid along itself costs nothing. Where the true surface is known in the
topology of the prediction, `correspondence_mm` is the root mean square distance of its vertices in the crop from the
same vertices of the prediction, under the same registration. Paper: not among its numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.config.evaluation import ProtocolSection
from dfmvr.conventions import REGIONS
from dfmvr.geometry.meshes import joined
from dfmvr.geometry.surface import Surface
from dfmvr.geometry.vectors import length
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import crop_sphere, in_sphere
from dfmvr.register.icp import Registration, closest_pairs

ALL = "all"
"""Region of a row about the whole crop."""


class ScanErrors(NamedTuple):
    """Distances of the covered points of a scan from a registered prediction."""

    plane_mm: np.ndarray  # (n,) along the normal, positive outside the prediction
    surface_mm: np.ndarray  # (n,) unsigned, from the closest point
    vertex: np.ndarray  # (n,) the prediction's vertex that weighs most in the closest point
    coverage: float  # n over the number of points in the crop


class VertexErrors(NamedTuple):
    """Distances of vertices of a registered prediction from where they should be."""

    distance_mm: np.ndarray  # (n,)
    vertex: np.ndarray  # (n,)


class Score(NamedTuple):
    """Statistics of one region; NaN where it has no points."""

    rmse_mm: float
    mean_mm: float
    points: int


def measure(surface: Surface, points: np.ndarray, registration: Registration) -> ScanErrors:
    """Measure points (N, 3) of a scan, mm, against a prediction registered to it."""
    pairs = closest_pairs(surface, points, registration)
    kept, closest = pairs.kept, pairs.closest
    heaviest = closest.barycentric.argmax(1)
    vertex = surface.triangles[closest.triangles, heaviest]
    apart = points - pairs.points
    return ScanErrors(pairs.residual[kept], length(apart)[kept], vertex[kept], float(kept.mean()))


def measure_correspondence(
    surface: Surface, scan: FaceScan, registration: Registration, protocol: ProtocolSection
) -> VertexErrors:
    """Measure the vertices of a registered prediction whose true places lie in the crop.

    There are none where the truth is not known in the topology of the prediction.
    """
    truth = scan.registered_vertices
    # vertices at one place are joined in what is read from a file
    if truth is None or not np.array_equal(joined(truth, scan.registered_triangles), surface.triangles):
        return VertexErrors(np.zeros(0), np.zeros(0, np.int64))
    centre, radius = crop_sphere(scan, protocol)
    inside = np.flatnonzero(in_sphere(truth, centre, radius))
    apart = registration.apply(surface.vertices[inside]) - truth[inside]
    return VertexErrors(length(apart), inside)


def summarise(errors: ScanErrors, chosen: np.ndarray | slice = slice(None)) -> Score:
    """Reduce the errors of the `chosen` points to numbers."""
    plane, surface = errors.plane_mm[chosen], errors.surface_mm[chosen]
    if len(plane) == 0:
        return Score(np.nan, np.nan, 0)
    return Score(_rms(plane), float(surface.mean()), len(plane))


def _rms(values: np.ndarray) -> float:
    """Root mean square; NaN of nothing."""
    return float(np.sqrt((values**2).mean())) if len(values) else float("nan")


def by_region(errors: ScanErrors, regions: np.ndarray | None) -> dict[str, Score]:
    """Score the whole and, given the region (V,) of each vertex of the prediction, each region of the face."""
    result = {ALL: summarise(errors)}
    if regions is not None:
        of_point = regions[errors.vertex]
        result |= {name: summarise(errors, of_point == i) for i, name in enumerate(REGIONS)}
    return result


def correspondence_by_region(errors: VertexErrors, regions: np.ndarray | None) -> dict[str, float]:
    """RMS distance, mm, of the whole and of each region, as `by_region`; NaN where nothing corresponds."""
    result = {ALL: _rms(errors.distance_mm)}
    if regions is not None:
        of_vertex = regions[errors.vertex]
        result |= {name: _rms(errors.distance_mm[of_vertex == i]) for i, name in enumerate(REGIONS)}
    return result


def statistic(score: Score, protocol: ProtocolSection) -> float:
    """What the protocol calls its error, mm."""
    return score.rmse_mm if protocol.statistic == "rms_point_to_plane" else score.mean_mm
