"""Files of the Basel Face Model 2009 and of the expressions that Guo et al. made for it from FaceWarehouse.

In     a folder (files may lie up to two folders below it) with
           01_MorphableModel.mat   shapeMU, texMU (160470, 1), shapePC, texPC (160470, 199), shapeEV, texEV (199, 1):
                                   53,490 vertices, micrometres, colours 0 to 255, EV standard deviations
           Exp_Pca.bin             int32 K; float32 mean (3 * 53215); float32 components (K, 3 * 53215); little endian
           std_exp.txt             K standard deviations
           BFM_exp_idx.mat         trimIndex: vertices of those 53,215 among the 53,490, counted from 1
           BFM_front_idx.mat       idx: vertices of the 35,709 of the face among the 53,215, counted from 1
           facemodel_info.mat      tri (70789, 3) and keypoints (1, 68), counted from 1; skinmask (1, 35709), 1 on
                                   9,642 vertices whose albedo should be even, else 0
       or with BFM_model_front.mat alone, made of them: meanshape, meantex (1, 107127), idBase (107127, 80), exBase
       (107127, 64), texBase (107127, 80), tri, keypoints, skinmask, decimetres.
Gives  the face of 35,709 vertices as arrays in mm and [0, 1].

The mean expression in Exp_Pca.bin is not used: the mean face is that of the Basel Face Model, as in the released code.
Source: load_mats.py of github.com/sicxu/Deep3DFaceRecon_pytorch, which makes BFM_model_front.mat.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.config.data import FaceModelSection
from dfmvr.datasets.matlab import read_matlab
from dfmvr.errors import DataError
from dfmvr.files import find_below
from dfmvr.geometry.normals import triangle_normals

FULL, WITH_EXPRESSION, VERTICES = 53_490, 53_215, 35_709
"""Numbers of vertices: of the Basel Face Model, of those that the expressions move, of the face."""
MODEL, READY = "01_MorphableModel.mat", "BFM_model_front.mat"
EXPRESSIONS, DEVIATIONS = "Exp_Pca.bin", "std_exp.txt"
FRONT, TRIMMED, INFO = "BFM_front_idx.mat", "BFM_exp_idx.mat", "facemodel_info.mat"
INDEX_101, GROUND_TRUTH = "pre_index_101.npy", "gt.mat"
PARTS = (MODEL, EXPRESSIONS, DEVIATIONS, FRONT, TRIMMED, INFO)

MM_PER_MICROMETRE, MM_PER_DECIMETRE, MAX_COLOUR = 1e-3, 100.0, 255.0
MAX_TRIES = 8
"""Samples of Pixel-Face that are looked at, in case some are damaged."""
PLAUSIBLE_MM = (100.0, 500.0)
MAX_TEXT_BYTES = 1 << 20

# Vertices of the 68 landmarks, iBUG order. Source: facemodel_info.mat.
LANDMARKS_68 = (
    *(16644, 16888, 16467, 16264, 32244, 32939, 33375, 33654, 33838, 34022, 34312, 34766, 35472, 27816, 27608, 27208),
    *(27440, 28111, 28787, 29177, 29382, 29549, 30288, 30454, 30662, 31056, 31716, 8161, 8177, 8187, 8192, 6515, 7243),
    *(8204, 9163, 9883, 2215, 3886, 4920, 5828, 4801, 3640, 10455, 11353, 12383, 14066, 12653, 11492, 5522, 6025),
    *(7495, 8215, 8935, 10395, 10795, 9555, 8836, 8236, 7636, 6915, 5909, 7384, 8223, 9064, 10537, 8829, 8229, 7629),
)


class BfmFiles(NamedTuple):
    """The face of BFM 2009, V = 35,709 vertices."""

    mean: np.ndarray  # (V, 3) float32 mm, y up, z toward the viewer
    identity: np.ndarray  # (K, V, 3) mm, one standard deviation a component
    expression: np.ndarray  # (E, V, 3) mm, likewise
    albedo_mean: np.ndarray  # (V, 3) sRGB-encoded, [0, 1]
    albedo: np.ndarray  # (T, V, 3)
    triangles: np.ndarray  # (F, 3) counted from 0
    landmarks_68: np.ndarray  # (68,)
    skin: np.ndarray  # (V,) uint8, 1 where the albedo should be even


def read_bfm(path: Path, settings: FaceModelSection) -> BfmFiles:
    """Read BFM 2009.

    Args:
        path: the folder, or the file BFM_model_front.mat.
        settings: components wanted; what is there if there are fewer.
    Raises:
        DataError: files are missing, damaged, or do not fit together.
    """
    parts = {name: found for name in PARTS if (found := find_below(path, name))}
    ready = find_below(path, READY) if path.is_dir() else path
    if len(parts) == len(PARTS):
        read = _read_parts(parts, settings)
    elif ready:
        read = _read_ready(ready, settings)
    else:
        missing = ", ".join(name for name in PARTS if name not in parts)
        raise DataError(f"{path}: expected {', '.join(PARTS)}, or {READY} made of them; add {missing}")
    return _checked(read, path)


def keypoint_files(path: Path, pixel_face: Path | None) -> list[Path]:
    """Files that tell at which vertices Pixel-Face's keypoints are, the best first; none if there is no such file.

    The authors' pre_index_101.npy; else, where BFM_front_idx.mat tells which vertices the face has, a gt.mat beside it,
    or those of some samples of Pixel-Face, as any will do.

    Args:
        path: the folder of the model's files, or the file that holds all.
        pixel_face: the folder of Pixel-Face's release, if there is one.
    """
    index, truth, front = (find_below(path, name) for name in (INDEX_101, GROUND_TRUTH, FRONT))
    if index is not None or front is None:
        return [index] if index else []
    samples = sorted(pixel_face.glob(f"*/fusion/{GROUND_TRUTH}"))[:MAX_TRIES] if pixel_face else []
    return [*([truth] if truth else []), *samples]


def keypoints_hint(path: Path) -> str:
    """What to do where there is no such file but the 3D landmark loss compares these keypoints."""
    return (
        f"{path}: expected the vertices of Pixel-Face's keypoints, which the 3D landmark loss compares, found none; "
        f"add {INDEX_101} of github.com/weiguangzhao/DF_MVR, or {FRONT} where samples in datasets.pixel_face.root "
        f"have {GROUND_TRUTH}, or set train.loss.landmark_3d: 0"
    )


def _read_ready(path: Path, settings: FaceModelSection) -> BfmFiles:
    """Read BFM_model_front.mat."""
    mat = load_arrays(path, "meanshape", "meantex", "idBase", "exBase", "texBase", "tri", "keypoints", "skinmask")

    def scaled(name: str, unit: float, count: int = 1) -> np.ndarray:
        return _float32(_fields(mat[name], VERTICES, f"{path}: {name}")[:count], unit)

    return BfmFiles(
        scaled("meanshape", MM_PER_DECIMETRE)[0],
        scaled("idBase", MM_PER_DECIMETRE, settings.identity_components),
        scaled("exBase", MM_PER_DECIMETRE, settings.expression_components),
        scaled("meantex", 1 / MAX_COLOUR)[0],
        scaled("texBase", 1 / MAX_COLOUR, settings.albedo_components),
        *_topology(mat, path),
    )


def _read_parts(files: dict[str, Path], settings: FaceModelSection) -> BfmFiles:
    """Make the face from the files as they were delivered."""
    front = vertex_indices(files[FRONT], "idx", VERTICES, WITH_EXPRESSION)
    index = vertex_indices(files[TRIMMED], "trimIndex", WITH_EXPRESSION, FULL)[front]

    def mean_and_components(name: str, unit: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(V, 3) and (K, V, 3), one standard deviation each, of `shape` or `tex`: read when the other is done with."""
        where = files[MODEL]
        mat = load_arrays(where, f"{name}MU", f"{name}PC", f"{name}EV")
        components = _fields(mat[f"{name}PC"], FULL, f"{where}: {name}PC")
        deviations = _one_each(mat[f"{name}EV"].ravel(), components, f"{where}: {name}EV")[:count, None, None]
        mean = _fields(mat[f"{name}MU"], FULL, f"{where}: {name}MU")[0, index]
        return _float32(mean, unit), _float32(_float32(components[:count, index], deviations), unit)

    mean, identity = mean_and_components("shape", MM_PER_MICROMETRE, settings.identity_components)
    albedo_mean, albedo = mean_and_components("tex", 1 / MAX_COLOUR, settings.albedo_components)
    components, few = read_expressions(files[EXPRESSIONS]), settings.expression_components
    deviations = _one_each(read_deviations(files[DEVIATIONS]), components, files[DEVIATIONS])
    expression = _float32(components[:few, front], deviations[:few, None, None] * MM_PER_MICROMETRE)
    topology = _topology(load_arrays(files[INFO], "tri", "keypoints", "skinmask"), files[INFO])
    return BfmFiles(mean, identity, expression, albedo_mean, albedo, *topology)


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


