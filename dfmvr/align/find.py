"""Faces and their 68 landmarks in a photograph, without any landmark file.

`own` uses the networks that ship with the package: `Search` names places, `Points` looks at each five times, every
time at what its last answer says is the upright face. `face_alignment` uses the library of that name.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import numpy as np
import torch

from dfmvr.align.crop import fit_pos, map_points, matching_points
from dfmvr.align.faces import Pyramid, find_places, keep_best, make_pyramid
from dfmvr.align.regressor import (
    CROP_PX,
    FACE_PX,
    Finder,
    Frame,
    crop_affine,
    flat_face,
    for_cv2,
    frame_of,
    normalise_crops,
    read_finder,
)
from dfmvr.assets import asset
from dfmvr.conventions import MIRRORED_68
from dfmvr.errors import ConfigError

SOURCES = ("own", "face_alignment")
WEIGHTS = "landmarks.safetensors"

FIRST_LOOKS, LAST_LOOKS = 3, 2
"""Looks at a place; the last ones, at the promising places alone, are at the mirror image too."""

MIN_PROMISE = 0.05
MIN_CONFIDENCE = 0.7
MIN_CONFIDENCE_UNSEARCHED = 0.9
"""Of a face in a place that the search did not name."""

DOUBT = 0.5
"""ASSUME: a face for which the search gave this sum of scores is half as likely to be one as `Points` says."""

MAX_ROLL_DEG = 50.0
MIN_INSIDE = 0.7
"""Share of a face's landmarks that lie in the photograph."""

STEADY = 0.03
"""ASSUME: a face whose landmarks still move by this between two looks, in widths of it, is half as likely to be one."""

_MIRRORED = list(MIRRORED_68)


class FoundFace(NamedTuple):
    """A face in a photograph."""

    landmarks: np.ndarray  # (68, 2) px of the photo, continuous (first pixel's centre 0.5), iBUG order, x right y down
    box: np.ndarray  # (4,) x0, y0, x1, y1 px, around the landmarks
    confidence: float  # 0 to 1, how sure the finder is that this is a face and its landmarks fit
    yaw_deg: float  # negative where the nose points to the image's left, as `dfmvr.align.crop.Pos.yaw_deg`


@functools.cache
def load_finder(device: str = "cpu") -> Finder:
    """Load the shipped networks, once.

    Raises:
        UnavailableError: their file is missing.
        DataError: it is damaged.
    """
    return read_finder(asset(WEIGHTS), device)[0]


def cut_crop(pyramid: Pyramid, frame: Frame) -> np.ndarray:
    """Cut the crop (64, 64) of a frame in px of the first level, out of the level that shows it about as fine."""
    depth = int(np.clip(np.floor(np.log2(max(abs(frame.turn), 1e-6) / FACE_PX)), 0, len(pyramid.levels) - 1))
    level = pyramid.levels[depth]
    ratio = np.array(level.shape[::-1]) / pyramid.levels[0].shape[::-1]
    affine = crop_affine(frame)
    affine = np.column_stack([affine[:, :2] / ratio, affine[:, 2]])
    return cv2.warpAffine(level, for_cv2(affine), (CROP_PX, CROP_PX), borderMode=cv2.BORDER_REPLICATE)


