"""The normal equations of one step of Gauss-Newton, in the shape's coefficients and seven numbers a photograph."""

from __future__ import annotations

from collections.abc import Sequence
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
    """Sums up weighted linearised residuals and solves for the step.

    The unknowns are the identity, an expression for each photograph or one for all, and each photograph's pose.

    Args of the constructor: numbers of coefficients of `identity` and `expression`, of `photographs`, and whether all
    photographs show the `same_expression`.
    """

    def __init__(self, identity: int, expression: int, photographs: int, same_expression: bool = True) -> None:
        self.expressions = 1 if same_expression else photographs
        self._sizes, self._photographs = (identity, expression), photographs
        size = identity + self.expressions * expression + POSE * photographs
        self.matrix, self.right = np.zeros((size, size)), np.zeros(size)

    @property
    def identity(self) -> slice:
        """Where the identity's coefficients stand."""
        return slice(0, self._sizes[0])

    def expression(self, photograph: int) -> slice:
        """Where those of a photograph's expression stand."""
        first = self._sizes[0] + self._sizes[1] * min(photograph, self.expressions - 1)
        return slice(first, first + self._sizes[1])

    def pose(self, photograph: int) -> slice:
        """Where a photograph's seven numbers stand."""
        first = len(self.right) - POSE * (self._photographs - photograph)
        return slice(first, first + POSE)

    def shape(self, of_shape: np.ndarray, photograph: int) -> list[tuple[slice, np.ndarray]]:
        """The change (M, 2, P) with identity and expression as terms of `add`, of the shape in a photograph."""
        size = self._sizes[0]
        return [(self.identity, of_shape[..., :size]), (self.expression(photograph), of_shape[..., size:])]

    def add(self, terms: Sequence[tuple[slice, np.ndarray]], residual: np.ndarray, weight: np.ndarray) -> None:
        """Add pairs of residuals that the step should make vanish.

        Args:
            terms: unknowns, and the change (M, 2, n) of what is predicted with them; of the same ones they add up.
            residual: (M, 2), what is measured less what is predicted.
            weight: (M,), the inverse of the variance.
        """
        starts = sorted({place.start: place.stop for place, _ in terms}.items())
        columns = np.concatenate([np.arange(*part) for part in starts])
        rows = np.zeros((len(residual), 2, len(columns)), np.float32)
        for place, change in terms:
            first = int(np.searchsorted(columns, place.start))
            rows[:, :, first : first + change.shape[2]] += change
        root = np.sqrt(weight).astype(np.float32)
        rows = (rows * root[:, None, None]).reshape(-1, len(columns)).astype(np.float64)
        self.matrix[np.ix_(columns, columns)] += rows.T @ rows
        self.right[columns] += rows.T @ (residual * root[:, None]).astype(np.float32).ravel()

    def add_prior(self, place: slice, precision: np.ndarray, away: np.ndarray) -> None:
        """Add a quadratic prior of neighbouring unknowns, precision (n, n), whose centre is `away` (n,) from here."""
        self.matrix[place, place] += precision
        self.right[place] += precision @ away

    def solve(self) -> np.ndarray:
        """The step: of the identity, of the expressions, and of the photographs."""
        return np.linalg.solve(self.matrix, self.right)

    def parts(self, step: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A step's parts: of the identity (K,), of the expressions (1 or N, E), and of the photographs (N, POSE)."""
        poses = self.pose(0).start
        return (
            step[self.identity],
            step[self._sizes[0] : poses].reshape(self.expressions, -1),
            step[poses:].reshape(-1, POSE),
        )


def left_of(residual: np.ndarray, terms: Sequence[tuple[slice, np.ndarray]], step: np.ndarray) -> np.ndarray:
    """What a step leaves of residuals (M, 2), which change with the unknowns as `terms` tell."""
    return residual - sum(change @ step[place].astype(change.dtype) for place, change in terms)
