"""A face model in an eighth of the space: half precision, and the fine mesh by subdivision of the coarse one.

The model's bases were subdivided, and subdivision is linear: one sparse matrix makes the fine bases from coarse ones.
Only near the edge of the mesh, which was cut out afterwards, and where the albedo was painted on the fine mesh, does
that miss, and the rows there are kept. The file has the arrays of a face model (see `dfmvr.face_model.model`), but

    mean, albedo_mean        (V, 3) float32
    coarse                   (C, 3, K + E + T) float16, what subdivision makes all three bases from
    rows, kept               (R,) int32 and (R, 3, K + E + T) float16, vertices that subdivision misses
    sizes                    (3,) K, E, T
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfmvr.errors import DataError
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import read_npz, write_npz
from dfmvr.geometry.subdivision import loop_subdivision

SHAPE_TOLERANCE_MM = 0.005
ALBEDO_TOLERANCE = 0.01
ROWS = 512
"""Vertices that are unpacked at once: as many as fit into a cache."""

_BASES = ("identity", "expression", "albedo")
_SAME = ("mean", "albedo_mean", "coarse_triangles", "landmarks_68", "landmarks_106", "labels", "regions")
_SAME += ("expression_names", "name", "coarse_vertices")
_OF_ACTIONS = ("action_names", "actions")


def pack(model: MorphableModel) -> dict[str, np.ndarray]:
    """Pack a model whose fine mesh is one Loop subdivision of its coarse one.

    Returns:
        The arrays of the file. Unpacked, one standard deviation of a component is off by less than
        `SHAPE_TOLERANCE_MM`, or `ALBEDO_TOLERANCE` of the albedo, and by half precision.
    Raises:
        DataError: the fine mesh is no subdivision of the coarse one, as of imported models.
    """
    from scipy.sparse.linalg import splu  # here, as reading needs none of it

    arrays, count = model.arrays(), model.coarse_vertices
    matrix, triangles = loop_subdivision(arrays["coarse_triangles"], count)
    if not np.array_equal(triangles, arrays["triangles"]):
        raise DataError(
            f"face model {model.name}: expected a fine mesh that is a subdivision of the coarse one, found another; "
            "pack a model that `dfmvr face_model` built with two subdivisions"
        )
    basis = np.concatenate([arrays[name] for name in _BASES]).transpose(1, 2, 0)  # (V, 3, K + E + T)
    flat = basis.reshape(len(basis), -1).astype(np.float64)
    coarse = splu(matrix[:count].tocsc()).solve(np.ascontiguousarray(flat[:count]))
    missed = np.abs(matrix @ coarse - flat).reshape(basis.shape).max(1)  # (V, K + E + T)
    shapes = len(arrays["identity"]) + len(arrays["expression"])
    rough = (missed[:, :shapes] > SHAPE_TOLERANCE_MM).any(1) | (missed[:, shapes:] > ALBEDO_TOLERANCE).any(1)
    rows = np.flatnonzero(rough)
    return {name: arrays[name] for name in (*_SAME, *_OF_ACTIONS)} | {
        "coarse": coarse.reshape(count, 3, -1).astype(np.float16),
        "rows": rows.astype(np.int32),
        "kept": basis[rows].astype(np.float16),
        "sizes": np.array([len(arrays[name]) for name in _BASES], np.int32),
    }


def unpack(arrays: dict[str, np.ndarray], source: str) -> MorphableModel:
    """Make the model of the arrays that `pack` gave.

    Raises:
        DataError: the arrays do not fit together.
    """
    try:
        coarse, bases = arrays["coarse"], np.cumsum(arrays["sizes"])[:-1]
        matrix, triangles = loop_subdivision(arrays["coarse_triangles"], len(coarse))
        matrix, flat = matrix.astype(np.float32), coarse.reshape(len(coarse), -1).astype(np.float32)
        fine = np.empty((coarse.shape[2], matrix.shape[0], 3), np.float32)
        for start in range(0, matrix.shape[0], ROWS):
            part = (matrix[start : start + ROWS] @ flat).reshape(-1, *coarse.shape[1:])
            fine[:, start : start + ROWS] = part.transpose(2, 0, 1)
        fine[:, arrays["rows"]] = arrays["kept"].transpose(2, 0, 1)
        parts = dict(zip(_BASES, np.split(fine, bases), strict=True))
        same = {name: arrays[name] for name in _SAME} | {name: arrays[name] for name in _OF_ACTIONS if name in arrays}
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(f"{source}: not a packed face model ({error}); pack it again") from None
    return MorphableModel(same | parts | {"triangles": triangles}, source)


def write_packed(path: Path | str, model: MorphableModel) -> None:
    """Write a packed model, atomically.

    Raises:
        DataError: see `pack`.
    """
    write_npz(path, **pack(model))


def read_model(path: Path | str) -> MorphableModel:
    """Read a face model, packed or not.

    Raises:
        DataError: the file is missing or no face model.
    """
    arrays = read_npz(path)
    return unpack(arrays, str(path)) if "coarse" in arrays else MorphableModel(arrays, str(path))
