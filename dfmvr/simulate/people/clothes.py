"""Clothes: a surface of rings about the neck."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.geometry.normals import mesh_normals
from dfmvr.simulate.people.scalp import grid_triangles
from dfmvr.simulate.studio.light import PAINT_SIZE

RING_POINTS, RINGS = 64, 22


class Clothes(NamedTuple):
    """What covers the shoulders."""

    colour: np.ndarray  # (3,) linear RGB
    second: np.ndarray  # (3,) of stripes
    stripes_mm: float  # width, 0 for none
    neckline_mm: float  # bare skin beyond the neck
    dip_mm: float  # how much deeper the neckline is in front
    shoulder_mm: float  # half the width of the shoulders


class Torso(NamedTuple):
    """Shoulders and chest in their clothes, N vertices."""

    vertices: np.ndarray  # (N, 3) float32 mm
    triangles: np.ndarray  # (M, 3)
    normals: np.ndarray  # (N, 3)
    paint: np.ndarray  # (N, 8) see light.PAINT_SIZE


def draw_clothes(rng: np.random.Generator) -> Clothes:
    """Draw clothes."""
    colour, second = (rng.uniform(0.1, 0.95, size=(2, 1)) ** 2.2) * (0.35 + 0.65 * rng.uniform(0, 1, size=(2, 3)))
    return Clothes(
        colour.astype(np.float32),
        second.astype(np.float32),
        float(rng.choice([0, 0, rng.uniform(5, 25)])),
        float(rng.uniform(-6, 18)),
        float(rng.exponential(25)),
        float(rng.normal(195, 15)),
    )


def dress(neck: np.ndarray, skin: np.ndarray, clothes: Clothes, rng: np.random.Generator) -> Torso:
    """Put clothes on the torso below a neck.

    Args:
        neck: (K, 3) vertices of the rim at which the head mesh ends, mm.
        skin: (8,) paint of the neck.
        clothes: what is worn.
        rng: source of the folds.
    """
    points, triangles, along = _shoulders(neck, clothes)
    paint = np.empty((len(points), PAINT_SIZE), np.float32)
    paint[:] = skin
    dressed = along > clothes.neckline_mm
    stripe = clothes.stripes_mm > 0 and rng.uniform() < 0.8
    odd = (points[:, 1] // max(clothes.stripes_mm, 1)) % 2 == 1 if stripe else np.zeros(len(points), bool)
    folds = np.exp(0.12 * rng.normal(size=len(points)))[:, None]
    cloth = np.where(odd[:, None], clothes.second, clothes.colour) * folds
    paint[dressed, :3] = cloth[dressed]
    paint[dressed, 3:] = (0.08, 6, 0.1, 0.1, 0.1)
    points = points.astype(np.float32)
    return Torso(points, triangles, mesh_normals(points, triangles), paint)


def _shoulders(neck: np.ndarray, clothes: Clothes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The torso's vertices (N, 3) mm, triangles (M, 3), and millimetres (N,) from the rim along the surface."""
    angle = np.linspace(-np.pi, np.pi, RING_POINTS + 1)
    centre = (neck.max(0) + neck.min(0)) / 2
    half = (neck.max(0) - neck.min(0)) / 2
    tilt = np.polyfit(neck[:, 2] - centre[2], neck[:, 1], 1)
    away = np.concatenate((np.linspace(-0.04, 1, RINGS - 6), 1 + np.linspace(0, 1, 7)[1:]))
    spread = np.clip(away, 0, 1) ** 1.15
    wide = 0.97 * half[0] + spread * (clothes.shoulder_mm - half[0])
    deep = 0.97 * half[2] + spread * (105 - half[2])
    squareness = 0.5 + 0.25 * (1 - spread)
    sin, cos = np.sin(angle), np.cos(angle)
    x = wide[:, None] * np.sign(sin) * np.abs(sin) ** (2 * squareness[:, None])
    z = centre[2] + deep[:, None] * np.sign(cos) * np.abs(cos) ** (2 * squareness[:, None])
    slope = np.maximum(1 - away, 0)[:, None]
    rim = np.polyval(tilt, np.clip(z - centre[2], -half[2], half[2]))
    y = slope * rim + (1 - slope) * centre[1] - 62 * np.clip(away, 0, 1)[:, None] ** 1.3
    y = y - 260 * np.maximum(away - 1, 0)[:, None] + 4 * (away[:, None] < 0)
    # the chest comes forward below the throat
    y = y - 38 * np.clip(away, 0, 1)[:, None] * np.maximum(cos, 0) ** 2 * (away[:, None] <= 1)
    points = np.stack((np.broadcast_to(x, y.shape), y, z), -1)
    along = np.cumsum(np.linalg.norm(np.diff(points, axis=0, prepend=points[:1]), axis=2), 0)
    front = np.clip(cos, 0, 1) ** 2
    return points.reshape(-1, 3), grid_triangles(*points.shape[:2]), (along - clothes.dip_mm * front).reshape(-1)
