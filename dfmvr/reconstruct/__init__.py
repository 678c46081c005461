"""Turn photographs into meshes.

In     an aligned data set, or three photographs with landmark files, and a trained network; or nothing but the face
       model (--mean-face); or the scans themselves (--floor).
Gives  coefficients.npz, and for each sample a mesh (canonical pose, mm) with its seven alignment points.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from dfmvr.conventions import VIEWS
from dfmvr.errors import ConfigError
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import writing_folder
from dfmvr.register import add_scan_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    photos = parser.add_argument_group("own photographs")
    for view in VIEWS:
        photos.add_argument(f"--{view}", type=Path, metavar="PHOTO", help=f"photograph of the {view} view")
    photos.add_argument(
        "--landmarks", type=Path, nargs=3, metavar="FILE", help="landmark files of the three, 5 or 68 points in pixels"
    )
    photos.add_argument("--parser", type=Path, help="face parser (default: the one that the network was trained with)")
    dataset = parser.add_argument_group("data sets")
    dataset.add_argument("--align", type=Path, help="folder of the aligned data set")
    dataset.add_argument("--parse", type=Path, help="folder of its masks")
    dataset.add_argument("--view", choices=VIEWS, help="show the network this view alone (default: all three)")
    dataset.add_argument("--split", default="test", help="split to reconstruct (default: test)")
    add_scan_arguments(dataset, required=False)
    method = parser.add_argument_group("method").add_mutually_exclusive_group(required=True)
    method.add_argument("--checkpoint", type=Path, help="trained network (.safetensors)")
    method.add_argument("--mean-face", action="store_true", help="the mean face for every sample (or one)")
    method.add_argument("--floor", action="store_true", help="fit the face model to the scans")
    parser.add_argument("--face-model", type=Path, help="face model (default: the one trained with)")
    parser.add_argument("--format", choices=("ply", "obj", "glb"), default="ply", help="of the meshes")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")


def main(args: argparse.Namespace, settings: None) -> None:
    """Reconstruct and write."""
    photos = [getattr(args, view) for view in VIEWS]
    if any(photos):
        _own_photos(args, photos)
    elif args.floor:
        _floor(args)
    else:
        _dataset(args)


def _beside(args: argparse.Namespace, name: str) -> Path:
    """The file given, or the one that the checkpoint names."""
    given = getattr(args, name)
    if given is not None:
        return given
    option = "--" + name.replace("_", "-")
    if args.checkpoint is None:
        raise ConfigError(f"{option}: missing; name the file, such as results/face_model/face_model.npz")
    from dfmvr.networks.checkpoint import read_network

    path = args.checkpoint.parent / read_network(args.checkpoint).about[name]
    if not path.exists():
        raise ConfigError(f"{option}: {args.checkpoint} was trained with {path}, which is not there; name the file")
    return path


def _need(args: argparse.Namespace, *names: str) -> None:
    """Check that options are given."""
    missing = [f"--{name}" for name in names if getattr(args, name) is None]
    if missing:
        raise ConfigError(f"{', '.join(missing)}: missing; `dfmvr reconstruct --help` tells what goes together")


def _own_photos(args: argparse.Namespace, photos: list[Path | None]) -> None:
    """Three photographs with landmark files."""
    from dfmvr.reconstruct.photographs import reconstruct_photographs

    _need(args, *VIEWS, "landmarks", "checkpoint")
    files = (args.checkpoint, _beside(args, "parser"), _beside(args, "face_model"))
    with writing_folder(args.output) as folder:
        reconstruct_photographs(folder, photos, args.landmarks, *files, args.format)


def _floor(args: argparse.Namespace) -> None:
    """The model fitted to every scan."""
    from dfmvr.reconstruct.floor import reconstruct_floor

    _need(args, "manifest")
    reconstruct_floor(MorphableModel.load(_beside(args, "face_model")), args.manifest, args.output, args.scans)


def _dataset(args: argparse.Namespace) -> None:
    """An aligned data set, by a network or by the mean face."""
    from dfmvr.reconstruct import network
    from dfmvr.reconstruct.results import write_faces
    from dfmvr.train.data import AlignedSamples, sample_names

    model = MorphableModel.load(_beside(args, "face_model"))
    if args.mean_face:
        names = np.array(["face"]) if args.align is None else sample_names(args.align, args.split)
        coefficients = network.mean_faces(model, len(names))
    else:
        _need(args, "align", "parse")
        samples = AlignedSamples(args.align, args.parse, args.split)
        names = samples.names
        coefficients = network.regress(network.load_for_model(args.checkpoint, model), samples, args.view)
    with writing_folder(args.output) as folder:
        write_faces(folder, model, names, coefficients, args.format)
