"""Registration and scores of predictions under all protocols: dfmvr against the plain way with the libraries.

The plain way takes one protocol after the other: crop, landmarks, open3d's point-to-plane ICP of the scan to the
prediction's vertices with their normals (with the scale first taken from the landmarks where the protocol frees it:
that ICP is rigid), then the distances of the same points of the scan. It asks trimesh for the closest points (where
its optional package rtree is installed), or open3d for them, or measures from the plane of the nearest vertex, or from
that vertex, as open3d's `compute_point_cloud_distance` does. The scans are waves on a face in closed form.

    python benchmarks/benchmark_score.py [--points 50000] [--vertices 40000] [--scans 12]
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries are loaded: one core a process

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from analytic_face import MOTION, face

from dfmvr.config.evaluation import ProtocolSection, RegisterSection
from dfmvr.geometry.normals import mesh_normals
from dfmvr.geometry.surface import Surface, import_open3d
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import crop
from dfmvr.register.icp import Registration
from dfmvr.register.landmarks import align_landmarks
from dfmvr.register.surface import register_surface
from dfmvr.score.samples import score_sample

SETTINGS = RegisterSection()
CORES = 2
MANY = 1000


class Scene(NamedTuple):
    """A prediction and a scan."""

    vertices: np.ndarray  # (V, 3) mm
    triangles: np.ndarray  # (F, 3)
    landmarks: np.ndarray  # (7, 3) mm
    target: FaceScan


def scene(points: int, vertices: int, seed: int = 0) -> Scene:
    """Make a prediction, and a scan of it that is 2 mm wavy, noisy, moved, and has imprecise landmarks."""
    rng = np.random.default_rng(seed)
    prediction, triangles, landmarks = face(int(vertices**0.5))
    scan, scan_triangles, _ = face(int(points**0.5))
    phase = rng.uniform(0, 6, 2)
    waves = 2 * np.sin(scan[:, 0] / 15 + phase[0]) * np.cos(scan[:, 1] / 20 + phase[1])
    scan += (waves + rng.normal(size=len(scan)) * 0.1)[:, None] * mesh_normals(scan, scan_triangles)
    motion = MOTION._replace(scale=1.02)
    target = FaceScan(motion.apply(scan), motion.apply(landmarks) + rng.normal(size=(7, 3)))
    return Scene(prediction, triangles, landmarks, target)


def ours(scene: Scene) -> dict[str, float]:
    """Errors of all protocols, mm, as `dfmvr register` and `dfmvr score` find them."""
    surface = Surface(scene.vertices, scene.triangles)
    found = {
        name: register_surface(surface, scene.landmarks, scene.target, protocol, SETTINGS.iterations, SETTINGS.points)
        for name, protocol in SETTINGS.protocols.items()
    }
    return {row["protocol"]: row["error_mm"] for row in score_sample(surface, scene.target, found, SETTINGS)}


Distances = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Points (n, 3) of a scan, vertices and triangles of a registered prediction -> distances (n,), mm."""


def plain(scene: Scene, distances: Distances) -> dict[str, float]:
    """Errors of all protocols, mm, the plain way."""
    errors = {}
    for name, protocol in SETTINGS.protocols.items():
        points = crop(scene.target, protocol)
        vertices = _plain_registration(scene, points, protocol).apply(scene.vertices)
        found = distances(points, vertices, scene.triangles)
        square = protocol.statistic == "rms_point_to_plane"
        errors[name] = float(np.sqrt((found**2).mean()) if square else np.abs(found).mean())
    return errors


def _plain_registration(scene: Scene, points: np.ndarray, protocol: ProtocolSection) -> Registration:
    """Landmarks, then open3d's ICP of the points (n, 3) of the scan to the prediction's vertices."""
    o3d = import_open3d()
    start = align_landmarks(scene.landmarks, scene.target.landmarks, protocol.with_scale)
    source, goal = o3d.geometry.PointCloud(), o3d.geometry.PointCloud()
    source.points = o3d.utility.Vector3dVector(points)
    goal.points = o3d.utility.Vector3dVector(start.apply(scene.vertices))
    goal.normals = o3d.utility.Vector3dVector(mesh_normals(scene.vertices, scene.triangles) @ start.rotation.T)
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
    return Registration(start.scale, rotation @ start.rotation, rotation @ start.translation + translation)


