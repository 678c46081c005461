"""The files that every method writes for the samples of a data set: coefficients.npz, a mesh and landmarks a sample."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import write_npz
from dfmvr.geometry.meshes import Mesh, write_landmarks, write_mesh
from dfmvr.geometry.normals import displaced
from dfmvr.rendering.shading import AMBIENT, sh_basis

FORMATS = ("glb", "obj", "ply")
"""Of the meshes."""


def add_split_argument(parser: argparse.ArgumentParser) -> None:
    """Declare which samples of a data set a command reconstructs."""
    parser.add_argument("--split", default="test", help="split to reconstruct (default: test)")


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what a command that reconstructs samples writes."""
    parser.add_argument("--format", choices=FORMATS, default="ply", help="of the meshes (default: ply)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")


def mesh_of(
    model: MorphableModel, coefficients: Coefficients, index: int = 0, displacement: np.ndarray | None = None
) -> Mesh:
    """Mesh of one face in canonical pose, mm, coloured with its albedo under even light.

    Args:
        coefficients: of B faces.
        index: which of them.
        displacement: (V,) mm along the normals of Eq. 1's mesh.
    """
    with torch.no_grad():
        vertices = model.shape(coefficients.identity[index : index + 1], coefficients.expression[index : index + 1])[0]
        albedo = model.albedo(coefficients.texture[index : index + 1])[0]
        # The constant harmonic alone: what the model's ambient light makes of the albedo.
        colours = (albedo * AMBIENT * sh_basis(torch.zeros(1, 3))[0, 0]).clamp(0, 1)
    shape = displaced(vertices.double().numpy(), model.triangles.numpy(), displacement)
    return Mesh(shape, model.triangles.numpy(), colours.double().numpy())


def write_samples(
    folder: Path,
    model: MorphableModel,
    names: np.ndarray,
    coefficients: Coefficients,
    suffix: str = "ply",
    meshes: str = "meshes",
    displacements: Sequence[np.ndarray | None] | None = None,
) -> None:
    """Write the coefficients of all samples and the mesh and seven alignment points of each.

    Args:
        folder: gets coefficients.npz and, in its folder `meshes`, {name}.{suffix} and {name}.landmarks.csv.
        names: (N,) names of the samples.
        coefficients: of N faces.
        suffix: one of `FORMATS`.
        meshes: name of the meshes' folder; empty: none of their own.
        displacements: of each face (V,) mm along the normals of Eq. 1's mesh, or None; by default none has any.
    """
    (folder / meshes).mkdir(parents=True, exist_ok=True)
    arrays = {name: tensor.numpy() for name, tensor in coefficients._asdict().items()}
    write_npz(folder / "coefficients.npz", sample=names, **arrays)
    for index, name in enumerate(names):
        mesh = mesh_of(model, coefficients, index, displacements[index] if displacements else None)
        write_mesh(folder / meshes / f"{name}.{suffix}", mesh)
        write_landmarks(folder / meshes / f"{name}.landmarks.csv", mesh.vertices[model.alignment.numpy()])
