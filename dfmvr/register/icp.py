"""Point-to-plane ICP of a prediction's surface to the points of a scan.

Every point of the scan is paired with the closest point of the prediction's surface. Pairs on an open edge of the
prediction are left out, by the same rule for every method: such a point is beside the prediction, not above it.
The share that is left is the coverage.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from dfmvr.errors import DataError
from dfmvr.geometry.surface import Closest, Surface
from dfmvr.geometry.vectors import dot

CONVERGED_MM = 3e-5
"""ICP has converged when the error is above its minimum by less than this. A surface that is x mm (root mean square)
from where the error e is least raises it by x^2 / 2e at the most."""

ROUNDS = ((500, 5e-3), (3000, 2e-4))
"""Rough rounds before the last one: points of the scan, and what the error may be above its minimum, mm. So few points
are no nearer to the minimum of all."""

SMALL_SHARE, SMALL_MM = 1e-3, 1e-5
"""Nor may what is left be more than this share of the error, unless it moves the surface by less than this: where
nothing but the pose is wrong, the error itself goes to nothing."""

RATES = (0.1, 0.9)
"""Bounds of the share of a step that the next one is taken to have: what is left is a geometric series."""

LEAST_COVERAGE = 0.1
"""A prediction that covers less of the crop cannot be registered."""


class Registration(NamedTuple):
    """The map x -> scale rotation x + translation from a prediction into the frame of its scan."""

    scale: float
    rotation: np.ndarray  # (3, 3), determinant +1
    translation: np.ndarray  # (3,), mm
    converged: bool = True
    rmse_mm: np.ndarray = np.zeros(0)  # (steps,) RMS point-to-plane before each step of ICP

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map points (N, 3) of the prediction into the scan's frame, mm."""
        return self.scale * points @ self.rotation.T + self.translation

    def undo(self, points: np.ndarray) -> np.ndarray:
        """Map points (N, 3) of the scan's frame into the prediction's."""
        return (points - self.translation) @ self.rotation / self.scale

    def followed_by(self, step: Registration) -> Registration:
        """Chain two maps; what is known about this one is kept."""
        return self._replace(
            scale=self.scale * step.scale,
            rotation=step.rotation @ self.rotation,
            translation=step.apply(self.translation[None])[0],
        )


class ClosestPairs(NamedTuple):
    """Points of a scan and the closest points of a registered prediction, in the scan's motions."""

    residual: np.ndarray  # (n,) mm along the normal, positive outside the prediction
    points: np.ndarray  # (n, 3) mm, on the prediction
    normals: np.ndarray  # (n, 3) unit
    kept: np.ndarray  # (n,) bool: not on an open edge of the prediction
    closest: Closest  # in the prediction's frame


def closest_pairs(surface: Surface, scan: np.ndarray, registration: Registration) -> ClosestPairs:
    """Pair the points (n, 3) of a scan with the closest points of the registered prediction."""
    closest = surface.closest(registration.undo(scan))
    points = registration.apply(closest.points)
    normals = closest.normals @ registration.rotation.T
    residual = dot(normals, scan - points)
    return ClosestPairs(residual, points, normals, ~closest.on_boundary, closest)


