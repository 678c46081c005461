"""Photographs: a person, light, a camera and a place become a picture and a mask.

Frames: the person's frame is the canonical one of `dfmvr.conventions` (the face looks along +z); a camera has its own
right-handed frame with x to the right of the picture, y up and z from the scene toward the camera, which sits at 0.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch

from dfmvr.geometry.vectors import dot, unit
from dfmvr.rendering.rasterizer import rasterize_hits
from dfmvr.simulate.people.hair import BAND_MM, STRAND_MM, Strands
from dfmvr.simulate.studio.light import Light, Material, shade

SHADOW_PX = 192
SHADOW_SPAN_MM = 520.0
DENSE = 2.0  # cover of the hair from which no gap between strands shows what is behind
SHADOW_SHARPNESS = 0.12  # per mm: an exponential shadow map softens depths by the inverse of it


class Camera(NamedTuple):
    """A pinhole camera: X_camera = rotation X + translation; u = cx - f x / z, v = cy + f y / z, z < 0 in front."""

    rotation: np.ndarray  # (3, 3)
    translation: np.ndarray  # (3,) mm
    focal_px: float
    centre: tuple[float, float]  # pixels
    shape: tuple[int, int]  # height, width in pixels

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixel x, pixel y (first pixel's centre at 0.5) and depth in mm of points (..., 3) of the person's frame."""
        seen = points @ self.rotation.T + self.translation
        depth = -seen[..., 2]
        scale = self.focal_px / depth
        u, v = self.centre[0] + scale * seen[..., 0], self.centre[1] - scale * seen[..., 1]
        return np.stack((u, v, depth), -1)

    @property
    def position(self) -> np.ndarray:
        """Where the camera stands in the person's frame (3,), mm."""
        return -self.rotation.T @ self.translation

    def directions_from(self, points: np.ndarray) -> np.ndarray:
        """Unit vectors (N, 3) from points (N, 3) of the person's frame toward the camera, in the points' precision."""
        return unit(self.position.astype(points.dtype) - points)


class Body(NamedTuple):
    """Head and clothes of a person with one expression, ready to be photographed; N vertices, mm."""

    vertices: np.ndarray  # (N, 3)
    triangles: np.ndarray  # (M, 3)
    normals: np.ndarray  # (N, 3)
    paint: np.ndarray  # (N, 8): linear albedo, gloss, sharpness, softness
    openness: np.ndarray  # (N,) share of the sky that is seen
    labels: np.ndarray  # (N,) class of the face parser
    eye: np.ndarray  # (N,) 0 none, 1 the left, 2 the right eyeball
    eyes: np.ndarray  # (2, 3) centres of the eyeballs
    gaze: np.ndarray  # (3,) unit vector
    iris: np.ndarray  # (3,) linear RGB


class Hair(NamedTuple):
    """Hair ready to be photographed."""

    vertices: np.ndarray  # (N, 3) mm
    triangles: np.ndarray  # (M, 3)
    normals: np.ndarray  # (N, 3)
    texture: np.ndarray  # (N, 2) see hair.Shell
    cover: np.ndarray  # (N,)
    strands: Strands
    colour: np.ndarray  # (3,) linear RGB
    ragged: float  # how far single strands reach beyond the ends
    gloss: float
    band: np.ndarray | None  # (4,) plane of a headband
    band_colour: np.ndarray  # (3,)


class Layer(NamedTuple):
    """A surface as it is seen in P pixels, to be lit."""

    pixel: np.ndarray  # (P,) flat pixel numbers
    points: np.ndarray  # (P, 3) mm, the person's frame
    normals: np.ndarray  # (P, 3) unit
    paint: np.ndarray  # (P, 8) see Body
    openness: np.ndarray  # (P,)
    alpha: np.ndarray | None  # (P,) opacity; None for 1


class View(NamedTuple):
    """What a camera sees in any light."""

    camera: Camera
    layers: list[Layer]  # the body, and then the hair from back to front
    mask: np.ndarray  # (H, W) uint8 class ids
    distance: np.ndarray  # (H, W) mm along the camera's axis to the body or to dense hair; infinite beyond


class Shadow(NamedTuple):
    """Exponential shadow map of the first light."""

    to_light: np.ndarray  # (3, 3) rows: right, up, toward the light
    centre: np.ndarray  # (3,) mm
    map: np.ndarray  # (SHADOW_PX, SHADOW_PX)

    def lit(self, points: np.ndarray, bias_mm: float = 6.0) -> np.ndarray:
        """Share of the light that arrives at points (N, 3): (N,) in [0, 1]."""
        seen = (points - self.centre) @ self.to_light.T
        scale = SHADOW_PX / SHADOW_SPAN_MM
        u = (SHADOW_PX / 2 + seen[:, 0] * scale - 0.5).astype(np.float32)
        v = (SHADOW_PX / 2 - seen[:, 1] * scale - 0.5).astype(np.float32)
        blocker = _lookup(self.map, u, v)
        return np.clip(np.exp(SHADOW_SHARPNESS * (seen[:, 2] + bias_mm)) * blocker, 0, 1).astype(np.float32)


