"""Pixel-Face in the folders that the code of DF-MVR's authors reads.

    {train,val}/<subject>/<expression>/Images/<0|1|2>/t.jpg             photographs; see views
    {train,val}/<subject>/<expression>/Images/fusion/nicp_106_pts.txt   106 keypoints, `x y z` a line, decimetres
    val_obj/<subject><expression>.obj                                   registered mesh, decimetres

A subject is five digits, an expression 01 to 22 or other_1 to other_3. The authors' own tools begin an OBJ file with
the lines `nothing`, `point: N` and `face: N`, which are passed over.

ASSUME: mesh and keypoints share their frame, which is checked.
Source: dataset_preprocess.py, tools/plt.py and compute_error.py of github.com/weiguangzhao/DF_MVR.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from dfmvr.datasets.listing import list_subfolders, read_words
from dfmvr.datasets.pixel_face.ground_truth import KEYPOINTS, GroundTruth, to_millimetres
from dfmvr.errors import DataError
from dfmvr.geometry.meshes import read_mesh

log = logging.getLogger(__name__)

SPLIT_FOLDERS = {"train": "train", "val": "test"}
"""Folder of each split: what the authors validate on is what they report."""

MESHES, LANDMARKS = "val_obj", Path("fusion", "nicp_106_pts.txt")
MAX_MESH_BYTES = 64 << 20
"""ASSUME: a mesh is smaller; 53,215 vertices and their triangles have a tenth of it."""
FARTHEST_MM = 20.0
"""ASSUME: keypoints of a mesh are nearer to it than this."""

_SUBJECT, _EXPRESSION = re.compile(r"[0-9]{5}"), re.compile(r"[0-9A-Za-z_]+")


class Place(NamedTuple):
    """Where the files of a sample lie."""

    subject: str
    expression: str
    views: Path  # folder with the folders 0, 1, 2
    scans: tuple[Path, ...]  # the first that exists counts
    split: str = ""  # what the folders say, if they do


def sample_folder(root: Path, split: str, subject: str, expression: str) -> Path:
    """Folder of a sample's photographs and keypoints; `split` is 'train' or 'val'."""
    return root / split / subject / expression / "Images"


def list_places(root: Path) -> dict[str, Place]:
    """List the samples by name (subject and expression): training first, then by subject and expression.

    Raises:
        DataError: there is neither `train` nor `val`, or a sample is in both.
    """
    folders = [split for split in SPLIT_FOLDERS if (root / split).is_dir()]
    if not folders:
        raise DataError(
            f"{root}: expected the folders train and val, found neither; check the path or, for the public release, "
            "set datasets.pixel_face.layout: release"
        )
    places: dict[str, Place] = {}
    for split in folders:
        for subject in _named_folders(root / split, _SUBJECT):
            for expression in _named_folders(root / split / subject, _EXPRESSION):
                name, views = subject + expression, sample_folder(root, split, subject, expression)
                if name in places:
                    raise DataError(f"{views.parent}: the sample is also in train; remove one of the two")
                scans = (root / MESHES / f"{name}.obj", views / LANDMARKS)
                places[name] = Place(subject, expression, views, scans, SPLIT_FOLDERS[split])
    return places


def _named_folders(folder: Path, name: re.Pattern[str]) -> list[str]:
    """Names of the folders in a folder that match; others are told of."""
    found = list_subfolders(folder, re.compile(".*", re.DOTALL))
    if odd := [other for other in found if not name.fullmatch(other)]:
        log.warning("%s: %d folders passed over, whose names are of no sample, such as %r", folder, len(odd), odd[0])
    return [known for known in found if name.fullmatch(known)]


def read_keypoints(path: Path) -> np.ndarray:
    """Read nicp_106_pts.txt as (106, 3) mm.

    Raises:
        DataError: the file is missing or holds something else than 106 finite points of a face in decimetres.
    """
    points = []
    for where, words in read_words(path, "copy it from the data set again"):
        try:
            x, y, z = map(float, words)
        except ValueError:
            raise DataError(f"{where}: expected three numbers `x y z`, found {' '.join(words)[:60]!r}") from None
        points.append((x, y, z))
    if len(points) != KEYPOINTS:
        raise DataError(f"{path}: expected {KEYPOINTS} points, one a line, found {len(points)}; copy the file again")
    array = np.array(points)
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {(~np.isfinite(array)).sum()} numbers are not finite; leave the sample out")
    return to_millimetres(array, str(path))


def keypoints_of_mesh(path: Path) -> Path | None:
    """Find the keypoints of val_obj/<subject><expression>.obj."""
    root, subject, expression = path.parent.parent, path.stem[:5], path.stem[5:]
    candidates = [sample_folder(root, split, subject, expression) / LANDMARKS for split in ("val", "train")]
    return next(filter(Path.is_file, candidates), None)


def read_registered_mesh(path: Path) -> GroundTruth:
    """Read a mesh of val_obj as a scan, with its 106 keypoints if their file is there.

    Raises:
        DataError: a file is missing or damaged, the size cannot be decimetres, or the two do not belong together.
    """
    if path.is_file() and (size := path.stat().st_size) > MAX_MESH_BYTES:
        raise DataError(f"{path}: expected a mesh of some megabytes, found {size >> 20} MiB; is it another file?")
    mesh = read_mesh(path)
    vertices = to_millimetres(mesh.vertices, str(path))
    keypoints = keypoints_of_mesh(path)
    if keypoints is None:
        return GroundTruth(vertices, mesh.triangles)
    landmarks = read_keypoints(keypoints)
    farthest = float(cKDTree(vertices).query(landmarks)[0].max())
    if farthest > FARTHEST_MM:
        raise DataError(
            f"{keypoints}: a keypoint is {farthest:.0f} mm from the mesh {path}, expected {FARTHEST_MM:.0f} at the "
            "most; copy both again or leave the sample out"
        )
    return GroundTruth(vertices, mesh.triangles, landmarks)
