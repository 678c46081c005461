"""Where faces are in a picture: the network `Search` over pictures of halving size.

Source: the pyramid of Viola and Jones 2004 and its successors; one network, faces of one octave each.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from dfmvr.align.frame import Frame
from dfmvr.align.landmark_networks import SEARCHED_PX, STRIDE, Search, normalise_picture

SMALLEST_FACE_PX = 36.0
"""Width of the narrowest face that is looked for, in px of the working picture."""

LARGEST_WORKING_PX = 1024
"""ASSUME: in a larger picture, faces narrower than 1/28 of its longer side are not what it was taken for."""

BORDER_PX = 16
"""What a picture is continued by, so that a face at its rim stands inside."""

MIN_SCORE = 0.25
MAX_PLACES = 16
"""Places that are looked at more closely, the most likely first."""

MAX_OVERLAP = 0.3
SAME_FACE = 0.5
"""Overlap from which two answers are about the same face, whose place is their mean."""


Pyramid = list[np.ndarray]
"""A picture in grey, uint8 (h, w), and halved again and again."""


def make_pyramid(photo: np.ndarray) -> Pyramid:
    """Shrink an RGB photograph (H, W, 3) to working size and halve it down to some pixels."""
    grey = cv2.cvtColor(np.ascontiguousarray(photo), cv2.COLOR_RGB2GRAY)
    levels = [_resized(grey, 1 / max(1.0, max(grey.shape) / LARGEST_WORKING_PX))]
    while max(levels[-1].shape) > SEARCHED_PX[1]:
        levels.append(_resized(levels[-1], 0.5))
    return levels


def _resized(grey: np.ndarray, factor: float) -> np.ndarray:
    """Resize by a factor of at most 1, by the mean of what a pixel covers."""
    shape = tuple(max(1, round(n * factor)) for n in grey.shape[::-1])
    return grey if shape == grey.shape[::-1] else cv2.resize(grey, shape, interpolation=cv2.INTER_AREA)


def overlap(first: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with others (N, 4), as x0, y0, x1, y1."""
    common = np.clip(np.minimum(first[2:], others[:, 2:]) - np.maximum(first[:2], others[:, :2]), 0, None).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1) + (first[2:] - first[:2]).prod()
    return common / np.maximum(areas - common, 1e-9)


def keep_best(boxes: np.ndarray, scores: np.ndarray, most: int) -> list[int]:
    """Of boxes (N, 4) that overlap keep the one with the highest score; indices, best first."""
    left, kept = np.argsort(-scores, kind="stable"), []
    while len(left) and len(kept) < most:
        kept.append(int(left[0]))
        left = left[1:][overlap(boxes[left[0]], boxes[left[1:]]) <= MAX_OVERLAP]
    return kept


def _search(network: Search, level: np.ndarray, factor: float, device: str) -> np.ndarray:
    """Look at one picture; rows of score, centre x and y, width, in px of the picture times `factor`."""
    height, width = level.shape
    bottom, right = (BORDER_PX + -n % STRIDE for n in (height, width))
    padded = cv2.copyMakeBorder(level, BORDER_PX, bottom, BORDER_PX, right, cv2.BORDER_REPLICATE)
    tensor = torch.from_numpy(normalise_picture(padded))[None, None].to(device)
    answer = network(tensor)[0].float().cpu().numpy()
    score = 1 / (1 + np.exp(-answer[0]))
    y, x = np.nonzero(score > MIN_SCORE)
    way, log_width = answer[1:3, y, x] * Search.UNIT_PX, answer[3, y, x]
    centre = (np.stack([x, y]) + 0.5) * STRIDE + way - BORDER_PX
    widths = Search.UNIT_PX * np.exp(np.clip(log_width, -1.2, 1.2))
    return np.column_stack([score[y, x], *(factor * centre), factor * widths])


def find_places(network: Search, pyramid: Pyramid, device: str) -> list[tuple[Frame, float]]:
    """Find where faces may be: upright frames in px of the pyramid's first level, each with its sum of scores."""
    start = min(1.0, SEARCHED_PX[0] / SMALLEST_FACE_PX)
    found = []
    for depth, level in enumerate(pyramid):
        small = _resized(level, start)
        found.append(_search(network, small, level.shape[1] / small.shape[1] * 2.0**depth, device))
    rows = np.concatenate(found)
    half = rows[:, 3:] / 2
    boxes = np.column_stack([rows[:, 1:3] - half, rows[:, 1:3] + half])
    places = []
    for i in keep_best(boxes, rows[:, 0], MAX_PLACES):
        same = overlap(boxes[i], boxes) > SAME_FACE
        x, y, width = np.average(rows[same, 1:], 0, rows[same, 0])
        places.append((Frame(complex(width), complex(x, y)), float(rows[same, 0].sum())))
    return places
