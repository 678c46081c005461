"""Bosphorus: range images of heads that turn, make faces and hide behind things, each with a photograph.

    bs000/bs000_N_N_0.bnt   range image (datasets.range_image)
    bs000/bs000_N_N_0.png   its photograph
    bs000/bs000_N_N_0.lm2   landmarks in the photograph (landmarks)
    bs000/bs000_N_N_0.lm3   landmarks in the range image

A file's name is subject, class, code and take (names); a take is one scan. Every scan has a
photograph of its own, so three scans of a subject, of which the front one as a rule is the ground truth too, make a
sample of three views.

Source: Savran et al. 2008, "Bosphorus Database for 3D Face Analysis", and public readers of the data set.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from dfmvr.config.data import BosphorusData
from dfmvr.datasets.bosphorus.landmarks import as_68, check_sides, read_lm2, write_lm2, write_lm3
from dfmvr.datasets.bosphorus.names import SUBJECT, ScanName
from dfmvr.datasets.bosphorus.range_image import RangeImage, check_rows, read_bnt, write_bnt
from dfmvr.datasets.images import write_image
from dfmvr.datasets.listing import list_folder, list_subfolders
from dfmvr.datasets.multiview import MultiviewDataset
from dfmvr.datasets.sample import RANDOM_LIGHT, Sample
from dfmvr.errors import ConfigError, DataError

log = logging.getLogger(__name__)

SUFFIXES = (".bnt", ".png", ".lm2", ".lm3")


def _kind(key: str, value: str) -> tuple[str, str]:
    """Class and code that a setting names."""
    try:
        return ScanName.parse(f"bs000_{value}_0").kind
    except DataError:
        raise ConfigError(
            f"datasets.bosphorus.{key}: expected a class and a code such as N_N or YR_R45, found {value!r}; mend it"
        ) from None


Takes = dict[tuple[str, str], dict[int, dict[str, Path]]]
"""Of one subject: by class and code, then by number, the files of each take by suffix."""
RELIT = "relit"
"""What a sample under a light drawn at random is called."""


class Bosphorus(MultiviewDataset):
    """The data set on disk. The constructor raises ConfigError if a setting names no class and code."""

    key = "bosphorus"

    def __init__(self, root: Path | str, settings: BosphorusData) -> None:
        super().__init__(root, settings)
        self._scan, self._front = _kind("scan", settings.scan), _kind("front", settings.front)
        self._right = _kind("right", settings.right)
        self._left = list(dict.fromkeys(_kind("left", value) for value in settings.left))

    def samples(self) -> Iterator[Sample]:
        """List a sample for every subject and left view, and one under a light drawn at random where there are such.

        Files with names of another form are passed over and counted.

        Raises:
            DataError: the folder is not the data set's, or no sample is there.
        """
        subjects = list_subfolders(self.root, SUBJECT)
        if not subjects:
            raise DataError(f"{self.root}: expected a folder a subject (bs000, bs001, ...), found none; check the path")
        if not self._left:
            raise DataError(
                f"{self.root}: no sample, since datasets.bosphorus.left is empty; name a view such as YR_R45"
            )
        codes = Counter(code for _, code in self._left)
        strange: list[Path] = []
        for subject in subjects:
            takes = _list_takes(self.root / subject, strange)
            for left in self._left:
                yield self._sample(subject, left[1] if codes[left[1]] == 1 else "_".join(left), left, takes)
            yield from self._relit(subject, takes)
        if strange:
            log.warning("%s: %d files passed over, such as %s", self.root, len(strange), strange[0])

    def _relit(self, subject: str, takes: Takes) -> Iterator[Sample]:
        """The sample whose three views have a further take under a light drawn at random, if there is one."""

        def there(kind: tuple[str, str]) -> bool:
            found = takes.get(kind, {})
            return self.settings.relit_take in found and self.settings.relit_take > min(found)

        varied = [left for left in self._left if there(left)]
        if varied and there(self._front) and there(self._right):
            sample = self._sample(subject, RELIT, varied[0], takes, self.settings.relit_take)
            yield replace(sample, illumination=RANDOM_LIGHT)

    def _sample(self, subject: str, name: str, left: tuple[str, str], takes: Takes, take: int | None = None) -> Sample:
        """A sample of a varied view; the photographs are of a take, None: of each view's first."""

        def of(kind: tuple[str, str], take: int | None = None) -> dict[str, Path]:
            found = takes.get(kind, {})
            return found.get(min(found, default=0) if take is None else take, {})

        views = [left, self._front, self._right]
        yaws = [ScanName(subject, *kind, 0).yaw(self.settings.exchange_sides) for kind in views]
        if self.settings.exchange_sides:  # what is called the left view shows the nose at the image's right
            views, yaws = views[::-1], yaws[::-1]
        scan = of(self._scan).get(".bnt")
        return Sample(
            sample=f"{subject}_{name}",
            subject=subject,
            split="test",
            photos=tuple(of(kind, take).get(".png") for kind in views),
            annotations=tuple(of(kind, take).get(".lm2") for kind in views),
            scan=scan,
            scan_name=scan.stem if scan else "",
            expression=ScanName(subject, *self._front, 0).expression,
            yaws=tuple(yaws),
        )

    def read_annotation(self, path: Path) -> np.ndarray:
        """Read the landmarks of a photograph in iBUG order, (68, 2) pixels; NaN where there is no counterpart.

        Raises:
            DataError: the file is missing or damaged, or the names of the landmarks contradict the setting
                `landmark_sides`.
        """
        points = read_lm2(path)
        try:
            yaw = ScanName.parse(path.stem).yaw(self.settings.exchange_sides)
        except DataError:
            yaw = math.nan
        if math.isfinite(yaw):
            check_sides(points, self.settings.landmark_sides, str(path), yaw)
        return as_68(points, self.settings.landmark_sides)

    def read_scan(self, scan: Path) -> RangeImage:
        """Read a range image.

        Raises:
            DataError: the file is missing or broken, or contradicts the setting `rows`.
        """
        image = read_bnt(scan, self.settings.rows)
        check_rows(image, self.settings.rows, str(scan))
        return image


