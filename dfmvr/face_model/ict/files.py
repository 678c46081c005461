"""Files of ICT-FaceKit: the OBJ folder as it is delivered, or its arrays in one `.npz`.

In     a folder with FaceXModel/generic_neutral_mesh.obj, identity000.obj .., one OBJ an expression and
       vertex_indices.json, all of 26,719 vertices in centimetres, polygons of any number of corners; or an `.npz` with
       mean (V, 3), identity (K, V, 3), expression (E, V, 3), expression_names (E,), triangles (T, 3), region (V,) and
       landmarks_68 (68,).
Gives  the outer skin, the socket of the mouth and the eyeballs as arrays, centimetres, y up, z toward the viewer; what
       no camera sees or what is transparent (gums, teeth, lashes, tear film) is left out.

ASSUME: an OBJ of an identity or an expression is a whole face, so its component is its difference to the neutral mesh,
and identity weights are drawn from N(0, 1). vertex_indices.json has the 68 landmarks as a list (or an object) of 68
numbers under a key with `landmark` in it; without the file or such a key, those known of the release are taken.
Source: README.md of github.com/USC-ICT/ICT-FaceKit (ranges of vertices), MIT licence.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.errors import DataError
from dfmvr.face_model.expressions import KINDS
from dfmvr.files import check_arrays, find_below, read_json, read_npz

log = logging.getLogger(__name__)

NEUTRAL, INDICES = "generic_neutral_mesh.obj", "vertex_indices.json"
VERTICES = 26_719
MM_PER_UNIT = 10.0
FACE, HEAD, MOUTH, EYEBALL = 0, 1, 2, 3
RANGES = {FACE: (0, 9409), HEAD: (9409, 11248), MOUTH: (11248, 13294), EYEBALL: (21451, 24591)}
"""First vertex of each region and the one after its last, in the OBJ files."""
MAX_BYTES = 16 << 20
LIMIT_CM, PLAUSIBLE_CM = 1000.0, (10.0, 100.0)

# Vertices of the 68 landmarks in the OBJ files, Multi-PIE order.
LANDMARKS_68 = (
    *(1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443),
    *(268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360),
    *(1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732),
    *(5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841),
    *(5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
)
_SHAPES = {
    "mean": ("V", 3),
    "identity": (None, "V", 3),
    "expression": ("E", "V", 3),
    "expression_names": ("E",),
    "triangles": (None, 3),
    "region": ("V",),
    "landmarks_68": (68,),
}


class IctFiles(NamedTuple):
    """ICT-FaceKit as arrays, V vertices, cm."""

    mean: np.ndarray  # (V, 3) float32
    identity: np.ndarray  # (K, V, 3) float32, weights are N(0, 1)
    expression: np.ndarray  # (E, V, 3) float32, weights in [0, 1]
    expression_names: tuple[str, ...]
    triangles: np.ndarray  # (T, 3) int64
    region: np.ndarray  # (V,) FACE, HEAD, MOUTH or EYEBALL
    landmarks_68: np.ndarray  # (68,) int64


def read_ict(path: Path | str) -> IctFiles:
    """Read ICT-FaceKit.

    Args:
        path: the folder of the OBJ files or one above it, an `.npz`, or a folder with model.npz.
    Raises:
        DataError: files are missing, damaged, or do not fit together.
    """
    path = Path(path)
    file = find_below(path, NEUTRAL) or find_below(path, "model.npz") or path
    if file.is_dir():
        raise DataError(f"{path}: expected ICT-FaceKit's {NEUTRAL} (folder FaceXModel) or model.npz; download it")
    files = _read_folder(file) if file.name == NEUTRAL else _read_npz(file)
    size = float(np.ptp(files.mean, axis=0).max())
    if not PLAUSIBLE_CM[0] < size < PLAUSIBLE_CM[1]:
        raise DataError(f"{file}: expected a head in centimetres, found {size:.3g} from end to end; download it again")
    return files


def _read_npz(path: Path) -> IctFiles:
    """Read the arrays of an `.npz`."""
    arrays = read_npz(path)
    check_arrays(arrays, _SHAPES, {"triangles": "V", "landmarks_68": "V", "region": len(RANGES)}, path)
    return IctFiles(
        *(arrays[name].astype(np.float32) for name in ("mean", "identity", "expression")),
        tuple(str(name) for name in arrays["expression_names"]),
        arrays["triangles"].astype(np.int64),
        arrays["region"],
        arrays["landmarks_68"].astype(np.int64),
    )


def _read_folder(neutral: Path) -> IctFiles:
    """Read the OBJ files beside the neutral mesh."""
    others = sorted(path for path in neutral.parent.glob("*.obj") if path.name != NEUTRAL)
    identities = [path for path in others if re.fullmatch(r"identity\d+", path.stem)]
    expressions = [path for path in others if path not in identities]
    if not identities or not expressions:
        found = f"{len(identities)} identities and {len(expressions)} expressions"
        raise DataError(f"{neutral.parent}: found {found} beside {NEUTRAL}; copy the whole folder FaceXModel")
    kept = np.concatenate([np.arange(*span) for span in RANGES.values()])
    place = np.full(VERTICES, -1)
    place[kept] = np.arange(len(kept))
    mean, triangles = _vertices(neutral, kept), place[_triangles(neutral)]
    return IctFiles(
        mean,
        _differences(identities, mean, kept),
        _differences(expressions, mean, kept),
        tuple(path.stem for path in expressions),
        triangles[(triangles >= 0).all(1)],
        np.repeat(list(RANGES), [end - start for start, end in RANGES.values()]).astype(np.uint8),
        place[_landmarks(neutral.with_name(INDICES))],
    )


def _lines(path: Path, kind: bytes) -> Iterator[list[bytes]]:
    """Yield the words after `kind` of each line of an OBJ file that starts with it."""
    try:
        with path.open("rb") as file:
            if path.stat().st_size > MAX_BYTES:
                raise DataError(f"{path}: expected an OBJ file of a few megabytes, found more; download it again")
            for line in file:
                if line.lstrip().startswith(kind) and (words := line.split())[0] == kind:
                    yield words[1:]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the file") from None


def _vertices(path: Path, kept: np.ndarray) -> np.ndarray:
    """Read those vertices (K, 3) of an OBJ file of VERTICES vertices; a fourth number and colours are passed over."""
    lines = list(itertools.islice((words[:3] for words in _lines(path, b"v")), VERTICES + 1))
    if len(lines) != VERTICES:
        found = len(lines) if len(lines) < VERTICES else "more"
        raise DataError(f"{path}: expected {VERTICES} vertices as in ICT-FaceKit, found {found}; download it again")
    try:
        points = np.array([[float(word) for word in lines[i]] for i in kept], np.float32)
    except ValueError:
        points = np.zeros(0)
    if points.shape != (len(kept), 3) or not (np.abs(points) < LIMIT_CM).all():
        raise DataError(f"{path}: expected three coordinates a vertex, in centimetres; download it again")
    return points


def _differences(paths: list[Path], mean: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(N, K, 3) differences of whole faces to the neutral one."""
    result = np.empty((len(paths), *mean.shape), np.float32)
    size = np.linalg.norm(np.ptp(mean, axis=0))
    for field, path in zip(result, paths, strict=True):
        field[:] = _vertices(path, kept) - mean
        if np.linalg.norm(field, axis=1).max() > size / 2:
            raise DataError(f"{path}: expected a whole face, found vertices far from {NEUTRAL}'s; download it again")
    return result


