"""Faces and their 68 landmarks in a photograph, without any landmark file: one interface to all finders."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dfmvr.align.crop import fit_face
from dfmvr.errors import ConfigError


class FoundFace(NamedTuple):
    """A face in a photograph."""

    landmarks: np.ndarray  # (68, 2) px of the photo, continuous (first pixel's centre 0.5), iBUG order, x right y down
    box: np.ndarray  # (4,) x0, y0, x1, y1 px, around the landmarks
    confidence: float  # 0 to 1, how sure the finder is that this is a face and its landmarks fit
    yaw_deg: float  # negative where the nose points to the image's left, as `dfmvr.align.crop.Pos.yaw_deg`


Landmarks = list[tuple[np.ndarray, float]]
"""Of every face its landmarks (68, 2) px and a confidence, in no order."""


def _by_cascade(photo: np.ndarray, device: str) -> Landmarks:
    from dfmvr.align.cascade import find_by_cascade, shipped_networks

    return find_by_cascade(shipped_networks(device), photo, device)


def _by_face_alignment(photo: np.ndarray, device: str) -> Landmarks:
    from dfmvr.align.by_face_alignment import find_by_library

    return find_by_library(photo, device)


FINDERS: dict[str, Callable[[np.ndarray, str], Landmarks]] = {"own": _by_cascade, "face_alignment": _by_face_alignment}
"""What finds the landmarks of a photograph (H, W, 3) uint8 on a device: our networks, or the library of that name."""


def find_faces(
    photo: np.ndarray, source: str = "own", standard: np.ndarray | None = None, device: str = "cpu"
) -> list[FoundFace]:
    """Find all faces of a photograph.

    Args:
        photo: uint8 RGB (H, W, 3), upright.
        source: one of `FINDERS`.
        standard: (68, 3) mm, the mean face's landmarks (`dfmvr.align.crop.read_standard_points`), by which the yaw is
            measured; by default those that ship with the networks.
        device: 'cpu', 'cuda' or 'mps'.
    Returns:
        The faces, the largest first; empty if there is none.
    Raises:
        ConfigError: no such source.
        UnavailableError: the networks are not to be had here. DataError: their file is damaged.
    """
    if source not in FINDERS:
        raise ConfigError(f"landmarks: expected a source among {', '.join(FINDERS)}, found {source!r}")
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise ValueError(f"expected uint8 (H, W, 3), found {photo.dtype} {photo.shape}")
    found = FINDERS[source](photo, device) if photo.size else []
    if standard is None and found:
        from dfmvr.align.cascade import shipped_networks

        standard = shipped_networks().standard.numpy()
    faces = []
    for landmarks, confidence in found:
        box = np.concatenate([landmarks.min(0), landmarks.max(0)])
        faces.append(FoundFace(landmarks, box, float(confidence), fit_face(landmarks, standard).yaw_deg))
    return sorted(faces, key=lambda face: -float((face.box[2:] - face.box[:2]).prod()))
