"""Readers and writers of the data sets, each in its public layout.

A reader never trusts a file: whatever is missing, truncated or inconsistent is a DataError that names the file and
what to do. The writers exist for the stand-ins and the tests, and store exactly what the readers expect.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from dfmvr.datasets.sample import Dataset

SCANNED = ("pixel_face", "multi_pie", "bosphorus")
"""The data sets of three views, by the names that the configuration gives them."""

_CLASSES = {"pixel_face": "PixelFace", "multi_pie": "MultiPie", "bosphorus": "Bosphorus"}


def layout_of(dataset: str) -> str:
    """Tell in whose layout a data set of the study is: `pixel_face_ict` is a second one in that of `pixel_face`."""
    return next(name for name in SCANNED if dataset.startswith(name))


def open_dataset(name: str, root: Path | str, reading: Any) -> Dataset:
    """Open a data set of three views.

    Args:
        name: one of `SCANNED`.
        root: its folder.
        reading: the section `datasets.<name>` of the configuration.
    Raises:
        DataError: there is no such folder.
    """
    module = importlib.import_module(f"dfmvr.datasets.{name}.dataset")
    return getattr(module, _CLASSES[name])(root, reading)


def reading_options(args: argparse.Namespace, name: str) -> Any:
    """Tell how a data set is to be read: by `--reading`, else by the configuration of the command."""
    from dfmvr.config import configuration

    if args.reading is None:
        return getattr(args.configuration.datasets, name)
    return getattr(configuration.load(None, [f"datasets.{name}={args.reading}"]).datasets, name)
