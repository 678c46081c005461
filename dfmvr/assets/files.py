"""Reading of shipped files, each after a look at its SHA-256 in SHA256SUMS (`hash  name`, one a line)."""

from __future__ import annotations

import functools
from pathlib import Path

from dfmvr.errors import DataError, UnavailableError
from dfmvr.files import sha256_of, writing

FOLDER = Path(__file__).parent
SUMS = "SHA256SUMS"


def read_sums(path: Path) -> dict[str, str]:
    """Read the digests of files by name.

    Raises:
        UnavailableError: there is no such list.
        DataError: a line is not `hash  name`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(
            f"{path}: the list of shipped files cannot be read ({error}); install dfmvr again"
        ) from None
    words = [line.split() for line in lines if line.strip()]
    if any(len(pair) != 2 or len(pair[0]) != 64 for pair in words):
        raise DataError(f"{path}: expected lines `sha256  name`; install dfmvr again")
    return {name: digest.lower() for digest, name in words}


def list_sums(folder: Path, names: list[str]) -> None:
    """Write the SHA-256 of files into the folder's list; lines of other files stay."""
    path = folder / SUMS
    sums = read_sums(path) if path.exists() else {}
    for name in names:
        sums[name] = sha256_of(folder / name)
    with writing(path) as partial:
        partial.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())), encoding="utf-8")


@functools.cache
def checked(path: Path) -> Path:
    """Check a file against the list beside it, once in the life of the process.

    Raises:
        UnavailableError: the file or the list is missing.
        DataError: the file is not the one that was listed.
    """
    listed = read_sums(path.with_name(SUMS)).get(path.name)
    if listed is None:
        raise UnavailableError(f"{path}: no shipped file of that name is listed in {SUMS}; install dfmvr again")
    try:
        found = sha256_of(path)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror}); install dfmvr again") from None
    if found != listed:
        raise DataError(f"{path}: expected SHA-256 {listed[:12]}.., found {found[:12]}..; install dfmvr again")
    return path


def asset(name: str) -> Path:
    """Give the path of a shipped file after checking that it is whole.

    Raises:
        UnavailableError: it is not there.
        DataError: it is damaged.
    """
    return checked(FOLDER / name)