def _list_takes(folder: Path, strange: list[Path]) -> Takes:
    """Find the files of all takes; what has a name of another form is added to `strange`."""
    takes: Takes = {}
    for entry in list_folder(folder):
        path = folder / entry.name
        if path.suffix.lower() not in SUFFIXES:
            continue
        try:
            name = ScanName.parse(path.stem)
        except DataError:
            name = None
        if name is None or name.subject != folder.name:
            strange.append(path)
        elif not name.ignored:
            takes.setdefault(name.kind, {}).setdefault(name.take, {})[path.suffix.lower()] = path
    return takes


def write_scan(
    root: Path | str,
    name: ScanName,
    image: RangeImage,
    photo: np.ndarray,
    landmarks_3d: Mapping[str, np.ndarray],
    landmarks_2d: Mapping[str, np.ndarray],
) -> None:
    """Write the four files of one scan as the data set stores them.

    Args:
        root: the data set's folder.
        name: subject, class, code and take.
        image: the range image.
        photo: uint8 RGB (H, W, 3).
        landmarks_3d: (3,) mm in the range image's frame by name (LANDMARKS); points out of sight left out.
        landmarks_2d: (2,) pixels of the photograph by name.
    Raises:
        DataError: `name` is not of the data set's form.
        OutputError: a file cannot be written.
    """
    stem = ScanName.parse(name.stem).stem
    folder = Path(root) / name.subject
    write_bnt(folder / f"{stem}.bnt", image)
    write_image(folder / f"{stem}.png", photo)
    write_lm3(folder / f"{stem}.lm3", landmarks_3d)
    write_lm2(folder / f"{stem}.lm2", landmarks_2d)
