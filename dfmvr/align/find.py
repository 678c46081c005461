"""Faces and their 68 landmarks in a photograph, without any landmark file: one interface to all finders."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dfmvr.align.crop import fit_face, fit_pos
from dfmvr.align.frame import turned_back
from dfmvr.errors import ConfigError


class FoundFace(NamedTuple):
    """A face in a photograph."""

    landmarks: np.ndarray  # (68, 2) px of the photo, continuous (first pixel's centre 0.5), iBUG order, x right y down
    box: np.ndarray  # (4,) x0, y0, x1, y1 px, around the landmarks
    confidence: float  # 0 to 1, how sure the finder is that this is a face and its landmarks fit
    yaw_deg: float  # negative where the nose points to the image's left, as `dfmvr.align.crop.Pos.yaw_deg`
    finder: str = ""  # which found it, of `FINDERS`
    dense: np.ndarray | None = None  # (478, 2) px, see `dfmvr.align.dense`; None of another finder than mediapipe


class Located(NamedTuple):
    """What a finder tells of a face."""

    landmarks: np.ndarray  # (68, 2) px
    confidence: float
    dense: np.ndarray | None = None  # (478, 2) px


def _by_cascade(photo: np.ndarray, device: str, upright: bool) -> list[Located]:
    from dfmvr.align.cascade import find_by_cascade, shipped_networks

    networks = shipped_networks(device)
    standard, best, trust = networks.standard.cpu().numpy(), list[Located](), 0.0
    for quarters in range(1 if upright else 4):  # the networks know tilts of up to 50 degrees
        turned = np.ascontiguousarray(np.rot90(photo, quarters))
        faces = find_by_cascade(networks, turned, device)
        # they also take faces for others that stand upside down, whose landmarks fit the standard face less well
        sure = max((confidence * _fits(points, standard) for points, confidence in faces), default=0.0)
        sure *= 1 if quarters else UPRIGHT_FIRST
        if sure > trust:
            best, trust = [Located(turned_back(points, quarters, photo.shape), c) for points, c in faces], sure
    return best


def _fits(points: np.ndarray, standard: np.ndarray) -> float:
    """How well landmarks (68, 2) px fit the standard face (68, 3) mm, from 0 to 1."""
    pos = fit_pos(points * (1, -1), standard)
    return 1 / (1 + (pos.residual_px / pos.scale / TYPICAL_RESIDUAL_MM) ** 2)


def _by_face_alignment(photo: np.ndarray, device: str, upright: bool) -> list[Located]:
    from dfmvr.align.by_face_alignment import find_by_library

    return [Located(*face) for face in find_by_library(photo, device)]


def _by_mediapipe(photo: np.ndarray, device: str, upright: bool) -> list[Located]:
    from dfmvr.align.by_mediapipe import find_dense
    from dfmvr.align.cascade import shipped_networks
    from dfmvr.align.dense import shipped_dense

    standard, places, found = shipped_networks().standard.numpy(), shipped_dense(), []
    for face in find_dense(photo, places.mirrored):
        landmarks = places.landmarks_68(face.points, 0.0)
        for _ in range(YAW_ROUNDS):
            landmarks = places.landmarks_68(face.points, fit_face(landmarks, standard).yaw_deg)
        found.append(Located(landmarks, face.confidence, face.points))
    return found


FINDERS: dict[str, Callable[[np.ndarray, str, bool], list[Located]]] = {
    "own": _by_cascade,
    "mediapipe": _by_mediapipe,
    "face_alignment": _by_face_alignment,
}
"""What finds the landmarks of a photograph (H, W, 3) uint8 on a device: our networks, or the library of that name.

The last argument tells that no face is tilted by more than some 40 degrees, which spares our networks some looks.
"""

AUTO = "auto"
"""mediapipe where it can be imported; our networks where not, and for photographs in which it finds no face."""

TYPICAL_RESIDUAL_MM = 2.0
"""ASSUME: by so much the landmarks of a face differ from the standard one's, root mean square (1.2 to 2.6 on stand-ins;
of faces found upside down 2.5 to 4.1, by networks that are as sure of them)."""

UPRIGHT_FIRST = 1.45
"""ASSUME: photographs are upright unless another rotation's faces are surer by this; of 138 upright ones none was. The
price: of 42 faces upside down, our networks found four the wrong way round, mediapipe none."""

SAME_FACE = 0.15
"""ASSUME: landmarks that differ by less than this part of a face's size, in the mean, are of one face."""

YAW_ROUNDS = 2
"""Which points make a landmark depends on the yaw, which the landmarks tell."""


def finders_of(source: str) -> tuple[str, ...]:
    """The finders that are asked here, one after the other until one has found a face.

    Args:
        source: one of `FINDERS`, or `AUTO`.
    """
    if source != AUTO:
        return (source,)
    from dfmvr.align.by_mediapipe import is_available

    return ("mediapipe", "own") if is_available() else ("own",)


def find_faces(
    photo: np.ndarray,
    source: str = "own",
    standard: np.ndarray | None = None,
    device: str = "cpu",
    upright: bool = False,
) -> list[FoundFace]:
    """Find all faces of a photograph.

    Args:
        photo: uint8 RGB (H, W, 3).
        source: one of `FINDERS`, or `AUTO`.
        standard: (68, 3) mm, the mean face's landmarks (`dfmvr.align.crop.read_standard_points`), by which the yaw is
            measured; by default those that ship with the networks.
        device: 'cpu', 'cuda' or 'mps'.
        upright: look for faces that are tilted by less than some 40 degrees only.
    Returns:
        The faces, the largest first; empty if there is none.
    Raises:
        ConfigError: no such source.
        UnavailableError: the networks are not to be had here. DataError: their file is damaged.
    """
    if source not in (AUTO, *FINDERS):
        raise ConfigError(f"landmarks: expected a source among {AUTO}, {', '.join(FINDERS)}, found {source!r}")
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise ValueError(f"expected uint8 (H, W, 3), found {photo.dtype} {photo.shape}")
    found, finder = [], ""
    for finder in finders_of(source) if photo.size else ():
        if found := FINDERS[finder](photo, device, upright):
            break
    if standard is None and found:
        from dfmvr.align.cascade import shipped_networks

        standard = shipped_networks().standard.numpy()
    faces = []
    for one in found:
        points = one.landmarks
        box = np.concatenate([points.min(0), points.max(0)])
        yaw = fit_face(points, standard).yaw_deg
        faces.append(FoundFace(points, box, float(one.confidence), yaw, finder, one.dense))
    return sorted(faces, key=lambda face: -float((face.box[2:] - face.box[:2]).prod()))


def find_dense_of(photo: np.ndarray, landmarks: np.ndarray) -> np.ndarray | None:
    """The 478 points (478, 2) px of the face whose 68 landmarks (68, 2) px, NaN where unknown, are known.

    Args:
        photo: uint8 RGB (H, W, 3).
        landmarks: of the face.
    Returns:
        None where mediapipe is not installed, or finds no face whose landmarks are those.
    """
    from dfmvr.align.by_mediapipe import is_available

    known = np.isfinite(landmarks).all(1)
    near = SAME_FACE * np.ptp(landmarks[known], axis=0).max(initial=0.0)

    def apart(face: FoundFace) -> float:
        return float(np.linalg.norm((face.landmarks - landmarks)[known], axis=1).mean())

    best = min(find_faces(photo, "mediapipe") if is_available() else (), key=apart, default=None)
    return best.dense if best is not None and apart(best) < near else None
