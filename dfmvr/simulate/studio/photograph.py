"""Photographs: a person and a camera make a view, light makes it a picture; hair hides, eyes look, shadows fall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from dfmvr.geometry.resampling import remap, sample
from dfmvr.geometry.vectors import dot, unit
from dfmvr.simulate.studio.camera import Camera, Footprint, footprint
from dfmvr.simulate.studio.light import GLOSS, PAINT_SIZE, SHARPNESS, SOFTNESS, Light, shade

DENSE = 2.0  # cover of the hair from which no gap between strands shows what is behind
STRAND_MM = 2.5  # millimetres along a strand in one row of the texture
BAND_MM = 9.0  # half the width of a headband
SHADOW_PX, SHADOW_SPAN_MM = 192, 520.0
SHADOW_CENTRE = np.array([0, -40.0, -60.0])  # mm
SHADOW_SHARPNESS = 0.12  # per mm: an exponential shadow map softens depths by the inverse of it


class Hair(NamedTuple):
    """The hair of a person as a surface, N vertices."""

    vertices: np.ndarray  # (N, 3) mm
    triangles: np.ndarray  # (M, 3)
    normals: np.ndarray  # (N, 3)
    texture: np.ndarray  # (N, 2): azimuth / 2 pi in [0, 1], millimetres from the crown
    cover: np.ndarray  # (N,) how far inside the hair: positive is covered, -1 is one softness beyond the end
    strands: np.ndarray  # texture (rows, columns) float32, about zero mean and unit variance
    colour: np.ndarray  # (3,) linear RGB
    ragged: float  # how far single strands reach beyond the ends
    gloss: float
    band: np.ndarray | None  # (4,) plane of a headband
    band_colour: np.ndarray  # (3,)

    def denser_than(self, cover: float) -> np.ndarray:
        """Which triangles lie so far inside the hair: (M,) bool."""
        return (self.cover[self.triangles] > cover).all(1)


class Sitter(NamedTuple):
    """A person with one expression, ready to be photographed: head and clothes, N vertices, and hair; mm."""

    vertices: np.ndarray  # (N, 3)
    triangles: np.ndarray  # (M, 3)
    normals: np.ndarray  # (N, 3)
    paint: np.ndarray  # (N, 8) see light.PAINT_SIZE
    openness: np.ndarray  # (N,) share of the sky that is seen
    labels: np.ndarray  # (N,) class of the face parser
    eye: np.ndarray  # (N,) 0 none, 1 the left, 2 the right eyeball
    eyes: np.ndarray  # (2, 3) centres of the eyeballs
    gaze: np.ndarray  # (3,) unit vector
    iris: np.ndarray  # (3,) linear RGB
    hair: Hair | None
    landmarks: np.ndarray  # (68, 3)
    keypoints: np.ndarray  # (106, 3)


class ViewLayer(NamedTuple):
    """A surface as it is seen in P pixels, to be lit."""

    pixel: np.ndarray  # (P,) flat pixel numbers
    points: np.ndarray  # (P, 3) mm, the person's frame
    normals: np.ndarray  # (P, 3) unit
    paint: np.ndarray  # (P, 8)
    openness: np.ndarray  # (P,)
    alpha: np.ndarray | None  # (P,) opacity; None for 1


class View(NamedTuple):
    """What a camera sees in any light."""

    layers: list[ViewLayer]  # the body, and then the hair from back to front
    mask: np.ndarray  # (H, W) uint8 class ids
    distance: np.ndarray  # (H, W) mm along the camera's axis to the body or to dense hair; infinite beyond


class Shadow(NamedTuple):
    """Exponential shadow map of the first light."""

    to_light: np.ndarray  # (3, 3) rows: right, up, toward the light
    map: np.ndarray  # (SHADOW_PX, SHADOW_PX)

    def lit(self, points: np.ndarray, bias_mm: float = 6.0) -> np.ndarray:
        """Share of the light that arrives at points (N, 3): (N,) in [0, 1]."""
        u, v, height = _toward_light(points, self.to_light)
        blocker = sample(self.map, np.stack((u, v), -1))
        return np.clip(np.exp(SHADOW_SHARPNESS * (height + bias_mm)) * blocker, 0, 1).astype(np.float32)


def _toward_light(points: np.ndarray, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixel x and y of the shadow map, and mm toward the light, of points (N, 3)."""
    seen = (points - SHADOW_CENTRE) @ frame.T
    scale = SHADOW_PX / SHADOW_SPAN_MM
    return SHADOW_PX / 2 + seen[:, 0] * scale, SHADOW_PX / 2 - seen[:, 1] * scale, seen[:, 2]


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
    offsets = np.cumsum([0] + [len(v) for v, _ in meshes[:-1]])
    triangles = np.concatenate([t + o for (_, t), o in zip(meshes, offsets, strict=True)])
    u, v, height = _toward_light(np.concatenate([v for v, _ in meshes]), frame)
    far = 2000.0
    covered = footprint(np.stack((u, v, far - height), -1), triangles, (SHADOW_PX, SHADOW_PX))
    field = np.full((SHADOW_PX, SHADOW_PX), -300.0, np.float32)
    field.flat[covered.pixel] = far - covered.depth
    blocker = np.exp(-SHADOW_SHARPNESS * np.clip(field, -300, 300))
    # blurring exp(-c z) would let the background win; the harmonic mean lets the nearer surface win
    soft = 1 / cv2.GaussianBlur(1 / blocker, (0, 0), 1.2)
    return Shadow(frame, soft.astype(np.float32))


