"""Deliveries of other face models: the open model's face on other meshes, in the true shapes and file formats.

The face is a sheet over the open model's mean as seen from the front, so what it borrows from the open model is known:
that of the point it was made from, whatever has been done to it since.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.interpolate import griddata
from scipy.io import savemat
from scipy.spatial import cKDTree

from dfmvr.conventions import CLASSES
from dfmvr.face_model.bfm import files as bfm
from dfmvr.face_model.ict import files as ict
from dfmvr.geometry.normals import vertex_normals

COMPONENTS, EXPRESSIONS = 82, 79
OUTER_LEFT = 14_065  # the alignment point, beside the landmark 14066


class Sheet(NamedTuple):
    """A face as seen from the front; V vertices."""

    points: np.ndarray  # (V, 3) mm, on the open model's mean
    triangles: np.ndarray  # (F, 3) counter-clockwise
    labels: np.ndarray  # (V,) the classes that the open model has there
    regions: np.ndarray  # (V,)


def _seen(model):
    """(V,) bool: vertices of the open model that nothing hides from the front; not those of the mouth."""
    mean = model.mean.numpy()
    facing = vertex_normals(model.mean[None], model.triangles)[0, :, 2].numpy() > 0.1
    _, cell = np.unique((mean[:, :2] / 3).round(), axis=0, return_inverse=True)
    foremost = np.full(cell.max() + 1, -np.inf)
    np.maximum.at(foremost, cell.ravel(), mean[:, 2])
    return facing & (mean[:, 2] > foremost[cell.ravel()] - 4) & (model.labels.numpy() != CLASSES.index("mouth"))


def sheet(model, count, marks, places_of_marks):
    """`count` vertices of which number marks[i] is the one nearest to places_of_marks[i]."""
    mean, labels, seen = model.mean.numpy().astype(float), model.labels.numpy(), _seen(model)
    front = mean[seen]
    low, high = front[:, :2].min(0), front[:, :2].max(0)
    step = np.sqrt(np.prod(high - low) * 0.7 / count)
    x, y = np.meshgrid(np.arange(low[0], high[0], step), np.arange(low[1], high[1], step))
    places = np.stack((x.ravel(), y.ravel()), -1)
    z = griddata(front[:, :2], front[:, 2], places)
    out = np.linalg.norm((places - (low + high) / 2) / (high - low), axis=1)
    inner = np.sort(np.argsort(np.where(np.isnan(z), np.inf, out))[:count])
    assert np.isfinite(z[inner]).all()
    place = np.full(len(places), -1)
    place[inner] = np.arange(count)
    points = np.column_stack((places, z))[inner]
    grid = place.reshape(x.shape)
    a, b, c, d = (grid[i : i - 1 or None, j : j - 1 or None].ravel() for i, j in ((0, 0), (0, 1), (1, 1), (1, 0)))
    triangles = np.stack((a, b, c, a, c, d), -1).reshape(-1, 3)
    triangles = triangles[(triangles >= 0).all(1)]
    number, taken = np.full(count, -1), cKDTree(points).query(places_of_marks)[1]
    number[taken] = marks
    number[number < 0] = np.setdiff1d(np.arange(count), marks)
    order = np.argsort(number)
    source = np.flatnonzero(seen)[cKDTree(front[:, :2]).query(points[order, :2])[1]]
    return Sheet(points[order], number[triangles], labels[source], model.regions.numpy()[source])


def moved(points):
    """Another face in the same place: larger, narrower, elsewhere, and bent."""
    bend = 2 * np.sin(points[:, [1, 2, 0]] / 40)
    return points * [1.02, 1.1, 1.05] + bend + [4, -20, 35]


def fields(rng, points, count):
    """Smooth random fields (count, V, 3) of about unit size."""
    waves, phases = rng.normal(size=(8, 3, 2)) / 40, rng.uniform(0, 6, (8, 3, 1))
    base = np.sin(np.einsum("kcw,vw->kcv", waves, points[:, :2]) + phases).transpose(0, 2, 1).astype(np.float32)
    return np.tensordot(rng.normal(size=(count, 8)).astype(np.float32) / 2, base, 1)


class Delivery(NamedTuple):
    """What was written."""

    folder: Path
    sheet: Sheet
    mat: dict[str, np.ndarray]  # contents of all .mat files
    expressions: np.ndarray  # (K, 53215, 3) float32 as in Exp_Pca.bin
    deviations: np.ndarray  # (K,)


def write_bfm(folder, model, seed=0):
    """Write BFM 2009 as it is delivered."""
    rng = np.random.default_rng(seed)
    places = model.mean[model.landmarks_68].numpy()
    marks, places = [*bfm.LANDMARKS_68, OUTER_LEFT], [*places, places[45] + [1.5, 0, 0]]
    face = sheet(model, bfm.VERTICES, np.array(marks), np.array(places))
    same = 16_237
    rest = same + np.sort(rng.choice(bfm.WITH_EXPRESSION - same, bfm.VERTICES - same, replace=False))
    front = np.concatenate((np.arange(same), rest))
    trimmed = np.sort(rng.choice(bfm.FULL, bfm.WITH_EXPRESSION, replace=False))
    whole = rng.uniform(-90, 90, (bfm.FULL, 3)) - [0, 0, 150]
    whole[trimmed[front]] = moved(face.points)
    deviations = np.sort(rng.uniform(1e5, 1e6, COMPONENTS))[::-1]
    mat = {"idx": front[:, None] + 1, "trimIndex": trimmed[:, None] + 1}
    for name, mean, size in (("shape", whole * 1e3, 5e2), ("tex", 130 + 60 * np.sin(whole / 30), 2.0)):
        components = fields(rng, whole, COMPONENTS).reshape(COMPONENTS, -1)
        components *= size / deviations[:, None]
        mat |= {f"{name}MU": mean.reshape(-1, 1), f"{name}PC": components.T, f"{name}EV": deviations[:, None]}
    mat |= {"tri": face.triangles[:, ::-1] + 1.0, "keypoints": np.array(bfm.LANDMARKS_68, np.uint16)[None] + 1}
    inner = (face.labels == CLASSES.index("skin")) & (np.abs(face.points[:, 0]) < 40)  # not all that is skin
    mat["skinmask"] = inner[None].astype(np.uint8)
    mat["point_buf"], mat["lm"] = np.ones((bfm.VERTICES, 8)), moved(face.points)[list(bfm.LANDMARKS_68)] / 100
    files = {
        bfm.MODEL: ("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV"),
        bfm.FRONT: ("idx",),
        bfm.TRIMMED: ("trimIndex",),
        bfm.INFO: ("point_buf", "tri", "keypoints", "skinmask"),
        "similarity_Lm3D_all.mat": ("lm",),
    }
    for name, keys in files.items():
        savemat(folder / name, {key: mat[key] for key in keys}, do_compression=name == bfm.INFO)
    expressions = fields(rng, whole[trimmed], EXPRESSIONS) * 1e-3
    moves = rng.uniform(5e4, 4e5, EXPRESSIONS).round(3)
    with (folder / bfm.EXPRESSIONS).open("wb") as file:
        file.write(np.array([EXPRESSIONS], "<i4").tobytes())
        file.write(rng.normal(size=3 * bfm.WITH_EXPRESSION).astype("<f4").tobytes())
        file.write(expressions.astype("<f4").tobytes())
    (folder / bfm.DEVIATIONS).write_text(" ".join(f"{value:.3f}" for value in moves) + "\n")
    return Delivery(folder, face, mat, expressions, moves)


def deep3d(delivery):
    """BFM_model_front.mat's arrays, by Deep3DFaceRecon's formulae (decimetres, colours 0 to 255)."""
    mat, front = delivery.mat, delivery.mat["idx"].ravel() - 1
    index = mat["trimIndex"].ravel()[front] - 1

    def selected(values, rows):
        return values.reshape(-1, 3, values.shape[1])[rows].reshape(-1, values.shape[1])

    expression = delivery.expressions.reshape(EXPRESSIONS, -1).T * delivery.deviations / 1e5
    return {
        "meanshape": selected(mat["shapeMU"] / 1e5, index).T,
        "meantex": selected(mat["texMU"], index).T,
        "idBase": selected((mat["shapePC"] * mat["shapeEV"].ravel() / 1e5)[:, :80], index),
        "exBase": selected(expression[:, :64], front),
        "texBase": selected((mat["texPC"] * mat["texEV"].ravel())[:, :80], index),
        "tri": mat["tri"],
        "keypoints": mat["keypoints"],
        "skinmask": mat["skinmask"],
    }


def _ball(count, centre, radius):
    """A band of `count` vertices about a ball, and triangles between neighbours."""
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    height = np.linspace(1, -1, count)
    ring = np.sqrt(1 - height**2)
    points = np.stack((ring * np.cos(turn), ring * np.sin(turn), height), -1) * radius + centre
    index = np.arange(count - 2)
    return points, np.stack((index, index + 1, index + 2), -1)


def ict_arrays(model, seed=0, expressions=("browInnerUp_L", "browInnerUp_R", "jawOpen", "mouthSmile_L")):
    """ICT-FaceKit's arrays as in model.npz: a sheet, eyeballs, and in the mouth and at the neck something."""
    rng = np.random.default_rng(seed)
    face = sheet(model, 9409, np.array(ict.LANDMARKS_68), model.mean[model.landmarks_68].numpy())
    eyes = [model.mean[model.labels == CLASSES.index(f"{side}_eye")].numpy().mean(0) for side in ("left", "right")]
    parts = [(face.points, face.triangles), _ball(1839, [0, -60, -120], 60.0), _ball(2046, [0, -45, 0], 12.0)]
    parts += [_ball(1570, eye, 8.0) for eye in eyes]
    starts = np.cumsum([0, *(len(points) for points, _ in parts)])
    points = moved(np.concatenate([points for points, _ in parts])) / 10
    shapes = fields(rng, points * 10, 5 + len(expressions)).astype(np.float16)
    return face, {
        "mean": points.astype(np.float32),
        "identity": shapes[:5] * np.float16(0.25),
        "expression": shapes[5:] * np.float16(0.5),
        "expression_names": np.array(expressions),
        "triangles": np.concatenate([t + s for (_, t), s in zip(parts, starts, strict=False)]).astype(np.uint16),
        "region": np.repeat([0, 1, 2, 3, 3], np.diff(starts)).astype(np.uint8),
        "landmarks_68": np.array(ict.LANDMARKS_68, np.uint16),
    }


