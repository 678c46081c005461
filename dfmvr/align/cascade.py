"""Finding landmarks by the networks that ship: `Search` names places, `Points` looks at each five times.

Every look is at what the last answer says is the upright face (a cascade, Cao et al. 2014).
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from dfmvr.align.crop import map_points
from dfmvr.align.frame import CROP_PX, FACE_PX, Frame, crop_affine, flat_face, frame_of, inverse_affine, warp
from dfmvr.align.landmark_networks import LandmarkNetworks, normalise_crops, read_landmark_networks
from dfmvr.align.places import Pyramid, find_places, keep_best, make_pyramid
from dfmvr.assets.files import asset
from dfmvr.conventions import MIRRORED_68

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


@functools.cache
def shipped_networks(device: str = "cpu") -> LandmarkNetworks:
    """Load the shipped networks, once.

    Raises:
        UnavailableError: their file is missing.
        DataError: it is damaged.
    """
    return read_landmark_networks(asset(WEIGHTS), device)[0]


def find_by_cascade(networks: LandmarkNetworks, photo: np.ndarray, device: str) -> list[tuple[np.ndarray, float]]:
    """Find faces: landmarks (68, 2) px of the photo (H, W, 3) uint8 and confidence, in no order."""
    pyramid = make_pyramid(photo)
    with torch.inference_mode():
        places = find_places(networks.search, pyramid, device)
        points, confidence = locate(networks, pyramid, [frame for frame, _ in places], device)
        votes = np.array([votes for _, votes in places])
        doubted = confidence * votes / (votes + DOUBT)
        sure = doubted >= MIN_CONFIDENCE
        if sure.any():
            confidence = doubted
        else:
            points, confidence = locate(networks, pyramid, _guesses(pyramid), device)
            sure = confidence >= MIN_CONFIDENCE_UNSEARCHED
    points, confidence = points[sure], confidence[sure]
    boxes = np.concatenate([points.min(1), points.max(1)], 1) if len(points) else np.zeros((0, 4))
    scale = np.array(photo.shape[1::-1]) / pyramid[0].shape[::-1]
    return [(points[i] * scale, float(confidence[i])) for i in keep_best(boxes, confidence, len(boxes))]


def locate(
    networks: LandmarkNetworks, pyramid: Pyramid, frames: list[Frame], device: str
) -> tuple[np.ndarray, np.ndarray]:
    """Find the landmarks at places, looking again and again, each time at the upright face of the last landmarks.

    Args:
        frames: N places, in px of the pyramid's first level.
    Returns:
        Landmarks (N, 68, 2) px of the first level, and confidences (N,), 0 where there is nothing to be found.
    """
    points, confidence = np.zeros((len(frames), 68, 2)), np.zeros(len(frames))
    for _ in range(FIRST_LOOKS if frames else 0):
        frames, points, confidence = _upright(networks, pyramid, frames, False, device)
    promising = np.flatnonzero(confidence > MIN_PROMISE)
    result = np.zeros(len(frames))
    if not len(promising):
        return points, result
    frames, last, result[promising] = [frames[i] for i in promising], points[promising], 1.0
    for _ in range(LAST_LOOKS):
        before, widths = last, np.array([abs(frame.turn) for frame in frames])
        frames, last, now = _upright(networks, pyramid, frames, True, device)
        result[promising] = np.minimum(result[promising], now)
    moved = np.linalg.norm(last - before, axis=2).mean(1) / widths
    result[promising] *= _plausible(last, frames, pyramid) / (1 + (moved / STEADY) ** 2)
    points[promising] = last
    return points, result


def _upright(
    networks: LandmarkNetworks, pyramid: Pyramid, frames: list[Frame], twice: bool, device: str
) -> tuple[list[Frame], np.ndarray, np.ndarray]:
    """The upright faces in frames: theirs, their landmarks (N, 68, 2) px of the first level, and confidences (N,)."""
    found, confidence = _landmarks(networks, np.stack([cut_crop(pyramid, frame) for frame in frames]), twice, device)
    points = np.stack([map_points(inverse_affine(crop_affine(f)), p) for f, p in zip(frames, found, strict=True)])
    flat, limit = flat_face(networks.standard.cpu().numpy()), 4 * max(pyramid[0].shape)
    fitted = [frame_of(p, flat) for p in points]
    return [n if 1 < abs(n.turn) < limit else o for n, o in zip(fitted, frames, strict=True)], points, confidence


def cut_crop(pyramid: Pyramid, frame: Frame) -> np.ndarray:
    """Cut the crop (64, 64) of a frame in px of the first level, out of the level that shows it about as fine."""
    depth = int(np.clip(np.floor(np.log2(max(abs(frame.turn), 1e-6) / FACE_PX)), 0, len(pyramid) - 1))
    ratio = np.array(pyramid[depth].shape[::-1]) / pyramid[0].shape[::-1]
    affine = crop_affine(frame)
    return warp(pyramid[depth], np.column_stack([affine[:, :2] / ratio, affine[:, 2]]), CROP_PX)


def _landmarks(
    networks: LandmarkNetworks, crops: np.ndarray, twice: bool, device: str
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (B, 68, 2) px in crops (B, 64, 64) of grey levels, and confidences (B,).

    Looked at `twice`, as they are and mirrored, the answers are the means.
    """
    images = torch.from_numpy(normalise_crops(crops))[:, None].to(device)
    points, logits = networks.points(torch.cat([images, images.flip(3)]) if twice else images)
    points, sure = points.float().cpu().numpy().astype(np.float64), logits.float().sigmoid().cpu().numpy()
    if not twice:
        return points, sure
    count = len(crops)
    mirrored = points[count:, _MIRRORED] * (-1, 1) + (CROP_PX, 0)
    return (points[:count] + mirrored) / 2, (sure[:count] + sure[count:]) / 2


def _plausible(points: np.ndarray, frames: list[Frame], pyramid: Pyramid) -> np.ndarray:
    """Tell which faces are about upright and mostly inside the picture, (N,) bool."""
    inside = ((points >= 0) & (points <= pyramid[0].shape[::-1])).all(2).mean(1) >= MIN_INSIDE
    return inside & np.array([abs(np.degrees(np.angle(frame.turn))) < MAX_ROLL_DEG for frame in frames])


def _guesses(pyramid: Pyramid) -> list[Frame]:
    """Frames where a face may be that the search has missed: in the middle and around it, at three sizes."""
    height, width = pyramid[0].shape
    side, guesses = min(height, width), []
    for share, steps in ((0.85, (0.0,)), (0.6, (0.0,)), (0.42, (-0.25, 0.0, 0.25))):
        centres = [complex(width / 2 + dx * side, height / 2 + dy * side) for dx in steps for dy in steps]
        guesses += [Frame(complex(share * side), centre) for centre in centres]
    return guesses
