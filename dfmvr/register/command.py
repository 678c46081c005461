"""Register predicted meshes to scans: a similarity of seven landmarks, then point-to-plane ICP (Sec. IV-A).

needs   meshes/<sample>.ply and .landmarks.csv   predictions, mm
        a manifest of an aligned data set        its test samples and their scans
        a folder of the scans' meshes            for scans that are range images (`dfmvr mesh`)
gives   <output>.npz                             prediction -> scan frame, one row a test sample; the arrays of the
                                                 protocol `paper` bear plain names, others end in `_<protocol>`
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from dfmvr.config.evaluation import RegisterSection
from dfmvr.register.icp import Registration
from dfmvr.register.registrations import DEFAULT_PROTOCOL, register_all

log = logging.getLogger(__name__)


def add_scan_arguments(parser: argparse._ActionsContainer, required: bool = True) -> None:
    """Declare the files by which scans are found."""
    parser.add_argument(
        "--manifest", type=Path, required=required, metavar="FILE", help="manifest.parquet of the aligned data set"
    )
    parser.add_argument("--scans", type=Path, metavar="DIR", help="meshes of its range images, from `dfmvr mesh`")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    parser.add_argument("--meshes", type=Path, required=True, metavar="DIR", help="folder of <sample>.ply")
    add_scan_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="registrations, .npz")


def main(args: argparse.Namespace, settings: RegisterSection) -> None:
    """Run the stage."""
    result = register_all(args.meshes, args.manifest, settings, args.scans)
    result.write(args.output)
    reasons = [(s, r) for s in result.samples if isinstance(r := result.get(s, DEFAULT_PROTOCOL), str)]
    for sample, reason in reasons:
        log.info("set aside: %s: %s", sample, reason)
    rough = [s for s in result.samples if isinstance(r := result.get(s, DEFAULT_PROTOCOL), Registration)]
    slow = [s for s in rough if not result.get(s, DEFAULT_PROTOCOL).converged]
    log.info(
        "%d of %d samples registered, %d of them not converged in %d steps",
        len(rough),
        len(result.samples),
        len(slow),
        settings.iterations,
    )
