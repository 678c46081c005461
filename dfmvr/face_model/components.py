"""Bases of unit variance: principal components of fields over vertices, and of facial actions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.face_model.expressions import KINDS, sample_actions


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


class ExpressionBasis(NamedTuple):
    """Components as combinations of A actions."""

    decode: np.ndarray  # (E, A): row e is component e as a sum of actions
    encode: np.ndarray  # (E, A): coefficients = encode @ strengths of the actions


def expression_basis(fields: np.ndarray, actions: list[str], components: int, seed: int) -> ExpressionBasis:
    """Find combinations of actions that are uncorrelated and of unit second moment over the expressions drawn here.

    ASSUME: the expression basis is the principal components of the facial actions, not the actions themselves. Left
    and right actions come together, so coefficients of single actions would be correlated, positive and far from 1;
    Eq. 8 punishes the sum of squares, the log-likelihood of just such coefficients as these. The mean is not
    taken off: coefficients 0 are the neutral face.

    Args:
        fields: (A, V, 3) displacement of each action, mm.
        actions: their A names.
        components: the number wanted, at the most.
        seed: seed of the expressions drawn.
    Returns:
        The basis; it has fewer than `components` components if the actions have no more.
    """
    rng = np.random.default_rng([seed, 2])
    kinds = [kind for kind in KINDS if kind != "neutral"] + ["random"] * 12
    drawn = np.stack([sample_actions(rng, actions, kinds[i % len(kinds)]) for i in range(40 * len(kinds))])
    root = np.linalg.cholesky(drawn.T @ drawn / len(drawn) + 1e-6 * np.eye(len(actions)))
    flat = fields.reshape(len(actions), -1).astype(np.float64)
    values, vectors = np.linalg.eigh(root.T @ (flat @ flat.T) @ root)
    order = np.argsort(values)[::-1][:components]
    order = order[values[order] > 1e-8 * values.max()]
    rotation = vectors[:, order].T
    return ExpressionBasis(rotation @ root.T, rotation @ np.linalg.inv(root))
