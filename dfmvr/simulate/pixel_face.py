"""The stand-in for Pixel-Face: three photographs at once and a scan, for each expression of each subject."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dfmvr.config.data import SimulateSection
from dfmvr.conventions import FOCAL_PX_AT_224
from dfmvr.datasets.pixel_face.dataset import SampleInfo, write_sample, write_splits
from dfmvr.datasets.pixel_face.ground_truth import GroundTruth
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.simulate.people.person import Person, Studio, shadow_of
from dfmvr.simulate.studio.backdrop import Scene, draw_scene, paint
from dfmvr.simulate.studio.light import Light, draw_light, mean_light
from dfmvr.simulate.studio.photograph import Body, Camera, Hair, Shadow, expose, see
from dfmvr.simulate.studio.scanner import Head, scan
from dfmvr.simulate.studio.sensor import CameraMaker, develop, draw_camera_maker, vary_camera_maker

VIEW_YAW_DEG = (-35.0, 0.0, 35.0)
"""Rotation of the head about y in each view: the nose points to the image's left, front, right."""
YAW_JITTER_DEG, TILT_JITTER_DEG = 5.0, 4.0
SPLIT_NUMBERS = {"train": 0, "test": 2}
"""Part of the seeds."""
SPAN_MM = 330.0  # what the height of a photograph shows at the face
ASPECT = 7 / 8  # width / height
DISTANCE_MM = 1000.0


class Job(NamedTuple):
    """One subject to be drawn."""

    number: int  # from 1
    split: str  # 'train' or 'test'
    seed: tuple[int, ...]


class Stage(NamedTuple):
    """A person with one expression in a lit place."""

    expression: np.ndarray | None
    head: np.ndarray  # (V, 3) mm
    body: Body
    hair: Hair | None
    light: Light
    shadow: Shadow
    scene: Scene


class Shot(NamedTuple):
    """One photograph and what is known about it."""

    image: np.ndarray  # (H, W, 3) uint8
    mask: np.ndarray  # (H, W) class ids
    camera: Camera
    maker: CameraMaker


def subject_name(job: Job) -> str:
    """Name of a subject: five digits, as in the release; test subjects count from 10001."""
    return f"{job.number + (10000 if job.split == 'test' else 0):05d}"


def list_jobs(dataset: str, number: int, settings: SimulateSection) -> list[Job]:
    """List the subjects of a stand-in for Pixel-Face; `number` is the data set's part of the seeds."""
    counts = {"train": settings.pixel_face.train_subjects, "test": settings.pixel_face.test_subjects}
    if dataset == "pixel_face_ict":
        counts = {"test": settings.ict_test_subjects}
    return [
        Job(i, split, (settings.seed, number, SPLIT_NUMBERS[split], i))
        for split, count in counts.items()
        for i in range(1, count + 1)
    ]


def rotation(angles_deg: tuple[float, float, float]) -> np.ndarray:
    """Rotation (3, 3) of Euler angles about x, y, z in degrees, R = Rz Ry Rx."""
    return euler_to_rotmat(torch.tensor(np.radians(angles_deg), dtype=torch.float64)).numpy()


def set_up(studio: Studio, person: Person, number: int, rng: np.random.Generator) -> Stage:
    """Ask a person for expression `number` (0 is neutral) and light the place."""
    expression = studio.population.draw_expression(rng, number)
    head, body = studio.body(person, expression, rng)
    hair = studio.hair(person)
    light = draw_light(rng)
    return Stage(expression, head, body, hair, light, shadow_of(light, body, hair), draw_scene(rng))


def shoot(stage: Stage, camera: Camera, maker: CameraMaker, rng: np.random.Generator) -> Shot:
    """Take one photograph."""
    level = np.float32(mean_light(stage.light).mean())
    backdrop = paint(stage.scene, rng, camera.shape) * level
    view = see(stage.body, stage.hair, camera)
    light = expose(view, stage.light, stage.shadow, backdrop)
    return Shot(develop(light / level, maker, rng), view.mask, camera, maker)


def aim(centre: np.ndarray, yaw_deg: float, height_px: int, rng: np.random.Generator) -> Camera:
    """Point a camera of the rig at a face.

    Args:
        centre: (3,) mm, centroid of the 68 landmarks.
        yaw_deg: nominal rotation of the head in this view.
        height_px: height of the photograph.
        rng: source of the jitter.
    """
    tilt = rng.uniform(-TILT_JITTER_DEG, TILT_JITTER_DEG, size=2)
    turn = rotation((tilt[0], yaw_deg + rng.uniform(-YAW_JITTER_DEG, YAW_JITTER_DEG), tilt[1]))
    distance = DISTANCE_MM * rng.uniform(0.95, 1.05)
    focal = height_px * DISTANCE_MM / SPAN_MM * rng.uniform(0.95, 1.05)
    offset = np.array([rng.normal(0, 6.0), rng.normal(-6, 6.0), -distance])
    # the back of a turned head sits beside its face; the rig looks at the middle of the head
    offset[0] += 18 * np.sin(np.radians(yaw_deg))
    width_px = 2 * round(height_px * ASPECT / 2)
    return Camera(turn, offset - turn @ centre, focal, (width_px / 2, height_px / 2), (height_px, width_px))


