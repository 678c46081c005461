"""Fit the face model to the scans themselves: the floor of every table, which no regressor with that model can beat.

needs   a manifest of an aligned data set   its test samples and their scans
        the face model
gives   coefficients.npz, meshes/{sample}.ply and .landmarks.csv, as `dfmvr reconstruct` gives them
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from dfmvr.config.evaluation import ProtocolSection, RegisterSection
from dfmvr.errors import DataError
from dfmvr.face_model.coefficients import mean_faces
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import write_npz
from dfmvr.folders import writing_folder
from dfmvr.geometry.meshes import Mesh, write_landmarks, write_mesh
from dfmvr.mesh.scan import FaceScan
from dfmvr.reconstruct.scan_fit import ScanFit, ScanFitter
from dfmvr.register.inputs import scans_to_test
from dfmvr.register.registrations import DEFAULT_PROTOCOL

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the fit."""
    parser.add_argument(
        "--manifest", type=Path, required=True, metavar="FILE", help="manifest.parquet of the aligned data set"
    )
    parser.add_argument("--face-model", type=Path, required=True, metavar="FILE", help="the face model (.npz)")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to write")


def main(args: argparse.Namespace, settings: RegisterSection) -> None:
    """Fit the model to every scan under the default protocol."""
    model = MorphableModel.load(args.face_model)
    reconstruct_floor(model, args.manifest, args.output, settings.protocols[DEFAULT_PROTOCOL])


def reconstruct_floor(model: MorphableModel, manifest: Path, output: Path, protocol: ProtocolSection) -> dict[str, str]:
    """Fit the model to the scans of a manifest's test samples; write coefficients and meshes as other methods do.

    Args:
        model: the face model.
        manifest: of the aligned data set.
        output: folder for coefficients.npz and meshes/, replaced as a whole. Texture, lighting and pose, which a scan
            does not tell, are zero: the meshes have the mean albedo.
        protocol: what the fit is measured by.
    Returns:
        The samples set aside, with the reasons.
    Raises:
        OutputError: the folder cannot be written.
    """
    fitter, set_aside = ScanFitter(model), {}
    before: tuple[FaceScan, ScanFit] | None = None
    samples, fits = [], []
    colours = model.albedo_mean.clamp(0, 1).cpu().numpy()
    with writing_folder(output, "reconstruct floor") as partial:
        for sample, scan in scans_to_test(manifest, "floor"):
            try:
                if isinstance(scan, str):
                    raise DataError(scan)
                fit = before[1] if before is not None and before[0] is scan else fitter.fit(scan, protocol)
                before = scan, fit
            except DataError as error:
                set_aside[sample.sample] = str(error)
                log.info("set aside: %s: %s", sample.sample, error)
                continue
            meshes = partial / "meshes"
            write_mesh(meshes / f"{sample.sample}.ply", Mesh(fit.vertices, fitter.fine.triangles, colours))
            write_landmarks(meshes / f"{sample.sample}.landmarks.csv", fit.vertices[fitter.fine.alignment])
            samples.append(sample.sample)
            fits.append(fit)
        sizes = model.identity_size, model.expression_size
        found = np.array([np.concatenate((fit.identity, fit.expression)) for fit in fits], np.float32)
        identity, expression = torch.from_numpy(found.reshape(len(fits), sum(sizes))).split(sizes, 1)
        coefficients = mean_faces(model, len(fits))._replace(identity=identity, expression=expression)
        arrays = {name: tensor.numpy() for name, tensor in coefficients._asdict().items()}
        write_npz(partial / "coefficients.npz", sample=np.array(samples, str), **arrays)
    return set_aside
