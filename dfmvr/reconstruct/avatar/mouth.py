"""The pictures of teeth and tongue, which no photograph shows well enough to be copied.

In     a part of the head and its colour.
Gives  an image for the part's unwrapping: teeth that stand apart, of the widths that teeth have, in gums; a tongue with
       a furrow; all of it darker the farther it is from the lips, as less light comes there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import ConvexHull

from dfmvr.reconstruct.avatar.avatar import Part
from dfmvr.reconstruct.avatar.eyes import smooth_step
from dfmvr.reconstruct.export.atlas import Atlas
from dfmvr.reconstruct.export.texture import to_image

SIZE_PX = 512

TOOTH_MM = {
    "teeth_upper": (8.5, 6.5, 7.5, 7.0, 7.0, 10.0, 9.5),
    "teeth_lower": (5.0, 5.5, 7.0, 7.0, 7.0, 11.0, 10.5),
}
"""Widths of crowns, from the middle to the second molar.

Source: the means of textbooks of dental anatomy (Wheeler), to the half millimetre.
"""

CROWN_MM = (9.5, 7.0)
"""ASSUME: so high crowns are in the middle and at the back."""

GUM = np.array((0.42, 0.14, 0.13))
"""ASSUME: in linear light."""

FADE_MM = 28.0
"""ASSUME: so far behind the front of a part light has fallen to a third."""

_BINS = 24  # places along an arch at which its biting edge is looked up


def dimmed(depth_mm: np.ndarray) -> np.ndarray:
    """How much light comes so far behind the lips, of what comes to them."""
    return np.exp(-np.maximum(depth_mm, 0) / FADE_MM)


def teeth_image(part: Part, colour: np.ndarray) -> np.ndarray:
    """Paint a row of teeth.

    Args:
        part: the upper or the lower ones.
        colour: (3,) in linear light, of the foremost.
    Returns:
        (SIZE_PX, SIZE_PX, 3) uint8, sRGB-encoded.
    """
    widths = np.array(TOOTH_MM[part.name])
    arch = _Arch(part.vertices.astype(np.float64), part.name == "teeth_upper")
    # the crowns fill the arch, whatever its length
    ends = np.cumsum(widths) * arch.half_mm / widths.sum()
    edges = np.concatenate([-ends[::-1], [0.0], ends])

    def colours(points: np.ndarray) -> np.ndarray:
        along = arch.along(points)
        right = np.clip(np.searchsorted(edges, along), 1, len(edges) - 1)
        gap = np.minimum(along - edges[right - 1], edges[right] - along)  # mm to the next tooth
        share = np.clip(2 * gap / (edges[right] - edges[right - 1]), 0, 1)  # 0 between teeth, 1 in a tooth's middle
        height = np.abs(points[:, 1] - arch.bite(along))
        # gums come farther down between teeth
        crown = np.interp(np.abs(along), (0, arch.half_mm), CROWN_MM) * (0.75 + 0.25 * np.sqrt(share))
        gum = smooth_step(height, crown, 0.8)[:, None]
        between = 0.75 * np.exp(-np.square(gap / (0.25 + 0.35 * np.exp(-height / 1.5))))  # wider at the biting edge
        tooth = colour * ((0.88 + 0.12 * share) * (1 - between))[:, None]
        # yellower toward the gums
        tooth *= 1 - np.outer(height, (0, 0.006, 0.02))
        return (tooth + (GUM * colour.mean() / 0.8 - tooth) * gum) * dimmed(arch.front - points[:, 2])[:, None]

    return _painted(part, colours)


def tongue_image(part: Part, colour: np.ndarray) -> np.ndarray:
    """Paint a tongue; as `teeth_image`."""
    tip = float(part.vertices[:, 2].max())

    def colours(points: np.ndarray) -> np.ndarray:
        depth = tip - points[:, 2]
        furrow = 1 - 0.2 * np.exp(-np.square(points[:, 0] / 1.2)) * np.clip(depth / 12, 0, 1)
        return colour * (furrow * dimmed(depth))[:, None]

    return _painted(part, colours)


class _Arch:
    """The line along which teeth stand, as seen from above, and where they bite."""

    def __init__(self, vertices: np.ndarray, upper: bool) -> None:
        self.front = float(vertices[:, 2].max())
        self._middle = vertices[:, 2].min()
        hull = vertices[ConvexHull(vertices[:, ::2]).vertices][:, ::2]
        angle = np.arctan2(hull[:, 0], hull[:, 1] - self._middle)
        hull, angle = hull[np.argsort(angle)], np.sort(angle)
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(hull, axis=0), axis=1))])
        self._angle, self._length = angle, length - np.interp(0, angle, length)
        self.half_mm = float(np.abs(self._length[[0, -1]]).min())
        places = np.linspace(-self.half_mm, self.half_mm, _BINS)
        near = np.abs(self.along(vertices) - places[:, None]) < 2.5 * self.half_mm / _BINS
        self._places, near = places[near.any(1)], near[near.any(1)]
        edge = np.min if upper else np.max
        self._edge = np.array([edge(vertices[of, 1]) for of in near])

    def along(self, points: np.ndarray) -> np.ndarray:
        """How far (M,) mm along the arch points (M, 3) stand, from the middle, positive on the person's left."""
        angle = np.arctan2(points[:, 0], points[:, 2] - self._middle)
        return np.interp(angle, self._angle, self._length)

    def bite(self, along: np.ndarray) -> np.ndarray:
        """The height (M,) mm at which teeth bite, so far along the arch."""
        return np.interp(along, self._places, self._edge)


def _painted(part: Part, colours: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """An image of a part whose points (M, 3) have the `colours` (M, 3), in linear light."""
    atlas = Atlas(part.vertices.astype(np.float64), part.triangles, (part.unwrapping, part.width_mm))
    texels = atlas.texels(SIZE_PX)
    return to_image(colours(texels.weights @ part.vertices.astype(np.float64)), texels, SIZE_PX)
