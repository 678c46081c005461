"""Reconstruction from three photographs with landmark files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dfmvr.align import align_photo, read_landmark_file, read_standard_points
from dfmvr.datasets.images import read_image, write_image
from dfmvr.errors import DataError
from dfmvr.face_model.model import MorphableModel
from dfmvr.networks.df_mvr import Coefficients
from dfmvr.parse.masks import predict
from dfmvr.parse.parser import load_parser
from dfmvr.reconstruct.network import load_for_model
from dfmvr.reconstruct.results import write_faces
from dfmvr.rendering.views import render_views


def align_views(
    photos: Sequence[Path], landmarks: Sequence[Path], standard: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Read and align three photographs.

    Args:
        photos: upright photographs, left, front, right.
        landmarks: a file of 5 or 68 points of each.
        standard: (68, 3) mm, the mean face's landmarks.
        size: width and height of the crops in pixels.
    Returns:
        Crops (3, size, size, 3) uint8 and the affine maps (3, 2, 3) from photo to crop pixels.
    Raises:
        DataError: a file is unreadable or its landmarks cannot be those of a face.
    """
    aligned = []
    for photo, points in zip(photos, landmarks, strict=True):
        try:
            aligned.append(align_photo(read_image(photo), read_landmark_file(points), standard, size))
        except DataError as error:
            where = "" if str(error).startswith((str(photo), str(points))) else f"{photo}, {points}: "
            raise DataError(f"{where}{error}") from None
    crops, found = zip(*aligned, strict=True)
    return np.stack(crops), np.stack([alignment.affine for alignment in found])


@torch.inference_mode()
def reconstruct_crops(network: torch.nn.Module, parser: torch.nn.Module, crops: np.ndarray) -> Coefficients:
    """Coefficients of one face from its aligned crops (3, S, S, 3) uint8."""
    masks = torch.from_numpy(predict(parser, crops)).long()[None]
    images = torch.from_numpy(crops).permute(0, 3, 1, 2).float()[None] / 255
    return network(images, masks)


def reconstruct_photographs(
    folder: Path,
    photos: Sequence[Path],
    landmarks: Sequence[Path],
    checkpoint: Path,
    parser: Path,
    face_model: Path,
    suffix: str = "ply",
) -> None:
    """Reconstruct one face and write it into `folder`.

    Args:
        folder: gets coefficients.npz, meshes/face.{suffix}, meshes/face.landmarks.csv and overlay.png, the rendering
            over each aligned photograph.
        photos, landmarks: left, front, right.
        checkpoint, parser, face_model: files.
        suffix: format of the mesh.

    Raises:
        DataError: an input is unreadable or unfit.
    """
    model = MorphableModel.load(face_model)
    trained = load_for_model(checkpoint, model)
    size = trained.about["image_size"]
    crops, _ = align_views(photos, landmarks, read_standard_points(face_model), size)
    coefficients = reconstruct_crops(trained.network, load_parser(parser), crops)
    write_faces(folder, model, np.array(["face"]), coefficients, suffix)
    views = render_views(model, coefficients, size)
    rendered = (views.image[0].clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).numpy()
    overlay = np.where(views.alpha[0].bool().numpy()[..., None], rendered, crops)
    write_image(folder / "overlay.png", np.vstack([np.hstack(crops), np.hstack(overlay)]))
