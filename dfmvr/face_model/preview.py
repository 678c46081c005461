"""Draw a morphable model: the mean with labels, regions and landmarks, and random faces.

needs   a model file
gives   a picture; a command of its own, so that a model is not made again where only its picture would change
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from dfmvr.colour import from_hex
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import writing
from dfmvr.geometry.camera import pose, project
from dfmvr.geometry.normals import vertex_normals
from dfmvr.rendering.renderer import render
from dfmvr.rendering.shading import shade

if TYPE_CHECKING:
    from dfmvr.config.data import FaceModelSection

SIZE = 320
_PALETTE = from_hex("5a5a5a e5bfa6 dc322f 008c3c fad232 28bedc f58c1e 5a145a fa5a96 8c3ce6")
# Light from the front, above and the viewer's right: the harmonics of order 0 and 1 (1, -y, z, -x).
_LIGHT = (-0.1, -0.25, 0.35, -0.15)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files."""
    parser.add_argument("--face-model", required=True, metavar="NPZ", help="the morphable model")
    parser.add_argument("--output", required=True, metavar="PNG", help="picture to write")


def main(args: argparse.Namespace, settings: FaceModelSection) -> None:
    """Draw the model of a file.

    Raises:
        DataError: there is no such file, or it is no model.
        OutputError: the picture cannot be written.
    """
    write_preview(args.output, MorphableModel.load(args.face_model), settings.seed)


def _picture(model: MorphableModel, vertices: Tensor, colours: Tensor, yaw: float) -> tuple[np.ndarray, Tensor]:
    """Image (SIZE, SIZE, 3) uint8 of one face (V, 3) turned by `yaw` degrees, and its vertices in pixels."""
    angles, translation = torch.tensor([[0.0, math.radians(yaw), 0.0]]), torch.tensor([[0.0, 0.0, -60.0]])
    posed = pose(vertices[None], angles, translation)
    lighting = torch.zeros(1, 9, 3)
    lighting[0, : len(_LIGHT)] = torch.tensor(_LIGHT)[:, None]
    lit = shade(colours[None].clamp(0, 1), vertex_normals(posed, model.triangles), lighting)
    image = render(posed, model.triangles, lit, SIZE, cull_backfaces=True).image[0]
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels, project(posed, SIZE)[0]


def _dotted(pixels: np.ndarray, points: Tensor) -> np.ndarray:
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for x, y, _ in points.tolist():
        draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(230, 30, 30))
    return np.asarray(image)


def write_preview(path: Path | str, model: MorphableModel, seed: int) -> None:
    """Draw the mean (plain, turned, labels, regions, both sets of landmarks) and eight random faces, and save it.

    Raises:
        OutputError: the picture cannot be written.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, colours = model.mean, model.albedo_mean
    palette = torch.from_numpy(_PALETTE).float()
    front, points = _picture(model, mean, colours, 0)
    tiles = [front, _picture(model, mean, colours, 45)[0]]
    tiles += [_picture(model, mean, palette[ids], 0)[0] for ids in (model.labels, model.regions)]
    grey = _picture(model, mean, torch.full_like(colours, 0.7), 0)[0]
    tiles += [_dotted(grey, points[ids]) for ids in (model.landmarks_68, model.landmarks_106)]
    for _ in range(8):
        draws = (torch.randn(1, n, generator=generator) for n in (model.identity_size, model.texture_size))
        identity, texture = draws
        vertices = model.shape(identity, torch.zeros(1, model.expression_size))[0]
        tiles += [_picture(model, vertices, model.albedo(texture)[0], yaw)[0] for yaw in (0, 40)]
    tiles += [np.zeros_like(front)] * (-len(tiles) % 6)
    rows = [np.concatenate(tiles[i : i + 6], 1) for i in range(0, len(tiles), 6)]
    with writing(path) as partial:
        Image.fromarray(np.concatenate(rows)).save(partial)
