"""What every data set of three views gives: samples, listed one after the other, and readers of their files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dfmvr.datasets.images import read_image
from dfmvr.datasets.landmark_files import read_landmark_file
from dfmvr.datasets.sample import Sample
from dfmvr.errors import DataError


class MultiviewDataset(ABC):
    """A data set on disk. No reader lists or loads it as a whole. Those of `layouts.SCANNED` have a method `read_scan`.

    Args of the constructor: `root`, its folder; `settings`, how its files are read: the section `datasets.<key>` of the
    configuration. Raises DataError if there is no such folder.
    """

    key: ClassVar[str]
    """Its name in the configuration."""

    def __init__(self, root: Path | str, settings: Any) -> None:
        self.root, self.settings = Path(root), settings
        if not self.root.is_dir():
            raise DataError(f"{root}: no such folder; set datasets.{self.key}.root to the folder of the data set")

    @property
    def sides_key(self) -> str:
        """The key of the configuration that exchanges left and right."""
        return f"datasets.{self.key}.exchange_sides"

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """List the samples, training first, always in the same order; a file that is not there is None.

        Raises:
            DataError: the folder is not this data set's, or no sample is there.
        """

    def read_photo(self, path: Path) -> np.ndarray:
        """Read a photograph as upright uint8 RGB (H, W, 3).

        Raises:
            DataError: the file is missing or not a whole image.
        """
        return read_image(path)

    def read_annotation(self, path: Path) -> np.ndarray:
        """Read 68 landmarks (68, 2) in pixels of the upright photograph, NaN where one is not known.

        Raises:
            DataError: the file is missing or damaged.
        """
        return read_landmark_file(path, counts=(68,))
