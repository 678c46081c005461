"""Pixel-Face's gt.mat: the raw scan and its registration, MATLAB structures in decimetres.

    new_kpt_gt_obj   raw scan: v (N, 3), f (M, 3), kpt_ind (106, 1), tex (N, 3) uint8, which is not read
    neck_obj09       registration: v (53215, 3), f (105840, 3), kpt_ind (1, 106), tex

Indices count from 1 in the file and from 0 here. y is up, z toward the camera.
Source: util/read_data.py and the sample of github.com/zyg11/Pixel-Face.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import savemat
from scipy.spatial import cKDTree

from dfmvr.datasets.matlab import Structure, read_matlab
from dfmvr.errors import DataError
from dfmvr.files import writing

MM_PER_UNIT = 100.0
SCAN, REGISTRATION = "new_kpt_gt_obj", "neck_obj09"
KEYPOINTS = 106
PLAUSIBLE_SIZE_MM = (50.0, 2000.0)


@dataclass(frozen=True)
class GroundTruth:
    """Scan of one sample and its registration, in mm, y up, z toward the camera."""

    scan_vertices: np.ndarray  # (N, 3)
    scan_triangles: np.ndarray  # (M, 3), counted from 0
    scan_landmarks_106: np.ndarray | None = None  # (106, 3)
    registration_vertices: np.ndarray | None = None  # (V, 3)
    registration_triangles: np.ndarray | None = None  # (F, 3), counted from 0
    registration_keypoints: np.ndarray | None = None  # (106,) vertex ids, counted from 0


def _structures(path: Path | str, *names: str) -> dict[str, Structure]:
    """Read structures of gt.mat, that of the scan among them."""
    found = {name: value for name, value in read_matlab(path, *names).items() if isinstance(value, dict)}
    if SCAN not in found:
        others = f"only {REGISTRATION}" if REGISTRATION in found else "other variables"
        raise DataError(f"{path}: expected the structure {SCAN}, found {others}; copy it from the release again")
    return found


def _numbers(fields: Structure, key: str, where: str) -> np.ndarray:
    """Get a field as float64, if it holds real finite numbers."""
    if key not in fields:
        raise DataError(f"{where}: expected the field {key}, found {', '.join(fields)}; copy it from the release again")
    with np.errstate(invalid="ignore"):  # what is no number is told below
        array = fields[key].astype(np.float64)
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise DataError(f"{where}.{key}: {bad} of {array.size} numbers are not finite; leave the sample out")
    return array


def _in_threes(rows: np.ndarray, where: str, what: str) -> np.ndarray:
    """Refuse what are no rows (N, 3), N > 0."""
    if rows.ndim != 2 or rows.shape[1] != 3 or len(rows) == 0:
        raise DataError(f"{where}: expected {what}, found {rows.shape}; leave the sample out")
    return rows


def _vertices_mm(fields: Structure, where: str) -> np.ndarray:
    """Get the vertices (N, 3), turned into millimetres."""
    vertices = _in_threes(_numbers(fields, "v", where), f"{where}.v", "vertices (N, 3)")
    return to_millimetres(vertices, f"{where}.v")


def to_millimetres(vertices: np.ndarray, where: str) -> np.ndarray:
    """Turn the decimetres (N, 3) of a face into millimetres.

    Raises:
        DataError: the face would be as large as no face is.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # damaged numbers may be as large as float64 allows
        vertices = vertices * MM_PER_UNIT
        size = float(np.linalg.norm(vertices.max(0) - vertices.min(0)))
    if not PLAUSIBLE_SIZE_MM[0] <= size <= PLAUSIBLE_SIZE_MM[1]:
        raise DataError(f"{where}: expected decimetres, but the face would be {size:.4g} mm large; check the unit")
    return vertices


def _indices(fields: Structure, key: str, where: str, count: int) -> np.ndarray:
    """Get a field of vertex numbers, counted from 0 and checked against `count` vertices."""
    numbers = _numbers(fields, key, where)
    if numbers.size and ((numbers != np.rint(numbers)).any() or numbers.min() < 1 or numbers.max() > count):
        raise DataError(
            f"{where}.{key}: expected whole numbers from 1 to {count} (the vertices), found {numbers.min():g} to "
            f"{numbers.max():g}; leave the sample out"
        )
    return numbers.astype(np.int64) - 1


