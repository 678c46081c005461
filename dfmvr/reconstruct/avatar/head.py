"""The head of a reconstructed face, ready to move.

In     a `Reconstruction` with the open face model.
Gives  an `Avatar`: the fit's neutral face and the rest of the head about it, and the 52 actions that ARKit names.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from scipy.spatial.transform import Rotation

from dfmvr.assets.files import asset
from dfmvr.conventions import CLASSES
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.whole_head import WholeHead
from dfmvr.geometry.sphere import fit_sphere
from dfmvr.geometry.textured import Unwrapping
from dfmvr.geometry.vectors import length, unit
from dfmvr.reconstruct.avatar.avatar import EYES, HEAD, PARTS, TEETH, TONGUE, Avatar, Part
from dfmvr.reconstruct.export.unwrap import unwrap
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction

FILE = "head.npz"
"""The head file that ships."""

STILL_MM = 0.02
"""ASSUME: what an action moves by less stays where it is; half precision leaves about as much."""

LID_MM = 4.0
"""ASSUME: skin before an eyeball and no farther from it than this belongs to the lids, which the eyeball follows."""

LID_OVERLAP = 1.1
"""ASSUME: a closed eye's upper lid has come this much farther than to where the lower one is, in front of it."""

UPPER_SHARE = 0.7
"""ASSUME: the open model's front teeth stand apart while the jaw is closed, and behind the lips, where no smile shows
them. They are brought together, the upper ones by this part of the way, and the back ones stay."""

TONGUE_MM = (0.0, -6.0, -2.5)
"""ASSUME: the open model's tongue lies above the lower teeth, against the palate, where it would fill a mouth that is
open. It is moved by this to between them, its tip behind them."""

_FRONT_MM = 6.0  # so far behind the foremost teeth others count as front teeth
_LIDS_68 = {"Right": ((37, 41), (38, 40)), "Left": ((43, 47), (44, 46))}  # upper and lower landmarks
_OF_HEAD = dict(zip(PARTS, ("skin", "left_eye", "right_eye", "upper_teeth", "lower_teeth", "tongue"), strict=True))
_LIPS = [CLASSES.index(name) for name in ("upper_lip", "lower_lip")]
_BALL_SHARE = 0.98  # of an eyeball's image, from its front in the middle to its back


class _Piece(NamedTuple):
    """What a part is for every face."""

    vertices: np.ndarray  # (V,) of the head
    triangles: np.ndarray  # (F, 3) of the part
    unwrapping: Unwrapping
    width_mm: float


class _Stock:
    """What heads of one face model have in common."""

    def __init__(self, model: MorphableModel) -> None:
        self.head = WholeHead.load(asset(FILE), model)
        self.pieces = {name: self._piece(name) for name in PARTS}
        actions = self.head.actions(model).items()
        self.fields = {name: np.where(length(field)[:, None] < STILL_MM, 0, field) for name, field in actions}
        self.bite = self._bite()
        self.lips = (self.head.face >= 0) & np.isin(self.head.labels, _LIPS)

    def _bite(self) -> dict[str, np.ndarray]:
        """Displacements (V, 3) mm of the teeth, that close the bite, and of the tongue, that lays it down."""
        teeth = {name: self.head.mean[self.pieces[name].vertices] for name in TEETH}
        fronts = [points[points[:, 2] > points[:, 2].max() - _FRONT_MM, 1] for points in teeth.values()]
        gap = max(0.0, fronts[0].min() - fronts[1].max())
        moved = {}
        for (name, points), share in zip(teeth.items(), (-UPPER_SHARE, 1 - UPPER_SHARE), strict=True):
            forward = (points[:, 2] - points[:, 2].min()) / np.ptp(points[:, 2])
            moved[name] = np.outer(share * gap * forward, (0, 1, 0))
        return moved | {TONGUE: np.array(TONGUE_MM)}

    def _piece(self, name: str) -> _Piece:
        vertices = np.flatnonzero(self.head.of(_OF_HEAD[name]))
        place = np.full(len(self.head.face), -1)
        place[vertices] = np.arange(len(vertices))
        triangles = place[self.head.triangles]
        triangles = triangles[(triangles >= 0).all(1)]
        mean = self.head.mean[vertices]
        unwrapped = _unwrap_ball(mean, triangles) if name in EYES else unwrap(mean, triangles)
        return _Piece(vertices, triangles, *unwrapped)


_STOCKS: WeakKeyDictionary[MorphableModel, _Stock] = WeakKeyDictionary()


def prepare(model: MorphableModel) -> None:
    """Read what is known of the head about a model's faces, so that a model without is told before a face is made.

    Raises:
        ConfigError: the face model is not the one whose head is known.
        DataError: the head that ships is damaged.
        UnavailableError: it is not there.
    """
    _stock_of(model)


