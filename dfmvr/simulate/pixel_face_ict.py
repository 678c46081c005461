"""A second stand-in for Pixel-Face, for test alone: faces of ICT-FaceKit, of which the default face model has none."""

from __future__ import annotations

from pathlib import Path

from dfmvr.config.data import SimulateSection
from dfmvr.simulate import pixel_face
from dfmvr.simulate.people.ict import IctHeads
from dfmvr.simulate.people.population import HeadSource
from dfmvr.simulate.stand_in import Recipe, Subject, anny_heads

DATASET_SEED = 1


def list_subjects(settings: SimulateSection) -> list[Subject]:
    """List the subjects, numbered from 1."""
    seed = (settings.seed, DATASET_SEED, pixel_face.TEST_SEED)
    return [Subject(i, (*seed, i), "test") for i in range(1, settings.ict_test_subjects + 1)]


def ict_heads(heads: Path, settings: SimulateSection) -> HeadSource:
    """Heads of ICT-FaceKit in the colours of the default ones.

    Raises:
        ConfigError: `simulate.ict_facekit` does not name its files.
        DataError: a file is missing or broken.
    """
    return IctHeads(settings.ict_facekit, anny_heads(heads, settings))


RECIPE = Recipe("pixel_face_ict", list_subjects, pixel_face.make, pixel_face.finish, ict_heads)
