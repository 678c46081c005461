"""Faces whose photographs show a whole head of the model that ships, with skin and hair of one colour each."""

import dataclasses

import numpy as np
import torch

from dfmvr.face_model.anny.parts import HAIR
from dfmvr.face_model.coefficients import mean_angles, mean_faces
from dfmvr.reconstruct.avatar.head import avatar_of
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView
from dfmvr.rendering.rasterizer import interpolate, rasterize

SKIN, TRESS, BEHIND = (200, 150, 125), (60, 40, 30), (40, 90, 160)


def photographed(model, names, tress=TRESS):
    """The mean face, and photographs of a whole head with hair of a colour, before blue."""
    coefficients = mean_faces(model, 1)._replace(angles=mean_angles()[None])
    affine = np.array([[0.4, 0, 0], [0, 0.4, 0]])
    blank = np.zeros((560, 560, 3), np.uint8)
    crop = np.zeros((224, 224, 3), np.uint8)
    views = tuple(SeenView(name, blank, np.zeros((68, 2)), affine, crop) for name in names)
    face = Reconstruction(model, coefficients, views)
    head = avatar_of(face).head
    colours = np.tile(np.array(SKIN) / 255, (len(head.vertices), 1))
    colours[head.labels == HAIR] = np.array(tress) / 255
    shown = []
    for view in views:
        place = torch.from_numpy(face.project(view, head.vertices.astype(np.float64)))[None]
        fragments = rasterize(place, torch.from_numpy(head.triangles), blank.shape[:2])
        image = interpolate(fragments, torch.from_numpy(head.triangles), torch.from_numpy(colours)[None])[0].numpy()
        covered = fragments.pix_to_face[0, ..., None].numpy() >= 0
        shown.append(view._replace(photo=np.where(covered, np.round(255 * image), BEHIND).astype(np.uint8)))
    return dataclasses.replace(face, views=tuple(shown))
