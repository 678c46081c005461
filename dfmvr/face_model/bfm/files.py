"""Files of the Basel Face Model 2009 and of the expressions that Guo et al. made for it from FaceWarehouse.

In     a folder (files may lie up to two folders below it) with
           01_MorphableModel.mat   shapeMU, texMU (160470, 1), shapePC, texPC (160470, 199), shapeEV, texEV (199, 1):
                                   53,490 vertices, micrometres, colours 0 to 255, EV standard deviations
           Exp_Pca.bin             int32 K; float32 mean (3 * 53215); float32 components (K, 3 * 53215); little endian
           std_exp.txt             K standard deviations
           BFM_exp_idx.mat         trimIndex: vertices of those 53,215 among the 53,490, counted from 1
           BFM_front_idx.mat       idx: vertices of the 35,709 of the face among the 53,215, counted from 1
           facemodel_info.mat      tri (70789, 3) and keypoints (1, 68), counted from 1
       or with BFM_model_front.mat alone, made of them: meanshape, meantex (1, 107127), idBase (107127, 80), exBase
       (107127, 64), texBase (107127, 80), tri, keypoints, decimetres.
Gives  the face of 35,709 vertices as arrays in mm and [0, 1].

The mean expression in Exp_Pca.bin is not used: the mean face is that of the Basel Face Model, as in the released code.
Source: load_mats.py of github.com/sicxu/Deep3DFaceRecon_pytorch, which makes BFM_model_front.mat.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.datasets.matlab import read_matlab
from dfmvr.errors import DataError

FULL, WITH_EXPRESSION, VERTICES = 53_490, 53_215, 35_709
"""Numbers of vertices: of the Basel Face Model, of those that the expressions move, of the face."""
MODEL, READY = "01_MorphableModel.mat", "BFM_model_front.mat"
EXPRESSIONS, DEVIATIONS = "Exp_Pca.bin", "std_exp.txt"
FRONT, TRIMMED, INFO = "BFM_front_idx.mat", "BFM_exp_idx.mat", "facemodel_info.mat"
PARTS = (MODEL, EXPRESSIONS, DEVIATIONS, FRONT, TRIMMED, INFO)

MM_PER_MICROMETRE, MM_PER_DECIMETRE = 1e-3, 100.0
MAX_COLOUR = 255.0
PLAUSIBLE_MM = (100.0, 500.0)
MAX_TEXT_BYTES = 1 << 20

# Vertices of the 68 landmarks, iBUG order. Source: facemodel_info.mat.
LANDMARKS_68 = (
    *(16644, 16888, 16467, 16264, 32244, 32939, 33375, 33654, 33838, 34022, 34312, 34766, 35472, 27816, 27608, 27208),
    *(27440, 28111, 28787, 29177, 29382, 29549, 30288, 30454, 30662, 31056, 31716, 8161, 8177, 8187, 8192, 6515, 7243),
    *(8204, 9163, 9883, 2215, 3886, 4920, 5828, 4801, 3640, 10455, 11353, 12383, 14066, 12653, 11492, 5522, 6025),
    *(7495, 8215, 8935, 10395, 10795, 9555, 8836, 8236, 7636, 6915, 5909, 7384, 8223, 9064, 10537, 8829, 8229, 7629),
)


class Counts(NamedTuple):
    """Numbers of components wanted, at the most."""

    identity: int
    expression: int
    albedo: int


class BfmFiles(NamedTuple):
    """The face of BFM 2009, V = 35,709 vertices."""

    mean: np.ndarray  # (V, 3) float32 mm, y up, z toward the viewer
    identity: np.ndarray  # (K, V, 3) mm, one standard deviation a component
    expression: np.ndarray  # (E, V, 3) mm, likewise
    albedo_mean: np.ndarray  # (V, 3) sRGB-encoded, [0, 1]
    albedo: np.ndarray  # (T, V, 3)
    triangles: np.ndarray  # (F, 3) counted from 0
    landmarks_68: np.ndarray  # (68,)


def find(path: Path, name: str) -> Path | None:
    """Find a file by its name in a folder or up to two below it; None if it is not there."""
    candidates = (found for pattern in ("", "*/", "*/*/") for found in sorted(path.glob(pattern + name)))
    return next(candidates, None) if path.is_dir() else None


def read_bfm(path: Path | str, counts: Counts) -> BfmFiles:
    """Read BFM 2009.

    Args:
        path: the folder, or the file BFM_model_front.mat.
        counts: components wanted; what is there if there are fewer.
    Raises:
        DataError: files are missing, damaged, or do not fit together.
    """
    path = Path(path)
    if not path.is_dir():
        return _read_ready(path, counts)
    parts = {name: find(path, name) for name in PARTS}
    ready = find(path, READY)
    missing = [name for name, found in parts.items() if found is None]
    if not missing:
        return _read_parts({name: found for name, found in parts.items() if found}, counts)
    if ready is None:
        there = ", ".join(name for name in PARTS if parts[name]) or "none of them"
        raise DataError(
            f"{path}: expected {', '.join(PARTS)}, or {READY} made of them; found {there}; add {', '.join(missing)}"
        )
    return _read_ready(ready, counts)


def _read_ready(path: Path, counts: Counts) -> BfmFiles:
    """Read BFM_model_front.mat."""
    names = ("meanshape", "meantex", "idBase", "exBase", "texBase", "tri", "keypoints")
    mat = load_arrays(path, *names)
    colour = 1 / MAX_COLOUR
    return _finished(
        BfmFiles(
            _mean(mat["meanshape"], VERTICES, f"{path}: meanshape") * MM_PER_DECIMETRE,
            _scaled(_basis(mat["idBase"], VERTICES, counts.identity, f"{path}: idBase"), MM_PER_DECIMETRE),
            _scaled(_basis(mat["exBase"], VERTICES, counts.expression, f"{path}: exBase"), MM_PER_DECIMETRE),
            _mean(mat["meantex"], VERTICES, f"{path}: meantex") * colour,
            _scaled(_basis(mat["texBase"], VERTICES, counts.albedo, f"{path}: texBase"), colour),
            *_topology(mat, path),
        ),
        path,
    )


def _read_parts(files: dict[str, Path], counts: Counts) -> BfmFiles:
    """Make the face from the files as they were delivered."""
    front = vertex_indices(files[FRONT], "idx", VERTICES, WITH_EXPRESSION)
    trimmed = vertex_indices(files[TRIMMED], "trimIndex", WITH_EXPRESSION, FULL)
    index, micro = trimmed[front], MM_PER_MICROMETRE
    # One field after the other, since each has a hundred megabytes.
    mean, identity = _field(files[MODEL], "shape", index, counts.identity)
    albedo_mean, albedo = _field(files[MODEL], "tex", index, counts.albedo)
    components, deviations = read_expressions(files[EXPRESSIONS]), read_deviations(files[DEVIATIONS])
    if len(components) != len(deviations):
        raise DataError(
            f"{files[DEVIATIONS]}: expected {len(components)} standard deviations, one a component of {EXPRESSIONS}, "
            f"found {len(deviations)}; take both from the same source"
        )
    few = min(counts.expression, len(components))
    expression = _scaled(components[:few, front], deviations[:few, None, None] * micro)
    topology = _topology(load_arrays(files[INFO], "tri", "keypoints"), files[INFO])
    colour = 1 / MAX_COLOUR
    read = BfmFiles(
        mean * micro, _scaled(identity, micro), expression, albedo_mean * colour, _scaled(albedo, colour), *topology
    )
    return _finished(read, files[MODEL].parent)


def _field(path: Path, name: str, index: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (V, 3) and components (K, V, 3), one standard deviation each, of `shape` or `tex` at some vertices."""
    mat = load_arrays(path, f"{name}MU", f"{name}PC", f"{name}EV")
    components = mat[f"{name}PC"]
    deviations = mat[f"{name}EV"].ravel()
    if components.ndim != 2 or len(deviations) != components.shape[1]:
        raise DataError(
            f"{path}: {name}EV: expected one standard deviation a column of {name}PC {components.shape}, found "
            f"{len(deviations)}; copy the file again"
        )
    basis = _basis(components, FULL, count, f"{path}: {name}PC")[:, index]
    return _mean(mat[f"{name}MU"], FULL, f"{path}: {name}MU")[index], _scaled(
        basis, deviations[: len(basis), None, None]
    )


