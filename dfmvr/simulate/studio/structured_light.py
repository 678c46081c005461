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
from dfmvr.simulate.studio.camera import Camera, footprint, rotation
from dfmvr.simulate.studio.light import GLOSS, Light, shade
from dfmvr.simulate.studio.photograph import DENSE, Sitter, ViewLayer, see
from dfmvr.simulate.studio.scanner import GRAZING, HeadSurface

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


class Sitting(NamedTuple):
    """A person before the sensor."""

    head: HeadSurface
    sitter: Sitter
    lowest: float  # mm, y in the person's frame below which the operator cuts the range image off
    grid: Camera  # whose pixels are those of the range image
    photo: Camera  # at the same place, for the photograph


def sensor_camera(turn: np.ndarray, origin: np.ndarray, pixel_mm: float, shape: tuple[int, int]) -> Camera:
    """The sensor's camera before a person.

    Args:
        turn: (3, 3) rotation from the person's frame to the sensor's.
        origin: (3,) mm, the point of the person's frame that is the sensor's origin.
        pixel_mm: size of a pixel at the origin.
        shape: rows and columns.
    """
    return Camera(turn, [0, 0, -WORKING_MM] - turn @ origin, WORKING_MM / pixel_mm, shape)


def grid_camera(turn: np.ndarray, origin: np.ndarray, spacing_mm: float) -> Camera:
    """`sensor_camera` with the pixels of the range image, `spacing_mm` apart at the origin."""
    rows, columns = (max(round(size / spacing_mm), 2) for size in FIELD_MM)
    return sensor_camera(turn, origin, spacing_mm, (rows, columns))


