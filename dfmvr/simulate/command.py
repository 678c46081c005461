"""Stand-in data sets: people who do not exist, photographed and scanned.

needs  results/face_model/heads.npz          generator of heads, written by `dfmvr face_model`
gives  results/simulate/<dataset>/           folder in the layout of the real data set, and preview.jpg

Each data set is a module of this package: pixel_face (training and test), pixel_face_ict (test, faces of ICT-FaceKit),
celebamask_hq (portraits with masks), multi_pie (one moment under many lights from many sides), bosphorus (range images
of a head that turns).
"""

from __future__ import annotations

import argparse
import importlib
import logging
from pathlib import Path
from typing import Any

from dfmvr.errors import ConfigError
from dfmvr.folders import writing_folder

log = logging.getLogger(__name__)

DATASETS = ("pixel_face", "pixel_face_ict", "celebamask_hq", "multi_pie", "bosphorus")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    parser.add_argument("--dataset", required=True, choices=DATASETS, help="which to make")
    parser.add_argument("--heads", required=True, type=Path, metavar="FILE", help="heads.npz from `dfmvr face_model`")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder of the data set")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes; the result does not depend on it"
    )


def main(args: argparse.Namespace, settings: Any) -> None:
    """Make one data set.

    Raises:
        ConfigError: fewer than one worker; others as of `stand_in.simulate`.
    """
    from dfmvr.simulate.stand_in import simulate

    if args.workers < 1:
        raise ConfigError(f"--workers {args.workers}: expected at least 1")
    recipe = importlib.import_module(f"dfmvr.simulate.{args.dataset}").RECIPE
    with writing_folder(args.output, "simulate") as folder:
        simulate(recipe, args.heads, folder, settings, args.workers)
    log.info("%s: %s", args.output, args.dataset)