def look(finder: Finder, crops: np.ndarray, twice: bool, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Find the landmarks in crops.

    Args:
        crops: (B, 64, 64) grey levels.
        twice: also in their mirror images, and take the means.
    Returns:
        Landmarks (B, 68, 2) px of the crops, and confidences (B,).
    """
    images = torch.from_numpy(normalise_crops(crops))[:, None].to(device)
    points, logits = finder.points(torch.cat([images, images.flip(3)]) if twice else images)
    points, sure = points.float().cpu().numpy().astype(np.float64), logits.float().sigmoid().cpu().numpy()
    if not twice:
        return points, sure
    count = len(crops)
    mirrored = points[count:, _MIRRORED] * (-1, 1) + (CROP_PX, 0)
    return (points[:count] + mirrored) / 2, (sure[:count] + sure[count:]) / 2


def _inverse(affine: np.ndarray) -> np.ndarray:
    """The inverse of an affine map (2, 3)."""
    linear = np.linalg.inv(affine[:, :2])
    return np.column_stack([linear, -linear @ affine[:, 2]])


def _look_again(
    finder: Finder, pyramid: Pyramid, frames: list[Frame], twice: bool, device: str
) -> tuple[list[Frame], np.ndarray, np.ndarray]:
    """Look at frames; give the frames of what is there, its landmarks in px of the first level, and confidences."""
    found, confidence = look(finder, np.stack([cut_crop(pyramid, frame) for frame in frames]), twice, device)
    points = np.stack([map_points(_inverse(crop_affine(f)), p) for f, p in zip(frames, found, strict=True)])
    flat = flat_face(finder.standard.cpu().numpy())
    limit = 4 * max(pyramid.levels[0].shape)
    fitted = [frame_of(p, flat) for p in points]
    return [n if 1 < abs(n.turn) < limit else o for n, o in zip(fitted, frames, strict=True)], points, confidence


def settle(finder: Finder, pyramid: Pyramid, frames: list[Frame], device: str) -> tuple[np.ndarray, np.ndarray]:
    """Look at places again and again, each time at the upright face of the last landmarks.

    Args:
        frames: N places, in px of the pyramid's first level.
    Returns:
        Landmarks (N, 68, 2) px of the first level, and confidences (N,), 0 where there is nothing to be found.
    """
    points, confidence = np.zeros((len(frames), 68, 2)), np.zeros(len(frames))
    for _ in range(FIRST_LOOKS if frames else 0):
        frames, points, confidence = _look_again(finder, pyramid, frames, False, device)
    promising = np.flatnonzero(confidence > MIN_PROMISE)
    result = np.zeros(len(frames))
    if not len(promising):
        return points, result
    frames, last, result[promising] = [frames[i] for i in promising], points[promising], 1.0
    for _ in range(LAST_LOOKS):
        before, widths = last, np.array([abs(frame.turn) for frame in frames])
        frames, last, now = _look_again(finder, pyramid, frames, True, device)
        result[promising] = np.minimum(result[promising], now)
    moved = np.linalg.norm(last - before, axis=2).mean(1) / widths
    result[promising] *= _plausible(last, frames, pyramid) / (1 + (moved / STEADY) ** 2)
    points[promising] = last
    return points, result


def _plausible(points: np.ndarray, frames: list[Frame], pyramid: Pyramid) -> np.ndarray:
    """Tell which faces are about upright and mostly inside the picture, (N,) bool."""
    size = pyramid.levels[0].shape[::-1]
    inside = ((points >= 0) & (points <= size)).all(2).mean(1) >= MIN_INSIDE
    return inside & np.array([abs(np.degrees(np.angle(frame.turn))) < MAX_ROLL_DEG for frame in frames])


def _guesses(pyramid: Pyramid) -> list[Frame]:
    """Frames where a face may be that the search has missed: in the middle and around it, at three sizes."""
    height, width = pyramid.levels[0].shape
    side, guesses = min(height, width), []
    for share in (0.85, 0.6, 0.42):
        steps = (-0.25, 0.0, 0.25) if share < 0.6 else (0.0,)
        guesses += [
            Frame(complex(share * side), complex(width / 2 + dx * side, height / 2 + dy * side))
            for dx in steps
            for dy in steps
        ]
    return guesses


def yaw_of(landmarks: np.ndarray, standard: np.ndarray) -> float:
    """Yaw of a face in degrees, as `dfmvr.align.crop.find_alignment` measures it."""
    points, matching = matching_points(landmarks, standard)
    return fit_pos(points * (1, -1), matching).yaw_deg


def _face(landmarks: np.ndarray, confidence: float, standard: np.ndarray) -> FoundFace:
    box = np.concatenate([landmarks.min(0), landmarks.max(0)])
    return FoundFace(landmarks, box, float(confidence), yaw_of(landmarks, standard))


def find_own(finder: Finder, photo: np.ndarray, device: str = "cpu") -> list[tuple[np.ndarray, float]]:
    """Find faces by a pair of networks; landmarks (68, 2) px of the photo and confidence, in no order."""
    pyramid = make_pyramid(photo)
    with torch.inference_mode():
        places = find_places(finder, pyramid, device)
        points, confidence = settle(finder, pyramid, [frame for frame, _ in places], device)
        votes = np.array([votes for _, votes in places])
        sure = confidence * votes / (votes + DOUBT) >= MIN_CONFIDENCE
        if sure.any():
            confidence = confidence * votes / (votes + DOUBT)
        else:
            points, confidence = settle(finder, pyramid, _guesses(pyramid), device)
            sure = confidence >= MIN_CONFIDENCE_UNSEARCHED
    points, confidence = points[sure], confidence[sure]
    boxes = np.concatenate([points.min(1), points.max(1)], 1) if len(points) else np.zeros((0, 4))
    kept = keep_best(boxes, confidence, len(boxes))
    scale = np.array(photo.shape[1::-1]) / pyramid.levels[0].shape[::-1]
    return [(points[i] * scale, float(confidence[i])) for i in kept]


def find_faces(
    photo: np.ndarray, source: str = "own", standard: np.ndarray | None = None, device: str = "cpu"
) -> list[FoundFace]:
    """Find all faces of a photograph.

    Args:
        photo: uint8 RGB (H, W, 3), upright.
        source: 'own' or 'face_alignment'.
        standard: (68, 3) mm, the mean face's landmarks (`dfmvr.align.crop.read_standard_points`), by which the yaw is
            measured; by default those that ship with the networks.
        device: 'cpu', 'cuda' or 'mps'.
    Returns:
        The faces, the largest first; empty if there is none.
    Raises:
        ConfigError: no such source.
        UnavailableError: the networks are not to be had here. DataError: their file is damaged.
    """
    if source not in SOURCES:
        raise ConfigError(f"landmarks: expected a source among {', '.join(SOURCES)}, found {source!r}")
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise ValueError(f"expected uint8 (H, W, 3), found {photo.dtype} {photo.shape}")
    if 0 in photo.shape:
        return []
    if source == "own":
        found = find_own(load_finder(device), photo, device)
    else:
        from dfmvr.align.detect import detect_faces

        found = detect_faces(photo, device)
    if standard is None and found:
        standard = load_finder().standard.numpy()
    faces = [_face(landmarks, confidence, standard) for landmarks, confidence in found]
    return sorted(faces, key=lambda face: -float((face.box[2:] - face.box[:2]).prod()))