def _fields(values: np.ndarray, vertices: int, where: str) -> np.ndarray:
    """(K, V, 3) view of columns (3 V, K), x, y, z of one vertex after the other; a single one may be a row."""
    columns = values.T if values.shape[0] == 1 else values
    if values.ndim != 2 or columns.shape[0] != 3 * vertices or not values.size:
        raise DataError(f"{where}: expected ({3 * vertices}, K) numbers, found {values.shape}; copy the file again")
    return columns.T.reshape(-1, vertices, 3)


def _float32(values: np.ndarray, factor: float | np.ndarray) -> np.ndarray:
    """Values times a factor, float32; what is too large becomes infinite and is refused in the end."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (values * factor).astype(np.float32)


def _one_each(deviations: np.ndarray, components: np.ndarray, where: Path | str) -> np.ndarray:
    """Refuse standard deviations that are not one a component."""
    if len(deviations) != len(components):
        expected = f"expected {len(components)} standard deviations, one a component, found {len(deviations)}"
        raise DataError(f"{where}: {expected}; take both from the same source")
    return deviations


def vertex_indices(path: Path, name: str, count: int, limit: int) -> np.ndarray:
    """Read `count` different vertices among `limit`: (count,), counted from 0 (from 1 in the file).

    Raises:
        DataError: the file is missing or damaged, or holds something else.
    """
    values = _from_0(load_arrays(path, name)[name], limit, f"{path}: {name}").ravel()
    if len(values) != count or len(np.unique(values)) != count:
        raise DataError(f"{path}: {name}: expected {count} different vertices, found {len(values)}; copy it again")
    return values


def _from_0(values: np.ndarray, limit: int, where: str) -> np.ndarray:
    """Indices counted from 0, from whole numbers from 1 to `limit`."""
    with np.errstate(invalid="ignore"):
        fits = values.size and (values >= 1).all() and (values <= limit).all() and (values == np.floor(values)).all()
    if not fits:
        raise DataError(f"{where}: expected whole numbers from 1 to {limit}, found others; copy the file again")
    return values.astype(np.int64) - 1


def _topology(mat: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles (F, 3) and landmarks (68,), counted from 0, and which vertices (35,709,) are skin."""
    triangles = mat["tri"]
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise DataError(f"{path}: tri: expected triangles (F, 3), found {triangles.shape}; copy the file again")
    landmarks = _from_0(mat["keypoints"], VERTICES, f"{path}: keypoints").ravel()
    if not np.array_equal(landmarks, LANDMARKS_68):
        raise DataError(f"{path}: keypoints: expected the 68 vertices of Deep3DFaceRecon, found others; take its file")
    skin = mat["skinmask"].ravel()
    if len(skin) != VERTICES or not np.isin(skin, (0, 1)).all() or not skin.any():
        expected = f"expected {VERTICES} zeros and ones, some of them ones"
        raise DataError(f"{path}: skinmask: {expected}, found {mat['skinmask'].shape}; copy the file again")
    return _from_0(triangles, VERTICES, f"{path}: tri"), landmarks, skin.astype(np.uint8)


