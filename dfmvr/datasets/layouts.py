"""The data sets of three views by name, and how one is opened."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from dfmvr.config import configuration
from dfmvr.datasets.multiview import MultiviewDataset

MULTIVIEW = ("pixel_face", "multi_pie", "bosphorus")
"""The data sets of three views, by the names that the configuration gives them."""

SCANNED = ("pixel_face", "bosphorus")
"""Those of them that have scans."""

LANDMARKED = ("pixel_face",)
"""Those of them whose scans have the 101 landmarks of L_l3d."""

_CLASSES = {"pixel_face": "PixelFace", "multi_pie": "MultiPie", "bosphorus": "Bosphorus"}


def open_dataset(name: str, root: Path | str, reading: Any) -> MultiviewDataset:
    """Open a data set of three views.

    Args:
        name: one of `MULTIVIEW`.
        root: its folder.
        reading: the section `datasets.<name>` of the configuration.
    Raises:
        DataError: there is no such folder.
    """
    module = importlib.import_module(f"dfmvr.datasets.{name}.dataset")
    return getattr(module, _CLASSES[name])(root, reading)


def reading_options(args: argparse.Namespace, name: str) -> Any:
    """Tell how a data set is to be read: by `--reading`, else by the configuration of the command."""
    if args.reading is None:
        return getattr(args.configuration.datasets, name)
    return getattr(configuration.load(None, [f"datasets.{name}={args.reading}"]).datasets, name)
