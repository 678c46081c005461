"""Reconstruct the samples of an aligned data set with a trained network: the stage of the study.

needs   folders of the aligned samples and of their masks, a trained network, and its face model
gives   coefficients.npz and, for each sample, meshes/<sample>.ply (canonical pose, mm) and .landmarks.csv;
        inference.json, how long a sample takes
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dfmvr.conventions import VIEWS
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import write_json
from dfmvr.folders import writing_folder
from dfmvr.networks.checkpoint import file_beside
from dfmvr.reconstruct.regression import read_regressor, regress
from dfmvr.reconstruct.sample_files import add_output_arguments, add_split_argument, write_samples
from dfmvr.train.samples import AlignedSamples

BATCH = 16
INFERENCE, TIMED = "inference.json", 20
"""The file that tells the time to a face, and of how many samples it is the median, at the most."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    parser.add_argument("--align", type=Path, required=True, help="folder of the aligned data set")
    parser.add_argument("--parse", type=Path, required=True, help="folder of its masks")
    parser.add_argument("--checkpoint", type=Path, required=True, help="trained network (.safetensors)")
    parser.add_argument("--face-model", type=Path, help="face model (default: the one trained with)")
    parser.add_argument("--view", choices=VIEWS, help="show the network this view alone (default: all three)")
    add_split_argument(parser)
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
    with writing_folder(args.output, "reconstruct dataset") as folder:
        write_samples(folder, model, samples.names, coefficients, args.format)
        write_json(folder / INFERENCE, time_samples(network, model, samples, args.view))


def time_samples(
    network: nn.Module, model: MorphableModel, samples: AlignedSamples, view: str | None = None
) -> dict[str, Any]:
    """How long one sample takes from crops and masks to the vertices of its face, one at a time.

    Returns:
        `ms`, the median after a first one that does not count; `samples`, how many were timed; `machine`.
    """
    seconds = []
    for index in range(min(len(samples), TIMED) + 1):
        batch = samples.batch(np.array([index % len(samples)]))
        start = time.perf_counter()
        found = regress(network, batch.images, batch.masks, view)
        model.shape(found.identity, found.expression)
        seconds.append(time.perf_counter() - start)
    machine = f"{platform.machine()}, threads: {torch.get_num_threads()}"
    return {"ms": 1000 * float(np.median(seconds[1:])), "samples": len(seconds) - 1, "machine": machine}


def regress_samples(network: nn.Module, samples: AlignedSamples, view: str | None = None) -> Coefficients:
    """The coefficients of all samples, in their order; see `regress`."""
    parts = []
    for start in range(0, len(samples), BATCH):
        batch = samples.batch(np.arange(start, min(start + BATCH, len(samples))))
        parts.append(regress(network, batch.images, batch.masks, view))
    return Coefficients(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
