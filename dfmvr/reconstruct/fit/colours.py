"""The model's own colours and each photograph's light, as the photographs show them: two linear problems in turn.

A vertex's colour is its albedo times the light at its normal (`dfmvr.rendering.shading`), linear in either while the
other is held. Shape and pose are what the fit has found.
"""

from __future__ import annotations

import numpy as np
import torch

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.reconstruct.fit.pictures import Picture, sample
from dfmvr.reconstruct.fit.seeing import Seen
from dfmvr.reconstruct.photographs.reconstruction import SeenView
from dfmvr.rendering.shading import AMBIENT, sh_basis

ROUNDS = 4
MOST = 2000
"""Vertices of a photograph that are compared."""

LEAST_COSINE = 0.3
NOISE = 0.1
"""ASSUME: standard deviation of a colour, of 1: gloss, shadows and what the albedo's components lack."""

ALIKE = 20.0
"""ASSUME: so many neighbouring vertices differ alike from what is expected, and count as one measurement."""

LIGHT = 0.3
"""ASSUME: standard deviation of a coefficient of light, about white light as even as the network's `AMBIENT`."""


def fit_colours(
    coefficients: Coefficients,
    model: MorphableModel,
    seen: list[Seen],
    pictures: list[Picture],
    views: tuple[SeenView, ...],
) -> Coefficients:
    """Fit texture and light to the colours of the vertices that the photographs show.

    Args:
        coefficients: of the face; those of light that were not given a photograph stay.
        model: the face model, whose first vertices are those of the fit.
        seen: how the cameras see the fitted shape.
        pictures: what they show.
        views: their photographs.
    Returns:
        The same shape with other colours and lights.
    """
    samples = []
    for one, picture in zip(seen, pictures, strict=True):
        points = np.flatnonzero((one.shown > 0.9) & (one.cosine > LEAST_COSINE))
        points = points[:: max(1, len(points) // MOST)]
        turned = torch.from_numpy(one.normals[points] @ one.rotation.T).double()
        colours = sample(picture.crop, one.pixels[points]).astype(np.float64) / 255
        samples.append((points, sh_basis(turned).numpy(), colours))
    texture = coefficients.texture[0].double().numpy()
    mean, basis = (tensor.double().numpy() for tensor in (model.albedo_mean, model.albedo_basis))
    lights = [np.zeros((9, 3)) for _ in samples]
    for _ in range(ROUNDS):
        matrix, right = np.eye(len(texture)), np.zeros(len(texture))
        for place, (points, harmonics, colours) in enumerate(samples):
            weight = 1 / (NOISE**2 * ALIKE)
            albedo = mean[points] + np.tensordot(texture, basis[:, points], 1)
            lights[place] = _light(harmonics, albedo, colours, weight)
            shading = harmonics @ lights[place] + AMBIENT * harmonics[:, :1]
            rows = (basis[:, points] * shading).reshape(len(texture), -1)
            matrix += weight * rows @ rows.T
            right += weight * rows @ (colours - mean[points] * shading).ravel()
        texture = np.linalg.solve(matrix, right)
    lighting = coefficients.lighting.clone()
    for view, light in zip(views, lights, strict=True):
        lighting[0, view.place] = torch.from_numpy(light).to(lighting)
    return coefficients._replace(texture=torch.from_numpy(texture).to(lighting)[None], lighting=lighting)


def _light(harmonics: np.ndarray, albedo: np.ndarray, colours: np.ndarray, weight: float) -> np.ndarray:
    """Coefficients (9, 3) of the light in which vertices of an albedo (M, 3) have these colours (M, 3)."""
    light = np.empty((harmonics.shape[1], 3))
    for channel in range(3):
        rows = harmonics * albedo[:, channel, None]
        right = colours[:, channel] - AMBIENT * rows[:, 0]
        precision = weight * rows.T @ rows + np.eye(len(light)) / LIGHT**2
        light[:, channel] = np.linalg.solve(precision, weight * rows.T @ right)
    return light
