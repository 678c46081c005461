"""What the 478 points of `dfmvr.align.by_mediapipe` mean: places on the face model's surface, and the 68 landmarks.

The points wander over the face as it turns, so all is told for bands of yaw and interpolated between their middles.
`dfmvr align learn_mediapipe` learns it; the face model that ships is the one that it holds for.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.assets.files import asset
from dfmvr.files import check_arrays, read_npz, write_npz

FILE = "mediapipe_points.npz"
POINTS = 478

CONTOUR = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Points of the face's outline, from the middle of the brow clockwise on a frontal photograph: `FACEMESH_FACE_OVAL` of
mediapipe. They follow the visible edge, so along it they tell nothing."""

IRISES = tuple(range(468, POINTS))
"""Points of the irises: on the model's eyeballs, which do not turn."""

_SHAPES = {
    "bands": ("B",),
    "vertices": ("B", POINTS, 3),
    "weights": ("B", POINTS, 3),
    "covariance": ("B", POINTS, 2, 2),
    "chosen": ("B", 68, "C"),
    "mixing": ("B", 68, "C"),
    "mirrored": (POINTS,),
}


class DensePlaces(NamedTuple):
    """Places of the 478 points at one yaw: point k is where sum_j weights[k, j] vertex[vertices[k, j]] is seen."""

    vertices: np.ndarray  # (478, 6) int64, below the face model's `coarse_vertices`
    weights: np.ndarray  # (478, 6) float64, rows sum to one
    covariance: np.ndarray  # (478, 2, 2) mm^2, of found minus true, x right and y down in the levelled picture

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation (478,) mm of a coordinate."""
        return np.sqrt(np.trace(self.covariance, axis1=1, axis2=2) / 2)


@dataclass(frozen=True)
class DenseLandmarks:
    """The 478 points as landmarks of the face model. B bands of yaw, C points that make one of the 68 landmarks."""

    bands: np.ndarray  # (B,) degrees, the bands' middles, rising; negative where the nose points to the image's left
    vertices: np.ndarray  # (B, 478, 3) corners of a triangle of the coarse mesh, which are vertices of the fine one too
    weights: np.ndarray  # (B, 478, 3) barycentric
    covariance: np.ndarray  # (B, 478, 2, 2) mm^2, see `DensePlaces`
    chosen: np.ndarray  # (B, 68, C) points, of which each landmark is made
    mixing: np.ndarray  # (B, 68, C) how much of each; rows sum to one
    mirrored: np.ndarray  # (478,) which point each becomes in the mirror

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of a coordinate by band, (B, 478) mm."""
        return np.sqrt(np.trace(self.covariance, axis1=2, axis2=3) / 2)

    def _between(self, yaw_deg: float) -> tuple[int, int, float]:
        """The bands below and above a yaw, and the share of the latter."""
        last = len(self.bands) - 1
        place = float(np.interp(yaw_deg, self.bands, np.arange(last + 1)))
        below = min(int(place), last)
        return below, min(below + 1, last), place - below

    def at(self, yaw_deg: float) -> DensePlaces:
        """Places at a yaw: continuous in it, and beyond the last band as there.

        The yaw is the direction of the model's z axis before the camera seen from above, atan2(R[0, 2], R[2, 2]) of
        the rotation R (`conventions`), which is nearly the `yaw_deg` of a found face.
        """
        below, above, share = self._between(yaw_deg)
        weights = np.concatenate([(1 - share) * self.weights[below], share * self.weights[above]], 1)
        covariance = (1 - share) * self.covariance[below] + share * self.covariance[above]
        return DensePlaces(np.concatenate([self.vertices[below], self.vertices[above]], 1), weights, covariance)

    def landmarks_68(self, points: np.ndarray, yaw_deg: float) -> np.ndarray:
        """The 68 landmarks (68, 2) px in iBUG order, of points (478, 2) px of a face turned by a yaw."""
        below, above, share = self._between(yaw_deg)
        seen = [np.einsum("jc,jci->ji", self.mixing[b], points[self.chosen[b]]) for b in (below, above)]
        return (1 - share) * seen[0] + share * seen[1]


def read_dense(path: Path | str) -> DenseLandmarks:
    """Read what `write_dense` wrote.

    Raises:
        DataError: the file is missing, or its arrays do not fit together.
    """
    arrays = read_npz(path, *_SHAPES)
    check_arrays(arrays, _SHAPES, {"chosen": POINTS, "mirrored": POINTS}, str(path))
    kinds = dict.fromkeys(("vertices", "chosen", "mirrored"), np.int64)
    fields = {name: arrays[name].astype(kinds.get(name, np.float64)) for name in _SHAPES}
    for name in ("weights", "mixing"):  # as exactly as points far from the photograph's corner ask for
        fields[name] /= fields[name].sum(-1, keepdims=True)
    return DenseLandmarks(**fields)


def write_dense(path: Path | str, dense: DenseLandmarks) -> None:
    """Write in single precision, atomically."""
    kinds = {"vertices": np.int32, "chosen": np.int16, "mirrored": np.int16}
    arrays = {name: getattr(dense, name).astype(kinds.get(name, np.float32)) for name in _SHAPES}
    write_npz(path, compress=True, **arrays)


@functools.cache
def shipped_dense() -> DenseLandmarks:
    """What ships, read once; its vertices are those of the face model that ships.

    Raises:
        UnavailableError: the file is missing. DataError: it is damaged.
    """
    return read_dense(asset(FILE))