def _keypoints(fields: Structure, where: str, count: int) -> np.ndarray | None:
    """Get the keypoints' vertex ids (106,), or None if the structure has none."""
    if "kpt_ind" not in fields or fields["kpt_ind"].size == 0:
        return None
    ids = _indices(fields, "kpt_ind", where, count).ravel()
    if len(ids) != KEYPOINTS:
        raise DataError(f"{where}.kpt_ind: expected {KEYPOINTS} keypoints, found {len(ids)}; leave the sample out")
    return ids


def _surface(fields: Structure, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Get the vertices (N, 3) mm, triangles (M, 3), M > 0, and the keypoints' vertex ids (106,), counted from 0."""
    vertices = _vertices_mm(fields, where)
    triangles = _in_threes(_indices(fields, "f", where, len(vertices)), f"{where}.f", "triangles (M, 3)")
    return vertices, triangles, _keypoints(fields, where, len(vertices))


def read_landmarks_106(path: Path | str) -> np.ndarray | None:
    """Read only the 106 keypoints of the scan, (106, 3) float64 mm, or None if they are not marked.

    Triangles may be missing: a training sample needs none.

    Raises:
        DataError: the file is missing, damaged or inconsistent.
    """
    where, fields = f"{path}: {SCAN}", _structures(path, SCAN)[SCAN]
    vertices = _vertices_mm(fields, where)
    ids = _keypoints(fields, where, len(vertices))
    return None if ids is None else vertices[ids]


def read_ground_truth(path: Path | str) -> GroundTruth:
    """Read scan, keypoints and, where there is one, registration; vertices in mm as float64.

    Raises:
        DataError: the file is missing, damaged, of MATLAB version 7.3, lacks the scan, or holds numbers that are not
            finite, no triangles, indices out of range, or sizes that cannot be decimetres.
    """
    mat = _structures(path, SCAN, REGISTRATION)
    vertices, triangles, ids = _surface(mat[SCAN], f"{path}: {SCAN}")
    landmarks = None if ids is None else vertices[ids]
    known = REGISTRATION in mat
    registration = _surface(mat[REGISTRATION], f"{path}: {REGISTRATION}") if known else (None, None, None)
    return GroundTruth(vertices, triangles, landmarks, *registration)


def read_registered_keypoints(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read only the vertices (V, 3) float64 mm of the registration and the keypoints' ids (106,), counted from 0.

    Raises:
        DataError: the file is missing or damaged, or has no registration with keypoints.
    """
    where, fields = f"{path}: {REGISTRATION}", read_matlab(path, REGISTRATION).get(REGISTRATION)
    if not isinstance(fields, dict):
        raise DataError(f"{path}: expected the structure {REGISTRATION}, found none; copy it from the release again")
    vertices = _vertices_mm(fields, where)
    ids = _keypoints(fields, where, len(vertices))
    if ids is None:
        raise DataError(
            f"{where}: expected {KEYPOINTS} keypoints in the field kpt_ind, found none; take another sample"
        )
    return vertices, ids


def _record(vertices: np.ndarray, triangles: np.ndarray, ids: np.ndarray | None) -> Structure:
    """Make the fields v, f and kpt_ind of a structure."""
    numbers = {"f": np.asarray(triangles).reshape(-1, 3)} | ({} if ids is None else {"kpt_ind": np.asarray(ids)})
    fields = {name: (array + 1).astype(np.int32) for name, array in numbers.items()}
    return {"v": (np.asarray(vertices, np.float64) / MM_PER_UNIT).astype(np.float32), **fields}


def write_ground_truth(path: Path | str, truth: GroundTruth) -> None:
    """Write gt.mat. Coordinates are kept as float32: they come back within 1e-4 mm for a head.

    The format marks keypoints by vertices, so each landmark becomes the nearest vertex of the scan. A light sample
    has the 106 landmarks themselves as vertices and no triangles (0, 3).

    Raises:
        OutputError: the file cannot be written.
    """
    ids = None
    if truth.scan_landmarks_106 is not None:
        ids = cKDTree(truth.scan_vertices).query(truth.scan_landmarks_106)[1].reshape(-1, 1)
    structures = {SCAN: _record(truth.scan_vertices, truth.scan_triangles, ids)}
    if truth.registration_vertices is not None:
        ids = truth.registration_keypoints
        ids = None if ids is None else np.reshape(ids, (1, -1))
        structures[REGISTRATION] = _record(truth.registration_vertices, truth.registration_triangles, ids)
    with writing(path) as partial:
        savemat(partial, structures, appendmat=False, do_compression=False, oned_as="column")
