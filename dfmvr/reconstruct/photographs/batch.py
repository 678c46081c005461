"""Many faces, one folder of output each; broken ones are listed, not fatal.

In     the faces of a folder or a table, see `dfmvr.reconstruct.photographs.faces`.
Gives  <output>/<name>/ for every face (see `dfmvr.reconstruct.export.files`), and <output>/summary.csv.

A run that was stopped goes on: a face that was made from the same photographs, by content, with the same options is not
made again. The output may be the folder of the photographs itself.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError, DfmvrError, OccupiedError, OutputError, UnavailableError
from dfmvr.files import output_error, read_json, sha256_of
from dfmvr.folders import check_free, read_written, was_written, writing_folder
from dfmvr.reconstruct.export.files import MAKER
from dfmvr.reconstruct.photographs.faces import SUMMARISER, SUMMARY, FacePhotographs
from dfmvr.reconstruct.photographs.landmarks import FaceChoice
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction
from dfmvr.reconstruct.photographs.reconstructor import Reconstructor

DONE, SKIPPED, SET_ASIDE = "done", "was there", "set aside"
_NUMBERS = "face.json"

Write = Callable[[Path, Path, Reconstruction], Reconstruction]
"""Writes a face that belongs into the first folder into the second one, and gives it back with what is to be said."""


class Outcome(NamedTuple):
    """What became of a face."""

    name: str
    status: str  # DONE, SKIPPED or SET_ASIDE
    views: str
    seconds: float
    notes: str  # the reason, if set aside


def reconstruct_all(
    reconstructor: Reconstructor,
    faces: list[FacePhotographs],
    output: Path,
    write: Write,
    face: FaceChoice = 1,
    options: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    """Reconstruct every face; one that cannot be is set aside with the reason.

    Args:
        reconstructor: the networks.
        faces: their photographs.
        output: gets one folder a face, and the summary.
        write: writes a face.
        face: which face of photographs with several; see `Reconstructor`.
        options: all that the faces depend on beside the photographs, as JSON has it.
    Raises:
        UnavailableError: something that all faces need cannot be had.
        OutputError: the output cannot be written, or a summary of somebody else is there.
    """
    from tqdm import tqdm

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(output, error) from error
    check_free(output, SUMMARISER, [SUMMARY])
    outcomes = []
    for one in tqdm(faces, desc="reconstruct", unit="face", mininterval=1):
        started, folder = time.monotonic(), output / one.name
        about = {"photographs": _digests(one.photos), "landmarks": _digests(one.landmarks), "options": options}
        status, notes = _make(reconstructor, one, folder, write, face, about)
        views = " ".join(view for view in VIEWS if view in one.photos)
        outcomes.append(Outcome(_shown(one.name), status, views, time.monotonic() - started, _shown("; ".join(notes))))
    with writing_folder(output, SUMMARISER) as partial:
        _summarise(partial / SUMMARY, outcomes)
    return outcomes


def _summarise(path: Path, outcomes: list[Outcome]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(Outcome._fields)
        table.writerows([*one[:3], f"{one.seconds:.2f}", one.notes] for one in outcomes)


def _shown(text: str) -> str:
    """Text that every file can hold: of a name that is not UTF-8, the bytes in hexadecimal digits."""
    return os.fsencode(text).decode(errors="backslashreplace")


def _digests(files: Mapping[str, Path]) -> dict[str, str | None]:
    """SHA-256 of files; None of those that cannot be read."""
    found: dict[str, str | None] = {}
    for name, path in files.items():
        try:
            found[name] = sha256_of(path)
        except OSError:
            found[name] = None
    return found


def _make(
    reconstructor: Reconstructor,
    one: FacePhotographs,
    folder: Path,
    write: Write,
    face: FaceChoice,
    about: dict[str, Any],
) -> tuple[str, list[str]]:
    """Reconstruct and write one face, unless it is there; what became of it, and what there is to say."""
    try:
        if one.problem or not one.photos:
            raise DataError(one.problem or f"expected a photograph called {', '.join(VIEWS)}, found none")
        if was_written(folder, MAKER, about, _NUMBERS):
            return SKIPPED, [*one.notes, *read_json(folder / _NUMBERS)["notes"]]
        earlier = read_written(folder, MAKER).about
        with writing_folder(folder, MAKER, about) as partial:
            made = write(folder, partial, reconstructor(**one.photos, landmarks=one.landmarks, face=face))
        anew = ["made anew, from other photographs or with other options"] if earlier not in (None, about) else []
        return DONE, [*one.notes, *anew, *made.notes]
    except DfmvrError as error:
        of_all = isinstance(error, UnavailableError | OutputError) and not isinstance(error, OccupiedError)
        if of_all:
            raise
        there = ["the face in its folder is an earlier one"] if (folder / _NUMBERS).exists() else []
        return SET_ASIDE, [str(error), *there, *one.notes]
