"""The sphere through points."""

from __future__ import annotations

import numpy as np


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Find the centre (3,) and the radius of the sphere nearest to points (N, 3), N >= 4, not all in one plane.

    Source: Kasa 1976, "A circle fitting procedure and its error analysis", in space: what is least is the sum of
    squared differences of squared distance and squared radius.
    """
    middle = points.mean(0)
    centred = points - middle
    system = np.column_stack([2 * centred, np.ones(len(centred))])
    *centre, rest = np.linalg.lstsq(system, np.square(centred).sum(1), rcond=None)[0]
    return middle + centre, float(np.sqrt(rest + np.square(centre).sum()))
