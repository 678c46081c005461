"""Many faces: a folder or a table of photographs, one face a folder of output; broken ones are listed, not fatal.

In     a folder with one subfolder a face, whose files are called left, front and right (any image suffix; one to
       three of them, and `left.txt` and so on may hold landmarks); or a CSV file with the columns left, front, right
       and, if you like, name, and {view}_landmarks, its paths relative to the file.
Gives  <output>/<name>/ for every face (see `dfmvr.reconstruct.export.files`), and <output>/summary.csv.

A run that was stopped goes on: a face whose folder is there is not done again.
"""

from __future__ import annotations

import csv
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError, DfmvrError, UnavailableError
from dfmvr.files import writing, writing_folder
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction
from dfmvr.reconstruct.photographs.reconstructor import Reconstructor

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
SUMMARY = "summary.csv"
DONE, SKIPPED, SET_ASIDE = "done", "was there", "set aside"


class Job(NamedTuple):
    """The photographs of one face."""

    name: str
    photos: dict[str, Path]
    landmarks: dict[str, Path]


class Outcome(NamedTuple):
    """What became of a job."""

    name: str
    status: str  # DONE, SKIPPED or SET_ASIDE
    views: str
    seconds: float
    notes: str  # the reason, if set aside


def list_jobs(source: Path) -> list[Job]:
    """Find the faces of a folder or a CSV file, by name.

    Raises:
        DataError: neither, unreadable, or without a face.
    """
    jobs = _jobs_of_folder(source) if source.is_dir() else _jobs_of_table(source)
    if not jobs:
        raise DataError(
            f"{source}: expected a subfolder with left, front or right (.jpg, .png, ...) for every face, or a CSV file "
            "with the columns left, front, right; found no face"
        )
    return jobs


def _jobs_of_folder(folder: Path) -> list[Job]:
    jobs = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = [path for path in sorted(place.iterdir()) if path.stem.lower() in VIEWS]
        photos = {path.stem.lower(): path for path in files if path.suffix.lower() in SUFFIXES}
        marks = {path.stem.lower(): path for path in files if path.suffix.lower() == ".txt"}
        jobs.append(Job(place.name, photos, marks))
    return jobs if any(job.photos for job in jobs) else []


def _jobs_of_table(path: Path) -> list[Job]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not readable as a folder or CSV file ({error})") from None
    if rows and not set(VIEWS) & set(rows[0]):
        raise DataError(f"{path}: expected the columns {', '.join(VIEWS)}, found {', '.join(map(str, rows[0]))}")
    jobs, names = [], set()
    for number, row in enumerate(rows, start=1):
        cells = {key: value.strip() for key, value in row.items() if isinstance(value, str) and value.strip()}
        name = cells.get("name") or f"{number:05d}"
        if name in names or not re.fullmatch(r"[\w.\- ]+", name) or name.startswith("."):
            raise DataError(
                f"{path}, line {number + 1}: expected a name of its own that a folder can have, found {name!r}"
            )
        names.add(name)
        photos = {view: path.parent / cells[view] for view in VIEWS if view in cells}
        marks = {view: path.parent / cells[f"{view}_landmarks"] for view in VIEWS if f"{view}_landmarks" in cells}
        jobs.append(Job(name, photos, marks))
    return jobs


def run(
    reconstructor: Reconstructor,
    jobs: list[Job],
    output: Path,
    write: Callable[[Path, Reconstruction], None],
    face: int = 1,
) -> list[Outcome]:
    """Reconstruct every face; one that cannot be is set aside with the reason.

    Args:
        reconstructor: the networks.
        jobs: what to do.
        output: gets one folder a face, and the summary.
        write: writes a face into a folder.
        face: see `Reconstructor`.
    Raises:
        UnavailableError: something that all faces need cannot be had.
        OutputError: the output cannot be written.
    """
    from tqdm import tqdm

    outcomes = []
    for job in tqdm(jobs, desc="reconstruct", unit="face", mininterval=1):
        started = time.monotonic()
        status, views, notes = _do(reconstructor, job, output, write, face)
        outcomes.append(Outcome(job.name, status, views, time.monotonic() - started, notes))
    with writing(output / SUMMARY) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(Outcome._fields)
        table.writerows([*one[:3], f"{one.seconds:.2f}", one.notes] for one in outcomes)
    return outcomes


def _do(
    reconstructor: Reconstructor,
    job: Job,
    output: Path,
    write: Callable[[Path, Reconstruction], None],
    face: int,
) -> tuple[str, str, str]:
    """Do one job: its status, its views, and what there is to say."""
    folder, views = output / job.name, " ".join(view for view in VIEWS if view in job.photos)
    if folder.exists():
        return SKIPPED, views, ""
    try:
        if not job.photos:
            raise DataError(
                f"expected a photograph called {', '.join(VIEWS)} with one of {', '.join(SUFFIXES)}, found none"
            )
        found = reconstructor(**job.photos, landmarks=job.landmarks, face=face)
    except UnavailableError:
        raise
    except DfmvrError as error:
        log.info("set aside %s: %s", job.name, error)
        return SET_ASIDE, views, str(error)
    with writing_folder(folder) as partial:
        write(partial, found)
    return DONE, views, "; ".join(found.notes)
