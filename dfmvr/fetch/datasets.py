"""Checks of data sets as they were delivered: counts by listing, and a few samples read by the real readers.

Nothing is read as a whole: of a data set of 750,000 files the names are counted one after the other, and eight samples
are read. A damaged sample further on is found by the stage that reads it, which sets it aside.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dfmvr.conventions import VIEWS
from dfmvr.datasets.layouts import LANDMARKED, MULTIVIEW, open_dataset
from dfmvr.errors import ConfigError, DataError
from dfmvr.fetch.finding import Finding, Status
from dfmvr.fetch.sources import Source, sources

if TYPE_CHECKING:
    from dfmvr.config.configuration import Config
    from dfmvr.config.data import CelebAMaskHQData
    from dfmvr.datasets.multiview import MultiviewDataset
    from dfmvr.datasets.sample import Sample

PROBES = 8
MAX_DEPTH = 10


def list_files(root: Path) -> Iterator[str]:
    """Names of all files below a folder, one after the other; links are followed, but no folder is visited twice."""
    visited: set[tuple[int, int]] = set()
    waiting = [(str(root), 0)]
    while waiting:
        folder, depth = waiting.pop()
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir():
                    yield entry.name
                elif depth < MAX_DEPTH:
                    waiting.append((entry.path, depth + 1))


def count_files(root: Path, pattern: str) -> tuple[int, int]:
    """Count the files whose names match, and the subjects that the pattern's first group tells apart."""
    matches = re.compile(pattern).fullmatch
    count, subjects = 0, set()
    for name in list_files(root):
        if found := matches(name):
            count += 1
            subjects.add(found[1])
    return count, len(subjects)


@dataclass
class _Survey:
    """What a look at the list of samples tells, with a few to be read: the first, the last, and some between."""

    samples: int = 0
    whole: int = 0
    scanned: int = 0
    annotated: int = 0
    subjects: set[str] = field(default_factory=set)
    probes: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample, rng: random.Random) -> None:
        """Count a sample; every one but the first and last has the same chance of being kept."""
        self.samples += 1
        self.whole += None not in sample.photos
        self.scanned += sample.scan is not None
        self.annotated += None not in sample.annotations
        self.subjects.add(sample.subject)
        if self.samples <= PROBES:
            self.probes.append(sample)
            return
        last, self.probes[-1] = self.probes[-1], sample
        place = 1 + rng.randrange(self.samples - 2)
        if place < PROBES - 1:
            self.probes[place] = last


@contextmanager
def _checking(finding: Finding, key: str) -> Iterator[None]:
    """Note what keeps the data set from being listed at all."""
    try:
        yield
    except (DataError, ConfigError) as error:
        finding.worsen(Status.DAMAGED, f"{key}: {error}", blocking=True)
    except OSError as error:
        finding.worsen(Status.DAMAGED, f"{key}: {error.filename}: {error.strerror}", blocking=True)


def _start(name: str, root: Path | None) -> tuple[Source, Finding]:
    """Look whether the data set is asked for and has a folder with something in it."""
    source = sources()[name]
    finding = Finding(name, source.title)
    if root is not None:
        finding.status, finding.places = Status.COMPLETE, (root,)
        what = "no such" if not root.is_dir() else "an empty" if next(root.iterdir(), None) is None else ""
        if what:
            text = f"{source.key}: {root}: {what} folder; check it, or {source.ask}"
            finding.worsen(Status.MISSING, text, blocking=True)
    return source, finding


def _compare(finding: Finding, expected: dict[str, int]) -> None:
    """Set the expected numbers beside the found ones."""
    for unit, number in expected.items():
        found = finding.counts[unit][0]
        finding.counts[unit] = (found, number)
        if found < number:
            finding.worsen(Status.PARTIAL, f"{found} of {number} {unit}: copy the others, unless this part was meant")


def check_scanned(name: str, config: Config) -> Finding:
    """Check a data set of three views.

    Args:
        name: one of layouts.MULTIVIEW.
        config: the whole configuration.
    """
    settings = getattr(config.datasets, name)
    source, finding = _start(name, settings.root)
    if not finding.needed or finding.blocking:
        return finding
    survey = _Survey()
    with _checking(finding, source.key):
        if source.pattern:
            count, subjects = count_files(settings.root, source.pattern)
            finding.counts = {source.unit: (count, None), "subjects": (subjects, None)}
        dataset = open_dataset(name, settings.root, settings)
        rng = random.Random(0)
        for sample in dataset.samples():
            survey.add(sample, rng)
        if not source.pattern:
            finding.counts = {"samples": (survey.whole, None), "subjects": (len(survey.subjects), None)}
        _compare(finding, source.counts[getattr(settings, "layout", "")])
        _note_gaps(finding, survey, source.key, config)
        _probe(finding, dataset, survey, source.key, config)
    return finding