def to_trimesh(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Distances from the closest points that trimesh finds."""
    import trimesh

    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    return trimesh.proximity.closest_point(mesh, points)[1]


def to_open3d(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Distances from the closest points that open3d finds."""
    o3d = import_open3d()
    tree = o3d.t.geometry.RaycastingScene()
    tree.add_triangles(np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(triangles, np.uint32))
    return tree.compute_distance(np.ascontiguousarray(points, np.float32)).numpy().astype(np.float64)


def to_planes(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Distances from the tangent planes of the nearest vertices."""
    from scipy.spatial import cKDTree

    normals, nearest = mesh_normals(vertices, triangles), cKDTree(vertices).query(points)[1]
    return np.einsum("ni,ni->n", points - vertices[nearest], normals[nearest])


def to_points(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Distances from the nearest vertices."""
    o3d = import_open3d()
    scan, goal = o3d.geometry.PointCloud(), o3d.geometry.PointCloud()
    scan.points, goal.points = o3d.utility.Vector3dVector(points), o3d.utility.Vector3dVector(vertices)
    return np.asarray(scan.compute_point_cloud_distance(goal))


def timed(work: Callable[[], dict[str, float]], repeats: int) -> tuple[float, dict[str, float]]:
    """Median CPU time in seconds, and the result."""
    times, result = [], work() if repeats > 1 else {}
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return statistics.median(times), result


def compare(given: Scene) -> None:
    """Print one line a way: CPU time, ratio, results."""
    reference, truth = timed(lambda: ours(given), 5)
    print("CPU seconds a scan under the protocols " + ", ".join(truth) + "; their errors in mm")
    print(f"{'dfmvr':<40} {reference:8.3f} s {1.0:6.1f}x  " + " ".join(f"{e:.4f}" for e in truth.values()))
    ways: tuple[tuple[str, Distances, int], ...] = (
        ("open3d ICP + trimesh closest_point", to_trimesh, 1),
        ("open3d ICP + open3d closest points", to_open3d, 3),
        ("open3d ICP + nearest vertex's plane", to_planes, 3),
        ("open3d ICP + point cloud distance", to_points, 3),
    )
    for name, way, repeats in ways:
        if way is to_trimesh and importlib.util.find_spec("rtree") is None:
            print(f"{name:<40} needs the package rtree")
            continue
        seconds, found = timed(lambda way=way: plain(given, way), repeats)
        errors = " ".join(f"{e:.4f}" for e in found.values())
        print(f"{name:<40} {seconds:8.3f} s {seconds / reference:6.1f}x  {errors}")


def _one(job: tuple[int, int, int]) -> float:
    """CPU seconds that the scan of a seed takes."""
    given = scene(*job)
    start = time.process_time()
    ours(given)
    return time.process_time() - start


def extrapolate(points: int, vertices: int, scans: int) -> None:
    """Score `scans` different scans in `CORES` processes, and say what `MANY` would take."""
    with ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_one, [(1000, 1000, seed) for seed in range(2 * CORES)]))  # loads the libraries
        seconds = list(pool.map(_one, [(points, vertices, seed) for seed in range(scans)]))
    minutes = sum(seconds) / scans * MANY / CORES / 60
    print(
        f"{MANY} scans of {points} points on {CORES} cores: {minutes:.1f} minutes, extrapolated from {scans} scans "
        f"({sum(seconds) / scans:.3f} CPU seconds each, reading and writing apart)"
    )


def main() -> None:
    """Compare the ways, then tell what a large study takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=50_000, help="points of a scan")
    parser.add_argument("--vertices", type=int, default=40_000, help="vertices of a prediction")
    parser.add_argument("--scans", type=int, default=12, help="scans from which the time of many is extrapolated")
    args = parser.parse_args()
    compare(scene(args.points, args.vertices))
    extrapolate(args.points, args.vertices, args.scans)


if __name__ == "__main__":
    main()
