"""Photographs of stand-ins whose surface is known: from all sides, near and far, with hair and with expressions.

What a finder answers on them tells which places of the face model its points mean (`dfmvr.align.dense`). They differ
from the stand-in data sets in that the camera that took each photograph is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.face_model.expressions import KINDS
from dfmvr.simulate.people.anny import AnnyHeads
from dfmvr.simulate.people.person import People
from dfmvr.simulate.studio.camera import Camera, rotation
from dfmvr.simulate.studio.sensor import draw_pipeline, vary_pipeline
from dfmvr.simulate.studio.session import draw_session

HEIGHT_PX, SPAN_MM = 448, 360.0
"""Height of a photograph, and what it shows at the face: the finder itself looks at less than 260 px."""

JPEG_QUALITY = (75, 95)
YAW_DEG, PITCH_DEG, ROLL_DEG = 82.0, 9.0, 6.0
"""ASSUME: yaw to either side at the most, standard deviations of pitch and roll."""

DISTANCE_MM = (350.0, 1600.0)
"""From a selfie to the other side of a table."""

PHOTOS = 8
"""Of a person, each in an eighth of the yaws."""

STRONG = ("smile", "grin", "scream", "jaw_open")
NEUTRAL_SHARE, RANDOM_SHARE, STRONG_SHARE = 0.15, 0.25, 0.3
"""ASSUME: so many make no face, one as in the stand-ins, and one of `STRONG`; the others any of `KINDS`."""


class KnownPhotograph(NamedTuple):
    """A photograph and what it shows."""

    photo: np.ndarray  # (S, S, 3) uint8 RGB
    surface: np.ndarray  # (C, 2) float32 px, where the vertices of the face model's coarse mesh are, hidden ones too
    landmarks: np.ndarray  # (68, 2) px, without a marker's noise
    yaw_deg: float  # negative where the nose points to the image's left
    roll_deg: float  # by which the head is tilted, clockwise in the picture
    px_per_mm: float  # at the face


def face_turn_deg(turn: np.ndarray) -> tuple[float, float]:
    """Yaw and roll, degrees, of a head whose rotation (3, 3) brings it before the camera.

    Yaw is the nose's direction seen from above: negative where it points to the image's left. Roll is the direction of
    the head's vertical axis in the picture, clockwise.
    """
    return (
        float(np.degrees(np.arctan2(turn[0, 2], turn[2, 2]))),
        float(np.degrees(np.arctan2(turn[0, 1], turn[1, 1]))),
    )


def _camera(centre: np.ndarray, yaw_deg: float, rng: np.random.Generator) -> Camera:
    """Point a camera at a face whose middle is `centre`, (3,) mm."""
    pitch, roll = (float(np.clip(rng.normal(0, s), -2.5 * s, 2.5 * s)) for s in (PITCH_DEG, ROLL_DEG))
    turn = rotation((pitch, yaw_deg, roll))
    distance = float(np.exp(rng.uniform(*np.log(DISTANCE_MM))))
    offset = np.array([rng.normal(0, 10.0) + 18 * np.sin(np.radians(yaw_deg)), rng.normal(-6, 10.0), -distance])
    focal = HEIGHT_PX * distance / SPAN_MM * rng.uniform(0.85, 1.15)
    return Camera(turn, offset - turn @ centre, focal, (HEIGHT_PX, HEIGHT_PX))


def _draw_kind(rng: np.random.Generator) -> dict[str, float]:
    """Draw an expression."""
    choice = rng.random()
    if choice < NEUTRAL_SHARE:
        return {}
    if choice < NEUTRAL_SHARE + RANDOM_SHARE:
        return {"random": 1.0}
    names = STRONG if choice < NEUTRAL_SHARE + RANDOM_SHARE + STRONG_SHARE else list(KINDS)
    return {str(rng.choice(names)): 1.0}


def draw_known(heads: Path | str, people: int, seed: int) -> Iterator[KnownPhotograph]:
    """Draw people, one after the other, and photograph each `PHOTOS` times.

    Args:
        heads: heads.npz of the face model that ships, from `dfmvr face_model`.
        people: how many.
        seed: of everything that is drawn.
    Raises:
        DataError: heads.npz is missing or broken.
    """
    population = AnnyHeads(heads, HEIGHT_PX)
    crowd = People(population)
    for number in range(people):
        rng = np.random.default_rng([seed, number])
        person, expression = crowd.draw_person(rng), population.draw_expression(rng, _draw_kind(rng))
        sitter = crowd.pose(person, expression, rng)
        session, centre = draw_session(sitter, rng), sitter.landmarks.mean(0)
        surface = population.fine_vertices(person.shape, expression)[population.fine.face]
        pipeline = draw_pipeline(rng, HEIGHT_PX, JPEG_QUALITY)
        for part in range(PHOTOS):
            yaw = YAW_DEG * (2 * (part + rng.random()) / PHOTOS - 1)
            camera = _camera(centre, yaw, rng)
            photo = session.shoot(camera, vary_pipeline(pipeline, rng), rng)[0]
            seen = camera.project(sitter.landmarks)
            yield KnownPhotograph(
                photo,
                camera.project(surface)[:, :2].astype(np.float32),
                seen[:, :2],
                *face_turn_deg(camera.rotation),
                camera.focal_px / float(seen[:, 2].mean()),
            )
