"""Principal components of fields over vertices."""

from __future__ import annotations

import numpy as np


def principal_components(deviations: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Directions of largest variance, one standard deviation long.

    Args:
        deviations: (N, V, 3) from the mean.
        weights: (V,) bool: the vertices whose variance counts.
        count: number of components.
    Returns:
        (count, V, 3), over all vertices, those that do not count included.
    """
    flat = deviations[:, weights].reshape(len(deviations), -1)
    values, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    order = np.argsort(values)[::-1][: min(count, len(deviations) - 1)]
    scores = vectors[:, order] * np.sqrt(len(deviations) - 1)  # unit variance each
    signs = np.sign(scores.T @ deviations[:, weights].reshape(len(deviations), -1).sum(1))
    return np.tensordot((scores * np.where(signs == 0, 1, signs)).T.astype(np.float32), deviations, 1) / (
        len(deviations) - 1
    )
