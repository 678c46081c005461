"""Reconstructions of toy faces, whose photographs are rendered from them."""

import dataclasses

import numpy as np
import torch
from toy_model import toy_coefficients, toy_model

from dfmvr.conventions import VIEWS
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView
from dfmvr.rendering.rasterizer import interpolate, rasterize
from dfmvr.rendering.shading import AMBIENT, sh_basis

CROP_PX = 64
SCALE = 0.4
"""From the photographs' pixels to those of the crop."""


def toy_reconstruction(views=VIEWS, n=40, seed=1, height=240, width=200, paper=90):
    """A face whose photographs show its albedo under even white light, before grey of the given value."""
    model, coefficients = toy_model(n), toy_coefficients(1, seed)
    white = torch.zeros_like(coefficients.lighting)
    white[:, :, 0] = 1 / sh_basis(torch.zeros(1, 3))[0, 0] - AMBIENT
    affine = np.array([[SCALE, 0, CROP_PX / 2 - SCALE * 0.52 * width], [0, SCALE, CROP_PX / 2 - SCALE * 0.47 * height]])
    blank = np.full((height, width, 3), paper, np.uint8)
    crop = np.zeros((CROP_PX, CROP_PX, 3), np.uint8)
    seen = tuple(SeenView(name, blank, np.zeros((68, 2)), affine, crop) for name in views)
    face = Reconstruction(model, coefficients._replace(lighting=white), seen)
    landmarks = model.landmarks_68.numpy()
    seen = tuple(
        view._replace(photo=photograph(face, view, paper), landmarks=face.project(view)[landmarks, :2]) for view in seen
    )
    return Reconstruction(model, face.coefficients, seen)


def photograph(face, view, paper=90):
    """What a view shows of the face's albedo, uint8."""
    fragments = cover(face, view)
    colours = torch.from_numpy(face.albedo)[None]
    image = interpolate(fragments, face.model.triangles, colours)[0].numpy()
    return np.where(fragments.pix_to_face[0, ..., None] >= 0, np.round(255 * image), paper).astype(np.uint8)


def cover(face, view, scale=1):
    """Fragments of the face in a view's photograph, at `scale` times its size."""
    place = face.project(view)
    place[:, :2] *= scale
    size = tuple(round(scale * side) for side in view.photo.shape[:2])
    return rasterize(torch.from_numpy(place)[None], face.model.triangles, size)


def with_views(face, *names):
    """The face with some of its photographs alone."""
    return dataclasses.replace(face, views=tuple(view for view in face.views if view.name in names))
