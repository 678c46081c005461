"""Which places of a surface a finder's points mean, learnt from photographs whose surface is known.

For each point and each band of yaw: the place whose picture is nearest to the found point, over all photographs of
that band, robustly, and how far it is off as a rule. Bands overlap: a photograph between the middles of two counts in
both, by how near it is, so that what is interpolated between them fits too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

ROUNDS = 5
"""Of weighing the photographs anew; the places settle in three."""

OUTLIER = 4.0
"""ASSUME: errors of so many medians weigh a quarter of small ones, far larger ones nothing (Geman and McClure 1985)."""

STEPS = 12
"""Parts of a triangle's edge: places are told within a sixth of a millimetre."""


class Learnt(NamedTuple):
    """Places of K points in B bands."""

    vertices: np.ndarray  # (B, K, 3) int64, the corners of a triangle
    weights: np.ndarray  # (B, K, 3), barycentric
    covariance: np.ndarray  # (B, K, 2, 2) mm^2 of what is left, x right and y down in the levelled picture
    photographs: np.ndarray  # (B,) sums of weights


def band_weights(yaws: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """How much photographs of yaws (N,) count in bands with middles (B,), rising: (N, B), a row's sum is one."""
    return np.stack([np.interp(yaws, bands, row) for row in np.eye(len(bands))], 1)


def learn_places(
    points: np.ndarray,
    surfaces: np.ndarray,
    shares: np.ndarray,
    triangles: np.ndarray,
    allowed: Sequence[np.ndarray],
) -> Learnt:
    """Learn the places of points.

    Args:
        points: (N, K, 2) mm, found in N levelled photographs.
        surfaces: (N, V, 2) mm, the vertices in the same pictures.
        shares: (N, B) from `band_weights`.
        triangles: (F, 3).
        allowed: (V,) bool for each of the K points, the vertices where it may be.
    """
    parts = [_learn_band(points, surfaces, share, triangles, allowed) for share in shares.T]
    vertices, weights, covariance = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    return Learnt(vertices, weights, covariance, shares.sum(0))


def _learn_band(
    points: np.ndarray, surfaces: np.ndarray, share: np.ndarray, triangles: np.ndarray, allowed: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (K, 3) vertices and weights and covariance (K, 2, 2) for one band."""
    counts = share > 0
    points, surfaces, share = (np.asarray(a[counts], np.float32) for a in (points, surfaces, share))
    squares = np.square(surfaces).sum(2)  # (N, V)
    weigh = np.repeat(share[:, None], points.shape[1], 1)
    fan, grid = _fan(triangles, surfaces.shape[1]), _grid(STEPS)
    ids, places = np.zeros((points.shape[1], 3), np.int64), np.zeros((points.shape[1], 3))
    errors = np.zeros_like(points)
    for _ in range(ROUNDS):
        # sum of w |u - p|^2 over photographs, but for a constant: sum of w |p|^2 - 2 w u.p
        cost = weigh.T @ squares
        for axis in range(2):
            cost -= 2 * (weigh * points[..., axis]).T @ surfaces[..., axis]
        for k, may in enumerate(allowed):
            nearest = int(np.where(may, cost[k], np.inf).argmin())
            corners = fan[nearest]
            corners = corners[may[corners].all(1)]
            if not len(corners):
                corners = np.full((1, 3), nearest)
            ids[k], places[k] = _within(points[:, k], surfaces, weigh[:, k], corners, grid)
            errors[:, k] = points[:, k] - np.einsum("nji,j->ni", surfaces[:, ids[k]], places[k])
        distances = np.linalg.norm(errors, axis=2)
        scale = OUTLIER * np.maximum(_median(distances, share), 1e-6)
        weigh = share[:, None] / np.square(1 + np.square(distances / scale))
    spread = np.einsum("nk,nki,nkj->kij", weigh, errors, errors) / weigh.sum(0)[:, None, None]
    return ids, places, spread


def _median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted medians of columns: values (N, K), weights (N,); (K,)."""
    order = values.argsort(0)
    total = np.cumsum(weights[order], 0)
    return np.take_along_axis(values, order, 0)[(total < total[-1] / 2).sum(0), np.arange(values.shape[1])]


def _fan(triangles: np.ndarray, count: int) -> list[np.ndarray]:
    """Of each of `count` vertices the triangles (., 3) that have it as a corner."""
    order = np.argsort(triangles.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(triangles.ravel(), minlength=count))
    return np.split(triangles[order // 3], ends[:-1])


def _grid(steps: int) -> np.ndarray:
    """Barycentric weights (G, 3) all over a triangle."""
    i, j = (a.ravel() for a in np.mgrid[: steps + 1, : steps + 1])
    inside = i + j <= steps
    return np.stack([i, j, steps - i - j], 1)[inside] / steps


def _within(
    points: np.ndarray, surfaces: np.ndarray, weigh: np.ndarray, corners: np.ndarray, grid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best place within triangles (T, 3): its vertices (3,) and weights (3,)."""
    seen = surfaces[:, corners].astype(np.float64)  # (N, T, 3, 2)
    gram = np.einsum("n,ntai,ntbi->tab", weigh, seen, seen)
    slope = np.einsum("n,ntai,ni->ta", weigh, seen, points)
    cost = np.einsum("ga,tab,gb->tg", grid, gram, grid) - 2 * np.einsum("ga,ta->tg", grid, slope)
    triangle, place = np.unravel_index(cost.argmin(), cost.shape)
    return corners[triangle], grid[place]


def learn_mixing(
    points: np.ndarray, landmarks: np.ndarray, shares: np.ndarray, count: int, noise_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Learn of which points landmarks are made, and how much of each: ridge regression whose weights sum to one.

    What it makes follows the points through every shift, turn, stretch and shear of the picture.

    Args:
        points: (N, K, 2) mm, found in N photographs.
        landmarks: (N, L, 2) mm, true.
        shares: (N, B) from `band_weights`.
        count: of points for a landmark, those nearest to it.
        noise_mm: by which a point is off by itself; the larger, the more even the weights.
    Returns:
        Points (B, L, count) and weights (B, L, count).
    """
    bands, size = shares.shape[1], landmarks.shape[1]
    chosen, mixing = np.zeros((bands, size, count), np.int64), np.zeros((bands, size, count))
    for band, share in enumerate(shares.T):
        own = share > 0
        found, true, weigh = points[own], landmarks[own], share[own]
        for j in range(size):
            gap = np.einsum("n,nk->k", weigh, np.linalg.norm(found - true[:, j, None], axis=2))
            nearest = np.argsort(gap, kind="stable")[:count]
            chosen[band, j], mixing[band, j] = nearest, _mix(found[:, nearest], true[:, j], weigh, noise_mm)
    return chosen, mixing


def _mix(found: np.ndarray, true: np.ndarray, weigh: np.ndarray, noise_mm: float) -> np.ndarray:
    """Weights (C,) by which points (N, C, 2), nearest first, make a landmark (N, 2): see `learn_mixing`."""
    count = found.shape[1]
    weights = np.eye(count)[0]
    for _ in range(ROUNDS):
        off = np.linalg.norm(true - np.einsum("nci,c->ni", found, weights), axis=1)
        trust = weigh / np.square(1 + np.square(off / (OUTLIER * max(_median(off[:, None], weigh)[0], 1e-6))))
        # the first weight is one less the others, so that they sum to one
        base = found[:, :1] - true[:, None]
        steps = found[:, 1:] - found[:, :1]
        gram = np.einsum("n,nai,nbi->ab", trust, steps, steps)
        slope = np.einsum("n,nai,ni->a", trust, steps, base[:, 0])
        ridge = 2 * trust.sum() * noise_mm**2
        # |weights|^2 = (1 - sum of the others)^2 + |others|^2
        others = np.linalg.solve(gram + ridge * (np.eye(count - 1) + 1), ridge - slope)
        weights = np.concatenate([[1 - others.sum()], others])
    return weights


def learn_mirrored(points: np.ndarray, yaws: np.ndarray) -> np.ndarray:
    """Learn which point each becomes in the mirror: the assignment that is nearest over all mirrored yaws.

    Args:
        points: (N, K, 2) mm, found in N levelled photographs.
        yaws: (N,) degrees.
    Returns:
        (K,): point k of a photograph is point mirrored[k] of its mirror image.
    """
    edges = np.array([-45.0, -15.0, 15.0, 45.0])
    means = [np.median(points[(yaws >= low) & (yaws < high)], 0) for low, high in itertools.pairwise(edges)]
    means = [mean - mean.mean(0) for mean in means]
    gaps = [
        np.square(one[:, None] * (-1, 1) - other[None]).sum(2) for one, other in zip(means, means[::-1], strict=True)
    ]
    return linear_sum_assignment(np.sum(gaps, 0))[1]
