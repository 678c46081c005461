"""The stand-in for CelebAMask-HQ: portraits from all sides with the parts of the face marked."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.config.data import SimulateSection
from dfmvr.datasets.celebamask_hq import write_item, write_mapping
from dfmvr.simulate.people.person import Studio
from dfmvr.simulate.pixel_face import DISTANCE_MM, Shot, rotation, set_up, shoot
from dfmvr.simulate.studio.photograph import Camera
from dfmvr.simulate.studio.sensor import draw_camera_maker

YAW_SIGMA_DEG, YAW_LIMIT_DEG, TILT_SIGMA_DEG = 25.0, 60.0, 8.0
SPAN_MM = (215.0, 300.0)  # what the image shows at the face: the faces fill it


SPLIT_SHARES = (0.8, 0.9)
"""Where the validation and the test images begin, as fractions of all."""


class Job(NamedTuple):
    """One image to be made."""

    number: int  # from 0
    split: str  # 'train', 'val' or 'test'
    seed: tuple[int, ...]


def list_jobs(dataset: str, number: int, settings: SimulateSection) -> list[Job]:
    """List the portraits; `number` is the data set's part of the seeds."""
    count = settings.celebamask_hq.images
    val, test = (round(share * count) for share in SPLIT_SHARES)
    splits = ["train"] * val + ["val"] * (test - val) + ["test"] * (count - test)
    return [Job(i, split, (settings.seed, number, i)) for i, split in enumerate(splits)]


def aim(centre: np.ndarray, size_px: int, rng: np.random.Generator) -> Camera:
    """Point a camera at a face (centroid (3,) mm of its landmarks), roughly aligned."""
    yaw = np.clip(rng.normal(0, YAW_SIGMA_DEG), -YAW_LIMIT_DEG, YAW_LIMIT_DEG)
    turn = rotation((rng.normal(0, TILT_SIGMA_DEG), yaw, rng.normal(0, TILT_SIGMA_DEG)))
    distance = DISTANCE_MM * rng.uniform(0.7, 1.6)
    focal = size_px * distance / rng.uniform(*SPAN_MM)
    offset = np.array([rng.normal(0, 6.0), rng.normal(4, 7.0), -distance])
    return Camera(turn, offset - turn @ centre, focal, (size_px / 2, size_px / 2), (size_px, size_px))


def portrait(studio: Studio, job: Job, settings: SimulateSection) -> Shot:
    """Draw a person and take a portrait: image and mask."""
    rng = np.random.default_rng(job.seed)
    person = studio.draw_person(rng)
    stage = set_up(studio, person, int(rng.integers(0, 6)), rng)
    centre = stage.head[studio.anatomy.landmarks_68].mean(0)
    maker = draw_camera_maker(rng, settings.photo_height_px, settings.jpeg_quality)
    return shoot(stage, aim(centre, settings.photo_height_px, rng), maker, rng)


def make(studio: Studio, job: Job, root: Path, settings: SimulateSection) -> tuple[int, str]:
    """Take a portrait and write it with its mask.

    ASSUME: `l_` is the person's own left. Masks have the size of the image (in the original, half of it).

    Returns:
        The image's id and split.

    Raises:
        OutputError: a file cannot be written.
    """
    shot = portrait(studio, job, settings)
    write_item(root, job.number, shot.image, shot.mask, shot.maker.jpeg_quality)
    return job.number, job.split


def finish(root: Path, results: list[tuple[int, str]]) -> None:
    """Write the list of splits of a finished data set.

    Raises:
        OutputError: the file cannot be written.
    """
    write_mapping(root, dict(results))
