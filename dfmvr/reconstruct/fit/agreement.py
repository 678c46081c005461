"""Agreement of photographs: what two of them show at one point of the surface looks the same.

The second photograph is carried along the surface into the first; the optical flow between the two says where the
surface would have to be for them to agree. Unlike a descent on differences of colours it finds its way from several
pixels off, and its residuals are pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from dfmvr.reconstruct.fit.equations import NormalEquations, robust_weight
from dfmvr.reconstruct.fit.landmarks import PX_PER_MM
from dfmvr.reconstruct.fit.pictures import MIDDLE, Picture, sample
from dfmvr.reconstruct.fit.seeing import Seen

REFERENCE_PX = 448
"""Size of a crop in whose pixels the lengths below are."""

SPREAD_PX = 0.75
"""ASSUME: standard deviation of a flow's error, and at the least so much, px of the photograph:"""
LEAST_SPREAD_PX = 0.6

ALIKE = 6.0
"""ASSUME: flow is smooth, so that many neighbouring residuals say the same; so many count as one measurement."""

MOST = 1500
"""Points of a pair of photographs that are used."""

LEAST = 50
"""ASSUME: fewer points that both photographs show tell nothing."""

LEAST_COSINE = 0.1
LEAST_SHOWN = 0.1
LEAST_CORRELATION = 0.2
CORRELATED_PX = 4.0
"""Width about a place in which the pictures must correlate after the flow."""


class Agreement(NamedTuple):
    """What a pair of photographs says; M points of the surface."""

    points: np.ndarray  # (M,) vertices
    target: np.ndarray  # (M, 2) px of the second photograph, where what the first shows there is seen
    spread: float  # standard deviation of the target, px
    correlation: np.ndarray  # (M,) of the two pictures about the place
    shown: np.ndarray  # (M,) how well both show the point

    def missed(self, second: Seen) -> float:
        """How far the second photograph is from what the first shows, in the middle, mm of the face."""
        distance = np.median(np.linalg.norm(self.target - second.pixels[self.points], axis=1))
        return float(distance / (PX_PER_MM * second.size))


class Asked(NamedTuple):
    """What a pair of photographs asked of a step; M points of the surface."""

    points: np.ndarray  # (M,) vertices
    terms: list[tuple[slice, np.ndarray]]  # as `NormalEquations.add` takes them
    residual: np.ndarray  # (M, 2) px of the second photograph
    weight: np.ndarray  # (M,) px^-2
    along_normal: np.ndarray  # (M, 2) px to a mm that a point moves along its normal


def find_agreement(first: Seen, second: Seen, pictures: tuple[Picture, Picture]) -> Agreement | None:
    """Compare two photographs by way of the surface; None where they share too little of it."""
    drawn = first.shapes.drawn
    shown = first.shown * second.shown * np.sqrt(first.cosine * second.cosine)
    shown *= (first.cosine > LEAST_COSINE) & (second.cosine > LEAST_COSINE)
    points = np.flatnonzero(shown > LEAST_SHOWN)
    if len(points) < LEAST:
        return None
    points = points[:: max(1, len(points) // MOST)]
    to_x, to_y, common = first.drawn(np.column_stack((second.pixels[:drawn], shown)))
    inside = first.covered & (common > LEAST_SHOWN)
    here = np.where(inside, pictures[0].evened, MIDDLE).astype(np.uint8)
    carried = cv2.remap(pictures[1].evened, to_x - 0.5, to_y - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    carried = np.where(inside, carried, MIDDLE).astype(np.uint8)
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(here, carried, None)
    alike = _correlation(here, carried, flow)
    places = first.pixels[points]
    moved = places + sample(flow, places)
    within = cv2.erode(inside.astype(np.float32), np.ones((5, 5)))
    correlation = sample(alike, places)
    sound = (sample(within, places) > 0.99) & (sample(inside.astype(np.float32), moved) > 0.99)
    kept = np.flatnonzero(sound & (correlation > LEAST_CORRELATION))
    if len(kept) < LEAST:
        return None
    target = np.column_stack([sample(plane, moved[kept]) for plane in (to_x, to_y)])
    spread = max(SPREAD_PX * first.size / REFERENCE_PX, LEAST_SPREAD_PX * max(one.enlarged for one in pictures))
    return Agreement(points[kept], target, spread, correlation[kept], shown[points[kept]])


def add_agreement(
    equations: NormalEquations,
    found: Agreement,
    seen: tuple[Seen, Seen],
    places: tuple[int, int],
    wider: float = 1.0,
) -> Asked:
    """Add what a pair of photographs says to the normal equations.

    The surface moves under a pixel of the first photograph by `-A` times what its point moves there, A being the map
    of the surface's neighbourhood from the first photograph to the second; so the point seen in the second moves by
    its own motion less A times that in the first.

    Args:
        equations: get one pair of residuals a point.
        found: by `find_agreement`.
        seen: the first photograph and the second.
        places: their numbers.
        wider: factor of the flow's spread, by which early steps trust the flow less and reach farther.
    Returns:
        What was added.
    """
    first, second = seen
    points = found.points
    along = _tangents(first.normals[points])
    across = (second.of_vertex[points] @ along) @ np.linalg.inv(first.of_vertex[points] @ along)
    residual = found.target - second.pixels[points]
    weight = found.shown * found.correlation.clip(0, 1) ** 2 * robust_weight(residual, wider * found.spread)
    # a pair has as much to say however many points are left
    weight *= MOST / len(points) / ALIKE
    basis = first.shapes.basis[points]
    there = second.of_vertex[points].astype(np.float32) @ basis
    here = (-across @ first.of_vertex[points]).astype(np.float32) @ basis
    terms = [
        *equations.shape(there, places[1]),
        *equations.shape(here, places[0]),
        (equations.pose(places[1]), second.of_pose[points]),
        (equations.pose(places[0]), -across @ first.of_pose[points]),
    ]
    equations.add(terms, residual, weight)
    moved = second.of_vertex[points] - across @ first.of_vertex[points]
    return Asked(points, terms, residual, weight, (moved @ first.normals[points, :, None])[..., 0])


def _tangents(normals: np.ndarray) -> np.ndarray:
    """Two directions (M, 3, 2) in the planes of unit normals (M, 3)."""
    smallest = np.eye(3)[np.abs(normals).argmin(1)]
    first = np.cross(normals, smallest)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack((first, np.cross(normals, first)), -1)


def _correlation(here: np.ndarray, carried: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Normalised correlation (S, S) of two pictures about each place, after the flow from the first to the second."""
    size = len(here)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    back = cv2.remap(carried, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR)
    one, other = (picture.astype(np.float32) - MIDDLE for picture in (here, back))
    width = CORRELATED_PX * size / REFERENCE_PX
    product, square, other_square = (
        cv2.GaussianBlur(x, (0, 0), width) for x in (one * other, one * one, other * other)
    )
    return product / np.sqrt(square * other_square + 25.0)