def _note_gaps(finding: Finding, survey: _Survey, key: str, config: Config) -> None:
    """Say what samples lack."""
    if not survey.whole:
        finding.worsen(
            Status.DAMAGED, f"{key}: none of {survey.samples} samples has all three photographs", blocking=True
        )
    elif survey.whole < survey.samples:
        lacking = survey.samples - survey.whole
        finding.worsen(Status.PARTIAL, f"{lacking} of {survey.samples} samples lack a photograph and will be set aside")
    if 0 < survey.scanned < survey.samples:
        lacking = survey.samples - survey.scanned
        finding.worsen(Status.PARTIAL, f"{lacking} of {survey.samples} samples have no scan and cannot be scored")
    if config.align.landmarks == "annotated" and survey.samples and not survey.annotated:
        finding.blocking.append(
            f"align.landmarks: `annotated`, but {finding.title} comes without files of 68 landmarks; "
            "set it to face_alignment"
        )


def _probe(finding: Finding, dataset: MultiviewDataset, survey: _Survey, key: str, config: Config) -> None:
    """Read a few samples, the first and last with their scans."""
    annotated = config.align.landmarks == "annotated"
    broken = 0
    for place, sample in enumerate(survey.probes):
        ends = place in (0, len(survey.probes) - 1)
        problems = list(_problems_of(finding.name, dataset, sample, annotated, ends))
        broken += bool(problems)
        for problem in problems:
            finding.worsen(Status.DAMAGED, problem)
    if survey.probes and broken == len(survey.probes):
        finding.worsen(Status.DAMAGED, f"{key}: none of {broken} samples that were read is whole", blocking=True)


def _problems_of(
    name: str, dataset: MultiviewDataset, sample: Sample, annotated: bool, with_scan: bool
) -> Iterator[str]:
    """Say which files of a sample cannot be read; those that are not there were counted before."""
    reads: list[tuple[str, Callable[[Path], object], Path | None]] = []
    for view, photo, annotation in zip(VIEWS, sample.photos, sample.annotations, strict=True):
        reads.append((view, dataset.read_photo, photo))
        if annotated:
            reads.append((view, dataset.read_annotation, annotation))
    if with_scan and sample.scan is not None:
        if name in LANDMARKED:
            reads.append(("scan", dataset.read_landmarks_101, sample.scan))
        if sample.scan.suffix != ".txt":  # Pixel-Face has samples for training with keypoints alone
            reads.append(("scan", dataset.read_scan, sample.scan))
    for what, read, path in reads:
        if path is None:
            continue
        try:
            read(path)
        except DataError as error:
            yield f"{sample.sample}, {what}: {error}"


def check_celebamask_hq(settings: CelebAMaskHQData) -> Finding:
    """Check CelebAMask-HQ: list it, read a few images with their masks, and look which side is called left."""
    from dfmvr.datasets.celebamask_hq import SPLITS, check_sides, read_image, read_items, read_mask

    source, finding = _start("celebamask_hq", settings.root)
    if not finding.needed or finding.blocking:
        return finding
    with _checking(finding, source.key):
        items = read_items(settings.root)
        finding.counts = {"photographs": (len(items), None)}
        _compare(finding, source.counts[""])
        present = {item.split for item in items}
        for split in (split for split in SPLITS if split not in present):
            finding.worsen(Status.PARTIAL, f"no image of the split `{split}`")
        whole = []
        for item in items[:: max(1, (len(items) - 1) // (PROBES - 1))][:PROBES]:
            try:
                read_image(item), read_mask(item)
                whole.append(item)
            except DataError as error:
                finding.worsen(Status.DAMAGED, str(error))
        if not whole:
            finding.worsen(Status.DAMAGED, f"{source.key}: none of the images that were read is whole", blocking=True)
        elif wrong_sides := check_sides(whole, settings.swap_sides, settings.root):
            finding.problems.append(wrong_sides)
    return finding


def check_dataset(name: str, config: Config) -> Finding:
    """Check a data set by the name that the configuration gives it."""
    if name in MULTIVIEW:
        return check_scanned(name, config)
    return check_celebamask_hq(config.datasets.celebamask_hq)
