"""Who is to be reconstructed: the faces of a folder or a table of photographs.

A folder has one subfolder a face, whose files are called left, front and right, with any suffix of an image that can be
read; one to three of them. `left.txt` and so on may hold landmarks. Files that are called otherwise are told and left
aside, but for those that dfmvr wrote there.

A table is a CSV file with the columns left, front, right and, if you like, name, and {view}_landmarks; its paths are
relative to the file. Case, blanks and order of the columns do not matter. Its cells are separated by commas, semicolons
or tabulators, its text is UTF-8, UTF-16 with a byte order mark, or Windows-1252, which cannot be told from other
encodings of old and is said.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import logging
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import image_suffixes
from dfmvr.errors import DataError, OccupiedError
from dfmvr.files import is_somebodys
from dfmvr.folders import read_written
from dfmvr.reconstruct.export.files import MAKER

log = logging.getLogger(__name__)

SUMMARY, SUMMARISER = "summary.csv", "reconstruct --batch"
"""The file that tells what became of each face, and whose it is, for `dfmvr.folders`."""

LANDMARK_SUFFIXES = (".txt", ".pts")
MARKS = "_landmarks"
COLUMNS = ("name", *VIEWS, *(view + MARKS for view in VIEWS))
SEPARATORS = ",;\t|"
MAX_BYTES = 64 << 20
"""ASSUME: no table is longer; a line of it has some hundred bytes."""

MAX_NAME_BYTES = 200
_NO_NAME = re.compile(r'[\x00-\x1f\x7f/\\<>:"|?*]|^\.|\.$')
_MARKED = (
    *((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
)


class FacePhotographs(NamedTuple):
    """The photographs of one face, by view."""

    name: str
    photos: dict[str, Path]
    landmarks: dict[str, Path]
    notes: tuple[str, ...] = ()  # what there is to say about them
    problem: str = ""  # why they cannot be used


def list_faces(source: Path) -> list[FacePhotographs]:
    """Find the faces of a folder or a CSV file, by name.

    Raises:
        DataError: neither, unreadable, or without a face; a table that could be understood in more than one way.
    """
    faces = _of_folder(source) if source.is_dir() else _of_table(source)
    if not faces:
        raise DataError(
            f"{source}: expected a subfolder with left, front or right (.jpg, .png, ...) for every face, or a CSV file "
            "with the columns left, front, right; found no face"
        )
    return faces


def _named(names: list[str]) -> str:
    """Some names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _of_folder(folder: Path) -> list[FacePhotographs]:
    try:
        visible = [path for path in sorted(folder.iterdir()) if is_somebodys(path.name)]
    except OSError as error:
        raise DataError(f"{folder}: not readable as a folder or CSV file ({error.strerror or error})") from None
    faces = [face for path in visible if path.is_dir() and (face := _of_subfolder(path))]
    beside = [path.name for path in visible if path.suffix.lower() in image_suffixes() and not path.is_dir()]
    if beside:
        log.info("note: %s: left aside, since each face has a folder of its own: %s", folder, _named(beside))
    return faces if any(face.photos or face.problem for face in faces) else []


def _of_subfolder(place: Path) -> FacePhotographs | None:
    """The face of a folder; None if it holds the faces that were made. One that cannot be read is its problem alone."""
    try:
        return None if read_written(place, SUMMARISER).contents else _in_subfolder(place)
    except OccupiedError as error:
        return FacePhotographs(place.name, {}, {}, problem=str(error))
    except OSError as error:
        return FacePhotographs(place.name, {}, {}, problem=f"{place}: cannot be read ({error.strerror or error})")


def _in_subfolder(place: Path) -> FacePhotographs:
    photos: dict[str, list[Path]] = {}
    marks: dict[str, list[Path]] = {}
    aside: list[str] = []
    own = read_written(place, MAKER).contents
    for path in sorted(place.iterdir()):
        if path.name in own or path.is_dir() or not is_somebodys(path.name):
            continue
        view, suffix = path.stem.strip().casefold(), path.suffix.strip().lower()
        kind = marks if suffix in LANDMARK_SUFFIXES else photos if suffix in ("", *image_suffixes()) else None
        if kind is None or view not in VIEWS:
            aside.append(path.name)
        else:
            kind.setdefault(view, []).append(path)
    aside += [path.name for view, paths in marks.items() if view not in photos for path in paths]
    twice = [paths for kind in (photos, marks) for paths in kind.values() if len(paths) > 1]
    problem = "".join(f"{_named([path.name for path in paths])}: expected one of them; " for paths in twice)
    return FacePhotographs(
        place.name,
        {view: paths[0] for view, paths in photos.items()},
        {view: paths[0] for view, paths in marks.items() if view in photos},
        (f"left aside, since not called {', '.join(VIEWS)}: {_named(aside)}",) if aside else (),
        problem and f"{problem}remove the others",
    )


