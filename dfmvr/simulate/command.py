"""Stand-in data sets: people who do not exist, photographed and scanned.

needs  results/face_model/heads.npz          generator of heads, written by `dfmvr face_model`
gives  results/simulate/<dataset>/           folder in the layout of the real data set, and preview.jpg

Sets: pixel_face (training and test), pixel_face_ict (test, faces of ICT-FaceKit), celebamask_hq (portraits with masks),
multi_pie (one moment under many lights from many sides), bosphorus (range images of a head that turns).
Each subject has a random generator of its own, seeded with [seed, data set, subject], so the result does not depend on
the number of processes.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

from dfmvr.errors import ConfigError, UnavailableError
from dfmvr.files import writing_folder

log = logging.getLogger(__name__)


class Recipe(NamedTuple):
    """How a data set is made."""

    module: str
    """Of this package. It has `list_jobs(dataset, number, settings)`, `make(studio, job, root, settings)`, which does
    one job, and `finish(root, results)`, which gets what `make` returned for each."""
    unit: str  # what a job is, for the progress bar


RECIPES = {
    "pixel_face": Recipe("pixel_face", "subjects"),
    "pixel_face_ict": Recipe("pixel_face", "subjects"),
    "celebamask_hq": Recipe("celebamask_hq", "portraits"),
    "multi_pie": Recipe("multi_pie", "subjects"),
    "bosphorus": Recipe("bosphorus", "subjects"),
}
DATASETS = tuple(RECIPES)
"""The place of a data set is a part of its seeds: new ones go to the end."""
REAL_SCAN = "real_scan"


class Work(NamedTuple):
    """What a process needs to know to make its share of a data set."""

    dataset: str
    heads: Path
    root: Path
    settings: Any  # SimulateSection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    parser.add_argument("--dataset", required=True, choices=(*DATASETS, REAL_SCAN), help="which to make")
    parser.add_argument("--heads", type=Path, metavar="FILE", help="heads.npz from `dfmvr face_model`; not for a scan")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder of the data set")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes; the result does not depend on it"
    )


def main(args: argparse.Namespace, settings: Any) -> None:
    """Run the stage.

    Raises:
        ConfigError: fewer than one worker, cameras or a number of subjects that the data set's names cannot tell, or
            a population that the configuration does not give.
        DataError: heads.npz is missing or broken.
        OutputError: the folder cannot be written.
        UnavailableError: a process died.
    """
    if args.workers < 1:
        raise ConfigError(f"--workers {args.workers}: expected at least 1")
    if args.dataset == REAL_SCAN:
        _photograph_scan(args.output, settings)
        return
    if args.heads is None:
        raise ConfigError(f"--heads: missing; {args.dataset} needs heads.npz from `dfmvr face_model`")
    with writing_folder(args.output) as folder:
        simulate(Work(args.dataset, args.heads, folder, settings), args.workers)
    log.info("%s: %s", args.output, args.dataset)


def _photograph_scan(output: Path, settings: Any) -> None:
    """Photograph the configured head scan."""
    from dfmvr.simulate.real_scan import read_head_scan, write_photographs

    if settings.real_scan is None:
        raise ConfigError("simulate.real_scan: missing; name the folder of a scan: head.obj, albedo.jpg, landmarks.csv")
    scan = read_head_scan(settings.real_scan, settings.real_scan_mm_per_unit)
    with writing_folder(output) as folder:
        write_photographs(scan, folder)


def simulate(work: Work, workers: int = 1) -> None:
    """Make one data set in an existing folder.

    Args:
        work: what to make.
        workers: processes.
    Raises:
        ConfigError, DataError, OutputError, UnavailableError: see `main`.
    """
    from dfmvr.simulate.preview import write_preview

    results = list(_run(work, make_jobs(work), workers))
    _module(work.dataset).finish(work.root, results)
    write_preview(work.root, work.dataset)


def make_jobs(work: Work) -> list[Any]:
    """List the subjects, or portraits, of a data set with their seeds.

    Raises:
        ConfigError: cameras or a number of subjects that the data set's names cannot tell.
    """
    return _module(work.dataset).list_jobs(work.dataset, DATASETS.index(work.dataset), work.settings)


def _module(dataset: str) -> Any:
    """The module that makes a data set; imported late, so that a command line is read fast."""
    return importlib.import_module(f"dfmvr.simulate.{RECIPES[dataset].module}")


def _run(work: Work, jobs: Sequence[Any], workers: int) -> Iterator[Any]:
    """Do the jobs, in order, in this process or in several."""
    from tqdm import tqdm

    unit = f" {RECIPES[work.dataset].unit}"
    progress = {"total": len(jobs), "desc": f"simulate {work.dataset}", "unit": unit}
    if workers == 1:
        yield from tqdm(map(_maker(work), jobs), **progress)
        return
    _population(work)  # what is wrong with the files is said here rather than by a process that cannot start
    # spawned, not forked: a fork of a process in which torch has started threads may hang
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(workers, max(len(jobs), 1)), context, _start, (work,)) as pool:
            yield from tqdm(pool.map(_do, jobs, chunksize=4), **progress)
    except BrokenProcessPool as error:
        raise UnavailableError(
            f"one of {workers} processes ended before its time, perhaps for want of memory; run with fewer --workers"
        ) from error


def _maker(work: Work) -> Callable[[Any], Any]:
    """Prepare a process; the function returned does one job."""
    import cv2
    import torch

    from dfmvr.simulate.people.person import Studio

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    make, studio = _module(work.dataset).make, Studio(_population(work))
    return lambda job: make(studio, job, work.root, work.settings)


def _population(work: Work) -> Any:
    """The people of a data set."""
    from dfmvr.simulate.people.anny import Heads

    heads = Heads(work.heads, work.settings.photo_height_px)
    if work.dataset != "pixel_face_ict":
        return heads
    from dfmvr.simulate.people.ict import IctHeads

    return IctHeads(work.settings.ict_facekit, heads)


_do_job: Callable[[Any], Any] | None = None


def _start(work: Work) -> None:
    """Prepare a process of the pool."""
    global _do_job
    _do_job = _maker(work)


def _do(job: Any) -> Any:
    """Do one job in a process of the pool."""
    if _do_job is None:
        raise RuntimeError("the process was not prepared by _start")
    return _do_job(job)