def annotate(landmarks: np.ndarray, camera: Camera, noise_px: float, rng: np.random.Generator) -> np.ndarray:
    """Mark the landmarks as a person would.

    Args:
        landmarks: (68, 3) mm.
        camera: that took the photograph.
        noise_px: standard deviation in pixels of a 224 px crop.
        rng: source of the noise.
    Returns:
        (68, 2) pixels of the photograph.
    ASSUME: jaw points are fixed points of the surface, not the visible contour that a detector follows.
    """
    projected = camera.project(landmarks)
    scale = camera.focal_px / projected[:, 2].mean() / (FOCAL_PX_AT_224 / DISTANCE_MM)
    return projected[:, :2] + rng.normal(0, noise_px * scale, size=(len(landmarks), 2))


def true_landmarks(studio: Studio, stage: Stage, front: Camera) -> GroundTruth:
    """The 106 keypoints alone, as a light ground truth for training, in the frame of the scan (see `measure`)."""
    points = _in_frame(stage.head[studio.anatomy.landmarks_106], stage, studio, front)
    return GroundTruth(points, np.zeros((0, 3), np.int64), points)


def measure(
    studio: Studio, person: Person, stage: Stage, front: Camera, settings: SimulateSection, rng: np.random.Generator
) -> GroundTruth:
    """Scan a person, and add the true surface in the topology of the face model as the registration.

    The frame is that of the front camera, turned like it, about the centroid of the 68 landmarks.
    """
    surface = studio.population.surface(person.shape, stage.expression)
    hidden = surface.mouth | (surface.hair & (person.shell is not None))
    head = Head(surface.vertices, surface.triangles, hidden, surface.landmarks)
    found = scan(head, settings.scan_spacing_mm, settings.scan_noise_mm, rng)
    return GroundTruth(
        _in_frame(found.vertices, stage, studio, front),
        found.triangles,
        _in_frame(surface.landmarks, stage, studio, front),
        _in_frame(surface.face, stage, studio, front),
        surface.face_triangles,
        surface.keypoints,
    )


def _in_frame(points: np.ndarray, stage: Stage, studio: Studio, front: Camera) -> np.ndarray:
    """Points (N, 3) in the frame of the scan; see `measure`."""
    return (points - stage.head[studio.anatomy.landmarks_68].mean(0)) @ front.rotation.T


def make(studio: Studio, job: Job, root: Path, settings: SimulateSection) -> list[SampleInfo]:
    """Draw a subject, take all photographs and scans, and write them.

    Args:
        studio: the population.
        job: who.
        root: folder of the data set.
        settings: of the stage.
    Returns:
        What the split files say about each sample.

    Raises:
        OutputError: a file cannot be written.
    """
    rng = np.random.default_rng(job.seed)
    person, name = studio.draw_person(rng), subject_name(job)
    infos = []
    for number in range(settings.pixel_face.expressions):
        stage = set_up(studio, person, number, rng)
        centre = stage.head[studio.anatomy.landmarks_68].mean(0)
        maker = draw_camera_maker(rng, settings.photo_height_px, settings.jpeg_quality)
        cameras = [aim(centre, yaw, settings.photo_height_px, rng) for yaw in VIEW_YAW_DEG]
        shots = [shoot(stage, camera, vary_camera_maker(maker, rng), rng) for camera in cameras]
        marks = [
            annotate(stage.head[studio.anatomy.landmarks_68], camera, settings.annotation_noise_px, rng)
            for camera in cameras
        ]
        if job.split == "test":
            truth = measure(studio, person, stage, cameras[1], settings, rng)
        else:
            truth = true_landmarks(studio, stage, cameras[1])
        sample = f"{name}{number + 1:02d}"
        images, quality = [shot.image for shot in shots], [shot.maker.jpeg_quality for shot in shots]
        write_sample(root, sample, images, truth, marks, "jpg", quality)
        infos.append(SampleInfo(sample, name, job.split, f"{number + 1:02d}"))
    return infos


def finish(root: Path, results: list[list[SampleInfo]]) -> None:
    """Write the split files of a finished data set.

    Raises:
        OutputError: a file cannot be written.
    """
    write_splits(root, [info for infos in results for info in infos])