def to_sensor(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the person's frame in the sensor's frame."""
    return points @ camera.rotation.T + camera.translation + [0, 0, WORKING_MM]


def measure_range(sitting: Sitting, noise_mm: float, rng: np.random.Generator) -> RangeImage:
    """Measure a head.

    Args:
        sitting: who is there.
        noise_mm: standard deviation of the points across the surface; along the ray it grows as the surface slants.
        rng: source of noise and failures.
    Returns:
        The range image in the sensor's frame, cut to the points; the texture's second coordinate points down.
    """
    camera, photo = sitting.grid, sitting.photo
    pixel, points, facing = _measurable(sitting, rng)
    depth = np.full(camera.shape, np.nan)
    depth.flat[pixel] = camera.project(points)[:, 2]
    edge = _edges(depth, JUMP * WORKING_MM / camera.focal_px).flat[pixel]
    error = noise_mm * rng.normal(size=len(pixel)) / np.maximum(facing, GRAZING)
    error += edge * (rng.uniform(size=len(pixel)) < SPIKE_SHARE) * rng.normal(0, SPIKE_MM, size=len(pixel))
    ray = -camera.directions_from(points)
    result, texture = np.full((depth.size, 3), np.nan), np.full((depth.size, 2), np.nan)
    result[pixel] = to_sensor(camera, points + error[:, None] * ray)
    texture[pixel] = photo.project(points)[:, :2] / photo.shape[::-1]
    return _cut(result.reshape(*camera.shape, 3), texture.reshape(*camera.shape, 2))


def _measurable(sitting: Sitting, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The P pixels (flat) in which the surface is measured, its points (P, 3) and the cosines of its slant (P,)."""
    head, camera = sitting.head, sitting.grid
    covered = footprint(camera.project(head.vertices), head.triangles, camera.shape, cull=True)
    pixel, depth = covered.pixel, covered.depth
    normals = mesh_normals(head.vertices, head.triangles)
    points, normals, hidden = covered.interpolate(head.vertices, normals, head.hidden, dtype=np.float64)
    facing = dot(unit(normals), camera.directions_from(points))
    view, projector = see(sitting.sitter, camera), _projector(camera)
    usable = facing > GRAZING * np.exp(rng.normal(0, 0.15, size=len(pixel)))
    usable &= (hidden < 0.5) & (sitting.lowest < points[:, 1])
    usable &= np.abs(view.distance.flat[pixel] - depth) < 3.0  # else clothes or hair are in front
    usable &= _covered_by(view.layers[1:], camera.shape)[pixel] < 0.3
    usable &= _lit(sitting, projector, points)
    usable &= _answer(view.layers[0], projector, view.mask.ravel(), camera, rng)[pixel]
    image = np.zeros(camera.shape, bool)
    image.flat[pixel] = usable
    usable &= (_around(image, False).sum((2, 3)) > 3).flat[pixel]  # the sensor's software drops specks
    return pixel[usable], points[usable], facing[usable]


def _projector(camera: Camera) -> Camera:
    """The projector of a camera's sensor: it shines at the origin from the camera's right."""
    turn = rotation((0, -np.degrees(np.arctan2(PROJECTOR_MM, WORKING_MM)), 0))
    distance = np.hypot(PROJECTOR_MM, WORKING_MM)
    size = int(1.5 * max(FIELD_MM) / SHADOW_MM)
    translation = turn @ to_sensor(camera, np.zeros(3)) - [0, 0, distance]
    return Camera(turn @ camera.rotation, translation, distance / SHADOW_MM, (size, size))


def _lit(sitting: Sitting, projector: Camera, points: np.ndarray) -> np.ndarray:
    """Which of the points (P, 3) the projector reaches: (P,) bool."""
    nearest, hair = np.full(projector.shape, np.inf), sitting.sitter.hair
    meshes = [(sitting.sitter.vertices, sitting.sitter.triangles, True)]
    if hair is not None:
        meshes.append((hair.vertices, hair.triangles[hair.denser_than(DENSE)], False))
    for vertices, triangles, closed in meshes:
        pixel, *_, depth = footprint(projector.project(vertices), triangles, projector.shape, cull=closed)
        nearest.flat[pixel] = np.minimum(nearest.flat[pixel], depth)
    u, v, depth = projector.project(points).T
    row, column = (np.clip(x.astype(int), 0, size - 1) for x, size in zip((v, u), projector.shape, strict=True))
    return depth < nearest[row, column] + SHADOW_BIAS_MM


def _covered_by(hair: list[ViewLayer], shape: tuple[int, int]) -> np.ndarray:
    """How much of each pixel hair covers: (H W,)."""
    bare = np.ones(shape[0] * shape[1])
    for layer in hair:
        bare[layer.pixel] *= 1 - layer.alpha
    return 1 - bare


def _answer(
    body: ViewLayer, projector: Camera, mask: np.ndarray, camera: Camera, rng: np.random.Generator
) -> np.ndarray:
    """Where the projector's light comes back neither too weak nor too strong: (H W,) bool."""
    direction = projector.position - (camera.position + camera.rotation.T @ [0, 0, -WORKING_MM])
    direction = (direction / np.linalg.norm(direction)).astype(np.float32)[None]
    lamp = Light(direction, np.ones((1, 3), np.float32), np.zeros((4, 3), np.float32))
    to_camera, full = camera.directions_from(body.points), np.ones(len(body.pixel), np.float32)
    dull = body.paint.copy()
    dull[:, GLOSS] = 0
    matt, whole = (shade(lamp, paint, body.normals, to_camera, full, full) @ LUMINANCE for paint in (dull, body.paint))
    face = mask[body.pixel] > 0
    median = np.median(matt[face]) if face.any() else 1.0
    weakest = DARKEST * median * np.exp(rng.normal(0, 0.3, size=len(matt)))
    result = np.zeros(len(mask), bool)
    result[body.pixel] = (matt > weakest) & (whole < BRIGHTEST * median)
    return result


def _around(values: np.ndarray, fill: float) -> np.ndarray:
    """Every pixel of an image (H, W) with its neighbours: (H, W, 3, 3)."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(values, 1, constant_values=fill), (3, 3))


def _edges(depth: np.ndarray, step_mm: float) -> np.ndarray:
    """Pixels (H, W) beside a hole or a step in depth."""
    beside = _around(depth, np.nan)[..., [0, 1, 1, 2], [1, 0, 2, 1]]
    with np.errstate(invalid="ignore"):
        return ~(np.abs(beside - depth[..., None]) < step_mm).all(-1)


def _cut(points: np.ndarray, texture: np.ndarray) -> RangeImage:
    """Keep the rows and columns in which there are points."""
    valid = np.isfinite(points[..., 0])
    if not valid.any():
        return RangeImage(points, texture)
    rows, columns = np.flatnonzero(valid.any(1)), np.flatnonzero(valid.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return RangeImage(points[box], texture[box])