def load_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Read arrays of a .mat file.

    Raises:
        DataError: the file is missing or damaged, or lacks one of them.
    """
    arrays = {name: value for name, value in read_matlab(path, *names).items() if isinstance(value, np.ndarray)}
    missing = [name for name in names if name not in arrays]
    if missing:
        raise DataError(f"{path}: expected the arrays {', '.join(names)}, without {', '.join(missing)}; copy it again")
    return arrays


def _mean(values: np.ndarray, vertices: int, where: str) -> np.ndarray:
    """(V, 3) float32 from x, y, z of one vertex after the other."""
    if values.size != 3 * vertices:
        raise DataError(f"{where}: expected {3 * vertices} numbers, found {values.shape}; copy the file again")
    return _scaled(values.reshape(-1, 3), 1.0)


def _basis(values: np.ndarray, vertices: int, count: int, where: str) -> np.ndarray:
    """(K, V, 3) view of the first columns of (3 V, K)."""
    if values.ndim != 2 or values.shape[0] != 3 * vertices or values.shape[1] < 1:
        raise DataError(f"{where}: expected ({3 * vertices}, K) numbers, found {values.shape}; copy the file again")
    return values[:, :count].T.reshape(-1, vertices, 3)


def _scaled(values: np.ndarray, factor: float | np.ndarray) -> np.ndarray:
    """Values times a factor, float32; what is too large becomes infinite and is refused in the end."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (values * factor).astype(np.float32)


