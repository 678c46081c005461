"""Baking: the colours of a face from the photographs that show it.

In     a surface, such as a `Reconstruction`'s mesh, and where each photograph sees it.
Gives  a `Texture` for the mesh, and the same colours at its vertices.

The photographs are looked up at every texel and blended in linear light by the weights of `blending.py`. What no view
shows gets the model's albedo, lit like what is seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from dfmvr.colour import decode_srgb, encode_srgb
from dfmvr.geometry.resampling import sample
from dfmvr.geometry.textured import Texture
from dfmvr.reconstruct.export.atlas import Atlas, Texels
from dfmvr.reconstruct.export.blending import FACING_POWER, SeenSurface, surface_of, view_weights
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView

SIZES_PX = (512, 1024, 2048)
"""Widths and heights of textures; the smallest that is fine enough for the sharpest photograph is taken."""

TEXELS_PER_PX = 0.75
"""ASSUME: a photograph holds no detail finer than this; a camera measures one colour a pixel and guesses the others."""

FULL_FACING = 0.35
"""ASSUME: a surface that faces a camera by this much or more is shown by the photographs alone; below, the model's
colours are mixed in."""

GAIN_LIMIT = 3.0
"""Photographs whose exposures differ by more are not evened further."""

_LINEAR_OF_BYTE = decode_srgb(np.arange(256) / 255).astype(np.float32)
_STEPS = 4096
_DARK = 0.02  # in linear light: below, brightness is noise


class Baked(NamedTuple):
    """Colours of a face."""

    texture: Texture
    vertices: np.ndarray  # (V, 3) the same colours at the vertices, sRGB-encoded in [0, 1]
    seen: np.ndarray  # (V,) 1 where the colour is the photographs', 0 where it is the model's


class Sight(NamedTuple):
    """What photographs show of a surface. Colours are in linear light."""

    surface: SeenSurface
    size: int  # width and height of the texture, px
    photos: list[_Photo]
    weights: list[np.ndarray]  # (V,) of each photograph
    gains: np.ndarray  # (N, 3) by which the photographs' exposures are evened

    def blended(self, weights: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Colours (V, 3) of the vertices, and how far the photographs show them (V,), 0 to 1."""
        total = np.maximum(sum(weights), 0)
        parts = zip(self.photos, weights, self.gains, strict=True)
        colours = sum(w[:, None] * (photo.at_vertices * gain) for photo, w, gain in parts)
        colours = colours / np.maximum(total, 1e-6)[:, None]
        return colours, np.clip(total ** (1 / FACING_POWER) / FULL_FACING, 0, 1)


def bake(face: Reconstruction) -> Baked:
    """Make the texture of a face from its photographs."""
    sight = see(surface_of(face))
    colours, seen = sight.blended(sight.weights)
    filling = fill(decode_srgb(face.albedo), sight.surface.normals, colours, seen)
    filling = _matched(sight.surface.atlas, filling, colours, seen)
    return painted(sight, sight.weights, filling)


def see(surface: SeenSurface, least_px: int = SIZES_PX[0]) -> Sight:
    """Look up what photographs show of a surface, for a texture at least so wide and high."""
    face, atlas = surface.face, surface.atlas
    size = max(least_px, texture_size(face, atlas))
    weights = view_weights(surface)
    views = zip(face.views, surface.shapes, strict=True)
    photos = [_Photo(face, view, shape[: atlas.vertex_count], size / atlas.width_mm) for view, shape in views]
    return Sight(surface, size, photos, weights, even_exposures([photo.at_vertices for photo in photos], weights))


def painted(
    sight: Sight,
    weights: list[np.ndarray],
    filling: np.ndarray,
    grain: Callable[[Texels], np.ndarray] | None = None,
) -> Baked:
    """A surface's colours.

    Args:
        sight: what the photographs show.
        weights: (V,) of each photograph.
        filling: (V, 3) in linear light, the colour where they show nothing.
        grain: what that is multiplied by at each texel.
    """
    colours, seen = sight.blended(weights)
    atlas = sight.surface.atlas
    texels = atlas.texels(sight.size)
    # all that is interpolated over the surface at once: projections, weights, and the filling
    pairs = zip(sight.photos, weights, strict=True)
    columns = [np.column_stack([photo.vertices, w]) for photo, w in pairs] + [np.column_stack([filling, seen])]
    spread = [texels.weights @ column.astype(np.float32) for column in columns]
    if grain is not None:
        spread[-1][:, :3] *= grain(texels)[:, None]
    image = to_image(_paint(sight.photos, sight.gains, spread[:-1], spread[-1]), texels, sight.size)
    mixed = seen[:, None] * colours + (1 - seen[:, None]) * filling
    return Baked(Texture(image, atlas.unwrapping), encode_srgb(np.clip(mixed, 0, 1)), seen)


def _paint(photos: list[_Photo], gains: np.ndarray, places: list[np.ndarray], filling: np.ndarray) -> np.ndarray:
    """Colours (M, 3) of texels in linear light.

    Args:
        photos: the photographs.
        gains: (N, 3) theirs.
        places: (M, 4) of each photograph: the homogeneous pixel of a texel and its weight.
        filling: (M, 4): the colour where no photograph shows a texel, and how far they do show it.
    """
    share = filling[:, 3]
    total = sum(place[:, 3] for place in places)
    scale = share / np.maximum(total, 1e-6)
    result = filling[:, :3] * (1 - share)[:, None]
    for photo, gain, place in zip(photos, gains, places, strict=True):
        weight = place[:, 3] * scale
        where = np.flatnonzero(weight > 1e-3)  # each photograph shows about half of the face
        result[where] += photo.colours(place[where, :3]) * (weight[where, None] * gain)
    return result


