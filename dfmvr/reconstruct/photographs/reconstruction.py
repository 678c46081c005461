"""One reconstructed face: coefficients, mesh, and how each photograph sees it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from dfmvr.align.find import FoundFace
from dfmvr.conventions import VIEWS
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.expressions import strengths_of
from dfmvr.face_model.model import MorphableModel
from dfmvr.geometry.camera import focal_px
from dfmvr.geometry.normals import displaced
from dfmvr.reconstruct.photographs.camera import PhotoCamera

FURTHER = "further"
"""Beginning of the names of photographs that the network does not see."""


class SeenView(NamedTuple):
    """A photograph of the face."""

    name: str  # of conventions.VIEWS, or FURTHER and a number from 1 on
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
    focal_px: float | None = None  # focal length of the camera that took it, px; None where that is not known
    expression: np.ndarray | None = None  # (E,) of this photograph; None: the face's
    file_size: tuple[int, int] | None = None  # height and width of the photograph's file; None: those of `photo`
    reduced: int = 1  # so many pixels of the file, each way, are one of `photo`
    faces: tuple[FoundFace, ...] = ()  # all that were found in `photo`, the largest first; none where not looked for

    @property
    def place(self) -> int:
        """Where the view stands in the coefficients: those of conventions.VIEWS first."""
        if self.name in VIEWS:
            return VIEWS.index(self.name)
        return len(VIEWS) - 1 + int(self.name.removeprefix(FURTHER))

    @property
    def in_file(self) -> SeenView:
        """The same view with places and lengths in pixels of the photograph's file, which `photo` may have fewer of."""
        if self.reduced == 1:
            return self
        affine = self.affine / (self.reduced, self.reduced, 1)
        focal = None if self.focal_px is None else self.focal_px * self.reduced
        return self._replace(affine=affine, landmarks=self.landmarks * self.reduced, focal_px=focal, reduced=1)

    @property
    def known_zoom(self) -> float | None:
        """`zoom` as the camera's focal length tells it, where that is known."""
        if self.focal_px is None:
            return None
        size = len(self.crop)
        return self.focal_px * math.hypot(*self.affine[:, 0]) / focal_px(size)


@dataclass(frozen=True)
class Reconstruction:
    """A face. Arrays are NumPy's; millimetres, x to the viewer's right, y up, z toward the camera (conventions)."""

    model: MorphableModel  # on the CPU
    coefficients: Coefficients  # of one face, on the CPU; rows of views that were not given mean nothing
    views: tuple[SeenView, ...]  # the photographs: those of conventions.VIEWS in that order, then further ones
    notes: tuple[str, ...] = ()  # what there is to say about the photographs
    displacement: np.ndarray | None = None  # (V,) mm along the normals of Eq. 1's mesh: what the model lacks

    @property
    def image_size(self) -> int:
        """Width and height of the crops, px."""
        return self.views[0].crop.shape[0]

    @property
    def shown(self) -> SeenView | None:
        """The photograph whose expression the face has: the frontal one or, without it, the first; None if none."""
        return next((view for view in self.views if view.name == "front"), next(iter(self.views), None))

    @property
    def triangles(self) -> np.ndarray:
        """Triangles (F, 3) int64."""
        return self.model.triangles.numpy()

    @cached_property
    def vertices(self) -> np.ndarray:
        """Vertices (V, 3) float64, mm, in canonical pose, expression included (Eq. 1) and `displacement`."""
        with torch.no_grad():
            shape = self.model.shape(self.coefficients.identity, self.coefficients.expression)[0].double().numpy()
        return displaced(shape, self.triangles, self.displacement)

    @cached_property
    def albedo(self) -> np.ndarray:
        """The model's albedo (V, 3), sRGB-encoded in [0, 1]."""
        with torch.no_grad():
            return self.model.albedo(self.coefficients.texture)[0].clamp(0, 1).double().numpy()

    @cached_property
    def actions(self) -> dict[str, float]:
        """How strongly the face does each action that its model names, 0 to 1; empty where it names none."""
        if not self.model.action_names:
            return {}
        basis = self.model.expression_basis[:, : self.model.coarse_vertices or None]  # as many as tell it well
        of_face = (self.coefficients.expression[0], self.model.actions, basis)
        found = strengths_of(*(tensor.double().numpy() for tensor in of_face))
        return dict(zip(self.model.action_names, found.tolist(), strict=True))

    def neutral(self) -> Reconstruction:
        """The same face without expression; its views' cameras are kept."""
        still = torch.zeros_like(self.coefficients.expression)
        views = tuple(view._replace(expression=None) for view in self.views)
        return dataclasses.replace(self, coefficients=self.coefficients._replace(expression=still), views=views)

    def as_in(self, view: SeenView) -> Reconstruction:
        """The same face with the expression of one of its photographs."""
        if view.expression is None:
            return self
        expression = torch.from_numpy(view.expression).to(self.coefficients.expression)[None]
        return dataclasses.replace(self, coefficients=self.coefficients._replace(expression=expression))

    def vertices_in(self, view: SeenView) -> np.ndarray:
        """Vertices (V, 3) as `vertices`, with the expression of one of the photographs."""
        if view.expression is None:
            return self.vertices
        if view.name not in self._vertices_in:
            self._vertices_in[view.name] = self.as_in(view).vertices
        return self._vertices_in[view.name]

    @cached_property
    def _vertices_in(self) -> dict[str, np.ndarray]:
        """Those of photographs that were asked for."""
        return {}

    def camera(self, view: SeenView) -> PhotoCamera:
        """The camera of a view's photograph."""
        angles, translation = (tensor[0, view.place].double() for tensor in self.coefficients[4:6])
        return PhotoCamera(angles, translation, self.image_size, view.affine, view.zoom)

    def project(self, view: SeenView, points: np.ndarray | None = None) -> np.ndarray:
        """Where points (N, 3) of the canonical frame are seen in a view's photograph; by default its `vertices_in`.

        Returns:
            (N, 3) float64: x and y in pixels of the photograph (uncropped), and depth in mm from the camera.
        """
        return self.camera(view).project(self.vertices_in(view) if points is None else points)
