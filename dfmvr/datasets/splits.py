"""Which samples are for training: text files of samples or subjects, or a share of the subjects."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dfmvr.datasets.listing import read_words
from dfmvr.datasets.sample import SPLITS
from dfmvr.errors import DataError

log = logging.getLogger(__name__)


class Assignment(NamedTuple):
    """A sample, or a subject and hence all its samples, put into a split."""

    where: str  # file and line, for messages
    name: str
    split: str


def read_split_file(path: Path, remedy: str) -> Iterator[Assignment]:
    """Read a file with `sample split` or `subject split` a line.

    Raises:
        DataError: the file is missing (with the remedy) or not text, or a line is something else.
    """
    for where, words in read_words(path, remedy):
        if len(words) != 2 or words[1] not in SPLITS:
            raise DataError(
                f"{where}: expected a sample or subject and one of {', '.join(SPLITS)}, found {' '.join(words)[:80]!r}"
            )
        yield Assignment(where, *words)


def assign(assignments: Iterable[Assignment], subject_of: Mapping[str, str]) -> dict[str, str]:
    """Split of every sample that is named, or whose subject is, in the order of the names.

    Args:
        assignments: what is put where.
        subject_of: of every sample there is, its subject.
    Raises:
        DataError: a name is neither a sample nor a subject, or a sample would be in two splits.
    """
    members: dict[str, list[str]] = {}
    for sample, subject in subject_of.items():
        members.setdefault(subject, []).append(sample)
    split_of: dict[str, str] = {}
    for where, name, split in assignments:
        samples = [name] if name in subject_of else members.get(name)
        if samples is None:
            raise DataError(f"{where}: {name[:80]!r} is neither a sample nor a subject that is listed; remove it")
        for sample in samples:
            if split_of.setdefault(sample, split) != split:
                raise DataError(f"{where}: sample {sample!r} is also in the {split_of[sample]} split; remove one")
    return split_of


def last_subjects(subjects: Iterable[str], share: float) -> set[str]:
    """The last `share` of the subjects by name, rounded to whole ones."""
    ordered = sorted(set(subjects))
    return set(ordered[len(ordered) - round(share * len(ordered)) :])


def warn_of_shared_subjects(split_of: Mapping[str, str], subject_of: Mapping[str, str], source: Path) -> None:
    """Log if a subject is in more than one split, which would flatter the test."""
    splits: dict[str, set[str]] = {}
    for sample, split in split_of.items():
        splits.setdefault(subject_of[sample], set()).add(split)
    shared = [subject for subject, found in splits.items() if len(found) > 1]
    if shared:
        log.warning("%s: %d subjects are in more than one split, such as %s", source, len(shared), min(shared))
