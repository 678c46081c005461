"""A sample of a data set of three views: the files that belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "val", "test")
RANDOM_LIGHT = "random"
"""`illumination` of a sample whose side view and light were drawn at random, for the last column of Table V."""
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
    split: str  # one of SPLITS
    photos: tuple[Path | None, Path | None, Path | None]
    annotations: tuple[Path | None, Path | None, Path | None] = VIEWLESS
    scan: Path | None = None  # as it was delivered
    scan_name: str = ""
    expression: str = ""
    illumination: str = ""
    yaws: tuple[float, float, float] = (math.nan, math.nan, math.nan)