def icp(
    surface: Surface,
    scan: np.ndarray,
    start: Registration,
    with_scale: bool,
    iterations: int,
    points: int = 0,
) -> Registration:
    """Minimise the squared point-to-plane distances of a scan over the similarity (or rigid motion) of a surface.

    Args:
        surface: the prediction.
        scan: (n, 3) points, mm.
        start: a registration near the solution.
        with_scale: False keeps the scale of `start`.
        iterations: steps at the most, rough ones on fewer points included.
        points: of the scan that the last steps use, evenly strided; 0 takes all.
    Returns:
        The registration, with `converged` False if the last step still moved the surface.
    Raises:
        DataError: the surface covers less than a tenth of the scan, or its size runs away.
    Source: Chen & Medioni 1992, "Object modelling by registration of multiple range images" (point-to-plane); each
        step solves the linearised problem in rotation, translation and log scale.
    """
    history: list[float] = []
    current, rate, excess = start, RATES[1], np.inf
    last = points or len(scan)
    for count, enough in [*(r for r in ROUNDS if r[0] < min(last, len(scan))), (last, CONVERGED_MM)]:
        part, before, excess = take_evenly(scan, count), 0.0, np.inf
        while excess > enough and len(history) < iterations:
            pairs = closest_pairs(surface, part, current)
            check_coverage(pairs.kept)
            history.append(float(np.sqrt((pairs.residual[pairs.kept] ** 2).mean())))
            current, moved = _step(current, pairs, with_scale)
            if before:
                rate = float(np.clip(moved / before, *RATES))
            left, before = moved * rate / (1 - rate), moved
            excess = left**2 / (2 * history[-1]) if left else 0.0
            if left > SMALL_MM and excess > SMALL_SHARE * history[-1]:
                excess = np.inf
            if not 0.5 < current.scale / start.scale < 2:
                raise DataError(
                    f"the registration runs away (scale {start.scale:.3g} by the landmarks, then {current.scale:.3g}): "
                    "the prediction does not resemble the scan; check that they belong together"
                )
    return current._replace(converged=bool(excess <= CONVERGED_MM), rmse_mm=np.array(history))


def take_evenly(points: np.ndarray, count: int) -> np.ndarray:
    """Take `count` of the points (n, 3), evenly strided; all if there are no more."""
    if count >= len(points):
        return points
    return points[np.arange(count) * len(points) // count]


def check_coverage(kept: np.ndarray) -> None:
    """Refuse a surface that is beside nearly all points of the scan (n,) bool.

    Raises:
        DataError: it covers less than a tenth.
    """
    if kept.mean() < LEAST_COVERAGE:
        raise DataError(f"the prediction covers {kept.mean():.0%} of the cropped scan; check the landmarks of both")


def _step(current: Registration, pairs: ClosestPairs, with_scale: bool) -> tuple[Registration, float]:
    """Take one Gauss-Newton step: the new registration, and how far it moves the surface (RMS, mm)."""
    points, normals, residual = (array[pairs.kept] for array in (pairs.points, pairs.normals, pairs.residual))
    motions = SmallMotions.about(points)
    jacobian = motions.jacobian(points, normals)[:, : 7 if with_scale else 6]
    # A flat or round surface leaves directions undetermined: the pseudo-inverse does not move along them.
    x = np.linalg.lstsq(jacobian.T @ jacobian, jacobian.T @ residual, rcond=1e-9)[0]
    step = motions.motion(x if with_scale else np.append(x, 0.0))
    moved = float(np.sqrt(((step.apply(points) - points) ** 2).sum(1).mean()))
    return current.followed_by(step), moved


class SmallMotions(NamedTuple):
    """Similarities near the identity, as 7 numbers: turn, shift and log scale about a centre, all lengths in mm."""

    centre: np.ndarray  # (3,) mm
    size: float  # mm; turn and log scale times this are lengths, as the shift is, so that the problem is well posed

    @classmethod
    def about(cls, points: np.ndarray) -> SmallMotions:
        """Take the middle of the points (n, 3)."""
        centre = points.mean(0)
        return cls(centre, float(np.sqrt(((points - centre) ** 2).sum(1).mean())))

    def jacobian(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Derivative (n, 7) of the movement of the points along the normals."""
        arms = (points - self.centre) / self.size
        return np.column_stack([np.cross(arms, normals), normals, dot(arms, normals)])

    def motion(self, x: np.ndarray) -> Registration:
        """Make a similarity of the numbers (7,)."""
        scale, rotation = float(np.exp(x[6] / self.size)), Rotation.from_rotvec(x[:3] / self.size).as_matrix()
        return Registration(scale, rotation, self.centre + x[3:6] - scale * rotation @ self.centre)
