"""The stand-in for Bosphorus: range images and photographs of a head that turns before a sensor.

A subject sits on a chair that is turned, so head and shoulders turn together: R to the person's right, so that the nose
points to the image's left, L to the left. The lamp is strong, the room dark.

ASSUME: of the data set's many scans there are the neutral one, emotions and turns up to 45 degrees: N_N, E_*, YR_*, one
take each. The landmarks' `left` is the left of the image of a frontal face; ear lobes are not marked.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from dfmvr.config.data import SimulateSection
from dfmvr.conventions import FOCAL_PX_AT_224
from dfmvr.datasets.bosphorus.dataset import write_scan
from dfmvr.datasets.bosphorus.landmarks import INDEX_IN_68
from dfmvr.datasets.bosphorus.names import ScanName
from dfmvr.errors import ConfigError
from dfmvr.geometry.meshes import Mesh
from dfmvr.geometry.surface import barycentric_of_closest
from dfmvr.simulate.people.person import Person, Studio, shadow_of
from dfmvr.simulate.pixel_face import DISTANCE_MM, rotation
from dfmvr.simulate.studio.light import Light, direction_of
from dfmvr.simulate.studio.photograph import Camera, expose, see
from dfmvr.simulate.studio.sensor import CameraMaker, develop
from dfmvr.simulate.studio.structured_light import WORKING_MM, Scene, aim, grid, scan, to_sensor

EMOTIONS = {
    "HAPPY": {"smile": 1.0},
    "SURPRISE": {"surprise": 1.0},
    "ANGER": {"brow_lower": 1.0, "lip_roll": 0.5},
    "DISGUST": {"disgust": 1.0},
    "SADNESS": {"frown": 0.8, "brow_raise": 0.2},
    "FEAR": {"brow_raise": 0.8, "grin": 0.6},
}
"""ASSUME: each emotion as a sum of `face_model.expressions.KINDS`."""
TURNS = {"R10": -10.0, "R20": -20.0, "R30": -30.0, "R45": -45.0, "L45": 45.0}
"""Yaw of the turns in degrees: negative where the nose points to the image's left."""
SCANS = (("N", "N"), *(("E", code) for code in EMOTIONS), *(("YR", code) for code in TURNS))
"""Class and code of all scans; the place of a scan is a part of its seed."""

IN_106 = {"Nose saddle left": 78, "Nose saddle right": 79}
"""Index among the 106 keypoints of the landmarks that are not among the 68."""
MOST_SUBJECTS = 1000
POSE_DEG, PLACE_MM = (3.0, 2.0, 2.0), (8.0, 8.0, 12.0)  # how well people sit as they are told
SPAN_MM, ASPECT = 330.0, 4 / 3  # what the height of a photograph shows; width / height
BELOW_CHIN_MM = 40.0  # where the operator cuts the range image off
SEEN_MM, GUESSED_MM = 5.0, 5.0
"""A landmark no more than SEEN_MM behind what the photograph shows has a place in 3D. In 2D it is marked too where the
photograph shows its surroundings within GUESSED_MM: one sees where the corner of an eye behind the nose must be."""
NEAR_TRIANGLES = 64  # of a point, one of which surely is the closest
LAMP = np.array([1.12, 1.0, 0.86], np.float32) * np.float32(1.1)
SKY = np.array([[0.1, 0.09, 0.08], [0, 0, 0], [0, 0, 0], [0.02, 0.02, 0.02]], np.float32)
DARK_ROOM = np.array([0.006, 0.007, 0.009], np.float32)
WHITE_BALANCE = np.array([0.94, 1.0, 1.1], np.float32)


class Job(NamedTuple):
    """One subject to be drawn."""

    number: int  # from 0
    seed: tuple[int, ...]


class Sitting(NamedTuple):
    """A person before the sensor."""

    scene: Scene
    grid: Camera
    photo: Camera
    landmarks: dict[str, np.ndarray]  # (3,) mm, the person's frame


def list_jobs(dataset: str, number: int, settings: SimulateSection) -> list[Job]:
    """List the subjects; `number` is the data set's part of the seeds.

    Raises:
        ConfigError: more subjects than the names can tell apart.
    """
    count = settings.bosphorus.subjects
    if count > MOST_SUBJECTS:
        raise ConfigError(f"simulate.bosphorus.subjects: {count}; names have three digits, so at most {MOST_SUBJECTS}")
    return [Job(i, (settings.seed, number, i)) for i in range(count)]


def chosen_scans(settings: SimulateSection) -> list[tuple[str, str]]:
    """Class and code of each scan of a subject."""
    left_out = list(EMOTIONS)[settings.bosphorus.expressions :]
    return [name for name in SCANS if name[1] not in left_out]


def sit(studio: Studio, person: Person, code: str, settings: SimulateSection, rng: np.random.Generator) -> Sitting:
    """Ask a person to sit down for the scan with this code."""
    expression = studio.population.blend_expression(rng, EMOTIONS.get(code, {}))
    head, body = studio.body(person, expression, rng)
    surface = studio.population.surface(person.shape, expression)
    hidden = surface.mouth | (surface.hair & (person.shell is not None))
    marks = head[studio.anatomy.landmarks_68]
    scene = Scene(surface.vertices, surface.triangles, hidden, body, studio.hair(person), marks[8, 1] - BELOW_CHIN_MM)
    turn = rotation(tuple(rng.normal([0, TURNS.get(code, 0.0), 0], POSE_DEG)))
    origin = marks.mean(0) - turn.T @ rng.normal(0, PLACE_MM)
    height = settings.photo_height_px
    photo = aim(turn, origin, SPAN_MM / height, (height, 2 * round(height * ASPECT / 2)))
    ids = {name: studio.anatomy.landmarks_68[i] for name, i in INDEX_IN_68.items()}
    ids |= {name: studio.anatomy.landmarks_106[i] for name, i in IN_106.items()}
    spacing = settings.bosphorus.spacing_mm
    return Sitting(scene, grid(turn, origin, spacing), photo, {name: head[i] for name, i in ids.items()})


