"""Stage `mesh`: range images to triangle meshes by Delaunay triangulation.

needs   range images (.bnt); the landmarks (.lm3) and the photograph (.png) beside them are used where they are
gives   <scan>.ply and <scan>.landmarks.csv, mm; of a whole data set meshes.csv too, one row a scan
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from dfmvr.config.data import MeshSection
from dfmvr.mesh.triangulate import Triangulation, triangulate

__all__ = ["Triangulation", "add_arguments", "main", "triangulate"]

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--scan", type=Path, metavar="FILE", help="one range image, .bnt")
    source.add_argument("--data", type=Path, metavar="FOLDER", help="Bosphorus: all scans that are ground truth")
    parser.add_argument("--reading", metavar="JSON", help="the section datasets.bosphorus as JSON")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="the mesh (.ply, .obj, .glb), or with --data a folder",
    )


def main(args: argparse.Namespace, settings: MeshSection) -> None:
    """Run the stage."""
    from dfmvr.datasets import reading_options
    from dfmvr.mesh.stage import OK, mesh_dataset, mesh_scan, write_mesh_of_scan

    reading = reading_options(args, "bosphorus")
    if args.scan is not None:
        found = mesh_scan(args.scan, settings, reading)
        write_mesh_of_scan(args.output, found)
        numbers = found.triangulation.numbers()
        log.info("%s: %s", args.output, ", ".join(f"{value:.6g} {name}" for name, value in numbers.items()))
        if not found.landmarks:
            log.info("no landmarks (%s) beside the scan", args.scan.with_suffix(".lm3").name)
        return
    table = mesh_dataset(args.data, args.output, settings, reading)
    aside = table[table.status != OK]
    for row in aside.itertuples():
        log.info("set aside %s: %s", row.scan, row.reason)
    log.info("%d of %d scans meshed, %d set aside", len(table) - len(aside), len(table), len(aside))
