"""Many faces: a folder or a table of photographs, one face a folder of output; broken ones are listed, not fatal.

In     a folder with one subfolder a face, whose files are called left, front and right (any image suffix; one to
       three of them, and `left.txt` and so on may hold landmarks); or a CSV file with the columns left, front, right
       and, if you like, name, and {view}_landmarks, its paths relative to the file.
Gives  <output>/<name>/ for every face (see `dfmvr.reconstruct.export.files`), and <output>/summary.csv.

A run that was stopped goes on: a face whose folder is there is not done again.
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError, DfmvrError, UnavailableError
from dfmvr.files import writing
from dfmvr.folders import writing_folder
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction
from dfmvr.reconstruct.photographs.reconstructor import Reconstructor

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
SUMMARY = "summary.csv"
DONE, SKIPPED, SET_ASIDE = "done", "was there", "set aside"


class FacePhotographs(NamedTuple):
    """The photographs of one face, by view."""

    name: str
    photos: dict[str, Path]
    landmarks: dict[str, Path]


class Outcome(NamedTuple):
    """What became of a face."""

    name: str
    status: str  # DONE, SKIPPED or SET_ASIDE
    views: str
    seconds: float
    notes: str  # the reason, if set aside


def list_faces(source: Path) -> list[FacePhotographs]:
    """Find the faces of a folder or a CSV file, by name.

    Raises:
        DataError: neither, unreadable, or without a face.
    """
    faces = _of_folder(source) if source.is_dir() else _of_table(source)
    if not faces:
        raise DataError(
            f"{source}: expected a subfolder with left, front or right (.jpg, .png, ...) for every face, or a CSV file "
            "with the columns left, front, right; found no face"
        )
    return faces


def _of_folder(folder: Path) -> list[FacePhotographs]:
    faces = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = {path: path.stem.lower() for path in sorted(place.iterdir()) if path.stem.lower() in VIEWS}
        photos = {view: path for path, view in files.items() if path.suffix.lower() in SUFFIXES}
        marks = {view: path for path, view in files.items() if path.suffix.lower() == ".txt"}
        faces.append(FacePhotographs(place.name, photos, marks))
    return faces if any(face.photos for face in faces) else []


def _of_table(path: Path) -> list[FacePhotographs]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not readable as a folder or CSV file ({error})") from None
    if rows and not set(VIEWS) & set(rows[0]):
        raise DataError(f"{path}: expected the columns {', '.join(VIEWS)}, found {', '.join(map(str, rows[0]))}")
    faces: dict[str, FacePhotographs] = {}
    for number, row in enumerate(rows, start=1):
        cells = {key: value.strip() for key, value in row.items() if isinstance(value, str) and value.strip()}
        name = cells.get("name") or f"{number:05d}"
        if name in faces or not re.fullmatch(r"[\w.\- ]+", name) or name.startswith("."):
            raise DataError(
                f"{path}, line {number + 1}: expected a name of its own that a folder can have, found {name!r}"
            )
        photos, marks = (
            {view: path.parent / cells[view + suffix] for view in VIEWS if view + suffix in cells}
            for suffix in ("", "_landmarks")
        )
        faces[name] = FacePhotographs(name, photos, marks)
    return list(faces.values())


def reconstruct_all(
    reconstructor: Reconstructor,
    faces: list[FacePhotographs],
    output: Path,
    write: Callable[[Path, Reconstruction], Reconstruction],
    face: int = 1,
) -> list[Outcome]:
    """Reconstruct every face; one that cannot be is set aside with the reason.

    Args:
        reconstructor: the networks.
        faces: their photographs.
        output: gets one folder a face, and the summary.
        write: writes a face into a folder, and gives it back with what there is to say about it.
        face: which face of photographs with several; see `Reconstructor`.
    Raises:
        UnavailableError: something that all faces need cannot be had.
        OutputError: the output cannot be written.
    """
    from tqdm import tqdm

    outcomes = []
    for one in tqdm(faces, desc="reconstruct", unit="face", mininterval=1):
        started, folder = time.monotonic(), output / one.name
        status, notes = SKIPPED, ""
        if not folder.exists():
            found, reason = _attempt(reconstructor, one, face)
            status, notes = (DONE if found else SET_ASIDE), reason
            if found:
                with writing_folder(folder, "reconstruct") as partial:
                    notes = "; ".join(write(partial, found).notes)
        views = " ".join(view for view in VIEWS if view in one.photos)
        outcomes.append(Outcome(one.name, status, views, time.monotonic() - started, notes))
    with writing(output / SUMMARY) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(Outcome._fields)
        table.writerows([*one[:3], f"{one.seconds:.2f}", one.notes] for one in outcomes)
    return outcomes


def _attempt(reconstructor: Reconstructor, one: FacePhotographs, face: int) -> tuple[Reconstruction | None, str]:
    """A face, or why it cannot be had."""
    try:
        if not one.photos:
            raise DataError(
                f"expected a photograph called {', '.join(VIEWS)} with one of {', '.join(SUFFIXES)}, found none"
            )
        return reconstructor(**one.photos, landmarks=one.landmarks, face=face), ""
    except UnavailableError:
        raise
    except DfmvrError as error:
        return None, str(error)