def _joined(triangles):
    """Polygons whose fans the triangles are, of four corners where two that follow each other allow it."""
    result = []
    for triangle in triangles:
        last = result[-1] if result else ()
        if len(last) == 3 and (last[0], last[2]) == (triangle[0], triangle[1]):
            last.append(triangle[2])
        else:
            result.append(triangle)
    return result


def write_ict_folder(folder, arrays):
    """Write arrays as the OBJ folder of ICT-FaceKit; the vertices that they lack lie somewhere."""
    place = np.concatenate([np.arange(*span) for span in ict.RANGES.values()])
    triangles = place[arrays["triangles"].astype(int)] + 1
    polygons = _joined(triangles.tolist())
    faces = "".join("f " + " ".join(f"{v}/{v}" for v in polygon) + "\n" for polygon in polygons)
    folder.mkdir(parents=True)

    def write(name, points):
        whole = np.zeros((ict.VERTICES, 3))
        whole[place] = points
        rows = "".join(f"v {x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in whole.tolist())
        (folder / f"{name}.obj").write_text(f"# a comment\n{rows}vt 0 0\n{faces}")

    mean = arrays["mean"].astype(float)
    write("generic_neutral_mesh", mean)
    for i, mode in enumerate(arrays["identity"]):
        write(f"identity{i:03d}", mean + mode)
    for name, mode in zip(arrays["expression_names"], arrays["expression"], strict=True):
        write(str(name), mean + mode)
    landmarks = place[arrays["landmarks_68"]].tolist()
    (folder / "vertex_indices.json").write_text(json.dumps({"idx_to_landmark_verts": landmarks, "other": [1, 2]}))
