"""How a stand-in is made: one subject after another, in one process or in several.

Each subject has a random generator of its own, seeded with [seed, data set, (split,) subject], so the result does not
depend on the number of processes.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import torch
from tqdm import tqdm

from dfmvr.config.data import SimulateSection
from dfmvr.errors import UnavailableError
from dfmvr.simulate.people.anny import AnnyHeads
from dfmvr.simulate.people.person import People
from dfmvr.simulate.people.population import HeadPopulation


class Subject(NamedTuple):
    """One person to be drawn for a data set."""

    number: int
    seed: tuple[int, ...]
    split: str = ""


def anny_heads(heads: Path, settings: SimulateSection) -> HeadPopulation:
    """The population of the default face model."""
    return AnnyHeads(heads, settings.photo_height_px)


class Recipe(NamedTuple):
    """How a data set is made."""

    dataset: str
    list_subjects: Callable[[SimulateSection], list[Subject]]
    make: Callable[[People, Subject, Path, SimulateSection], Any]
    """Draws a subject, photographs and scans it, and writes the files into the data set's folder."""
    finish: Callable[[Path, list[Any]], None]
    """Writes into the folder what is left when all are made, from what `make` returned for each."""
    population: Callable[[Path, SimulateSection], HeadPopulation] = anny_heads


def simulate(recipe: Recipe, heads: Path, root: Path, settings: SimulateSection, workers: int = 1) -> None:
    """Make one data set.

    Args:
        recipe: of the data set.
        heads: heads.npz.
        root: its folder, which exists.
        settings: of the stage.
        workers: processes.
    Raises:
        ConfigError: cameras or a number of subjects that the data set's names cannot tell, or a population that the
            configuration does not give.
        DataError: heads.npz is missing or broken.
        OutputError: a file cannot be written.
        UnavailableError: a process died.
    """
    subjects = recipe.list_subjects(settings)
    made = _make_all((recipe, heads, root, settings), subjects, workers)
    results = list(tqdm(made, f"simulate {recipe.dataset}", len(subjects), unit=" subjects"))
    recipe.finish(root, results)


_Work = tuple[Recipe, Path, Path, SimulateSection]


def _make_all(work: _Work, subjects: Sequence[Subject], workers: int) -> Iterator[Any]:
    """Make the subjects, in order, in this process or in several."""
    if workers == 1:
        yield from map(_maker(*work), subjects)
        return
    recipe, heads, _, settings = work
    recipe.population(heads, settings)  # what is wrong with the files is said here, not by a process that cannot start
    # spawned, not forked: a fork of a process in which torch has started threads may hang
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(workers, max(len(subjects), 1)), context, _start, work) as pool:
            yield from pool.map(_make, subjects, chunksize=4)
    except BrokenProcessPool as error:
        raise UnavailableError(
            f"one of {workers} processes ended before its time, perhaps for want of memory; run with fewer --workers"
        ) from error


def _maker(recipe: Recipe, heads: Path, root: Path, settings: SimulateSection) -> Callable[[Subject], Any]:
    """Prepare a process; the function returned makes one subject."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    people = People(recipe.population(heads, settings))
    return lambda subject: recipe.make(people, subject, root, settings)


_make_subject: Callable[[Subject], Any] | None = None


def _start(*work: Any) -> None:
    """Prepare a process of the pool."""
    global _make_subject
    _make_subject = _maker(*work)


def _make(subject: Subject) -> Any:
    """Make one subject in a process of the pool."""
    if _make_subject is None:
        raise RuntimeError("the process was not prepared by _start")
    return _make_subject(subject)
