"""An egg with a nose, two eyes and a mouth, as a heads file: a head whose every measure is known."""

import numpy as np

from dfmvr.conventions import CLASSES
from dfmvr.face_model.anny.albedo import WAVES
from dfmvr.face_model.anny.heads import HeadGenerator
from dfmvr.face_model.anny.parts import HAIR, NECK, PARTS
from dfmvr.face_model.expressions import KINDS
from dfmvr.geometry.subdivision import subdivide

CENTRE, AXES = np.array([0.0, 20.0, -85.0]), np.array([72.0, 105.0, 92.0])
EYES = np.array([[32.0, 33.0], [-32.0, 33.0]])  # the person's left eye first
EYE_RADIUS = 12.0


def _sphere(rows, columns, lowest):
    """Unit vectors and triangles of a sphere about y, open below the polar angle `lowest`."""
    polar, turn = np.linspace(0, lowest, rows + 1)[1:], np.linspace(0, 2 * np.pi, columns, endpoint=False)
    ring = np.stack((np.sin(turn), np.zeros(columns), np.cos(turn)), -1)
    points = np.concatenate([[[0, 1, 0]], *(np.sin(p) * ring + [0, np.cos(p), 0] for p in polar)])
    index = np.arange(rows * columns).reshape(rows, columns) + 1
    a, c = index[:-1], index[1:]
    b, d = np.roll(a, -1, 1), np.roll(c, -1, 1)
    cap = np.stack((np.zeros(columns, int), index[0], np.roll(index[0], -1)), -1)
    return points, np.concatenate((cap, np.stack((a, c, d), -1).reshape(-1, 3), np.stack((a, d, b), -1).reshape(-1, 3)))


def landmark_places():
    """(68, 2) x and y in mm, iBUG order."""
    turn = np.radians(np.linspace(-80, 80, 17))
    jaw = np.stack((62 * np.sin(turn), 10 - 85 * np.cos(turn)), -1)
    brow = np.stack((np.linspace(12, 50, 5), 52 + 4 * np.sin(np.linspace(0, np.pi, 5))), -1)
    nose = [[0, 35], [0, 24], [0, 13], [0, 0], [-12, -8], [-6, -10], [0, -11], [6, -10], [12, -8]]
    eye = EYES[0] + [[-13, 0], [-6, 6], [6, 6], [13, 0], [6, -6], [-6, -6]]
    right = (eye * [-1, 1])[[3, 2, 1, 0, 5, 4]]
    turn = np.radians(180 - np.arange(12) * 30)
    mouth = np.stack((25 * np.cos(turn), -38 + 9 * np.sin(turn)), -1)
    turn = turn[[0, 2, 3, 4, 6, 8, 9, 10]]
    inner = np.stack((15 * np.cos(turn), -38 + 2 * np.sin(turn)), -1)
    return np.concatenate((jaw, (brow * [-1, 1])[::-1], brow, nose, right, eye, mouth, inner))


def _base():
    """Vertices, triangles and parts of the unsubdivided head."""
    sphere, faces = _sphere(28, 56, np.radians(150))
    skin = CENTRE + sphere * AXES
    front = sphere[:, 2] > 0.3
    skin[:, 2] += front * 24 * np.exp(-((skin[:, 0] / 9) ** 2) - ((skin[:, 1] - 3) / 14) ** 2)
    ball, ball_faces = _sphere(8, 16, np.radians(170))
    points, triangles, parts = [skin], [faces], [np.zeros(len(skin), np.uint8)]
    for place, name in zip(EYES, ("left_eye", "right_eye"), strict=True):
        z = CENTRE[2] + AXES[2] * np.sqrt(1 - np.square((place - CENTRE[:2]) / AXES[:2]).sum()) - EYE_RADIUS + 4
        triangles.append(ball_faces + sum(map(len, points)))
        points.append(ball * EYE_RADIUS + [*place, z])
        parts.append(np.full(len(ball), PARTS.index(name), np.uint8))
    return np.concatenate(points), np.concatenate(triangles), np.concatenate(parts)


def _labels(points, part):
    x, y, z = points.T
    ids = {name: i for i, name in enumerate(CLASSES)}
    labels = np.where((z > -95) & (y > -72) & (y < 85), ids["skin"], np.where(y <= -72, NECK, HAIR))
    labels[(np.abs(y - 54) < 6) & (np.abs(np.abs(x) - 31) < 20) & (z > -60)] = ids["left_brow"]
    labels[(labels == ids["left_brow"]) & (x < 0)] = ids["right_brow"]
    labels[(np.abs(x) < 12) & (np.abs(y - 6) < 20) & (z > -20)] = ids["nose"]
    lips = (np.hypot(x / 25, (y + 38) / 9) < 1) & (z > -60)
    labels[lips] = np.where(y > -38, ids["upper_lip"], ids["lower_lip"])[lips]
    for name in ("left_eye", "right_eye"):
        labels[part == PARTS.index(name)] = ids[name]
    return labels.astype(np.uint8)


def toy_heads():
    """A HeadGenerator of eggs that differ in width, height and how much their jaw and mouth move."""
    base, base_triangles, base_part = _base()
    matrix, levels = subdivide(base_triangles, len(base), 1)
    points, part = matrix @ base, np.rint(matrix @ base_part).astype(np.uint8)
    labels = _labels(points, part)
    skin = np.flatnonzero((part == 0) & (points[:, 2] > -110))
    marks = [skin[np.square(points[skin, :2] - place).sum(1).argmin()] for place in landmark_places()]
    face = np.flatnonzero((labels < len(CLASSES)) & (labels > 0))
    actions = sorted({key.replace("*", side) for kind in KINDS.values() for key in kind for side in ("Left", "Right")})
    jaw = np.where(base[:, 1:2] < -40, [0, -6.0, -2.0], 0.0)
    width, height = (base - CENTRE) * [0.2, 0, 0], (base - CENTRE) * [0, 0.2, 0]
    arrays = {
        "target_names": np.array(["positive:wide", "positive:high", "negative:wide", "negative:high", "hidden:head-x"]),
        "targets": np.stack((width, height, -width, -height, np.abs(width))).astype(np.float32),
        "template": base.astype(np.float32),
        "reference": base.astype(np.float32),
        "anchors": np.flatnonzero(base_part == 0),
        "expression": jaw[None].astype(np.float32),
        "action_names": np.array(actions),
        "encode": (np.array(actions) == "jawOpen").astype(np.float32)[None],
        "subdivision_data": matrix.data.astype(np.float32),
        "subdivision_indices": matrix.indices,
        "subdivision_indptr": matrix.indptr,
        "triangles": levels[-1].astype(np.int32),
        "labels": labels,
        "part": part,
        "base_part": base_part,
        "landmarks_68": np.array(marks, np.int32),
        "landmarks_106": np.resize(marks, 106).astype(np.int32),
        "face_index": face.astype(np.int32),
    }
    blank = np.zeros(len(points), np.float32)
    maps = dict.fromkeys(("brow", "lips", "redness", "beard", "shadow", "lid", "teeth"), blank)
    maps |= {"iris": blank + np.inf, "hair": (labels == HAIR).astype(np.float32), "points": points.astype(np.float32)}
    maps |= {"waves": np.zeros((len(points), WAVES), np.float32)}
    return HeadGenerator(arrays | {f"albedo_{name}": field for name, field in maps.items()})
