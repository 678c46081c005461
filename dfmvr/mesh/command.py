"""Stage `mesh`: the scans of a data set, of whatever form, to meshes and landmarks in mm; see `dfmvr.mesh.dataset`.

needs   a data set with scans (range images with the .lm3 beside them; gt.mat or registered meshes with keypoints)
gives   scans/<name>.npz       mesh, landmarks and, where it is known, the registered mesh of the scans to test on
        landmarks_101.npz      the landmarks of L_l3d of all scans
        scans.csv              one row a scan, those set aside with the reason
or, of one range image, <scan>.ply and <scan>.landmarks.csv, mm, to look at; a photograph (.png) beside it colours it
"""

from __future__ import annotations

import argparse
import importlib
import logging
from pathlib import Path

from dfmvr.config.data import MeshSection
from dfmvr.datasets.layouts import SCANNED, open_dataset, reading_options
from dfmvr.errors import ConfigError
from dfmvr.mesh.dataset import OK, normalise_scans

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--scan", type=Path, metavar="FILE", help="one range image, .bnt")
    source.add_argument("--data", type=Path, metavar="FOLDER", help="a data set: all its scans")
    parser.add_argument("--format", choices=SCANNED, default="bosphorus", help="its layout (default: %(default)s)")
    parser.add_argument("--reading", metavar="JSON", help="the section datasets.FORMAT as JSON")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="the mesh (.ply, .obj, .glb), or with --data a folder",
    )


def main(args: argparse.Namespace, settings: MeshSection) -> None:
    """Make the scans of a data set alike, or a mesh of one range image."""
    if args.scan is not None and args.format != "bosphorus":
        raise ConfigError(f"--scan {args.scan}: only range images, which are Bosphorus's, are meshed one at a time")
    data = open_dataset(args.format, args.data or args.scan.parent, reading_options(args, args.format))
    if args.scan is not None:
        # by name, so that the scans of other data sets do not depend on it
        importlib.import_module("dfmvr.mesh.bosphorus").write_coloured_mesh(args.output, data, args.scan, settings)
        return
    table = normalise_scans(data, args.format, args.output, settings)
    aside = table[table.status != OK]
    for row in aside.itertuples():
        log.info("set aside %s: %s", row.scan, row.reason)
    log.info("%d of %d scans can be used, %d set aside", len(table) - len(aside), len(table), len(aside))
    if not len(table):
        log.warning(
            "%s: nothing can be scored; copy the scans or check the keys of datasets.%s", args.data, args.format
        )
