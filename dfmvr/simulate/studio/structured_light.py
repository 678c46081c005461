"""A structured-light sensor: a projector beside a camera, and what they measure of a head that turns before them.

The sensor stands still and sees one side of the person, so a turned head hides part of itself. Every point lies on the
ray of its camera's pixel. There is none
    where the projector does not shine (behind the nose, for one) or the surface runs along the ray,
    where little light comes back (hair, some of the brows, pupils) or so much that the pixel is saturated (shine),
    under hair, between the lips, and where the operator has cut the image off below the chin.

Frame: the sensor's; millimetres, x to the right of the image, y up, z toward the sensor, whose camera is at
(0, 0, WORKING_MM): heads stand about the origin.

ASSUME: fringes are measured by their phase, so depth is continuous; points are exact across the ray.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.datasets.bosphorus.range_image import RangeImage
from dfmvr.geometry.normals import mesh_normals
from dfmvr.geometry.vectors import dot, unit
from dfmvr.simulate.studio.light import Light, Material, shade
from dfmvr.simulate.studio.photograph import DENSE, Body, Camera, Hair, Layer, fragments, mix, see
from dfmvr.simulate.studio.scanner import GRAZING

WORKING_MM = 1500.0
FIELD_MM = (310.0, 300.0)  # height and width of what the grid covers at the origin
PROJECTOR_MM = 240.0  # to the right of the camera
SHADOW_MM = 1.0  # pixels of the projector
SHADOW_BIAS_MM = 2.5  # how far behind what the projector sees a point is still lit
# ASSUME: the exposure is set to the person's skin; these are shares of what its median sends back
DARKEST, BRIGHTEST = 0.1, 2.6
SPIKE_SHARE, SPIKE_MM = 0.03, 2.0  # of the points at edges, how many are wrong, and by how much
JUMP = 4.0  # in spacings; a larger step in depth between two neighbours is an edge
LUMINANCE = np.array([0.3, 0.6, 0.1], np.float32)


class Scene(NamedTuple):
    """What stands before the sensor, in the person's frame."""

    vertices: np.ndarray  # (V, 3) mm, the true surface
    triangles: np.ndarray  # (F, 3)
    hidden: np.ndarray  # (V,) bool, where nothing can be measured
    body: Body
    hair: Hair | None
    lowest: float  # mm, y below which the operator cuts the image off


class _Seen(NamedTuple):
    """What the camera sees in P pixels of its grid."""

    pixel: np.ndarray  # (P,) flat pixel numbers
    points: np.ndarray  # (P, 3) mm, the person's frame
    facing: np.ndarray  # (P,) cosine between the ray and the normal
    usable: np.ndarray  # (P,) bool


def aim(turn: np.ndarray, origin: np.ndarray, pixel_mm: float, shape: tuple[int, int]) -> Camera:
    """The sensor's camera before a person.

    Args:
        turn: (3, 3) rotation from the person's frame to the sensor's.
        origin: (3,) mm, the point of the person's frame that is the sensor's origin.
        pixel_mm: size of a pixel at the origin.
        shape: rows and columns.
    """
    translation = -turn @ origin - [0, 0, WORKING_MM]
    return Camera(turn, translation, WORKING_MM / pixel_mm, (shape[1] / 2, shape[0] / 2), shape)


def grid(turn: np.ndarray, origin: np.ndarray, spacing_mm: float) -> Camera:
    """The sensor's camera with the pixels of the range image, `spacing_mm` apart at the origin (see `aim`)."""
    rows, columns = (max(round(size / spacing_mm), 2) for size in FIELD_MM)
    return aim(turn, origin, spacing_mm, (rows, columns))