def shadow_of(light: Light, sitter: Sitter) -> Shadow:
    """Shadow map of the first source of a light on a person."""
    meshes = [(sitter.vertices, sitter.triangles)]
    if sitter.hair is not None:
        meshes.append((sitter.hair.vertices, sitter.hair.triangles[sitter.hair.denser_than(0.3)]))
    return cast_shadow(light.directions[0], meshes)


def see(sitter: Sitter, camera: Camera) -> View:
    """What a camera sees, all but the light, which may change without looking again; hair hides what is under it."""
    count = camera.shape[0] * camera.shape[1]
    mask, distance = np.zeros(count, np.uint8), np.full(count, np.inf, np.float32)
    covered = footprint(camera.project(sitter.vertices), sitter.triangles, camera.shape, cull=True)
    points, normals, paint, openness = covered.interpolate(
        sitter.vertices, sitter.normals, sitter.paint, sitter.openness
    )
    nearest = np.take_along_axis(covered.corners, covered.bary.argmax(1)[:, None], 1)[:, 0]
    _paint_eyes(paint, points, sitter.eye[nearest], sitter)
    mask[covered.pixel] = sitter.labels[nearest]
    distance[covered.pixel] = covered.depth
    layers = [ViewLayer(covered.pixel, points, unit(normals), paint, np.clip(openness, 0.02, 1), None)]
    if sitter.hair is not None:
        layers += _lay_hair(mask, distance, sitter.hair, camera)
    return View(layers, mask.reshape(camera.shape), distance.reshape(camera.shape))


def expose(
    camera: Camera, layers: Sequence[ViewLayer], light: Light, shadow: Shadow, backdrop: np.ndarray
) -> np.ndarray:
    """Light that arrives on the sensor.

    Args:
        camera, layers: what it sees, from back to front.
        light, shadow: of the room, in the person's frame.
        backdrop: (H, W, 3) linear RGB.
    Returns:
        (H, W, 3) float32 linear RGB.
    """
    image = backdrop.reshape(-1, 3).copy()
    for layer in layers:
        lit, to_camera = shadow.lit(layer.points), camera.directions_from(layer.points)
        colour = shade(light, layer.paint, layer.normals, to_camera, lit, layer.openness)
        if layer.alpha is None:
            image[layer.pixel] = colour
        else:
            behind = image[layer.pixel]
            image[layer.pixel] = behind + layer.alpha[:, None] * (colour - behind)
    return image.reshape(backdrop.shape)


