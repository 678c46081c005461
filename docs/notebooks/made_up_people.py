"""People who do not exist, for the notebook: faces of the model that ships, drawn by chance and rendered.

They are easier than anybody's: their shape is one that the model can have, and nothing but the face is there.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
import torch

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.views import render_views

SIZE_PX = 512
AWAY_MM = 300.0  # beyond the metre of the conventions
SPREAD = 0.8  # of the identity, in standard deviations of the population
LAMP = ((0, 0.3), (1, -0.15), (2, 0.25))  # of the spherical harmonics: all round, from above, from the camera
SKIN = 0.025  # how uneven the skin is
WALL = (0.38, 0.42, 0.46)


class MadeUpPerson(NamedTuple):
    """A face and its photographs."""

    vertices: np.ndarray  # (V, 3) mm, in the topology of the model
    photos: list[np.ndarray]  # (512, 512, 3) uint8 RGB


def draw(model: MorphableModel, seed: int, yaws_deg: tuple[float, ...], smile: bool = False) -> MadeUpPerson:
    """Draw a person and take photographs; a negative yaw turns the nose to the image's left.

    Args:
        model: the face model.
        seed: of the person.
        yaws_deg: how far the face is turned in each photograph.
        smile: with an expression, the same in all of them.
    """
    draws = torch.Generator().manual_seed(seed)
    identity = SPREAD * torch.randn(1, model.identity_size, generator=draws)
    texture = torch.randn(1, model.texture_size, generator=draws)
    pores = SKIN * torch.randn(len(model.mean), 1, generator=draws)
    expression = torch.zeros(1, model.expression_size)
    if smile:
        both = [model.action_names.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]
        expression += model.actions[both].sum(0)
    nods = [(0.05 * math.sin(5 * k), 0.04 * math.cos(7 * k)) for k in range(len(yaws_deg))]
    angles = [[(nod, math.radians(yaw), tilt) for yaw, (nod, tilt) in zip(yaws_deg, nods, strict=True)]]
    lighting = torch.zeros(1, len(yaws_deg), 9, 3)
    for harmonic, strength in LAMP:
        lighting[:, :, harmonic] = strength
    translation = torch.tensor([0.0, 0.0, -AWAY_MM]).expand(1, len(yaws_deg), 3)
    uneven = MorphableModel(model.arrays() | {"albedo_mean": (model.albedo_mean + pores).numpy()})
    truth = Coefficients(identity, expression, texture, lighting, torch.tensor(angles), translation)
    with torch.no_grad():
        views = render_views(uneven, truth, SIZE_PX)
    photos = []
    for image, alpha in zip(views.image[0], views.alpha[0], strict=True):
        shown = image.permute(1, 2, 0).numpy() + (1 - alpha[..., None].numpy()) * np.float32(WALL)
        photos.append(np.round(255 * cv2.GaussianBlur(shown, (0, 0), 0.7).clip(0, 1)).astype(np.uint8))
    return MadeUpPerson(views.vertices[0].double().numpy(), photos)
