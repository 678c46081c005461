"""The stand-in for Pixel-Face: three photographs at once and a scan, for each expression of each subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfmvr.config.data import PixelFaceData, SimulateSection
from dfmvr.conventions import CAMERA_DISTANCE_MM
from dfmvr.datasets.pixel_face.dataset import PixelFace, SampleInfo, write_sample, write_splits
from dfmvr.datasets.pixel_face.ground_truth import GroundTruth
from dfmvr.errors import ConfigError
from dfmvr.geometry.meshes import Mesh
from dfmvr.simulate.people.person import People
from dfmvr.simulate.people.population import FineMesh
from dfmvr.simulate.preview import write_preview
from dfmvr.simulate.stand_in import Recipe, Subject
from dfmvr.simulate.studio.camera import Camera, annotate, photo_shape, rotation
from dfmvr.simulate.studio.photograph import Sitter
from dfmvr.simulate.studio.scanner import HeadSurface, scan_head
from dfmvr.simulate.studio.sensor import draw_pipeline, vary_pipeline
from dfmvr.simulate.studio.session import draw_session

VIEW_YAW_DEG = (-35.0, 0.0, 35.0)
"""Rotation of the head about y in each view: the nose points to the image's left, front, right."""
YAW_JITTER_DEG, TILT_JITTER_DEG = 5.0, 4.0
SPAN_MM = 330.0  # what the height of a photograph shows at the face
ASPECT = 7 / 8  # width / height
DATASET_SEED, TRAIN_SEED, TEST_SEED = 0, 0, 2
FIRST_TEST_NUMBER = 10_000
"""Test subjects count from the one after this, as in the release."""


def list_subjects(settings: SimulateSection) -> list[Subject]:
    """List the subjects for training and for test, each numbered from 1.

    Raises:
        ConfigError: more for training than there are numbers before those for test.
    """
    if settings.pixel_face.train_subjects > FIRST_TEST_NUMBER:
        raise ConfigError(
            f"simulate.pixel_face.train_subjects: expected {FIRST_TEST_NUMBER} at the most, as test subjects count on "
            f"from there, found {settings.pixel_face.train_subjects}"
        )
    size, seed = settings.pixel_face, (settings.seed, DATASET_SEED)
    train = [Subject(i, (*seed, TRAIN_SEED, i), "train") for i in range(1, size.train_subjects + 1)]
    return train + [Subject(i, (*seed, TEST_SEED, i), "test") for i in range(1, size.test_subjects + 1)]


def point_camera(centre: np.ndarray, yaw_deg: float, height_px: int, rng: np.random.Generator) -> Camera:
    """Point a camera of the rig at a face (centroid (3,) mm of its landmarks), turned by about `yaw_deg`."""
    tilt = rng.uniform(-TILT_JITTER_DEG, TILT_JITTER_DEG, size=2)
    turn = rotation((tilt[0], yaw_deg + rng.uniform(-YAW_JITTER_DEG, YAW_JITTER_DEG), tilt[1]))
    distance = CAMERA_DISTANCE_MM * rng.uniform(0.95, 1.05)
    focal = height_px * CAMERA_DISTANCE_MM / SPAN_MM * rng.uniform(0.95, 1.05)
    offset = np.array([rng.normal(0, 6.0), rng.normal(-6, 6.0), -distance])
    # the back of a turned head sits beside its face; the rig looks at the middle of the head
    offset[0] += 18 * np.sin(np.radians(yaw_deg))
    return Camera(turn, offset - turn @ centre, focal, photo_shape(height_px, ASPECT))


def landmark_truth(sitter: Sitter, front: Camera) -> GroundTruth:
    """The 106 keypoints alone, as a light ground truth for training, in the frame of the scan (see `scan_truth`)."""
    points = _in_frame(sitter.keypoints, sitter, front)
    return GroundTruth(points, np.zeros((0, 3), np.int64), points)


def scan_truth(scan: Mesh, head: HeadSurface, fine: FineMesh, sitter: Sitter, front: Camera) -> GroundTruth:
    """A scan of a head, with the true surface in the topology of the face model as its registration.

    The frame is that of the front camera, turned like it, about the centroid of the 68 landmarks.
    """
    return GroundTruth(
        _in_frame(scan.vertices, sitter, front),
        scan.triangles,
        _in_frame(head.keypoints, sitter, front),
        _in_frame(head.vertices[fine.face], sitter, front),
        fine.face_triangles,
        fine.face_keypoints,
    )


def _in_frame(points: np.ndarray, sitter: Sitter, front: Camera) -> np.ndarray:
    """Points (N, 3) in the frame of the scan; see `scan_truth`."""
    return (points - sitter.landmarks.mean(0)) @ front.rotation.T


def make(people: People, subject: Subject, root: Path, settings: SimulateSection) -> list[SampleInfo]:
    """Draw a subject, take all photographs and scans, and write them; tell what the split files say of each sample."""
    rng = np.random.default_rng(subject.seed)
    person, infos = people.draw_person(rng), []
    name = f"{subject.number + (FIRST_TEST_NUMBER if subject.split == 'test' else 0):05d}"
    for number in range(settings.pixel_face.expressions):
        expression = people.population.draw_expression(rng, {"random": 1.0} if number else {})
        sitter = people.pose(person, expression, rng)
        session, centre = draw_session(sitter, rng), sitter.landmarks.mean(0)
        pipeline = draw_pipeline(rng, settings.photo_height_px, settings.jpeg_quality)
        cameras = [point_camera(centre, yaw, settings.photo_height_px, rng) for yaw in VIEW_YAW_DEG]
        photos = [session.shoot(camera, vary_pipeline(pipeline, rng), rng)[0] for camera in cameras]
        marks = [annotate(sitter.landmarks, camera, settings.annotation_noise_px, rng) for camera in cameras]
        if subject.split == "test":
            head = people.surface(person, expression)
            scan = scan_head(head, settings.scan_spacing_mm, settings.scan_noise_mm, rng)
            truth = scan_truth(scan, head, people.population.fine, sitter, cameras[1])
        else:
            truth = landmark_truth(sitter, cameras[1])
        sample = f"{name}{number + 1:02d}"
        write_sample(root, sample, photos, truth, marks, "jpg", pipeline.jpeg_quality)
        infos.append(SampleInfo(sample, name, subject.split, f"{number + 1:02d}"))
    return infos


def finish(root: Path, results: list[list[SampleInfo]]) -> None:
    """Write the split files and the preview."""
    write_splits(root, [info for infos in results for info in infos])
    dataset = PixelFace(root, PixelFaceData())
    write_preview(root, list(dataset.samples()), lambda sample: [dataset.read_photo(p) for p in sample.photos if p])


RECIPE = Recipe("pixel_face", list_subjects, make, finish)