def photograph(sitting: Sitting, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The photograph (H, W, 3) uint8, and how far away each of its pixels is (H, W) mm."""
    scene, camera = sitting.scene, sitting.photo
    view = see(scene.body, scene.hair, camera)
    sky = SKY.copy()
    sky[1:] = camera.rotation.T @ SKY[1:]
    direction = (direction_of(-8, 20)[None] @ camera.rotation).astype(np.float32)
    light = Light(direction, LAMP[None], sky)
    backdrop = np.broadcast_to(DARK_ROOM, (*camera.shape, 3))
    image = expose(view, light, shadow_of(light, scene.body, scene.hair), backdrop)
    maker = CameraMaker(1.5, WHITE_BALANCE, 0.45 * camera.shape[0] / 256, 0, 0, 1e-4, 1e-3, 0.1, 95)
    return develop(image, maker, rng), view.distance


def mark(
    sitting: Sitting, distance: np.ndarray, noise_px: float, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Mark the visible landmarks in the photograph, as a person would, and look up their points in 3D.

    Args:
        sitting: who is there.
        distance: (H, W) mm, from `photograph`.
        noise_px: standard deviation in pixels of a 224 px crop.
        rng: source of the noise.
    Returns:
        Points (3,) in the sensor's frame, mm, and (2,) in pixels of the photograph.
    """
    points, pixels = {}, {}
    camera, noise_mm = sitting.photo, noise_px * DISTANCE_MM / FOCAL_PX_AT_224
    near = round(GUESSED_MM * camera.focal_px / WORKING_MM)
    offset = np.pad(rng.normal(0, noise_mm, size=(len(sitting.landmarks), 2)), ((0, 0), (0, 1)))
    marked = np.stack(list(sitting.landmarks.values())) + offset @ camera.rotation
    surface = _onto(sitting.scene, marked)
    for name, point, (u, v, depth) in zip(sitting.landmarks, surface, camera.project(marked), strict=True):
        if np.any(np.abs(_window(distance, u, v, near) - depth) < SEEN_MM):
            pixels[name] = np.array([u, v])
            if depth < distance[int(v), int(u)] + SEEN_MM:
                points[name] = to_sensor(camera, point)
    return points, pixels


def _onto(scene: Scene, points: np.ndarray) -> np.ndarray:
    """The points of the true surface closest to others (K, 3) that lie near it."""
    corners = scene.vertices[scene.triangles]
    tree = cKDTree(corners.mean(1), balanced_tree=False, compact_nodes=False)  # built fast, asked little
    near = tree.query(points, min(NEAR_TRIANGLES, len(corners)))[1]
    result = points.copy()
    for number, point in enumerate(points):
        around = corners[near[number]].astype(np.float64)
        weights = barycentric_of_closest(np.broadcast_to(point, (len(around), 3)), around)
        found = (weights[..., None] * around).sum(1)
        result[number] = found[((found - point) ** 2).sum(1).argmin()]
    return result


def _window(image: np.ndarray, u: float, v: float, reach: int) -> np.ndarray:
    """The pixels of an image (H, W) within `reach` rows and columns of a place; none beyond the border."""
    row, column = int(v), int(u)
    if not (0 <= row < image.shape[0] and 0 <= column < image.shape[1]):
        return image[:0, :0]
    return image[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]


def true_surface(studio: Studio, job: Job, code: str, settings: SimulateSection) -> Mesh:
    """The surface that a scan measured, in its frame, mm: what its points differ from are the sensor's errors alone."""
    person = studio.draw_bareheaded(np.random.default_rng(job.seed))
    sitting = sit(studio, person, code, settings, _generator(job, code))
    return Mesh(to_sensor(sitting.grid, sitting.scene.vertices), sitting.scene.triangles)


def _generator(job: Job, code: str) -> np.random.Generator:
    """Each scan has a generator of its own, so that it can be made again alone."""
    return np.random.default_rng((*job.seed, [name[1] for name in SCANS].index(code)))


def make(studio: Studio, job: Job, root: Path, settings: SimulateSection) -> None:
    """Draw a subject, scan and photograph it, and write the files.

    Args:
        studio: the population.
        job: who.
        root: folder of the data set.
        settings: of the stage.

    Raises:
        OutputError: a file cannot be written.
    """
    person = studio.draw_bareheaded(np.random.default_rng(job.seed))
    for kind, code in chosen_scans(settings):
        rng = _generator(job, code)
        sitting = sit(studio, person, code, settings, rng)
        photo, distance = photograph(sitting, rng)
        image = scan(sitting.scene, sitting.grid, sitting.photo, settings.scan_noise_mm, rng)
        points, pixels = mark(sitting, distance, settings.annotation_noise_px, rng)
        write_scan(root, ScanName(f"bs{job.number:03d}", kind, code, 0), image, photo, points, pixels)


def finish(root: Path, results: list[None]) -> None:
    """Nothing is left to write: the names of the files say all."""
