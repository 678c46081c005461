"""Reconstruct the samples of an aligned data set with a trained network: the stage of the study.

needs   folders of the aligned samples and of their masks, a trained network, and its face model
gives   coefficients.npz and, for each sample, meshes/<sample>.ply (canonical pose, mm) and .landmarks.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dfmvr.conventions import VIEWS
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import writing_folder
from dfmvr.networks.checkpoint import file_beside
from dfmvr.reconstruct.regression import read_regressor, regress
from dfmvr.reconstruct.sample_files import add_output_arguments, write_samples
from dfmvr.train.samples import AlignedSamples

BATCH = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    parser.add_argument("--align", type=Path, required=True, help="folder of the aligned data set")
    parser.add_argument("--parse", type=Path, required=True, help="folder of its masks")
    parser.add_argument("--checkpoint", type=Path, required=True, help="trained network (.safetensors)")
    parser.add_argument("--face-model", type=Path, help="face model (default: the one trained with)")
    parser.add_argument("--view", choices=VIEWS, help="show the network this view alone (default: all three)")
    add_output_arguments(parser)


def main(args: argparse.Namespace, settings: None) -> None:
    """Reconstruct and write.

    Raises:
        ConfigError: the checkpoint names a face model that is not there.
        DataError: an input is unreadable, or they do not belong together.
        OutputError: the folder cannot be written.
    """
    model = MorphableModel.load(args.face_model or file_beside(args.checkpoint, "face_model"))
    network = read_regressor(args.checkpoint, model).network
    samples = AlignedSamples(args.align, args.parse, args.split)
    coefficients = regress_samples(network, samples, args.view)
    with writing_folder(args.output) as folder:
        write_samples(folder, model, samples.names, coefficients, args.format)


def regress_samples(network: nn.Module, samples: AlignedSamples, view: str | None = None) -> Coefficients:
    """The coefficients of all samples, in their order; see `regress`."""
    parts = []
    for start in range(0, len(samples), BATCH):
        batch = samples.batch(np.arange(start, min(start + BATCH, len(samples))))
        parts.append(regress(network, batch.images, batch.masks, view))
    return Coefficients(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
