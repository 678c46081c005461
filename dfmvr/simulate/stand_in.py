"""How a stand-in is made: one subject after another, in one process or in several.

Each subject has a random generator of its own, seeded with [seed, data set, (split,) subject], so the result does not
depend on the number of processes.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import torch
from tqdm import tqdm

from dfmvr.config.data import SimulateSection
from dfmvr.errors import UnavailableError
from dfmvr.simulate.people.anny import AnnyHeads
from dfmvr.simulate.people.person import People
from dfmvr.simulate.people.population import HeadSource


class Subject(NamedTuple):
    """One person to be drawn for a data set."""

    number: int
    seed: tuple[int, ...]
    split: str = ""


def anny_heads(heads: Path, settings: SimulateSection) -> HeadSource:
    """The population of the default face model."""
    return AnnyHeads(heads, settings.photo_height_px)


class Recipe(NamedTuple):
    """How a data set is made."""

    dataset: str
    list_subjects: Callable[[SimulateSection], list[Subject]]
    make: Callable[[People, Subject, Path, SimulateSection], Any]
    """Draws a subject, photographs and scans it, and writes the files into the data set's folder; OutputError."""
    finish: Callable[[Path, list[Any]], None]
    """Writes what is left when all are made, from what `make` returned for each, and the preview; OutputError."""
    population: Callable[[Path, SimulateSection], HeadSource] = anny_heads


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
    make = partial(_make, recipe, heads, root, settings)
    if workers == 1:
        made = map(make, subjects)
    else:
        recipe.population(heads, settings)  # what is wrong with the files is said here, not by a process that dies
        made = _in_processes(make, subjects, workers)
    results = list(tqdm(made, f"simulate {recipe.dataset}", len(subjects), unit=" subjects"))
    recipe.finish(root, results)


def _in_processes(make: Callable[[Subject], Any], subjects: Sequence[Subject], workers: int) -> Iterator[Any]:
    """Make the subjects, in order, in several processes."""
    # spawned, not forked: a fork of a process in which torch has started threads may hang
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(workers, max(len(subjects), 1)), context) as pool:
            yield from pool.map(make, subjects, chunksize=4)
    except BrokenProcessPool as error:
        raise UnavailableError(
            f"one of {workers} processes ended before its time, perhaps for want of memory; run with fewer --workers"
        ) from error


def _make(recipe: Recipe, heads: Path, root: Path, settings: SimulateSection, subject: Subject) -> Any:
    """Make one subject."""
    return recipe.make(_people(recipe, heads, settings), subject, root, settings)


@lru_cache(1)
def _people(recipe: Recipe, heads: Path, settings: SimulateSection) -> People:
    """The people of a data set, prepared once a process."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return People(recipe.population(heads, settings))
