"""The stand-in for CelebAMask-HQ: portraits from all sides with the parts of the face marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfmvr.config.data import SimulateSection
from dfmvr.conventions import CAMERA_DISTANCE_MM
from dfmvr.datasets.celebamask_hq import read_image, read_items, read_mask, write_item, write_mapping
from dfmvr.simulate.people.person import People
from dfmvr.simulate.preview import write_preview
from dfmvr.simulate.stand_in import Recipe, Subject
from dfmvr.simulate.studio.camera import Camera, rotation
from dfmvr.simulate.studio.sensor import draw_pipeline
from dfmvr.simulate.studio.session import draw_session

YAW_SIGMA_DEG, YAW_LIMIT_DEG, TILT_SIGMA_DEG = 25.0, 60.0, 8.0
SPAN_MM = (215.0, 300.0)  # what the image shows at the face: the faces fill it
DATASET_SEED = 2

SPLIT_SHARES = (0.8, 0.9)
"""Where the validation and the test images begin, as fractions of all."""

MASK_COLOURS = np.array(
    (
        *((20, 20, 20), (205, 175, 150), (95, 60, 20), (150, 95, 30), (40, 90, 220)),
        *((70, 200, 230), (60, 160, 80), (170, 20, 40), (230, 70, 140), (240, 150, 60)),
    ),
    np.uint8,
)
"""Of the preview, for each class."""


def list_subjects(settings: SimulateSection) -> list[Subject]:
    """List the people, one an image, numbered from 0."""
    count = settings.celebamask_hq.images
    val, test = (round(share * count) for share in SPLIT_SHARES)
    splits = ["train"] * val + ["val"] * (test - val) + ["test"] * (count - test)
    return [Subject(i, (settings.seed, DATASET_SEED, i), split) for i, split in enumerate(splits)]


def point_camera(centre: np.ndarray, size_px: int, rng: np.random.Generator) -> Camera:
    """Point a camera at a face (centroid (3,) mm of its landmarks), roughly aligned."""
    yaw = np.clip(rng.normal(0, YAW_SIGMA_DEG), -YAW_LIMIT_DEG, YAW_LIMIT_DEG)
    turn = rotation((rng.normal(0, TILT_SIGMA_DEG), yaw, rng.normal(0, TILT_SIGMA_DEG)))
    distance = CAMERA_DISTANCE_MM * rng.uniform(0.7, 1.6)
    focal = size_px * distance / rng.uniform(*SPAN_MM)
    offset = np.array([rng.normal(0, 6.0), rng.normal(4, 7.0), -distance])
    return Camera(turn, offset - turn @ centre, focal, (size_px, size_px))


def make(people: People, subject: Subject, root: Path, settings: SimulateSection) -> tuple[int, str]:
    """Take a portrait and write it with its mask.

    ASSUME: `l_` is the person's own left. Masks have the size of the image (in the original, half of it).

    Returns:
        The image's id and split.
    """
    rng = np.random.default_rng(subject.seed)
    person = people.draw_person(rng)
    expression = people.population.draw_expression(rng, {"random": 1.0} if rng.integers(0, 6) else {})
    sitter = people.pose(person, expression, rng)
    session = draw_session(sitter, rng)
    pipeline = draw_pipeline(rng, settings.photo_height_px, settings.jpeg_quality)
    camera = point_camera(sitter.landmarks.mean(0), settings.photo_height_px, rng)
    write_item(root, subject.number, *session.shoot(camera, pipeline, rng), pipeline.jpeg_quality)
    return subject.number, subject.split


def finish(root: Path, results: list[tuple[int, str]]) -> None:
    """Write the list of splits and the preview."""
    write_mapping(root, dict(results))
    write_preview(root, read_items(root), lambda item: (read_image(item), MASK_COLOURS[read_mask(item)]))


RECIPE = Recipe("celebamask_hq", list_subjects, make, finish)
