"""Improve a face on its own photographs: descent on coefficients, pose and light from the network's answer.

The losses are those of the training (Eqs. 2, 4 and 8) without what photographs do not tell: there is no mask loss,
which has taught the network already, and no landmark in 3D. The prior pulls toward the network's answer, not to the
mean face.
"""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import torch
from torch import Tensor

from dfmvr.align.crop import crop_photo, map_points
from dfmvr.config.training import ParseSection
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.views import coarse_for, render_views
from dfmvr.losses import landmark_2d_loss, photo_loss
from dfmvr.parse.weight_map import weights_of
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView

STEPS = 80
SIZE_PX = 128
"""ASSUME: finer than what the network sees, coarse enough for a rendering in hundredths of a second."""

RATE = {"identity": 0.02, "expression": 0.02, "texture": 0.05, "lighting": 0.02, "angles": 0.004, "translation": 0.4}
"""ASSUME: steps of Adam, in the unit of each coefficient (standard deviations, radians, mm)."""

PHOTO, LANDMARKS = 4.0, 0.01
PRIOR = {"identity": 0.02, "expression": 0.02, "texture": 2e-4}
"""ASSUME: weights. Landmarks that were found are off by some pixels, so they weigh less than in training."""


def refine(
    face: Reconstruction,
    settings: ParseSection,
    seconds: float = 20.0,
    progress: bool = False,
    steps: int = STEPS,
    size: int = SIZE_PX,
) -> Reconstruction:
    """Fit a face to its photographs, starting from what it is.

    Args:
        face: as a network answered it.
        settings: of the weight map of the photo loss, those of the parser that made the masks.
        seconds: time at the most; what has been reached by then counts.
        progress: show a bar.
        steps: of the descent.
        size: width and height of the crops that are compared, px.
    Returns:
        The face with other coefficients; those of views that were not given stay as they are.
    """
    from tqdm import tqdm

    compared, places = _Photographs(face, settings, size), [view.place for view in face.views]
    start = face.coefficients.of_views(places)
    current = Coefficients(*(tensor.clone().requires_grad_() for tensor in start))
    optimiser = torch.optim.Adam([{"params": [getattr(current, name)], "lr": rate} for name, rate in RATE.items()])
    ends = time.monotonic() + seconds
    bar = tqdm(range(steps), desc="refine", unit="step", disable=None if progress else True)
    for step in bar:
        for group, rate in zip(optimiser.param_groups, RATE.values(), strict=True):
            group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
        optimiser.zero_grad(set_to_none=True)
        loss = compared.loss(current, start)
        loss.backward()
        optimiser.step()
        bar.set_postfix(loss=f"{float(loss.detach()):.3f}", refresh=False)
        if time.monotonic() > ends:
            break
    result = [tensor.detach() for tensor in current[:3]]
    for before, found in zip(face.coefficients[3:], current[3:], strict=True):
        result.append(before.clone())
        result[-1][:, places] = found.detach()
    return dataclasses.replace(face, coefficients=Coefficients(*result))


class _Photographs:
    """The photographs of a face, and how far it is from them."""

    def __init__(self, face: Reconstruction, settings: ParseSection, size: int) -> None:
        self.size, self.model = size, coarse_for(face.model, size)
        prepared = [_prepare(view, settings, face.image_size, size) for view in face.views]
        crops, weights, points = zip(*prepared, strict=True)
        self.images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()[None] / 255
        self.weights = torch.from_numpy(np.stack(weights)).float()[None]
        self.landmarks = torch.from_numpy(np.stack(points)).float()[None]

    def loss(self, coefficients: Coefficients, start: Coefficients) -> Tensor:
        """The sum that is minimised."""
        views = render_views(self.model, coefficients, self.size)
        known = self.landmarks.isfinite().all(-1, keepdim=True)
        target = torch.where(known, self.landmarks, views.landmarks.detach())
        result = PHOTO * photo_loss(views.image, self.images, views.alpha, self.weights)
        result = result + LANDMARKS * landmark_2d_loss(views.landmarks, target, self.size)
        for name, weight in PRIOR.items():
            result = result + weight * (getattr(coefficients, name) - getattr(start, name)).square().sum()
        return result


def _prepare(
    view: SeenView, settings: ParseSection, image_size: int, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Crop (S, S, 3), weight map (S, S) and landmarks (68, 2) of a view at another size; NaN for unknown landmarks."""
    factor = size / image_size
    affine = view.affine * factor
    crop = crop_photo(view.photo, affine, size)
    mask = view.mask if view.mask is not None else np.ones((image_size, image_size), np.uint8)
    rows = np.minimum(((np.arange(size) + 0.5) / factor).astype(int), image_size - 1)
    weights = weights_of(mask[np.ix_(rows, rows)], settings, view.name)
    weights[mask[np.ix_(rows, rows)] == 0] = 0  # what covers the face, such as hair, is not the face's to explain
    points = np.full((68, 2), np.nan)
    if len(view.landmarks) == len(points):
        points = map_points(affine, view.landmarks)
    return crop, weights, points
