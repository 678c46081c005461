"""The stand-in for Bosphorus: range images and photographs of a head that turns before a sensor.

A subject sits on a chair that is turned, so head and shoulders turn together: R to the person's right, so that the nose
points to the image's left, L to the left. The lamp is strong, the room dark. For the last column of Table V, in which
angle and light are random, a second take of three views has a light drawn for the subject, and a turn to R drawn too.

ASSUME: of the data set's many scans there are the neutral one, emotions and turns up to 45 degrees: N_N, E_*, YR_*, one
take each. The landmarks' `left` is the left of the image of a frontal face; ear lobes are not marked. The data set
itself has no other light; the paper does not tell how its light was random. Ours is that of any room, the camera's
exposure set by it, and stays while the chair turns.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from dfmvr.config.data import SimulateSection
from dfmvr.conventions import CAMERA_DISTANCE_MM, FOCAL_PX_AT_224
from dfmvr.datasets.bosphorus.dataset import write_scan
from dfmvr.datasets.bosphorus.landmarks import INDEX_IN_68
from dfmvr.datasets.bosphorus.names import ScanName
from dfmvr.datasets.bosphorus.range_image import RangeImage, read_bnt
from dfmvr.datasets.images import read_image
from dfmvr.geometry.surface import barycentric_of_closest
from dfmvr.geometry.vectors import unit
from dfmvr.simulate.people.person import People, Person
from dfmvr.simulate.preview import write_preview
from dfmvr.simulate.stand_in import Recipe, Subject
from dfmvr.simulate.studio.camera import photo_shape, rotation
from dfmvr.simulate.studio.light import Light, direction_of, draw_light, mean_light
from dfmvr.simulate.studio.photograph import Sitter, expose, see, shadow_of
from dfmvr.simulate.studio.scanner import HeadSurface
from dfmvr.simulate.studio.sensor import CameraPipeline, develop
from dfmvr.simulate.studio.structured_light import (
    WORKING_MM,
    Sitting,
    grid_camera,
    measure_range,
    sensor_camera,
    to_sensor,
)

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
DATASET_SEED = 4
RELIT_TAKE, RELIT_SEED = 1, 1000
"""Number of the take under a light drawn at random (`datasets.bosphorus.relit_take`); the last part of its seed."""
POSE_DEG, PLACE_MM = (3.0, 2.0, 2.0), (8.0, 8.0, 12.0)  # how well people sit as they are told
SPAN_MM, ASPECT = 330.0, 4 / 3  # what the height of a photograph shows; width / height
BELOW_CHIN_MM = 40.0  # where the operator cuts the range image off
SEEN_MM, GUESSED_MM = 5.0, 5.0
"""A landmark no more than SEEN_MM behind what the photograph shows has a place in 3D. In 2D it is marked too where the
photograph shows its surroundings within GUESSED_MM: one sees where the corner of an eye behind the nose must be."""
NEAR_TRIANGLES = 64  # of a point, one of which surely is the closest
LAMP = np.array([1.12, 1.0, 0.86], np.float32) * np.float32(1.1)
SKY = np.array([[0.1, 0.09, 0.08], [0, 0, 0], [0, 0, 0], [0.02, 0.02, 0.02]], np.float32)
LABORATORY = Light(direction_of(-8, 20)[None], LAMP[None], SKY)
"""The light in the sensor's frame."""
DARK_ROOM = np.array([0.006, 0.007, 0.009], np.float32)
RELIEF_LAMP = np.array([-0.4, 0.4, 0.82])  # of the preview
WHITE_BALANCE = np.array([0.94, 1.0, 1.1], np.float32)


def list_subjects(settings: SimulateSection) -> list[Subject]:
    """List the subjects, numbered from 0."""
    return [Subject(i, (settings.seed, DATASET_SEED, i)) for i in range(settings.bosphorus.subjects)]


def chosen_scans(settings: SimulateSection) -> list[tuple[str, str]]:
    """Class and code of each scan of a subject."""
    left_out = list(EMOTIONS)[settings.bosphorus.expressions :]
    return [name for name in SCANS if name[1] not in left_out]


def sit(people: People, person: Person, code: str, settings: SimulateSection, rng: np.random.Generator) -> Sitting:
    """Ask a person to sit down for the scan with this code."""
    expression = people.population.draw_expression(rng, EMOTIONS.get(code, {}))
    sitter = people.pose(person, expression, rng)
    turn = rotation(tuple(rng.normal([0, TURNS.get(code, 0.0), 0], POSE_DEG)))
    origin = sitter.landmarks.mean(0) - turn.T @ rng.normal(0, PLACE_MM)
    height = settings.photo_height_px
    return Sitting(
        people.surface(person, expression),
        sitter,
        sitter.landmarks[8, 1] - BELOW_CHIN_MM,
        grid_camera(turn, origin, settings.bosphorus.spacing_mm),
        sensor_camera(turn, origin, SPAN_MM / height, photo_shape(height, ASPECT)),
    )


