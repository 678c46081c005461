"""What the readers of all layouts share: the content of a folder and the lines of a text file."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dfmvr.errors import DataError
from dfmvr.files import decode_text

MAX_TEXT_BYTES = 8 << 20
"""ASSUME: a list of samples is shorter; that of 8,483 samples has a fortieth of it."""


def list_folder(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name.

    Raises:
        DataError: it is not there or cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: not a readable folder ({error.strerror}); check the path") from None


def list_subfolders(folder: Path, name: re.Pattern[str]) -> list[str]:
    """Names of the folders in a folder that match, sorted; none if there is no such folder.

    Raises:
        DataError: the folder cannot be read.
    """
    entries = list_folder(folder) if folder.is_dir() else []
    return [entry.name for entry in entries if name.fullmatch(entry.name) and entry.is_dir()]


def read_lines(path: Path | str, remedy: str, most: int = MAX_TEXT_BYTES, free_lines: int = 0) -> list[str]:
    """Read the lines of a text file: UTF-8, or UTF-16 that begins with its mark.

    Args:
        path: the file.
        remedy: what to do if it is missing.
        most: bytes that it may have.
        free_lines: lines at the beginning that may have any encoding.
    Raises:
        DataError: the file is missing, far too large, or not plain text.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > most:
            raise DataError(f"{path}: expected a text of {most >> 10} KiB at the most, found {size} bytes; check it")
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise DataError(f"{path}: no such file; {remedy}") from None
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror or error}); copy the file again") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = decode_text(content).encode()
    if b"\0" in content:
        raise DataError(f"{path}: not readable as text (zero bytes, as in UTF-16 or binary files); save it as UTF-8")
    lines = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            lines.append(line.decode("utf-8", "strict" if number > free_lines else "replace"))
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, line {number}: not readable as text ({error.reason}); save the file as UTF-8"
            ) from None
    return lines


class TextLine(NamedTuple):
    """The words of one line of a text file."""

    where: str  # file and line, for messages
    words: list[str]


def read_words(path: Path, remedy: str) -> Iterator[TextLine]:
    """Read the words of every line of a text file that is not empty, separated by blanks or commas.

    Raises:
        DataError: as `read_lines`.
    """
    for number, line in enumerate(read_lines(path, remedy), start=1):
        if words := line.replace(",", " ").split():
            yield TextLine(f"{path}, line {number}", words)