def vertex_indices(path: Path, name: str, count: int, limit: int) -> np.ndarray:
    """Read `count` different vertices among `limit`: (count,), counted from 0 (from 1 in the file).

    Raises:
        DataError: the file is missing or damaged, or holds something else.
    """
    values = _whole_numbers(load_arrays(path, name)[name], limit, f"{path}: {name}").ravel()
    if len(values) != count or len(np.unique(values)) != count:
        raise DataError(f"{path}: {name}: expected {count} different vertices, found {len(values)}; copy it again")
    return values


def _whole_numbers(values: np.ndarray, limit: int, where: str) -> np.ndarray:
    """Indices counted from 0, from whole numbers from 1 to `limit`."""
    with np.errstate(invalid="ignore"):
        fits = values.size and (values >= 1).all() and (values <= limit).all()
    if not fits or (values != np.floor(values)).any():
        raise DataError(f"{where}: expected whole numbers from 1 to {limit}, found others; copy the file again")
    return values.astype(np.int64) - 1


def _topology(mat: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (F, 3) and landmarks (68,), counted from 0."""
    triangles = mat["tri"]
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise DataError(f"{path}: tri: expected triangles (F, 3), found {triangles.shape}; copy the file again")
    landmarks = _whole_numbers(mat["keypoints"], VERTICES, f"{path}: keypoints").ravel()
    if not np.array_equal(landmarks, LANDMARKS_68):
        other = int((landmarks != LANDMARKS_68).sum()) if len(landmarks) == 68 else len(landmarks)
        raise DataError(
            f"{path}: keypoints: expected the 68 vertices that Deep3DFaceRecon uses, found {other} others; take the "
            "file from there"
        )
    return _whole_numbers(triangles, VERTICES, f"{path}: tri"), landmarks


def read_expressions(path: Path | str, vertices: int = WITH_EXPRESSION) -> np.ndarray:
    """Read the components of Exp_Pca.bin.

    Returns:
        (K, V, 3) float32, mapped from the file, micrometres once multiplied by their standard deviations.
    Raises:
        DataError: the file is missing or has not exactly the size that its number of components asks for.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(4)
        count = int(np.frombuffer(start, "<i4")[0]) if len(start) == 4 else 0
        expected = 4 + 12 * vertices * (1 + count)
        if count < 1 or size != expected:
            raise DataError(
                f"{path}: expected {expected} bytes for {count} components of {vertices} vertices, found {size}; "
                "download it again"
            )
        return np.memmap(path, "<f4", "r", 4 + 12 * vertices, (count, vertices, 3))
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read ({error}); check the file") from None


def read_deviations(path: Path | str) -> np.ndarray:
    """Read the standard deviations (K,) of std_exp.txt.

    Raises:
        DataError: the file is missing or is not a list of numbers above 0.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TEXT_BYTES + 1)
        values = [float(word) for word in text.split()] if len(text) <= MAX_TEXT_BYTES else []
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the file") from None
    except ValueError:
        values = []
    if not values or not all(0 < value < math.inf for value in values):
        raise DataError(f"{path}: expected standard deviations above 0, separated by blanks; download it again")
    return np.array(values)


def _finished(read: BfmFiles, where: Path) -> BfmFiles:
    """Check units and turn triangles counter-clockwise seen from outside."""
    for name in ("mean", "identity", "expression", "albedo_mean", "albedo"):
        if not np.isfinite(getattr(read, name)).all():
            raise DataError(f"{where}: expected finite numbers, found others in the {name}; copy the files again")
    size = float(np.ptp(read.mean, axis=0).max())
    if not PLAUSIBLE_MM[0] < size < PLAUSIBLE_MM[1]:
        raise DataError(f"{where}: expected a face of about 200 mm, found one of {size:.4g} mm; check the unit")
    if not (0.02 < read.albedo_mean.mean() < 1 and read.albedo_mean.min() > -0.1 and read.albedo_mean.max() < 1.1):
        raise DataError(f"{where}: expected mean colours from 0 to 255, found others; copy the files again")
    a, b, c = (read.mean[read.triangles[:, i]] for i in range(3))
    # A face is open at the back: its triangles together look forward.
    if np.cross(b - a, c - a)[:, 2].sum() < 0:
        return read._replace(triangles=read.triangles[:, ::-1])
    return read