def to_sensor(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the person's frame in the sensor's frame."""
    return points @ camera.rotation.T + camera.translation + [0, 0, WORKING_MM]


def scan(scene: Scene, camera: Camera, photo: Camera, noise_mm: float, rng: np.random.Generator) -> RangeImage:
    """Measure a head.

    Args:
        scene: who is there.
        camera: the sensor's, from `grid`.
        photo: the same camera with the pixels of the photograph.
        noise_mm: standard deviation of the points across the surface; along the ray it grows as the surface slants.
        rng: source of noise and failures.
    Returns:
        The range image in the sensor's frame, cut to the points; the texture's second coordinate points down.
    """
    seen = _look(scene, camera, rng)
    count = camera.shape[0] * camera.shape[1]
    usable = np.zeros(count, bool)
    usable[seen.pixel] = seen.usable & (scene.lowest < seen.points[:, 1])
    usable = _without_specks(usable.reshape(camera.shape)).ravel()[seen.pixel]
    pixel, points, facing = seen.pixel[usable], seen.points[usable], seen.facing[usable]
    depth = np.full(count, np.nan)
    depth[pixel] = camera.project(points)[:, 2]
    edge = _edges(depth.reshape(camera.shape), JUMP * WORKING_MM / camera.focal_px).ravel()[pixel]
    error = noise_mm * rng.normal(size=len(pixel)) / np.maximum(facing, GRAZING)
    error += edge * (rng.uniform(size=len(pixel)) < SPIKE_SHARE) * rng.normal(0, SPIKE_MM, size=len(pixel))
    ray = -camera.directions_from(points)
    result, texture = np.full((count, 3), np.nan), np.full((count, 2), np.nan)
    result[pixel] = to_sensor(camera, points + error[:, None] * ray)
    texture[pixel] = photo.project(points)[:, :2] / [photo.shape[1], photo.shape[0]]
    return _cut(result.reshape(*camera.shape, 3), texture.reshape(*camera.shape, 2))


def _look(scene: Scene, camera: Camera, rng: np.random.Generator) -> _Seen:
    """Find the true surface in every pixel, and whether it can be measured."""
    pixel, corners, bary, depth = fragments(camera.project(scene.vertices), scene.triangles, camera.shape, cull=True)
    normals = mesh_normals(scene.vertices, scene.triangles)
    packed = np.concatenate((scene.vertices, normals, scene.hidden[:, None]), 1, dtype=np.float64)
    values = mix(packed, corners, bary.astype(np.float64))
    points, normals = values[:, :3], values[:, 3:6]
    facing = dot(unit(normals), camera.directions_from(points))
    view = see(scene.body, scene.hair, camera)
    projector = _projector(camera)
    usable = facing > GRAZING * np.exp(rng.normal(0, 0.15, size=len(pixel)))
    usable &= values[:, 6] < 0.5
    usable &= np.abs(view.distance.ravel()[pixel] - depth) < 3.0  # else clothes or hair are in front
    usable &= _cover(view.layers[1:], camera.shape)[pixel] < 0.3
    usable &= _lit(scene, projector, points)
    answer = _answer(view.layers[0], projector, view.mask.ravel(), camera, rng)
    return _Seen(pixel, points, facing, usable & answer[pixel])


def _projector(camera: Camera) -> Camera:
    """The projector of a camera's sensor: it shines at the origin from the camera's right."""
    angle = np.arctan2(PROJECTOR_MM, WORKING_MM)
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    middle = to_sensor(camera, np.zeros(3))
    distance = np.hypot(PROJECTOR_MM, WORKING_MM)
    size = int(1.5 * max(FIELD_MM) / SHADOW_MM)
    translation = turn @ middle - [0, 0, distance]
    return Camera(turn @ camera.rotation, translation, distance / SHADOW_MM, (size / 2, size / 2), (size, size))


def _lit(scene: Scene, projector: Camera, points: np.ndarray) -> np.ndarray:
    """Which of the points (P, 3) the projector reaches: (P,) bool."""
    nearest = np.full(projector.shape, np.inf)
    meshes = [(scene.body.vertices, scene.body.triangles, True)]
    if scene.hair is not None:
        dense = (scene.hair.cover[scene.hair.triangles] > DENSE).all(1)
        meshes.append((scene.hair.vertices, scene.hair.triangles[dense], False))
    for vertices, triangles, closed in meshes:
        pixel, _, _, depth = fragments(projector.project(vertices), triangles, projector.shape, cull=closed)
        nearest.flat[pixel] = np.minimum(nearest.flat[pixel], depth)
    u, v, depth = projector.project(points).T
    row, column = (np.clip(x.astype(int), 0, size - 1) for x, size in zip((v, u), projector.shape, strict=True))
    return depth < nearest[row, column] + SHADOW_BIAS_MM


def _cover(hair: list[Layer], shape: tuple[int, int]) -> np.ndarray:
    """How much of each pixel hair covers: (H W,)."""
    bare = np.ones(shape[0] * shape[1])
    for layer in hair:
        bare[layer.pixel] *= 1 - layer.alpha
    return 1 - bare


def _answer(body: Layer, projector: Camera, mask: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Where the projector's light comes back neither too weak nor too strong: (H W,) bool."""
    direction = projector.position - (camera.position + camera.rotation.T @ [0, 0, -WORKING_MM])
    direction = (direction / np.linalg.norm(direction)).astype(np.float32)[None]
    lamp = Light(direction, np.ones((1, 3), np.float32), np.zeros((4, 3), np.float32))
    to_camera = camera.directions_from(body.points)
    full, sharp = np.ones(len(body.pixel), np.float32), body.paint[:, 4]
    light = [
        shade(lamp, Material(body.paint[:, :3], gloss, sharp, body.paint[:, 5:8]), body.normals, to_camera, full, full)
        for gloss in (0 * full, body.paint[:, 3])
    ]
    matt, whole = (colour @ LUMINANCE for colour in light)
    face = mask[body.pixel] > 0
    median = np.median(matt[face]) if face.any() else 1.0
    weakest = DARKEST * median * np.exp(rng.normal(0, 0.3, size=len(matt)))
    result = np.zeros(len(mask), bool)
    result[body.pixel] = (matt > weakest) & (whole < BRIGHTEST * median)
    return result


def _neighbours(values: np.ndarray, fill: float, diagonal: bool) -> list[np.ndarray]:
    """The 4 or 8 neighbours of every pixel of an image."""
    height, width = values.shape
    padded = np.pad(values, 1, constant_values=fill)
    steps = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1) and (diagonal or 1 in (i, j))]
    return [padded[i : i + height, j : j + width] for i, j in steps]


def _without_specks(usable: np.ndarray) -> np.ndarray:
    """Drop pixels (H, W) with fewer than three neighbours, as the sensor's software does."""
    return usable & (np.sum(_neighbours(usable, False, True), 0) >= 3)


def _edges(depth: np.ndarray, step_mm: float) -> np.ndarray:
    """Pixels (H, W) beside a hole or a step in depth."""
    with np.errstate(invalid="ignore"):
        near = [np.abs(other - depth) < step_mm for other in _neighbours(depth, np.nan, False)]
    return ~np.all(near, 0)


def _cut(points: np.ndarray, texture: np.ndarray) -> RangeImage:
    """Keep the rows and columns in which there are points."""
    valid = np.isfinite(points[..., 0])
    if not valid.any():
        return RangeImage(points, texture)
    rows, columns = np.flatnonzero(valid.any(1)), np.flatnonzero(valid.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return RangeImage(points[box], texture[box])
