"""The normal equations of one step of Gauss-Newton, in the shape's coefficients and seven numbers a photograph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

POSE = 7
"""Numbers of a photograph: a small rotation about the face's own origin, radians, a shift, mm, both in the camera's
frame, and the change of the logarithm of its focal length."""


class Derivative(NamedTuple):
    """How M pairs of numbers (places in a picture, px) change with the shape and with the pose in one photograph."""

    of_shape: np.ndarray  # (M, 2, P)
    of_pose: np.ndarray  # (M, 2, POSE)


OUTLIER = 3.0
"""Residuals beyond this many standard deviations count less and less (Geman and McClure)."""


def robust_weight(residual: np.ndarray, spread: np.ndarray | float) -> np.ndarray:
    """Weights (M,) of pairs of residuals (M, 2) with a standard deviation, less those of outliers."""
    squared = (residual**2).sum(1) / spread**2
    return 1 / spread**2 / (1 + squared / OUTLIER**2) ** 2


class NormalEquations:
    """Sums up weighted linearised residuals and solves for the step."""

    def __init__(self, coefficients: int, photographs: int) -> None:
        self.coefficients = coefficients
        size = coefficients + POSE * photographs
        self.matrix, self.right = np.zeros((size, size)), np.zeros(size)

    def add(
        self, of_shape: np.ndarray, of_poses: dict[int, np.ndarray], residual: np.ndarray, weight: np.ndarray
    ) -> None:
        """Add pairs of residuals that the step should make vanish.

        Args:
            of_shape: (M, 2, P), the change of what is predicted with the coefficients.
            of_poses: by photograph (M, 2, POSE), the same with its pose.
            residual: (M, 2), what is measured less what is predicted.
            weight: (M,), the inverse of the variance.
        """
        root = np.sqrt(weight).astype(np.float32)
        rows = np.zeros((len(residual), 2, len(self.right)), np.float32)
        rows[:, :, : self.coefficients] = of_shape
        for photograph, of_pose in of_poses.items():
            rows[:, :, self._pose(photograph)] = of_pose
        rows = (rows * root[:, None, None]).reshape(-1, len(self.right))
        self.matrix += rows.T @ rows
        self.right += rows.T @ (residual * root[:, None]).astype(np.float32).ravel()

    def add_prior(self, precision: np.ndarray, away: np.ndarray) -> None:
        """Add a quadratic prior of the coefficients, precision (P, P), whose centre is `away` (P,) from here."""
        size = self.coefficients
        self.matrix[:size, :size] += precision
        self.right[:size] += precision @ away

    def add_pose_prior(self, photograph: int, precision: np.ndarray, away: np.ndarray) -> None:
        """Add a prior of a photograph's numbers, precision (POSE,), whose centre is `away` (POSE,) from here."""
        place = self._pose(photograph)
        self.matrix[place, place] += np.diag(precision)
        self.right[place] += precision * away

    def solve(self) -> tuple[np.ndarray, np.ndarray]:
        """The step: of the coefficients (P,), and of the photographs (N, POSE)."""
        step = np.linalg.solve(self.matrix, self.right)
        return step[: self.coefficients], step[self.coefficients :].reshape(-1, POSE)

    def _pose(self, photograph: int) -> slice:
        first = self.coefficients + POSE * photograph
        return slice(first, first + POSE)
