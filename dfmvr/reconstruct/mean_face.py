"""Predict the mean face for every sample of an aligned data set, or write it once: the trivial method.

needs   the face model, and the folder of the aligned samples
gives   what `dfmvr reconstruct dataset` gives; without samples the mesh alone, face.ply
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from dfmvr.face_model.coefficients import mean_faces
from dfmvr.face_model.model import MorphableModel
from dfmvr.folders import writing_folder
from dfmvr.reconstruct.sample_files import add_output_arguments, add_split_argument, write_samples
from dfmvr.train.samples import sample_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    parser.add_argument("--align", type=Path, help="folder of the aligned data set")
    parser.add_argument("--face-model", type=Path, required=True, help="face model")
    add_split_argument(parser)
    add_output_arguments(parser)


def main(args: argparse.Namespace, settings: None) -> None:
    """Write the mean face.

    Raises:
        DataError: the face model or the samples cannot be read.
        OutputError: the folder cannot be written.
    """
    model = MorphableModel.load(args.face_model)
    names = np.array(["face"]) if args.align is None else sample_names(args.align, args.split)
    with writing_folder(args.output, "reconstruct mean_face") as folder:
        write_samples(folder, model, names, mean_faces(model, len(names)), args.format, "meshes" if args.align else "")
