"""Learn what the 478 points of mediapipe mean on the face model that ships.

In     heads.npz, from `dfmvr face_model` with the settings of the study, and the face model of the same heads
Gives  mediapipe_points.npz (`dfmvr.align.dense`)

People are drawn, photographed from all sides and looked at; nothing but what was found is kept.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dfmvr.align.by_mediapipe import find_dense
from dfmvr.align.dense import IRISES, POINTS, DenseLandmarks, write_dense
from dfmvr.align.known_photographs import PHOTOS, KnownPhotograph, draw_known
from dfmvr.align.learn_places import band_weights, learn_mirrored, learn_mixing, learn_places
from dfmvr.assets.files import asset
from dfmvr.assets.shipped import SHIPPED
from dfmvr.conventions import CLASSES
from dfmvr.errors import DataError
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.packed import read_model

logger = logging.getLogger(__name__)

BANDS_DEG = np.arange(-75.0, 76.0, 15.0)
MIXED = 24
"""Points of which a landmark is made."""

NOISE_MM = 0.6
"""ASSUME: what a point differs by between two looks at the same face."""

MAX_MISS_MM = 50.0
"""ASSUME: where the points' middle is farther than this from the face's, another thing was taken for the face."""


class Observations:
    """What was found on known photographs, levelled, in mm about the middle of the true landmarks."""

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []
        self.surfaces: list[np.ndarray] = []
        self.landmarks: list[np.ndarray] = []
        self.yaws: list[float] = []

    def add(self, known: KnownPhotograph) -> None:
        """Look at a photograph, and keep what was found of its face, if it was found."""
        roll, middle = np.radians(known.roll_deg), known.landmarks.mean(0)
        turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]]) / known.px_per_mm
        for face in find_dense(known.photo):
            points = (face.points - middle) @ turn.T
            if np.linalg.norm(np.median(points, 0)) < MAX_MISS_MM:
                self.points.append(points)
                self.surfaces.append(((known.surface - middle) @ turn.T).astype(np.float32))
                self.landmarks.append((known.landmarks - middle) @ turn.T)
                self.yaws.append(known.yaw_deg)
                return


def learn(seen: Observations, model: MorphableModel) -> DenseLandmarks:
    """Learn places and landmarks.

    Raises:
        DataError: too few photographs, or none of a band.
    """
    shares = band_weights(np.array(seen.yaws), BANDS_DEG)
    if not len(shares) or shares.sum(0).min() < MIXED:
        raise DataError(f"too few photographs with a face that is found, {len(shares)} in all; draw more people")
    labels, triangles = model.labels[: model.coarse_vertices].numpy(), model.coarse_triangles.numpy()
    eye, mouth = np.isin(labels, [CLASSES.index(f"{side}_eye") for side in ("left", "right")]), CLASSES.index("mouth")
    skin = ~eye & (labels != mouth)
    points, landmarks = np.stack(seen.points), np.stack(seen.landmarks)
    places = learn_places(
        points, np.stack(seen.surfaces), shares, triangles, [eye if k in IRISES else skin for k in range(POINTS)]
    )
    chosen, mixing = learn_mixing(points, landmarks, shares, MIXED, NOISE_MM)
    mirrored = learn_mirrored(points, np.array(seen.yaws))
    return DenseLandmarks(BANDS_DEG, places.vertices, places.weights, places.covariance, chosen, mixing, mirrored)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    parser.add_argument("--heads", type=Path, required=True, metavar="FILE", help="heads.npz from `dfmvr face_model`")
    parser.add_argument("--face-model", type=Path, metavar="FILE", help="of these heads (default: the one that ships)")
    parser.add_argument("--people", type=int, default=250, metavar="N", help=f"{PHOTOS} photographs of each")
    parser.add_argument("--seed", type=int, default=31, metavar="N", help="of all that is drawn (default: 31)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="mediapipe_points.npz")


def main(args: argparse.Namespace, _: None) -> None:
    """Learn and write.

    Raises:
        DataError: a file cannot be read, the heads are not those of the face model, or there are too few people.
        OutputError: the file cannot be written. UnavailableError: mediapipe is not to be had here.
    """
    model = read_model(args.face_model or asset(SHIPPED["face_model"]))
    seen = Observations()
    for known in tqdm(draw_known(args.heads, args.people, args.seed), total=PHOTOS * args.people, unit=" photographs"):
        if len(known.surface) != model.coarse_vertices:
            raise DataError(
                f"{args.heads}: expected faces of {model.coarse_vertices} vertices, the coarse mesh of the face model, "
                f"found {len(known.surface)}; build both with the settings of the study"
            )
        seen.add(known)
    dense = learn(seen, model)
    write_dense(args.output, dense)
    logger.info(
        "%s: found in %d of %d photographs; median spread of a coordinate by yaw (mm): %s",
        args.output,
        len(seen.yaws),
        PHOTOS * args.people,
        ", ".join(f"{b:+.0f} {s:.1f}" for b, s in zip(dense.bands, np.median(dense.spread, 1), strict=True)),
    )
