"""Pictures of a face: laid over its photographs, and from several sides.

In     a `Reconstruction`, and for the turntable its texture.
Gives  images (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from dfmvr.colour import encode_srgb
from dfmvr.conventions import CAMERA_DISTANCE_MM
from dfmvr.geometry.normals import vertex_normals
from dfmvr.geometry.resampling import sample
from dfmvr.geometry.textured import Texture
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView
from dfmvr.rendering.rasterizer import interpolate_hits, rasterize_hits, scatter_pixels
from dfmvr.rendering.shading import shade

FOUND_COLOUR, MODEL_COLOUR = (40, 220, 255), (255, 150, 30)
"""Of the landmarks in the photograph and of those of the model."""

SMALLEST_PX, LARGEST_PX = 480, 800
"""Longest side of a panel: smaller photographs are enlarged, larger ones shrunk."""

SIDES_DEG = ((-70, 0), (-35, 0), (0, 0), (35, 0), (70, 0), (25, 25))
"""Turns of the turntable about the upright axis, positive to the image's right, and down."""

TILE_PX = (300, 250)
"""Height and width of a picture of the turntable."""

_RENDERED_PX = 800  # ASSUME: longest side of what is rendered: pictures of larger faces are not smoothed as finely
_FINER = 2.0  # rendered at this many times the picture's resolution, if that is not too large
_CLAY = 0.62
_PAPER = (244, 245, 247)
# direction toward each lamp, to the viewer's right, up, and toward the viewer, and its strength
_LAMPS = (((-0.5, 0.6, 0.65), 0.7), ((0.8, 0.1, 0.5), 0.22), ((0.0, 0.2, 1.0), 0.14))
_AMBIENT = 0.1


