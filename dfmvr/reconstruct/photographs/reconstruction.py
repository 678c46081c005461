"""One reconstructed face: coefficients, mesh, and how each photograph sees it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from dfmvr.conventions import VIEWS
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.reconstruct.photographs.camera import PhotoCamera


class SeenView(NamedTuple):
    """A photograph of the face."""

    name: str  # of conventions.VIEWS
    photo: np.ndarray  # (H, W, 3) uint8 RGB
    landmarks: np.ndarray  # (68, 2) or (5, 2) px of the photograph, found or given
    affine: np.ndarray  # (2, 3), photograph's pixels -> crop's pixels: a scale, a rotation and a translation
    crop: np.ndarray  # (S, S, 3) uint8, what the network saw
    yaw_deg: float = 0.0  # how far the face is turned; negative where the nose points to the image's left
    label: str = ""  # what messages call the photograph
    mask: np.ndarray | None = None  # (S, S) uint8, classes of the crop's pixels (conventions.CLASSES)
    dense: np.ndarray | None = None  # (478, 2) px of the photograph, see `dfmvr.align.dense`; None where not found
    notes: tuple[str, ...] = ()  # what there is to say about the photograph
    zoom: float = 1.0  # focal length of the crop's camera, in that of the camera that the network knows

    @property
    def place(self) -> int:
        """Where the view stands among conventions.VIEWS, and in the coefficients."""
        return VIEWS.index(self.name)


@dataclass(frozen=True)
class Reconstruction:
    """A face. Arrays are NumPy's; millimetres, x to the viewer's right, y up, z toward the camera (conventions)."""

    model: MorphableModel  # on the CPU
    coefficients: Coefficients  # of one face, on the CPU; rows of views that were not given mean nothing
    views: tuple[SeenView, ...]  # one to three photographs, in the order of conventions.VIEWS
    notes: tuple[str, ...] = ()  # what there is to say about the photographs

    @property
    def image_size(self) -> int:
        """Width and height of the crops, px."""
        return self.views[0].crop.shape[0]

    @property
    def triangles(self) -> np.ndarray:
        """Triangles (F, 3) int64."""
        return self.model.triangles.numpy()

    @cached_property
    def vertices(self) -> np.ndarray:
        """Vertices (V, 3) float64, mm, in canonical pose, expression included (Eq. 1)."""
        with torch.no_grad():
            return self.model.shape(self.coefficients.identity, self.coefficients.expression)[0].double().numpy()

    @cached_property
    def albedo(self) -> np.ndarray:
        """The model's albedo (V, 3), sRGB-encoded in [0, 1]."""
        with torch.no_grad():
            return self.model.albedo(self.coefficients.texture)[0].clamp(0, 1).double().numpy()

    def neutral(self) -> Reconstruction:
        """The same face without expression; its views' cameras are kept."""
        still = torch.zeros_like(self.coefficients.expression)
        return dataclasses.replace(self, coefficients=self.coefficients._replace(expression=still))

    def camera(self, view: SeenView) -> PhotoCamera:
        """The camera of a view's photograph."""
        angles, translation = (tensor[0, view.place].double() for tensor in self.coefficients[4:6])
        return PhotoCamera(angles, translation, self.image_size, view.affine, view.zoom)

    def project(self, view: SeenView, points: np.ndarray | None = None) -> np.ndarray:
        """Where points (N, 3) of the canonical frame, by default the vertices, are seen in a view's photograph.

        Returns:
            (N, 3) float64: x and y in pixels of the photograph (uncropped), and depth in mm from the camera.
        """
        return self.camera(view).project(self.vertices if points is None else points)