def photograph(sitting: Sitting, rng: np.random.Generator, room: Light = LABORATORY) -> tuple[np.ndarray, np.ndarray]:
    """The photograph (H, W, 3) uint8, and how far away each of its pixels is (H, W) mm."""
    camera = sitting.photo
    view = see(sitting.sitter, camera)
    light = room.seen_from(camera.rotation)
    backdrop = np.broadcast_to(DARK_ROOM, (*camera.shape, 3))
    image = expose(camera, view.layers, light, shadow_of(light, sitting.sitter), backdrop)
    pipeline = CameraPipeline(1.5, WHITE_BALANCE, 0.45 * camera.shape[0] / 256, 0, 0, 1e-4, 1e-3, 0.1, 95)
    level = mean_light(LABORATORY).mean() / mean_light(room).mean()
    return develop(image * np.float32(level), pipeline, rng), view.distance


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
    points, pixels, places = {}, {}, landmarks_of(sitting.sitter)
    camera, noise_mm = sitting.photo, noise_px * CAMERA_DISTANCE_MM / FOCAL_PX_AT_224
    near = round(GUESSED_MM * camera.focal_px / WORKING_MM)
    offset = np.pad(rng.normal(0, noise_mm, size=(len(places), 2)), ((0, 0), (0, 1)))
    marked = np.stack(list(places.values())) + offset @ camera.rotation
    surface = _onto(sitting.head, marked)
    for name, point, (u, v, depth) in zip(places, surface, camera.project(marked), strict=True):
        if np.any(np.abs(_window(distance, u, v, near) - depth) < SEEN_MM):
            pixels[name] = np.array([u, v])
            if depth < distance[int(v), int(u)] + SEEN_MM:
                points[name] = to_sensor(camera, point)
    return points, pixels


def landmarks_of(sitter: Sitter) -> dict[str, np.ndarray]:
    """The landmarks of Bosphorus by name, each (3,) mm in the person's frame."""
    marks = {name: sitter.landmarks[i] for name, i in INDEX_IN_68.items()}
    return marks | {name: sitter.keypoints[i] for name, i in IN_106.items()}


def _onto(head: HeadSurface, points: np.ndarray) -> np.ndarray:
    """The points of the true surface closest to others (K, 3) that lie near it."""
    corners = head.vertices[head.triangles]
    # half the time of a `geometry.surface.Surface`: the tree is built fast, asked little
    tree = cKDTree(corners.mean(1), balanced_tree=False, compact_nodes=False)
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


def generator_of(subject: Subject, code: str, take: int = 0) -> np.random.Generator:
    """Each scan has a generator of its own, so that it can be made again alone."""
    return np.random.default_rng((*subject.seed, [name[1] for name in SCANS].index(code) + take * len(SCANS)))


class Scan(NamedTuple):
    """What is asked of a subject, and under which light."""

    kind: str
    code: str
    take: int = 0
    room: Light = LABORATORY


def scans_of(subject: Subject, settings: SimulateSection) -> list[Scan]:
    """All scans of a subject: those that are chosen, and the three under a light of its own."""
    rng = np.random.default_rng((*subject.seed, RELIT_SEED))
    room, turn = draw_light(rng), str(rng.choice([code for code, yaw in TURNS.items() if yaw < 0]))
    relit = (("N", "N"), ("YR", turn), ("YR", "L45"))
    return [Scan(*name) for name in chosen_scans(settings)] + [Scan(*name, RELIT_TAKE, room) for name in relit]


def make(people: People, subject: Subject, root: Path, settings: SimulateSection) -> None:
    """Draw a subject, scan and photograph it, and write the files."""
    person = people.draw_bareheaded(np.random.default_rng(subject.seed))
    for kind, code, take, room in scans_of(subject, settings):
        rng = generator_of(subject, code, take)
        sitting = sit(people, person, code, settings, rng)
        photo, distance = photograph(sitting, rng, room)
        image = measure_range(sitting, settings.scan_noise_mm, rng)
        points, pixels = mark(sitting, distance, settings.annotation_noise_px, rng)
        write_scan(root, ScanName(f"bs{subject.number:03d}", kind, code, take), image, photo, points, pixels)


def finish(root: Path, results: list[None]) -> None:
    """Write the preview: photograph and range image, from the front and turned, of some subjects."""

    def pictures(folder: Path) -> list[np.ndarray]:
        stems = [folder / f"{folder.name}_{scan}_0" for scan in ("N_N", "YR_R30", "YR_L45")]
        pairs = [(read_image(f"{stem}.png"), _relief(read_bnt(f"{stem}.bnt"))) for stem in stems]
        return [picture for pair in pairs for picture in pair]

    write_preview(root, sorted(root.glob("bs*")), pictures)


def _relief(image: RangeImage) -> np.ndarray:
    """A range image lit from the upper left, on a black square (S, S, 3)."""
    across, down = np.diff(image.points, axis=1)[:-1], np.diff(image.points, axis=0)[:, :-1]
    light = unit(np.cross(across, -down)) @ RELIEF_LAMP
    grey = np.where(np.isfinite(light), 40 + 215 * np.clip(light, 0, 1), 0).astype(np.uint8)
    square = np.zeros((max(grey.shape),) * 2, np.uint8)
    left = (len(square) - grey.shape[1]) // 2
    square[: grey.shape[0], left : left + grey.shape[1]] = grey
    return np.repeat(square[..., None], 3, 2)


RECIPE = Recipe("bosphorus", list_subjects, make, finish)