def _triangles(path: Path) -> np.ndarray:
    """Read the polygons of an OBJ file and split them as fans: (T, 3), counted from 0."""
    result: list[tuple[int, int, int]] = []
    for words in _lines(path, b"f"):
        try:
            corners = [int(word.split(b"/")[0]) - 1 for word in words]
        except ValueError:
            corners = []
        if len(corners) < 3 or min(corners) < 0 or max(corners) >= VERTICES:
            text = b" ".join(words).decode("ascii", "replace")[:80]
            raise DataError(f"{path}: expected faces of vertices 1 to {VERTICES}, found `f {text}`; download it again")
        result += [(corners[0], b, c) for b, c in itertools.pairwise(corners[1:])]
    if not 0 < len(result) <= 4 * VERTICES:
        raise DataError(f"{path}: expected about two triangles a vertex, found {len(result)} in all; download it again")
    return np.array(result, np.int64)


def _landmarks(path: Path) -> np.ndarray:
    """Vertices (68,) of the landmarks in the OBJ files."""
    content: object = {}
    try:
        if path.exists():
            content = read_json(path) if path.stat().st_size <= MAX_BYTES else None
    except RecursionError:
        content = None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object of a few megabytes; download it again")
    for value in (value for key, value in content.items() if "landmark" in key.lower()):
        values = list(value.values()) if isinstance(value, dict) else value
        if isinstance(values, list) and len(values) == 68:
            if not all(type(v) is int and RANGES[FACE][0] <= v < RANGES[FACE][1] for v in values):
                raise DataError(f"{path}: expected landmarks among the vertices of the face; download it again")
            return np.array(values)
    log.info("%s: no list of 68 landmarks; those known of the release are taken", path)
    return np.array(LANDMARKS_68)


def drivers(names: tuple[str, ...]) -> tuple[list[str], np.ndarray]:
    """Tell which of the actions of `expressions.KINDS` drive each shape, by its name: mouthSmile_L is mouthSmileLeft.

    Shapes of one side follow the action without a side as well: browInnerUp drives browInnerUp_L and browInnerUp_R.

    Args:
        names: of the E expression shapes.
    Returns:
        Sorted names of A actions, and (A, E) 1 where the action drives the shape, else 0.
    """
    both = {"_L": "Left", "_R": "Right"}
    sides = [name[:-2] + both[name[-2:]] if name[-2:] in both else name for name in names]
    known = {key.replace("*", side) for kind in KINDS.values() for key in kind for side in both.values()}
    actions = sorted(known | set(sides))
    matrix = np.zeros((len(actions), len(names)))
    for column, (name, side) in enumerate(zip(names, sides, strict=True)):
        for action in {side, name.split("_")[0]} & set(actions):
            matrix[actions.index(action), column] = 1
    return actions, matrix
