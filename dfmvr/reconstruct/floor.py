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
from tqdm import tqdm

from dfmvr.config.evaluation import ProtocolSection, RegisterSection
from dfmvr.conventions import VIEWS
from dfmvr.datasets.manifest import samples_to_test
from dfmvr.errors import DfmvrError, UnavailableError
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import write_npz, writing_folder
from dfmvr.geometry.meshes import Mesh, write_landmarks, write_mesh
from dfmvr.reconstruct.scan_fit import Fitter, FloorFit
from dfmvr.register.command import add_scan_arguments
from dfmvr.register.registrations import DEFAULT_PROTOCOL
from dfmvr.register.target import Target, Targets

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the fit."""
    add_scan_arguments(parser)
    parser.add_argument("--face-model", type=Path, required=True, metavar="FILE", help="the face model (.npz)")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to write")


def main(args: argparse.Namespace, settings: RegisterSection) -> None:
    """Fit the model to every scan under the default protocol."""
    model = MorphableModel.load(args.face_model)
    reconstruct_floor(model, args.manifest, args.output, settings.protocols[DEFAULT_PROTOCOL], args.scans)


def reconstruct_floor(
    model: MorphableModel, manifest: Path, output: Path, protocol: ProtocolSection, scans: Path | None = None
) -> dict[str, str]:
    """Fit the model to the scans of a manifest's test samples; write coefficients and meshes as other methods do.

    Args:
        model: the face model.
        manifest: of the aligned data set.
        output: folder for coefficients.npz and meshes/, replaced as a whole. Texture, lighting and pose, which a scan
            does not tell, are zero: the meshes have the mean albedo.
        protocol: what the fit is measured by.
        scans: folder of the scans' meshes, where they are range images.
    Returns:
        The samples set aside, with the reasons.
    Raises:
        OutputError: the folder cannot be written.
    """
    fitter, targets, set_aside = Fitter(model), Targets(scans), {}
    before: tuple[Target, FloorFit] | None = None
    samples, fits = [], []
    colours = model.albedo_mean.clamp(0, 1).cpu().numpy()
    with writing_folder(output) as partial:
        for sample in tqdm(samples_to_test(manifest), desc="floor", unit="sample", mininterval=1):
            try:
                target = targets.read(sample)
                fit = before[1] if before is not None and before[0] is target else fitter.fit(target, protocol)
                before = target, fit
            except UnavailableError:
                raise
            except DfmvrError as error:
                set_aside[sample.sample] = str(error)
                log.info("set aside: %s: %s", sample.sample, error)
                continue
            meshes = partial / "meshes"
            write_mesh(meshes / f"{sample.sample}.ply", Mesh(fit.vertices, fitter.fine.triangles, colours))
            write_landmarks(meshes / f"{sample.sample}.landmarks.csv", fit.vertices[fitter.fine.alignment])
            samples.append(sample.sample)
            fits.append(fit)
        _write_coefficients(partial / "coefficients.npz", samples, fits, model)
    return set_aside


def _write_coefficients(path: Path, samples: list[str], fits: list[FloorFit], model: MorphableModel) -> None:
    count, views = len(fits), len(VIEWS)
    write_npz(
        path,
        sample=np.array(samples, str),
        identity=np.array([fit.identity for fit in fits], np.float32).reshape(count, model.identity_size),
        expression=np.array([fit.expression for fit in fits], np.float32).reshape(count, model.expression_size),
        texture=np.zeros((count, model.texture_size), np.float32),
        lighting=np.zeros((count, views, 9, 3), np.float32),
        angles=np.zeros((count, views, 3), np.float32),
        translation=np.zeros((count, views, 3), np.float32),
    )