def _lookup(image: np.ndarray, u: np.ndarray, v: np.ndarray, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
    """Sample an image at (N,) positions, bilinear. OpenCV takes at most 32767 columns, hence the rows."""
    count, width = len(u), 512
    size = -(-count // width) * width
    u, v = (np.resize(a, size).reshape(-1, width) for a in (u, v)) if count else (np.zeros((1, 1), np.float32),) * 2
    result = cv2.remap(image, u, v, cv2.INTER_LINEAR, borderMode=border)
    return result.reshape(-1, *result.shape[2:])[:count]


def fragments(
    projected: np.ndarray, triangles: np.ndarray, shape: tuple[int, int], cull: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rasterise and keep the covered pixels alone.

    Args:
        projected: (N, 3) pixel x, pixel y, depth mm.
        triangles: (M, 3).
        shape: height and width.
        cull: leave out triangles seen from behind.
    Returns:
        flat pixel numbers (P,), corners (P, 3), barycentric coordinates (P, 3) and depth (P,).
    """
    points = torch.from_numpy(np.ascontiguousarray(projected, np.float32))[None]
    _, hits = rasterize_hits(points, torch.from_numpy(triangles), shape, cull_backfaces=cull)
    return hits.pixel.numpy(), hits.corner.T.numpy(), hits.bary.T.numpy(), hits.depth.numpy()


def mix(values: np.ndarray, corners: np.ndarray, bary: np.ndarray) -> np.ndarray:
    """Interpolate vertex values (N, C) at pixels: (P, C) float32."""
    result = values.take(corners[:, 0], 0) * bary[:, :1]
    result += values.take(corners[:, 1], 0) * bary[:, 1:2]
    result += values.take(corners[:, 2], 0) * bary[:, 2:]
    return result


def cast_shadow(direction: np.ndarray, meshes: list[tuple[np.ndarray, np.ndarray]]) -> Shadow:
    """Make the shadow map of a light.

    Args:
        direction: (3,) unit vector toward the light.
        meshes: vertices (N, 3) mm and triangles of all that casts a shadow.
    """
    helper = np.array([1.0, 0, 0]) if abs(direction[1]) > 0.9 else np.array([0, 1.0, 0])
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    frame = np.stack((right, np.cross(direction, right), direction))
    centre = np.array([0, -40.0, -60.0])
    vertices = np.concatenate([v for v, _ in meshes])
    offsets = np.cumsum([0] + [len(v) for v, _ in meshes[:-1]])
    triangles = np.concatenate([t + o for (_, t), o in zip(meshes, offsets, strict=True)])
    seen = (vertices - centre) @ frame.T
    scale = SHADOW_PX / SHADOW_SPAN_MM
    far = 2000.0
    projected = np.stack((SHADOW_PX / 2 + seen[:, 0] * scale, SHADOW_PX / 2 - seen[:, 1] * scale, far - seen[:, 2]), -1)
    pixel, _, _, depth = fragments(projected, triangles, (SHADOW_PX, SHADOW_PX))
    field = np.full(SHADOW_PX * SHADOW_PX, 300.0, np.float32) * -1
    field[pixel] = far - depth
    blocker = np.exp(-SHADOW_SHARPNESS * np.clip(field, -300, 300)).reshape(SHADOW_PX, SHADOW_PX)
    # blurring exp(-c z) would let the background win; the harmonic mean lets the nearer surface win
    soft = 1 / cv2.GaussianBlur(1 / blocker, (0, 0), 1.2)
    return Shadow(frame, centre, soft.astype(np.float32))


def _paint_eyes(paint: np.ndarray, points: np.ndarray, eye: np.ndarray, body: Body) -> None:
    """Draw sclera, iris and pupil into `paint` (P, 8) at the pixels whose `eye` is not 0; in place."""
    chosen = np.flatnonzero(eye)
    if len(chosen) == 0:
        return
    ray = unit(points[chosen] - body.eyes[eye[chosen] - 1])
    angle = np.degrees(np.arccos(np.clip(ray @ body.gaze, -1, 1)))
    sclera = np.array([0.62, 0.56, 0.53], np.float32) * (
        1 - np.clip((angle - 30) / 60, 0, 0.5)[:, None] * [0.2, 0.5, 0.5]
    )
    ring = np.clip((angle - 10) / 15, 0, 1)
    streak = 0.85 + 0.25 * np.sin(40 * np.arctan2(ray[:, 1], ray[:, 0]) + 9 * ray[:, 0])
    iris = body.iris * (streak * (1.25 - 0.8 * ring**3))[:, None]
    inside = np.clip((26.5 - angle) / 2.5, 0, 1)[:, None]
    pupil = np.clip((11 - angle) / 2, 0, 1)[:, None]
    colour = sclera * (1 - inside) + (iris * (1 - pupil) + 0.004 * pupil) * inside
    paint[chosen, :3] = colour
    paint[chosen, 3] = 2.0
    paint[chosen, 4] = 150.0
    paint[chosen, 5:8] = 0.1


def see(body: Body, hair: Hair | None, camera: Camera) -> View:
    """What a camera sees, all but the light: that may change without looking again.

    Args:
        body, hair: who is there.
        camera: where it is seen from.
    Returns:
        The view. Its mask has the class of each pixel; hair hides what is under it.
    """
    count = camera.shape[0] * camera.shape[1]
    mask, distance = np.zeros(count, np.uint8), np.full(count, np.inf, np.float32)
    pixel, corners, bary, depth = fragments(camera.project(body.vertices), body.triangles, camera.shape, cull=True)
    packed = np.concatenate((body.vertices, body.normals, body.paint, body.openness[:, None]), 1, dtype=np.float32)
    values = mix(packed, corners, bary)
    winner = np.take_along_axis(corners, bary.argmax(1)[:, None], 1)[:, 0]
    points, paint = values[:, :3], values[:, 6:14]
    _paint_eyes(paint, points, body.eye[winner], body)
    mask[pixel] = body.labels[winner]
    distance[pixel] = depth
    layers = [Layer(pixel, points, unit(values[:, 3:6]), paint, np.clip(values[:, 14], 0.02, 1), None)]
    if hair is not None:
        layers += _lay_hair(mask, distance, hair, camera)
    return View(camera, layers, mask.reshape(camera.shape), distance.reshape(camera.shape))


def expose(view: View, light: Light, shadow: Shadow, backdrop: np.ndarray) -> np.ndarray:
    """Light that arrives on the sensor.

    Args:
        view: what the camera sees.
        light, shadow: of the room, in the person's frame.
        backdrop: (H, W, 3) linear RGB.
    Returns:
        (H, W, 3) float32 linear RGB.
    """
    image = backdrop.reshape(-1, 3).copy()
    for layer in view.layers:
        paint, to_camera = layer.paint, view.camera.directions_from(layer.points)
        material = Material(paint[:, :3], paint[:, 3], paint[:, 4], paint[:, 5:8])
        colour = shade(light, material, layer.normals, to_camera, shadow.lit(layer.points), layer.openness)
        if layer.alpha is None:
            image[layer.pixel] = colour
        else:
            behind = image[layer.pixel]
            image[layer.pixel] = behind + layer.alpha[:, None] * (colour - behind)
    return image.reshape(*view.camera.shape, 3)


def _lay_hair(mask: np.ndarray, distance: np.ndarray, hair: Hair, camera: Camera) -> list[Layer]:
    """Lay the hair over a flat mask and depth (H W,), in place.

    What is dense comes first and hides what is behind it; the ragged ends are laid over it.
    """
    projected = camera.project(hair.vertices)
    dense = (hair.cover[hair.triangles] > DENSE).all(1)
    packed = np.concatenate((hair.vertices, hair.normals, hair.texture, hair.cover[:, None]), 1, dtype=np.float32)
    layers = []
    for triangles in (hair.triangles[dense], hair.triangles[~dense]):
        pixel, corners, bary, depth = fragments(projected, triangles, camera.shape)
        nearer = depth < distance[pixel] + 0.5
        pixel, corners, bary = pixel[nearer], corners[nearer], bary[nearer]
        if len(pixel) == 0:
            continue
        values = mix(packed, corners, bary)
        colour, alpha = _hair_colour(hair, values)
        points, normals = values[:, :3], values[:, 3:6]
        normals[dot(camera.position - points, normals) < 0] *= -1
        paint = np.empty((len(pixel), 8), np.float32)
        paint[:, :3], paint[:, 3], paint[:, 4], paint[:, 5:8] = colour, hair.gloss, 14.0, 0.3
        layers.append(Layer(pixel, points, unit(normals), paint, np.full(len(pixel), 0.8, np.float32), alpha))
        mask[pixel[alpha > 0.5]] = 0
        solid = alpha > 0.95
        distance[pixel[solid]] = depth[nearer][solid]
    return layers


def _hair_colour(hair: Hair, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour (P, 3) and opacity (P,) of pixels, from their point, normal, texture coordinates and cover (P, 9)."""
    columns = hair.strands.shade.shape[1]
    streak = _lookup(hair.strands.shade, values[:, 6] * columns, values[:, 7] / STRAND_MM, cv2.BORDER_REFLECT)
    alpha = np.where(values[:, 8] > DENSE, 1, np.clip(values[:, 8] + hair.ragged * (streak - 0.3), 0, 1))
    shade_of = np.exp(0.35 * np.clip(streak, -2.5, 2.5)) * (0.55 + 0.45 * alpha)
    colour = (hair.colour * shade_of[:, None]).astype(np.float32)
    if hair.band is not None:
        on_band = (np.abs(values[:, :3] @ hair.band[:3] + hair.band[3]) < BAND_MM) & (values[:, 8] > 0.1)
        colour[on_band] = hair.band_colour
        alpha[on_band] = 1
    return colour, alpha.astype(np.float32)
