"""Registration and score of one prediction: dfmvr against the plain way of doing it with the libraries.

The plain way registers with open3d's point-to-plane ICP, which is rigid, after the same landmark similarity. It then
asks trimesh for the closest points (where its optional package rtree is installed), or measures from the plane of the
nearest vertex, or from that vertex, as open3d's `compute_point_cloud_distance` does. All evaluate the same points of a
scan: 95 mm about the nose tip.

    python benchmarks/benchmark_score.py [--points 50000] [--vertices 25000]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from analytic_face import MOTION, face

from dfmvr.config import ProtocolSection
from dfmvr.geometry.meshes import import_open3d
from dfmvr.geometry.surface import Surface, vertex_normals
from dfmvr.register import Registration, Target, align_landmarks, crop, register
from dfmvr.score import measure, summarise


def scene(points: int, vertices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Target]:
    """Make a prediction, and a scan of it that is 2 mm wavy, noisy, moved, and has imprecise landmarks."""
    rng = np.random.default_rng(0)
    prediction, triangles, landmarks = face(int(vertices**0.5))
    scan, scan_triangles, _ = face(int(points**0.5))
    waves = 2 * np.sin(scan[:, 0] / 15) * np.cos(scan[:, 1] / 20) + rng.normal(size=len(scan)) * 0.1
    scan += waves[:, None] * vertex_normals(scan, scan_triangles)
    motion = MOTION._replace(scale=1.0)
    target = Target(motion.apply(scan), motion.apply(landmarks) + rng.normal(size=(7, 3)))
    return prediction, triangles, landmarks, target


def ours(prediction: np.ndarray, triangles: np.ndarray, landmarks: np.ndarray, target: Target) -> float:
    """RMS point-to-plane distance after a rigid registration, mm."""
    protocol = ProtocolSection(with_scale=False)
    surface = Surface(prediction, triangles)
    found = register(surface, landmarks, target, protocol)
    return summarise(measure(surface, crop(target, protocol), found)).rmse_mm


def _plain_registration(
    prediction: np.ndarray, triangles: np.ndarray, landmarks: np.ndarray, target: Target
) -> tuple[Registration, np.ndarray]:
    """Landmarks, then open3d's ICP of the scan to the prediction's vertices; and the crop."""
    o3d = import_open3d()
    start = align_landmarks(landmarks, target.landmarks, with_scale=False)
    points = crop(target, ProtocolSection())
    source, goal = o3d.geometry.PointCloud(), o3d.geometry.PointCloud()
    source.points = o3d.utility.Vector3dVector(points)
    goal.points = o3d.utility.Vector3dVector(start.apply(prediction))
    goal.normals = o3d.utility.Vector3dVector(vertex_normals(prediction, triangles) @ start.rotation.T)
    registration = o3d.pipelines.registration
    found = registration.registration_icp(
        source,
        goal,
        20.0,
        np.eye(4),
        registration.TransformationEstimationPointToPlane(),
        registration.ICPConvergenceCriteria(1e-9, 1e-9, 100),
    ).transformation
    rotation, translation = found[:3, :3].T, -found[:3, :3].T @ found[:3, 3]
    whole = Registration(1.0, rotation @ start.rotation, rotation @ start.translation + translation)
    return whole, points


def plain_surface(prediction: np.ndarray, triangles: np.ndarray, landmarks: np.ndarray, target: Target) -> float:
    """RMS distance from the closest points that trimesh finds, mm."""
    import trimesh

    found, points = _plain_registration(prediction, triangles, landmarks, target)
    mesh = trimesh.Trimesh(found.apply(prediction), triangles, process=False)
    _, distance, _ = trimesh.proximity.closest_point(mesh, points)
    return float(np.sqrt((distance**2).mean()))


def plain_planes(prediction: np.ndarray, triangles: np.ndarray, landmarks: np.ndarray, target: Target) -> float:
    """RMS distance from the tangent planes of the nearest vertices, mm."""
    from scipy.spatial import cKDTree

    found, points = _plain_registration(prediction, triangles, landmarks, target)
    vertices = found.apply(prediction)
    normals = vertex_normals(vertices, triangles)
    nearest = cKDTree(vertices).query(points)[1]
    return float(np.sqrt((((points - vertices[nearest]) * normals[nearest]).sum(1) ** 2).mean()))


def plain_points(prediction: np.ndarray, triangles: np.ndarray, landmarks: np.ndarray, target: Target) -> float:
    """RMS distance from the nearest vertices, mm."""
    o3d = import_open3d()
    found, points = _plain_registration(prediction, triangles, landmarks, target)
    scan, vertices = o3d.geometry.PointCloud(), o3d.geometry.PointCloud()
    scan.points = o3d.utility.Vector3dVector(points)
    vertices.points = o3d.utility.Vector3dVector(found.apply(prediction))
    distance = np.asarray(scan.compute_point_cloud_distance(vertices))
    return float(np.sqrt((distance**2).mean()))


def timed(work: Callable[..., float], arguments: tuple[Any, ...], repeats: int) -> tuple[float, float]:
    """Median time in seconds, and the result."""
    times, result = [], work(*arguments) if repeats > 1 else 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        result = work(*arguments)
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def main() -> None:
    """Print one line a way: time, ratio, result, difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=50_000, help="points of the scan")
    parser.add_argument("--vertices", type=int, default=25_000, help="vertices of the prediction")
    args = parser.parse_args()
    arguments = scene(args.points, args.vertices)
    import_open3d()
    reference, truth = timed(ours, arguments, 5)
    print(f"{'dfmvr':<40} {reference:8.3f} s  {'1.0':>6}x  {truth:.5f} mm")
    for name, work, repeats in (
        ("open3d ICP + trimesh closest_point", plain_surface, 1),
        ("open3d ICP + nearest vertex's plane", plain_planes, 5),
        ("open3d ICP + point cloud distance", plain_points, 5),
    ):
        if work is plain_surface and importlib.util.find_spec("rtree") is None:
            print(f"{name:<40} needs the package rtree")
            continue
        seconds, result = timed(work, arguments, repeats)
        print(f"{name:<40} {seconds:8.3f} s  {seconds / reference:6.1f}x  {result:.5f} mm ({result - truth:+.5f})")


if __name__ == "__main__":
    main()