def texture_size(face: Reconstruction, atlas: Atlas) -> int:
    """Width and height in pixels of the face's texture, of `SIZES_PX`."""
    needed = TEXELS_PER_PX * max(face.camera(view).px_per_mm for view in face.views) * atlas.width_mm
    return next((size for size in SIZES_PX if size >= needed), SIZES_PX[-1])


class _Photo:
    """The part of a photograph that shows the face, in linear light, no finer than the texture."""

    def __init__(self, face: Reconstruction, view: SeenView, shape: np.ndarray, texels_per_mm: float) -> None:
        """Look where a photograph shows a shape (V, 3), mm, canonical frame."""
        height, width = view.photo.shape[:2]
        place = face.project(view, shape)[:, :2]
        margin = 4 + 0.02 * np.ptp(place, axis=0).max()
        low = np.clip(np.floor(place.min(0) - margin), 0, (width - 1, height - 1)).astype(int)
        high = np.clip(np.ceil(place.max(0) + margin), low + 1, (width, height)).astype(int)
        part = view.photo[low[1] : high[1], low[0] : high[0]]
        scale = min(1.0, 1.5 * texels_per_mm / face.camera(view).px_per_mm)
        if scale < 1:
            part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self.image = _LINEAR_OF_BYTE[part]
        # from photograph to part, whose sides may have been rounded
        shrink = np.array([part.shape[1], part.shape[0]]) / (high - low)
        to_part = np.array([[shrink[0], 0, -shrink[0] * low[0]], [0, shrink[1], -shrink[1] * low[1]], [0, 0, 1]])
        matrix = to_part @ face.camera(view).matrix
        # (V, 3) where it shows the vertices, homogeneous pixels, which may be interpolated
        self.vertices = shape @ matrix[:, :3].T + matrix[:, 3]
        self.at_vertices = self.colours(self.vertices)  # (V, 3) in linear light

    def colours(self, seen: np.ndarray) -> np.ndarray:
        """Colours (N, 3) in linear light at homogeneous pixels (N, 3); beyond the edges those of the edges."""
        place = seen[:, :2] / np.maximum(seen[:, 2:], 1e-3)
        return np.clip(sample(self.image, place, cv2.INTER_CUBIC), 0, 1)


def even_exposures(colours: list[np.ndarray], weights: list[np.ndarray]) -> np.ndarray:
    """Gains (N, 3), by view and channel, that make the views agree where they overlap.

    Args:
        colours: (V, 3) in linear light, one a view.
        weights: (V,) one a view.
    Returns:
        Gains; that of the view with the most weight is 1, and so is that of a view without overlap.
    """
    count = len(colours)
    logs = np.zeros((count, 3))
    main = int(np.argmax([w.sum() for w in weights]))
    rows, values = [], []
    for one in range(count):
        for other in range(one):
            both = np.minimum(weights[one], weights[other])
            if both.sum() > 1e-3 * weights[main].sum():
                ratio = (both @ colours[other] + 1e-6) / (both @ colours[one] + 1e-6)
                importance = math.sqrt(both.sum())
                rows.append(importance * (np.eye(count)[one] - np.eye(count)[other]))
                values.append(importance * np.log(ratio))
    if rows:
        logs = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    limit = math.log(GAIN_LIMIT)
    return np.exp(np.clip(logs - logs[main], -limit, limit)).astype(np.float32)


def fill(albedo: np.ndarray, normals: np.ndarray, colours: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The model's albedo, lit as what the photographs show.

    The light is the brightness by channel as a linear function of the normal that fits best where the face is seen; it
    is kept between the extremes that are found there.

    Args:
        albedo: (V, 3) in linear light.
        normals: (V, 3).
        colours: (V, 3) in linear light, of the photographs.
        seen: (V,) from 0 to 1, how much of a vertex the photographs show.
    Returns:
        (V, 3) in linear light.
    """
    basis = np.column_stack([np.ones(len(normals)), normals])
    ridge = np.diag([0.0, 1, 1, 1]) * 0.02 * seen.sum()
    result = np.empty_like(albedo)
    for channel in range(3):
        lit = basis * albedo[:, channel, None]
        weighted = lit * seen[:, None]
        system = weighted.T @ lit + ridge * float(np.square(albedo[:, channel]).mean()) + 1e-9 * np.eye(4)
        light = basis @ np.linalg.solve(system, weighted.T @ colours[:, channel]) if seen.any() else np.ones(len(basis))
        well = light[seen > 0.5]
        low, high = np.percentile(well, (5, 95)) if len(well) else (0.0, 1.0)
        result[:, channel] = albedo[:, channel] * np.clip(light, max(low, 0), max(high, 0))
    return result


def _matched(atlas: Atlas, filling: np.ndarray, colours: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The filling (V, 3), as much brighter or darker as the photographs' colours (V, 3) nearby are."""
    ratio = np.log((colours + _DARK) / (filling + _DARK))
    return np.clip(filling * np.exp(atlas.spread(np.clip(ratio, -1, 1), seen**2)), 0, 1)


def to_image(linear: np.ndarray, texels: Texels, size: int) -> np.ndarray:
    """Texels' colours (M, 3), in linear light, as an image; the others get the colour of the nearest one."""
    steps = np.round(255 * encode_srgb(np.arange(_STEPS) / (_STEPS - 1))).astype(np.uint8)
    encoded = steps[np.clip(linear * (_STEPS - 1) + 0.5, 0, _STEPS - 1).astype(np.int32)]
    image = np.empty((size * size, 3), np.uint8)
    image[texels.pixel] = encoded
    image[texels.bare] = encoded[texels.nearest]
    return image.reshape(size, size, 3)