def _decoded(path: Path) -> tuple[str, str]:
    """The text of a table, and what there is to say about its encoding."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: expected a CSV file of {MAX_BYTES >> 20} MiB at the most; divide it")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: not readable as a folder or CSV file ({error.strerror or error})") from None
    encoding = next((name for mark, name in _MARKED if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content:
        raise DataError(
            f"{path}: not readable as a folder or CSV file (zero bytes, as in UTF-16 and workbooks); save it as CSV, "
            "UTF-8"
        )
    try:
        return content.decode(encoding), ""
    except UnicodeDecodeError as error:
        problem = error
    try:
        if encoding == "utf-8":
            return content.decode("cp1252"), "the table is not UTF-8 and was read as Windows-1252; check the names"
    except UnicodeDecodeError:
        pass
    raise DataError(f"{path}: not readable as a folder or CSV file ({problem}); save it as CSV, UTF-8")


def _key(header: str) -> str:
    """A heading as `COLUMNS` have it."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", header).strip().casefold())


def _cells_of(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not blank, with their numbers."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    for row in reader:
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield reader.line_num, cells


def _known(path: Path, text: str, separator: str) -> int:
    """How many columns are known if this is the separator; -1 if none of them is a view's."""
    try:
        keys = {_key(cell) for cell in next(_cells_of(text, separator), (0, []))[1]}
    except csv.Error:
        return -1
    return len(keys & set(COLUMNS)) if keys & set(VIEWS) else -1


def _check_headings(path: Path, headings: list[str]) -> list[str]:
    """The columns that headings mean; empty for those without one."""
    keys = [_key(heading) for heading in headings]
    for heading, key in zip(headings, keys, strict=True):
        if key and key not in COLUMNS:
            near = difflib.get_close_matches(key, COLUMNS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(COLUMNS)}"
            raise DataError(f"{path}: unknown column {heading!r}; {hint}")
        if key and keys.count(key) > 1:
            raise DataError(f"{path}: the column {key} is there {keys.count(key)} times; keep one of them")
    return keys


def _of_table(path: Path) -> list[FacePhotographs]:
    text, doubt = _decoded(path)
    told = re.match(r"sep=(.)\r?\n", text)  # how Excel tells its separator
    text = text[told.end() :] if told else text
    separator = told[1] if told else max(SEPARATORS, key=lambda one: _known(path, text, one))
    faces: dict[str, FacePhotographs] = {}
    try:
        lines = _cells_of(text, separator)
        headings = next(lines, (0, []))[1]
        if headings and _known(path, text, separator) < 0:
            raise DataError(f"{path}: expected the columns {', '.join(VIEWS)}, found {', '.join(headings)[:200]}")
        keys = _check_headings(path, headings)
        for number, (line, cells) in enumerate(lines, start=1):
            where = f"{path}, line {line + bool(told)}"
            if len(cells) < len(keys) or any(cells[len(keys) :]):
                raise DataError(
                    f"{where}: expected {len(keys)} cells, found {len(cells)}; put those with a "
                    f"{separator!r} into quotation marks"
                )
            face = _of_row(path, where, {k: c for k, c in zip(keys, cells, strict=False) if c}, number)
            if doubt and not "".join(cells).isascii():
                face = face._replace(notes=(doubt,))
            if face.name.casefold() in faces:
                raise DataError(f"{where}: expected a name of its own, found {face.name!r} again")
            faces[face.name.casefold()] = face
    except csv.Error as error:
        raise DataError(f"{path}: not readable as a folder or CSV file ({error}); check its quotation marks") from None
    return list(faces.values())


def _of_row(path: Path, where: str, cells: dict[str, str], number: int) -> FacePhotographs:
    """The face of one line of a table."""
    if "" in cells:
        raise DataError(f"{where}: {cells['']!r} stands in a column without a heading; name it")
    name = unicodedata.normalize("NFC", cells.get("name") or f"{number:05d}")
    if _NO_NAME.search(name) or len(name.encode()) > MAX_NAME_BYTES or name.casefold() == SUMMARY:
        raise DataError(f"{where}: expected a name of its own that a folder can have, found {name!r}")
    photos = {view: _found(path.parent, cells[view]) for view in VIEWS if view in cells}
    marks = {view: _found(path.parent, cells[view + MARKS]) for view in VIEWS if view + MARKS in cells}
    if len({photo.resolve() for photo in photos.values()}) < len(photos):
        raise DataError(f"{where}: the same photograph is named for two views; each has its own")
    for view in marks.keys() - photos.keys():
        raise DataError(f"{where}: landmarks of the {view} view, but no photograph of it; name it or clear the cell")
    return FacePhotographs(name, photos, marks)


def _found(folder: Path, cell: str) -> Path:
    """The file that a cell names, though its system may write accents, capitals or the folders in another way."""
    path = folder
    for part in Path(cell if os.path.exists(folder / cell) else cell.replace("\\", "/")).parts:
        there = path / part
        if not os.path.exists(there):
            there = _alike(path, part) or there
        path = there
    return path


def _alike(folder: Path, name: str) -> Path | None:
    """The one file of a folder that is called so but for accents and capitals; None too where it cannot be read."""
    try:
        same = [one for one in folder.iterdir() if _folded(one.name) == _folded(name)]
    except (OSError, ValueError):
        return None
    return same[0] if len(same) == 1 else None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
