"""Checks of data sets as they were delivered: counts by listing, and a few samples read by the real readers.

Nothing is read as a whole: of a data set of 750,000 files the names are counted one after the other, and eight samples
are read. A damaged sample further on is found by the stage that reads it, which sets it aside.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfmvr.conventions import VIEWS
from dfmvr.datasets.layouts import LANDMARKED, open_dataset
from dfmvr.errors import ConfigError, DataError
from dfmvr.fetch.finding import Finding, Status
from dfmvr.fetch.sources import Source, sources

if TYPE_CHECKING:
    from dfmvr.config.configuration import Config
    from dfmvr.datasets.multiview import MultiviewDataset
    from dfmvr.datasets.sample import Sample

PROBES = 8


def list_files(root: Path) -> Iterator[str]:
    """Names of all files below a folder, one after the other; links are followed, but no folder is visited twice."""

    def fail(error: OSError) -> None:
        raise error

    visited: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=fail):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        yield from files


def count_files(root: Path, pattern: str) -> tuple[int, int]:
    """Count the files whose names match, and the subjects that the pattern's first group tells apart."""
    matches = re.compile(pattern).fullmatch
    subjects = Counter(found[1] for name in list_files(root) if (found := matches(name)))
    return subjects.total(), len(subjects)


@contextmanager
def _checking(finding: Finding, key: str) -> Iterator[None]:
    """Note what keeps the data set from being listed at all."""
    try:
        yield
    except (DataError, ConfigError) as error:
        finding.block(Status.DAMAGED, f"{key}: {error}")
    except OSError as error:
        finding.block(Status.DAMAGED, f"{key}: {error.filename}: {error.strerror}")


def _start(name: str, root: Path | None) -> tuple[Source, Finding]:
    """Look whether the data set is asked for and has a folder with something in it."""
    source = sources()[name]
    finding = Finding(name, source.title, stand_in=True)
    if root is not None:
        finding.needs(root)
        what = "no such" if not root.is_dir() else "an empty" if next(root.iterdir(), None) is None else ""
        if what:
            finding.block(Status.MISSING, f"{source.key}: {root}: {what} folder; check it, or {source.ask}")
    return source, finding


def _compare(finding: Finding, found: dict[str, int], expected: dict[str, int]) -> None:
    """Set the numbers of a complete copy beside the found ones."""
    finding.counts = {unit: (number, expected.get(unit)) for unit, number in found.items()}
    for unit, number in expected.items():
        if found[unit] < number:
            text = f"{found[unit]} of {number} {unit}: copy the others, unless this part was meant"
            finding.note(Status.PARTIAL, text)


def _survey(dataset: MultiviewDataset) -> tuple[Counter, int, list[Sample]]:
    """What all samples have, how many subjects there are, and a few samples: the first, the last, some between."""
    has, subjects, probes, rng = Counter(), set(), [], random.Random(0)
    for sample in dataset.samples():
        has.update(
            samples=1,
            photographs=None not in sample.photos,
            scan=sample.scan is not None,
            landmarks=None not in sample.annotations,
        )
        subjects.add(sample.subject)
        if len(probes) < PROBES:
            probes.append(sample)
            continue
        # every one but the first and last has the same chance of being kept
        last, probes[-1] = probes[-1], sample
        place = 1 + rng.randrange(has["samples"] - 2)
        if place < PROBES - 1:
            probes[place] = last
    return has, len(subjects), probes


def check_multiview(name: str, config: Config) -> Finding:
    """Check a data set of three views.

    Args:
        name: one of layouts.MULTIVIEW.
        config: the whole configuration.
    """
    settings = getattr(config.datasets, name)
    source, finding = _start(name, settings.root)
    if not finding.needed or finding.blocking:
        return finding
    with _checking(finding, source.key):
        dataset = open_dataset(name, settings.root, settings)
        if source.pattern:
            files, subjects = count_files(settings.root, source.pattern)
            found = {source.unit: files, "subjects": subjects}
        has, subjects, probes = _survey(dataset)
        if not source.pattern:
            found = {"samples": has["photographs"], "subjects": subjects}
        _compare(finding, found, source.counts[getattr(settings, "layout", "")])
        annotated = config.align.landmarks == "annotated"
        _note_gaps(finding, has, source.key, annotated)
        _probe(finding, dataset, probes, source.key, annotated)
    return finding


def _note_gaps(finding: Finding, has: Counter, key: str, annotated: bool) -> None:
    """Say what samples lack."""
    samples = has["samples"]
    if not has["photographs"]:
        finding.block(Status.DAMAGED, f"{key}: none of {samples} samples has all three photographs")
    elif lacking := samples - has["photographs"]:
        finding.note(Status.PARTIAL, f"{lacking} of {samples} samples lack a photograph and will be set aside")
    if 0 < has["scan"] < samples:
        lacking = samples - has["scan"]
        finding.note(Status.PARTIAL, f"{lacking} of {samples} samples have no scan and cannot be scored")
    if annotated and samples and not has["landmarks"]:
        finding.blocking.append(
            f"align.landmarks: `annotated`, but {finding.title} comes without files of 68 landmarks; "
            "set it to face_alignment"
        )


def _probe(finding: Finding, dataset: MultiviewDataset, probes: list[Sample], key: str, annotated: bool) -> None:
    """Read a few samples, the first and last with their scans."""
    broken = 0
    for sample in probes:
        ends = sample in (probes[0], probes[-1])
        problems = list(_problems_of(finding.name, dataset, sample, annotated, ends))
        broken += bool(problems)
        for problem in problems:
            finding.note(Status.DAMAGED, problem)
    if probes and broken == len(probes):
        finding.block(Status.DAMAGED, f"{key}: none of {broken} samples that were read is whole")


def _problems_of(
    name: str, dataset: MultiviewDataset, sample: Sample, annotated: bool, with_scan: bool
) -> Iterator[str]:
    """Say which files of a sample cannot be read; those that are not there were counted before."""
    reads: list[tuple[str, Any, Path | None]] = []
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
        try:
            if path is not None:
                read(path)
        except DataError as error:
            yield f"{sample.sample}, {what}: {error}"


def check_celebamask_hq(name: str, config: Config) -> Finding:
    """Check CelebAMask-HQ: list it, read a few images with their masks, and look which side is called left."""
    from dfmvr.datasets.celebamask_hq import SPLITS, check_sides, read_image, read_items, read_mask

    settings = config.datasets.celebamask_hq
    source, finding = _start(name, settings.root)
    if not finding.needed or finding.blocking:
        return finding
    with _checking(finding, source.key):
        items = read_items(settings.root)
        _compare(finding, {"photographs": len(items)}, source.counts[""])
        there = {item.split for item in items}
        for split in (split for split in SPLITS if split not in there):
            finding.note(Status.PARTIAL, f"no image of the split `{split}`")
        whole = []
        for item in items[:: max(1, (len(items) - 1) // (PROBES - 1))][:PROBES]:
            try:
                read_image(item), read_mask(item)
                whole.append(item)
            except DataError as error:
                finding.note(Status.DAMAGED, str(error))
        if not whole:
            finding.block(Status.DAMAGED, f"{source.key}: none of the images that were read is whole")
        elif wrong_sides := check_sides(whole, settings.swap_sides, settings.root):
            finding.problems.append(wrong_sides)
    return finding
