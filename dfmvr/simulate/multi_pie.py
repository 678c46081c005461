"""The stand-in for Multi-PIE: each expression of each subject from many sides at once, under one flash after the other.

The laboratory never changes: thirteen cameras stand on a half circle round the seat, 15 degrees apart, two more hang
above it, and each has a flash. All photographs of a recording show the same moment: head, expression and annotation
are the same, only light and camera change.

ASSUME: the faces fill more of the photographs than in the original, the flashes are numbered by their cameras, each
subject is photographed under a few of the 20 illuminations, drawn at random, and people look the same in both sessions.
Source: Gross et al. 2010, "Multi-PIE", for the rig; names of cameras and recordings as in the original.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dfmvr.config.data import SimulateSection
from dfmvr.datasets.images import read_image
from dfmvr.datasets.multi_pie.dataset import YAWS, write_photo
from dfmvr.datasets.multi_pie.folders import PhotoName
from dfmvr.errors import ConfigError
from dfmvr.simulate.people.person import People, Person
from dfmvr.simulate.preview import spread, write_preview
from dfmvr.simulate.stand_in import Recipe, Subject
from dfmvr.simulate.studio.camera import Camera, annotate, photo_shape, rotation
from dfmvr.simulate.studio.light import Light, direction_of
from dfmvr.simulate.studio.noise import fractal
from dfmvr.simulate.studio.photograph import Shadow, Sitter, expose, see, shadow_of
from dfmvr.simulate.studio.sensor import CameraPipeline, develop, vary_pipeline

HANGING_DEG = {"081": 35.0, "191": 35.0}
CAMERAS = {name: (yaw, HANGING_DEG.get(name, 0.0)) for name, yaw in YAWS.items()}
"""Yaw of the head in the photograph (negative where the nose points to the image's left) and how far above the head
the camera hangs, degrees."""

FLASHES = {
    **dict(enumerate((place for name, place in CAMERAS.items() if name not in HANGING_DEG), start=1)),
    **{14: CAMERAS["081"], 15: (-22.0, 40.0), 16: (0.0, 40.0), 17: (22.0, 40.0), 18: CAMERAS["191"]},
}
"""Place of the flash of each illumination, as of the cameras; 0 and 19 have none."""
ILLUMINATIONS = 20
DATASET_SEED = 3

RECORDINGS = ((1, 1, {}), (1, 2, {"smile": 1.0}), (2, 2, {"surprise": 1.0}))
"""Session, recording and expression, as in the original."""

DISTANCE_MM, SPAN_MM = 1300.0, 370.0  # of the cameras from the seat; what the height of a photograph shows there
ASPECT = 4 / 3  # width / height
SEAT_MM = 45.0  # from the middle of the rig forward to the middle of the face
POSE_DEG, PLACE_MM = (3.0, 3.0, 2.0), (10.0, 10.0, 15.0)  # how still people sit
ABOVE_CAMERA_DEG = 6.0  # a flash stands on its camera
FLASH = np.array([0.98, 1.0, 1.03], np.float32)
CEILING = np.array([0.36, 0.35, 0.32], np.float32)
SKY = np.array([[0.3, 0.3, 0.3], [0, 0, 0], [0.1, 0.1, 0.1], [0.03, 0.03, 0.03]], np.float32)
WHITE_BALANCE = np.array([1.02, 1, 0.98], np.float32)
WALL_LIT = (0.4, 0.45)  # light on the wall: of the room, and of a flash


class Seated(NamedTuple):
    """A person in the seat."""

    sitter: Sitter
    turn: np.ndarray  # (3, 3) from the person's frame to the rig's
    place: np.ndarray  # (3,) mm, where the middle of the landmarks is in the rig


def list_subjects(settings: SimulateSection) -> list[Subject]:
    """List the subjects, numbered from 1.

    Raises:
        ConfigError: a camera that Multi-PIE does not have, or none.
    """
    cameras = settings.multi_pie.cameras
    if not cameras or set(cameras) - set(CAMERAS):
        raise ConfigError(
            f"simulate.multi_pie.cameras: expected some of {', '.join(CAMERAS)}, found {', '.join(cameras) or 'none'}"
        )
    return [Subject(i, (settings.seed, DATASET_SEED, i)) for i in range(1, settings.multi_pie.subjects + 1)]


def take_seat(people: People, person: Person, shares: dict[str, float], rng: np.random.Generator) -> Seated:
    """Let a person sit down with an expression (see `HeadSource.draw_expression`)."""
    sitter = people.pose(person, people.population.draw_expression(rng, shares), rng)
    return Seated(sitter, rotation(tuple(rng.normal(0, POSE_DEG))), rng.normal((0, 0, SEAT_MM), PLACE_MM))


def camera_of(seated: Seated, name: str, height_px: int) -> Camera:
    """The camera `name` of the rig, for photographs of `height_px` rows."""
    yaw, above = CAMERAS[name]
    to_camera = rotation((above, 0, 0)) @ rotation((0, yaw, 0))
    turn = to_camera @ seated.turn
    offset = to_camera @ seated.place - [0, 0, DISTANCE_MM]
    focal = height_px * DISTANCE_MM / SPAN_MM
    return Camera(turn, offset - turn @ seated.sitter.landmarks.mean(0), focal, photo_shape(height_px, ASPECT))


def light_up(seated: Seated, illumination: int) -> tuple[Light, Shadow]:
    """The room's light and, but for illuminations 0 and 19, one flash, in the person's frame."""
    directions, colours = [direction_of(0, 65)], [CEILING]
    if illumination in FLASHES:
        yaw, above = FLASHES[illumination]
        directions.insert(0, direction_of(-yaw, above + ABOVE_CAMERA_DEG))
        colours.insert(0, FLASH)
    light = Light(np.stack(directions), np.stack(colours), SKY).seen_from(seated.turn)
    return light, shadow_of(light, seated.sitter)


@lru_cache(maxsize=len(CAMERAS))
def wall(name: str, shape: tuple[int, int]) -> np.ndarray:
    """What camera `name` sees behind the seat: (H, W, 3) linear RGB of the grey laboratory, its posts and cables."""
    rng = np.random.default_rng(list(CAMERAS).index(name))
    height, width = shape
    down = np.linspace(1.1, 0.8, height, dtype=np.float32)[:, None, None]
    across = np.linspace(1, rng.uniform(0.75, 1.3), width, dtype=np.float32)[None, :, None]
    image = np.array([0.27, 0.31, 0.36], np.float32) * rng.uniform(0.8, 1.2) * down * across
    image = np.ascontiguousarray(image, np.float32)
    for _ in range(rng.integers(1, 4)):
        x, half = rng.uniform(0, 1) * width, max(height / 90, 1)
        grey = float(rng.uniform(0.02, 0.12))
        cv2.rectangle(image, (int(x - half), 0), (int(x + half), height), (grey,) * 3, -1)
        top = int(rng.uniform(0.1, 0.6) * height)
        corner, other = (int(x - 5 * half), top), (int(x + 5 * half), int(top + 7 * half))
        cv2.rectangle(image, corner, other, (grey + 0.03,) * 3, -1)
    image = cv2.GaussianBlur(image, (0, 0), 0.012 * height)
    return image * (1 + 0.02 * fractal(rng, shape, 1, 24, 0.8))


def pipeline_of(name: str, height_px: int) -> CameraPipeline:
    """The rig's cameras are of one make and differ a little."""
    make = CameraPipeline(
        1.25, np.array([1.02, 1, 0.98], np.float32), 0.5 * height_px / 256, 0, 0, 1e-4, 1e-3, 0.15, 95
    )
    return vary_pipeline(make, np.random.default_rng(100 + list(CAMERAS).index(name)))


def make(people: People, subject: Subject, root: Path, settings: SimulateSection) -> None:
    """Draw a subject, take all photographs, and write them."""
    rng = np.random.default_rng(subject.seed)
    person, size = people.draw_bareheaded(rng), settings.multi_pie
    illuminations = sorted(rng.choice(ILLUMINATIONS, size.illuminations, replace=False).tolist())
    for session, recording, shares in RECORDINGS[: size.recordings]:
        seated = take_seat(people, person, shares, rng)
        lights = {illumination: light_up(seated, illumination) for illumination in illuminations}
        for name in size.cameras:
            camera = camera_of(seated, name, settings.photo_height_px)
            view = see(seated.sitter, camera)
            # one for all lights, as they show the same moment
            marks = annotate(seated.sitter.landmarks, camera, settings.annotation_noise_px, rng)
            for illumination, (light, shadow) in lights.items():
                lit = WALL_LIT[0] + WALL_LIT[1] * (illumination in FLASHES)
                image = expose(camera, view.layers, light, shadow, wall(name, camera.shape) * np.float32(lit))
                photo = develop(image, pipeline_of(name, camera.shape[0]), rng)
                shown = PhotoName.of(subject.number, session, recording, name, illumination)
                write_photo(root, shown, photo, marks)


def finish(root: Path, results: list[None]) -> None:
    """Write the preview: what up to five cameras took of some moments, in the order of their yaws."""
    moments: dict[tuple[str, ...], dict[float, Path]] = {}
    for path in sorted(root.glob("session*/multiview/*/*/*/*.png")):
        subject, session, recording, camera, illumination = path.stem.split("_")
        moments.setdefault((subject, session, recording, illumination), {})[YAWS[camera]] = path
    by_yaw = [[photos[yaw] for yaw in sorted(photos)] for photos in moments.values()]
    write_preview(root, by_yaw, lambda photos: [read_image(path) for path in spread(photos, 5)])


RECIPE = Recipe("multi_pie", list_subjects, make, finish)
