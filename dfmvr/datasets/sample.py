"""What every data set gives: samples of three views, listed one after the other, and readers of their files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

VIEWLESS: tuple[None, None, None] = (None, None, None)


@dataclass(frozen=True)
class Sample:
    """One moment of one person seen from left, front and right: the files that exist.

    `sample` is unique in the data set and a file name, and so is `scan_name`, but samples may share a scan. `yaws` are
    nominal, in degrees about y: where the nose points to the image's left they are negative, and NaN where the data set
    does not tell them.
    """

    sample: str
    subject: str
    split: str  # 'train', 'val' or 'test'
    photos: tuple[Path | None, Path | None, Path | None]
    annotations: tuple[Path | None, Path | None, Path | None] = VIEWLESS
    scan: Path | None = None  # as it was delivered
    scan_name: str = ""
    expression: str = ""
    illumination: str = ""
    yaws: tuple[float, float, float] = (math.nan, math.nan, math.nan)


class Dataset(Protocol):
    """A data set on disk. No reader lists or loads it as a whole. Those of `layouts.SCANNED` alone have `read_scan`."""

    root: Path
    settings: Any
    """How its files are read: the section `datasets.<name>` of the configuration."""

    sides_key: str
    """The key of the configuration that exchanges left and right."""

    def samples(self) -> Iterator[Sample]:
        """List the samples, training first, always in the same order.

        Raises:
            DataError: the folder is not this data set's, or no sample is there.
        """

    def read_photo(self, path: Path) -> np.ndarray:
        """Read a photograph as upright uint8 RGB (H, W, 3)."""

    def read_annotation(self, path: Path) -> np.ndarray:
        """Read 68 landmarks (68, 2) in pixels of the upright photograph; NaN where one is not annotated."""

    def read_scan(self, scan: Path) -> Any:
        """Read a scan as it was delivered; `dfmvr.mesh` makes the same of all."""
