"""Stage `score`: the distance between scans and the registered predictions of a method; see `dfmvr.score.distances`.

needs   meshes/<sample>.ply                 predictions, mm
        a manifest of an aligned data set   its test samples and their scans
        what `dfmvr register` has written
gives   <output>.parquet                    one row a sample, protocol and region
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from dfmvr.config.evaluation import RegisterSection
from dfmvr.files import writing
from dfmvr.register.registrations import DEFAULT_PROTOCOL, OK, Registrations
from dfmvr.score.distances import ALL
from dfmvr.score.samples import score_all

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    needed = {
        "meshes": (Path, "DIR", "folder of <sample>.ply"),
        "manifest": (Path, "FILE", "manifest.parquet of the aligned data set"),
        "registration": (Path, "FILE", "what `dfmvr register` has written"),
        "method": (str, "NAME", "name of the method, for the table"),
        "dataset": (str, "NAME", "name of the data set, for the table"),
        "output": (Path, "FILE", "scores, .parquet"),
    }
    for name, (kind, metavar, text) in needed.items():
        parser.add_argument(f"--{name}", type=kind, required=True, metavar=metavar, help=text)
    parser.add_argument("--face-model", type=Path, metavar="FILE", help="that of the meshes, for errors by region")


def main(args: argparse.Namespace, settings: RegisterSection) -> None:
    """Score the predictions of a method on a data set."""
    registrations = Registrations.read(args.registration)
    table = score_all(args.meshes, args.manifest, registrations, settings, args.face_model)
    table.insert(2, "method", args.method)
    table.insert(3, "dataset", args.dataset)
    with writing(args.output) as partial:
        table.to_parquet(partial, index=False)
    scored = table[(table.protocol == DEFAULT_PROTOCOL) & (table.region == ALL) & (table.status == OK)]
    log.info("%s on %s: %.3f mm (%d samples)", args.method, args.dataset, scored.rmse_mm.mean(), len(scored))
