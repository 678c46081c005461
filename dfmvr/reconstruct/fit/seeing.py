"""How a camera sees the shape: places, their derivatives, and what is hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from dfmvr.conventions import CAMERA_DISTANCE_MM
from dfmvr.geometry.camera import focal_px
from dfmvr.reconstruct.fit.equations import Derivative
from dfmvr.reconstruct.fit.pictures import Picture, sample
from dfmvr.reconstruct.fit.shapes import FitShapes
from dfmvr.reconstruct.photographs.camera import PhotoCamera
from dfmvr.rendering.rasterizer import interpolate_hits, rasterize_hits, scatter_pixels

HIDDEN_MM = 3.0
"""ASSUME: a vertex that lies so far behind what the camera sees at its place is hidden."""


DISTANCE_MM, LOG_FOCAL = 200.0, 0.3
"""ASSUME: standard deviations of the camera's distance, about the metre that the network knows, and of the logarithm of
its focal length. Only a face's perspective tells the two apart."""

KNOWN_DISTANCE, KNOWN_LOG_FOCAL = 0.1, 0.03
"""ASSUME: the same of a camera whose focal length is known: of the distance, by itself, which follows from it."""

TURN, SHIFT_MM = 0.1, 30.0
"""ASSUME: standard deviations of the network's poses, radians and mm."""


@dataclass(frozen=True)
class FacePose:
    """Where a face stands before the camera of a crop (`dfmvr.geometry.camera`): posed = rotation x + translation."""

    rotation: np.ndarray  # (3, 3)
    translation: np.ndarray  # (3,) mm
    zoom: float = 1.0  # focal length, in that of the network's camera
    known: bool = False  # whether the focal length is that of the camera that took the photograph

    @classmethod
    def of(cls, camera: PhotoCamera, known_zoom: float | None = None) -> FacePose:
        """The pose in a photograph; if its focal length is known, the face stands so far off that it is as large.

        Args:
            camera: as the network knows it.
            known_zoom: the focal length in that of the network's camera.
        """
        translation = camera.translation.numpy().copy()
        if known_zoom is None:
            return cls(camera.rotation, translation, camera.zoom)
        translation[2] = CAMERA_DISTANCE_MM - (CAMERA_DISTANCE_MM - translation[2]) * known_zoom / camera.zoom
        return cls(camera.rotation, translation, known_zoom, True)

    @property
    def turn(self) -> float:
        """Sine of the yaw, negative where the nose points to the image's left."""
        return float(self.rotation[0, 2])

    def moved(self, step: np.ndarray) -> FacePose:
        """The pose after a small change (POSE,)."""
        turn = Rotation.from_rotvec(step[:3]).as_matrix()
        zoom = self.zoom * float(np.exp(step[6]))
        return replace(self, rotation=turn @ self.rotation, translation=self.translation + step[3:6], zoom=zoom)

    def prior(self, start: FacePose) -> tuple[np.ndarray, np.ndarray]:
        """Precisions (POSE,) of the prior, and how far its centre is (POSE,).

        Rotation and shift across are held where they are; distance and focal length about those of the start or, of a
        camera that is not known, about the network's camera's.
        """
        spread = np.array([TURN] * 3 + [SHIFT_MM] * 2 + [DISTANCE_MM, LOG_FOCAL])
        away = np.zeros(len(spread))
        away[5:] = -self.translation[2], -np.log(self.zoom)
        if start.known:
            spread[5:] = KNOWN_DISTANCE * (CAMERA_DISTANCE_MM - start.translation[2]), KNOWN_LOG_FOCAL
            away[5:] = start.translation[2] - self.translation[2], np.log(start.zoom / self.zoom)
        return spread**-2, away


class Seen:
    """A shape before one camera; N vertices, the first D of them drawn."""

    def __init__(self, shapes: FitShapes, vertices: np.ndarray, pose: FacePose, picture: Picture) -> None:
        self.shapes, self.size, self.rotation = shapes, picture.size, pose.rotation
        self.normals = shapes.normals(vertices)  # (D, 3) of the drawn vertices
        self.yaw_deg = float(np.degrees(np.arctan2(pose.rotation[0, 2], pose.rotation[2, 2])))
        turned = vertices @ pose.rotation.T
        posed = turned + pose.translation
        depth = CAMERA_DISTANCE_MM - posed[:, 2]
        scale = pose.zoom * focal_px(picture.size) / depth
        self.pixels = picture.size / 2 + np.stack((scale * posed[:, 0], -scale * posed[:, 1]), -1)  # (N, 2)
        to_pixels = np.zeros((len(posed), 2, 3))
        to_pixels[:, 0, 0], to_pixels[:, 1, 1] = scale, -scale
        to_pixels[:, 0, 2] = scale * posed[:, 0] / depth
        to_pixels[:, 1, 2] = -scale * posed[:, 1] / depth
        self.of_vertex = to_pixels @ pose.rotation  # (N, 2, 3), by the vertex in the canonical frame
        zoomed = (self.pixels - picture.size / 2)[:, :, None]
        self.of_pose = np.concatenate((-to_pixels @ _cross(turned), to_pixels, zoomed), 2)  # (N, 2, POSE)
        drawn = shapes.drawn
        ray = np.array([0, 0, CAMERA_DISTANCE_MM]) - posed[:drawn]
        towards = ((self.normals @ pose.rotation.T) * ray).sum(1) / np.linalg.norm(ray, axis=1)
        self.cosine = np.clip(towards, 0, 1)  # (D,) of the angle between the normal and the ray to the camera
        places = np.concatenate((self.pixels, depth[:, None]), 1)[:drawn].astype(np.float32)
        self._faces, self._hits = rasterize_hits(torch.from_numpy(places)[None], shapes.triangles, self.size, True)
        self.covered = self._faces[0].numpy() >= 0  # (S, S)
        nearest = self._spread(self._hits.depth[None])[0]
        open_ = np.abs(sample(nearest, self.pixels[:drawn]) - depth[:drawn]) < HIDDEN_MM
        self.shown = open_ * sample(picture.face, self.pixels[:drawn])  # (D,) from 0, hidden or covered, to 1

    def drawn(self, attributes: np.ndarray) -> np.ndarray:
        """What the camera sees of attributes (D, C) of the drawn vertices: (C, S, S) float32, 0 beside the face."""
        return self._spread(interpolate_hits(self._hits, torch.from_numpy(attributes.astype(np.float32))[None]))

    def derivative(self, corners: np.ndarray, shares: np.ndarray) -> Derivative:
        """How the places of M points of the surface change, each made of C vertices: both (M, C)."""
        of_shape = sum(
            (share[:, None, None] * self.of_vertex[corner]).astype(np.float32) @ self.shapes.basis[corner]
            for corner, share in zip(corners.T, shares.T, strict=True)
        )
        return Derivative(of_shape, np.einsum("mc,mcij->mij", shares, self.of_pose[corners]))

    def _spread(self, values: torch.Tensor) -> np.ndarray:
        """Values (C, M) of the covered pixels as pictures (C, S, S)."""
        return scatter_pixels(self._hits, values, tuple(self._faces.shape))[:, 0].numpy()


def _cross(vectors: np.ndarray) -> np.ndarray:
    """Matrices (N, 3, 3) with matrix @ x = vector x x."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(-1, 3, 3)