def read_expressions(path: Path, vertices: int = WITH_EXPRESSION) -> np.ndarray:
    """Read the components of Exp_Pca.bin.

    Returns:
        (K, V, 3) float32, mapped from the file, micrometres once multiplied by their standard deviations.
    Raises:
        DataError: the file is missing or has not exactly the size that its number of components asks for.
    """
    try:
        size = path.stat().st_size
        count = int(np.fromfile(path, "<i4", 1).sum())  # 0 of a file that is shorter
        expected = 4 + 12 * vertices * (1 + count)
        if count > 0 and size == expected:
            return np.memmap(path, "<f4", "r", 4 + 12 * vertices, (count, vertices, 3))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); check the file") from None
    shape = f"{count} components of {vertices} vertices"
    raise DataError(f"{path}: expected {expected} bytes for {shape}, found {size}; download it again")


def read_deviations(path: Path) -> np.ndarray:
    """Read the standard deviations (K,) of std_exp.txt.

    Raises:
        DataError: the file is missing or is not a list of numbers above 0.
    """
    try:
        with path.open("rb") as file:
            values = np.array([float(word) for word in file.read(MAX_TEXT_BYTES).split()])
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the file") from None
    except ValueError:
        values = np.zeros(0)
    if not len(values) or not ((values > 0) & (values < np.inf)).all():
        raise DataError(f"{path}: expected standard deviations above 0, separated by blanks; download it again")
    return values


def _checked(read: BfmFiles, where: Path) -> BfmFiles:
    """Check units and turn triangles counter-clockwise seen from outside."""
    for name in ("mean", "identity", "expression", "albedo_mean", "albedo"):
        if not np.isfinite(getattr(read, name)).all():
            raise DataError(f"{where}: expected finite numbers, found others in the {name}; copy the files again")
    size = float(np.ptp(read.mean, axis=0).max())
    if not PLAUSIBLE_MM[0] < size < PLAUSIBLE_MM[1]:
        raise DataError(f"{where}: expected a face of about 200 mm, found one of {size:.4g} mm; check the unit")
    if not (0.02 < read.albedo_mean.mean() < 1 and read.albedo_mean.min() > -0.1 and read.albedo_mean.max() < 1.1):
        raise DataError(f"{where}: expected mean colours from 0 to 255, found others; copy the files again")
    # A face is open at the back: its triangles together look forward.
    if triangle_normals(read.mean[read.triangles])[:, 2].sum() < 0:
        return read._replace(triangles=read.triangles[:, ::-1])
    return read