def _paint_eyes(paint: np.ndarray, points: np.ndarray, eye: np.ndarray, sitter: Sitter) -> None:
    """Draw sclera, iris and pupil into `paint` (P, 8) at the pixels whose `eye` is not 0; in place."""
    chosen = np.flatnonzero(eye)
    if len(chosen) == 0:
        return
    ray = unit(points[chosen] - sitter.eyes[eye[chosen] - 1])
    angle = np.degrees(np.arccos(np.clip(ray @ sitter.gaze, -1, 1)))
    sclera = np.array([0.62, 0.56, 0.53], np.float32) * (
        1 - np.clip((angle - 30) / 60, 0, 0.5)[:, None] * [0.2, 0.5, 0.5]
    )
    ring = np.clip((angle - 10) / 15, 0, 1)
    streak = 0.85 + 0.25 * np.sin(40 * np.arctan2(ray[:, 1], ray[:, 0]) + 9 * ray[:, 0])
    iris = sitter.iris * (streak * (1.25 - 0.8 * ring**3))[:, None]
    inside = np.clip((26.5 - angle) / 2.5, 0, 1)[:, None]
    pupil = np.clip((11 - angle) / 2, 0, 1)[:, None]
    paint[chosen, :3] = sclera * (1 - inside) + (iris * (1 - pupil) + 0.004 * pupil) * inside
    paint[chosen, 3:] = (2.0, 150.0, 0.1, 0.1, 0.1)


def _lay_hair(mask: np.ndarray, distance: np.ndarray, hair: Hair, camera: Camera) -> list[ViewLayer]:
    """Lay the hair over a flat mask and depth (H W,), in place.

    What is dense comes first and hides what is behind it; the ragged ends are laid over it.
    """
    projected, dense, layers = camera.project(hair.vertices), hair.denser_than(DENSE), []
    for triangles in (hair.triangles[dense], hair.triangles[~dense]):
        covered = footprint(projected, triangles, camera.shape)
        nearer = covered.depth < distance[covered.pixel] + 0.5
        covered = Footprint(*(field[nearer] for field in covered))
        if len(covered.pixel) == 0:
            continue
        points, normals, texture, cover = covered.interpolate(hair.vertices, hair.normals, hair.texture, hair.cover)
        paint, alpha = _paint_hair(hair, points, texture, cover)
        normals[dot(camera.position - points, normals) < 0] *= -1
        layers.append(
            ViewLayer(covered.pixel, points, unit(normals), paint, np.full(len(points), 0.8, np.float32), alpha)
        )
        mask[covered.pixel[alpha > 0.5]] = 0
        solid = alpha > 0.95
        distance[covered.pixel[solid]] = covered.depth[solid]
    return layers


def _paint_hair(
    hair: Hair, points: np.ndarray, texture: np.ndarray, cover: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Paint (P, 8) and opacity (P,) of pixels at points (P, 3), texture coordinates (P, 2) and cover (P,)."""
    places = np.stack((texture[:, 0] * hair.strands.shape[1], texture[:, 1] / STRAND_MM), -1)
    streak = remap(hair.strands, places, border=cv2.BORDER_REFLECT)
    alpha = np.where(cover > DENSE, 1, np.clip(cover + hair.ragged * (streak - 0.3), 0, 1))
    paint = np.empty((len(points), PAINT_SIZE), np.float32)
    paint[:, :3] = hair.colour * (np.exp(0.35 * np.clip(streak, -2.5, 2.5)) * (0.55 + 0.45 * alpha))[:, None]
    if hair.band is not None:
        on_band = (np.abs(points @ hair.band[:3] + hair.band[3]) < BAND_MM) & (cover > 0.1)
        paint[on_band, :3] = hair.band_colour
        alpha[on_band] = 1
    paint[:, GLOSS], paint[:, SHARPNESS], paint[:, SOFTNESS] = hair.gloss, 14.0, 0.3
    return paint, alpha.astype(np.float32)
