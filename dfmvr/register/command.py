"""Stage `register`: predicted meshes to scans, by a similarity of seven landmarks, then point-to-plane ICP (Sec. IV-A).

needs   meshes/<sample>.ply and .landmarks.csv   predictions, mm
        a manifest of an aligned data set        its test samples and their scans
gives   <output>.npz                             prediction -> scan frame, one row a test sample; the arrays of the
                                                 protocol `paper` bear plain names, others end in `_<protocol>`
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

from dfmvr.config.evaluation import RegisterSection
from dfmvr.errors import DataError
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.icp import Registration
from dfmvr.register.inputs import PredictedSurfaces, scans_to_test
from dfmvr.register.registrations import DEFAULT_PROTOCOL, Registrations
from dfmvr.register.surface import register_surface

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    parser.add_argument("--meshes", type=Path, required=True, metavar="DIR", help="folder of <sample>.ply")
    parser.add_argument(
        "--manifest", type=Path, required=True, metavar="FILE", help="manifest.parquet of the aligned data set"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="registrations, .npz")


def main(args: argparse.Namespace, settings: RegisterSection) -> None:
    """Register the predictions in a folder and tell which samples are set aside."""
    result = register_all(args.meshes, args.manifest, settings)
    result.write(args.output)
    found = {sample: result.get(sample, DEFAULT_PROTOCOL) for sample in result.samples}
    for sample, reason in found.items():
        if isinstance(reason, str):
            log.info("set aside: %s: %s", sample, reason)
    registered = [registration for registration in found.values() if isinstance(registration, Registration)]
    log.info(
        "%d of %d samples registered, %d of them not converged in %d steps",
        len(registered),
        len(found),
        sum(not registration.converged for registration in registered),
        settings.iterations,
    )


def register_all(meshes: Path, manifest: Path, settings: RegisterSection) -> Registrations:
    """Register the predictions in a folder to the scans of a manifest's test samples, under all protocols.

    A sample with a broken scan, without a prediction, or that cannot be registered is set aside with its reason.
    """
    surfaces, result = PredictedSurfaces(meshes), Registrations(list(settings.protocols))
    before: tuple[FaceScan, np.ndarray, str] | None = None
    for sample, scan in scans_to_test(manifest, "register"):
        try:
            if isinstance(scan, str):
                raise DataError(scan)
            surface, landmarks = surfaces.read(sample.sample)
        except DataError as error:
            for name in settings.protocols:
                result.add(sample.sample, name, str(error))
            continue
        same = before is not None and before[0] is scan and np.array_equal(before[1], surface.vertices)
        for name, protocol in settings.protocols.items():
            if same:  # as for a method that gives several samples of one scan the same answer
                result.add(sample.sample, name, result.get(before[2], name))
                continue
            try:
                found = register_surface(surface, landmarks, scan, protocol, settings.iterations, settings.points)
                result.add(sample.sample, name, found)
            except DataError as error:
                result.add(sample.sample, name, str(error))
        before = scan, surface.vertices, sample.sample
    return result