def _stock_of(model: MorphableModel) -> _Stock:
    if model not in _STOCKS:
        _STOCKS[model] = _Stock(model)
    return _STOCKS[model]


def avatar_of(face: Reconstruction) -> Avatar:
    """Complete a face to a head that moves.

    Raises:
        ConfigError: the face model is not the one whose head is known.
        DataError: the head that ships is damaged.
        UnavailableError: it is not there.
    """
    stock = _stock_of(face.model)
    head, identity = stock.head, face.coefficients.identity[0].double().numpy()
    neutral = face.neutral().vertices
    whole = head.around(neutral, identity)
    beyond = head.beyond(neutral, identity)
    closing = {f"eyeBlink{side}": _closing(face, neutral, side) for side in _LIDS_68}
    parts = []
    for name, piece in stock.pieces.items():
        targets = {action: closing.get(action, 1) * field[piece.vertices] for action, field in stock.fields.items()}
        vertices, pivot = whole[piece.vertices], None
        if name in EYES:
            vertices, pivot = _ball(stock, piece, whole, beyond)
            targets = _turned(stock, name, vertices, pivot)
        elif name != HEAD:
            vertices = vertices + beyond[stock.lips].mean(0) + stock.bite[name]
        moving = {action: field.astype(np.float32) for action, field in targets.items() if field.any()}
        surface = (vertices.astype(np.float32), piece.triangles, piece.unwrapping, piece.width_mm)
        parts.append(Part(name, *surface, moving, head.face[piece.vertices], head.labels[piece.vertices], pivot))
    weights = {name: min(1.0, face.actions[name] / closing.get(name, 1)) for name in head.action_names}
    return Avatar(tuple(parts), weights)


def _closing(face: Reconstruction, neutral: np.ndarray, side: str) -> float:
    """How much of the model's blink closes this person's eye; at full strength it carries most lids far beyond."""
    model = face.model
    upper, lower = model.landmarks_68.numpy()[np.transpose(_LIDS_68[side])]
    blink = model.actions.numpy()[model.action_names.index(f"eyeBlink{side}")]
    moved = np.tensordot(blink, model.expression_basis[:, :, 1].numpy(), 1)
    gap, closed = neutral[upper, 1] - neutral[lower, 1], moved[lower] - moved[upper]
    return float(np.clip(LID_OVERLAP * (gap / closed).max(), 0.3, 1.3))


def _ball(stock: _Stock, piece: _Piece, whole: np.ndarray, beyond: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An eyeball: a sphere as large as the front that the lids leave bare, carried along with the lids.

    Returns:
        Vertices (V, 3) and the centre (3,), mm.
    """
    bare = piece.vertices[stock.head.face[piece.vertices] >= 0]
    centre, radius = fit_sphere(whole[bare])
    skin = np.flatnonzero(stock.head.of("skin") & (stock.head.face >= 0))
    outward = whole[skin] - beyond[skin] - centre
    distance = length(outward)
    lids = (np.abs(distance - radius) < LID_MM) & (outward[:, 2] > 0.3 * radius)
    normals = outward[lids] / distance[lids, None]
    # the shift that comes nearest to what the lids have moved toward or away from the centre
    asked = (normals * beyond[skin[lids]]).sum(1)
    shift = np.linalg.lstsq(normals, asked, rcond=None)[0]
    return centre + shift + radius * unit(whole[piece.vertices] - centre), centre + shift


def _turned(stock: _Stock, name: str, vertices: np.ndarray, centre: np.ndarray) -> dict[str, np.ndarray]:
    """Displacements (V, 3) of an eyeball by the actions that turn it."""
    side = name.removeprefix("eye_").capitalize()
    turns = zip(stock.head.action_names, stock.head.turns, strict=True)
    return {
        action: Rotation.from_rotvec(turn).apply(vertices - centre) - (vertices - centre)
        for action, turn in turns
        if turn.any() and action.endswith(side)
    }


def _unwrap_ball(mean: np.ndarray, triangles: np.ndarray) -> tuple[Unwrapping, float]:
    """Lay an eyeball flat, its front in the middle of the image; as `unwrap`.

    The distance from the middle is the arc from the front, so the iris is round and all of it lies together.
    """
    centre, radius = fit_sphere(mean)
    outward = unit(mean - centre)
    share = np.arccos(np.clip(outward[:, 2:], -1, 1)) / np.pi
    uv = 0.5 + 0.5 * _BALL_SHARE * share * unit(outward[:, :2])
    return Unwrapping(uv, np.arange(len(mean)), triangles), 2 * np.pi * radius / _BALL_SHARE