def overlay(face: Reconstruction, view: SeenView) -> np.ndarray:
    """Three panels: the photograph with its landmarks and the model's, the model's face over it, and its shape.

    The face in the middle has the model's albedo under the light that the network found in this photograph.

    Returns:
        (H, W, 3) uint8; the photograph's shape three times side by side above a line that names the marks.
    """
    height, width = view.photo.shape[:2]
    longest = max(height, width)
    scale = min(max(longest, SMALLEST_PX), LARGEST_PX) / longest
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    photo = cv2.resize(view.photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    stretch = np.array(size) / (width, height)
    panels = [_with_landmarks(face, view, photo, stretch), *_laid_over(face, view, photo, stretch)]
    return np.vstack([np.hstack(panels), _legend(3 * size[0])])


def _laid_over(
    face: Reconstruction, view: SeenView, photo: np.ndarray, stretch: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The photograph with the lit face over it, and with its shape; changed only where the face is.

    Args:
        face: the face.
        view: one of its views.
        photo: the view's photograph at the size of a panel.
        stretch: (2,) from the photograph's pixels to the panel's.
    """
    with_face, with_shape = photo.copy(), photo.copy()
    place = face.project(view)
    place[:, :2] *= stretch
    low = np.maximum(np.floor(place[:, :2].min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(place[:, :2].max(0)).astype(int) + 1, photo.shape[1::-1])
    if (high <= low).any() or place[:, 2].max() <= 0:
        return with_face, with_shape  # the face lies outside
    finer = max(1.0, min(_FINER, _RENDERED_PX / max(high - low)))
    width, height = (math.ceil(side * finer) for side in high - low)
    place[:, :2] = (place[:, :2] - low) * (np.array([width, height]) / (high - low))
    normals, lit = lit_albedo(face, view)
    colours = torch.cat((lit, _clay(normals), torch.ones_like(lit[..., :1])), -1)
    projected = torch.from_numpy(place).float()[None]
    faces, hits = rasterize_hits(projected, face.model.triangles, (height, width))
    planes = scatter_pixels(hits, interpolate_hits(hits, colours), tuple(faces.shape))[:, 0]
    small = _shrink(planes.numpy(), (high - low)[::-1])
    alpha = small[..., 6:]
    for over, image in ((with_face, small[..., :3]), (with_shape, small[..., 3:6])):
        part = over[low[1] : high[1], low[0] : high[0]]
        mixed = np.round(np.clip(255 * image + (1 - alpha) * part, 0, 255))
        np.copyto(part, mixed, "unsafe", where=alpha > 0)
    return with_face, with_shape


def lit_albedo(face: Reconstruction, view: SeenView) -> tuple[Tensor, Tensor]:
    """Normals (1, V, 3) in the frame of a view's camera, and the model's albedo (1, V, 3) under the light found there.

    Both are float32; the albedo is sRGB-encoded, in [0, 1].
    """
    normals = _normals(face, face.vertices_in(view)) @ torch.from_numpy(face.camera(view).rotation).float().T
    light = face.coefficients.lighting[:, view.place].float()
    return normals, shade(torch.from_numpy(face.albedo).float()[None], normals, light).clamp(0, 1)


def _shrink(planes: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Planes (C, H, W) at another height and width, (h, w, C): the mean of what falls into a pixel."""
    shape = (int(size[1]), int(size[0]))
    return np.stack([cv2.resize(plane, shape, interpolation=cv2.INTER_AREA) for plane in planes], -1)


def _with_landmarks(face: Reconstruction, view: SeenView, photo: np.ndarray, stretch: np.ndarray) -> np.ndarray:
    """The photograph with the landmarks found in it and, as smaller dots, the model's."""
    marked = photo.copy()
    model = face.project(view)[face.model.landmarks_68.numpy(), :2]
    radius = max(2.0, max(photo.shape) / 240)
    for points, colour, size in ((view.landmarks, FOUND_COLOUR, radius), (model, MODEL_COLOUR, 0.6 * radius)):
        for x, y in np.asarray(points) * stretch:
            if math.isfinite(x) and math.isfinite(y):
                _dot(marked, x, y, size, colour)
    return marked


def _dot(image: np.ndarray, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
    """A smooth dot with a dark rim at continuous pixels."""
    for size, shade_of in ((radius + 0.8, (20, 20, 20)), (radius, colour)):
        centre = (round(16 * (x - 0.5)), round(16 * (y - 0.5)))  # OpenCV counts from pixels' centres, here in 1/16
        cv2.circle(image, centre, round(16 * size), shade_of, -1, cv2.LINE_AA, 4)


def _legend(width: int) -> np.ndarray:
    """A line that names the dots and the panels."""
    line, third = np.full((30, width, 3), 255, np.uint8), width // 3
    _dot(line, 10, 15, 4, FOUND_COLOUR)
    _dot(line, 205, 15, 4, MODEL_COLOUR)
    texts = {"landmarks in the photo": 19, "of the model": 214}
    texts |= {"model's colours and light": third + 10, "shape": 2 * third + 10}
    for text, x in texts.items():
        cv2.putText(line, text, (x, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (50, 50, 50), 1, cv2.LINE_AA)
    return line


def turntable(face: Reconstruction, texture: Texture | None, colours: np.ndarray) -> np.ndarray:
    """The face from several sides: above with its colours, below its shape.

    Args:
        face: the face.
        texture: of the mesh, or None.
        colours: (V, 3) in [0, 1], sRGB-encoded, of the vertices, for where there is no texture.
    Returns:
        (H, W, 3) uint8: SIDES_DEG side by side, each TILE_PX.
    """
    height, width = (round(1.5 * side) for side in TILE_PX)
    turns = torch.stack([_turn(*map(math.radians, pair)) for pair in SIDES_DEG])
    vertices = torch.from_numpy(face.vertices).float()
    centre = (vertices.amin(0) + vertices.amax(0)) / 2
    posed = (vertices - centre) @ turns.transpose(1, 2)
    projected = _into_tile(posed, height, width)
    clay = _clay(_normals(face, face.vertices) @ turns.transpose(1, 2))
    values = torch.cat((clay, torch.from_numpy(colours).float().expand(len(turns), -1, -1)), -1)
    rows, triangles, places = slice(None), face.model.triangles, None
    if texture is not None:
        unwrapping = texture.unwrapping
        rows, triangles = unwrapping.vertex, torch.from_numpy(unwrapping.triangles)
        places = torch.from_numpy(unwrapping.uv).float().expand(len(turns), -1, -1)
    faces, hits = rasterize_hits(projected[:, rows], triangles, (height, width), cull_backfaces=True)
    found = interpolate_hits(hits, values[:, rows])
    if places is not None:
        u, v = interpolate_hits(hits, places).numpy()
        high, wide = texture.image.shape[:2]
        colours = sample(texture.image, np.column_stack([u * wide, (1 - v) * high]))
        found[3:] = torch.from_numpy(colours.T.astype(np.float32) / 255)
    planes = scatter_pixels(hits, torch.cat((found, torch.ones_like(found[:1]))), tuple(faces.shape))
    return _tiles(planes)


def _tiles(planes: Tensor) -> np.ndarray:
    """Pictures (7, N, h, w) of shape, colours and cover on paper, N side by side in two rows."""
    above, below = [], []
    for picture in planes.transpose(0, 1).numpy():
        small = _shrink(picture, TILE_PX)
        paper = (1 - small[..., 6:]) * np.array(_PAPER)
        above.append(255 * small[..., 3:6] + paper)
        below.append(255 * small[..., :3] + paper)
    rows = np.vstack([np.hstack(above), np.hstack(below)])
    return np.round(np.clip(rows, 0, 255)).astype(np.uint8)


def _into_tile(posed: Tensor, height: int, width: int) -> Tensor:
    """Project points (N, V, 3) mm about the origin so that all N pictures are filled, to one scale."""
    depth = CAMERA_DISTANCE_MM - posed[..., 2]
    flat = posed[..., :2] * (CAMERA_DISTANCE_MM / depth)[..., None]
    low, high = flat.amin(1), flat.amax(1)
    scale = 0.92 * float(torch.minimum(width / (high - low)[:, 0], height / (high - low)[:, 1]).min())
    middle = ((low + high) / 2)[:, None]
    place = (flat - middle) * torch.tensor([scale, -scale]) + torch.tensor([width / 2, height / 2])
    return torch.cat((place, depth[..., None]), -1)


def _turn(yaw: float, pitch: float) -> Tensor:
    """Rotation about the upright axis, then about the one to the right."""
    cy, sy, cx, sx = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    about_y = torch.tensor([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return torch.tensor([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]) @ about_y


def _normals(face: Reconstruction, vertices: np.ndarray) -> Tensor:
    """Of vertices (V, 3) of the face: (1, V, 3) float32, canonical frame."""
    return vertex_normals(torch.from_numpy(vertices).float()[None], face.model.triangles)


def _clay(normals: Tensor) -> Tensor:
    """Colours (N, V, 3) in [0, 1], sRGB-encoded, of grey clay under three lamps that stand by the camera."""
    light = torch.full(normals.shape[:-1], _AMBIENT)
    for direction, strength in _LAMPS:
        toward = torch.tensor(direction)
        light = light + strength * (normals @ (toward / toward.norm())).clamp_min(0)
    grey = torch.from_numpy(encode_srgb(np.clip(_CLAY * light.numpy(), 0, 1))).float()
    return grey[..., None] * torch.tensor([0.99, 0.985, 0.97])
