"""Output folders that may hold other files too: only what the program wrote there itself is deleted or replaced.

A folder has a manifest of each command that writes into it, `.dfmvr-<maker>.json`: the names and SHA-256 of the files
that it left. What is not listed there, or has another content than it had, is someone's own and stays as it is; where
its name is needed, nothing is written at all.

The files are made in a hidden folder and renamed, all at once where the folder is new. In a folder that is there, the
manifest lists old and new contents while the files are exchanged, and says `whole` when they have been: a process that
is killed leaves old and new files of the program, and the next one goes on from there.
"""

from __future__ import annotations

import os
import platform
import shutil
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from dfmvr.errors import DataError, OccupiedError, OutputError
from dfmvr.files import output_error, read_json, sha256_of, write_json

try:
    import fcntl
except ModuleNotFoundError:  # not on Windows: there, what a killed process left beside its output is left lying
    fcntl = None

_HIDDEN = ".dfmvr-"


class WrittenFiles(NamedTuple):
    """What a command has written into a folder."""

    contents: Mapping[str, list[str]]  # SHA-256 by name; of a file that is being exchanged, of the old and the new one
    whole: bool  # nothing is being exchanged
    about: Any  # what they were made from, as the command told


@contextmanager
def writing_folder(path: Path | str, maker: str, about: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Yield a new folder; what the block puts there takes the place of what this maker had written into `path`.

    If the block fails, `path` stays as it was.

    Args:
        path: the folder, which may hold other files, be a link, a mount point or `.`.
        maker: the command; only its own earlier files are replaced or deleted.
        about: what the files are made from, for `read_written`; the block may still add to it.
    Raises:
        OccupiedError: other files have the names of those that were made, or the manifest is damaged.
        OutputError: the folder cannot be made or written to, as it was found before the block or after it.
    """
    folder = Path(path).resolve()
    try:
        new = not folder.exists()
        if not new and not folder.is_dir():
            raise OccupiedError(f"{path}: cannot be written: a file of that name is there; choose another path")
        (folder.parent if new else folder).mkdir(parents=True, exist_ok=True)
        with working_folder(folder.parent if new else folder) as partial:
            yield partial
            _exchange(partial, folder, maker, about, Path(path))
    except OSError as error:
        if isinstance(error, DataError | OutputError):
            raise
        raise output_error(path, error) from error


def read_written(folder: Path | str, maker: str) -> WrittenFiles:
    """Read the manifest of what a command has written into a folder; nothing and not whole if there is none.

    Raises:
        OccupiedError: the manifest is damaged.
    """
    manifest = manifest_of(Path(folder), maker)
    if not os.path.lexists(manifest):
        return WrittenFiles({}, False, None)
    try:
        told = read_json(manifest)
        contents = {str(name): [str(digest) for digest in digests] for name, digests in told["contents"].items()}
        return WrittenFiles(contents, bool(told["whole"]), told["about"])
    except (DataError, TypeError, KeyError, AttributeError) as error:
        raise OccupiedError(
            f"{manifest}: not a list of what dfmvr wrote; remove it or choose another folder"
        ) from error


def was_written(folder: Path | str, maker: str, about: Mapping[str, Any] | None, *names: str) -> bool:
    """Whether a maker has written all of a folder from just this, and left these files, which are as it wrote them.

    Raises:
        OccupiedError: the manifest is damaged.
    """
    written = read_written(folder, maker)
    return (
        written.whole
        and written.about == about
        and all(_is_own(Path(folder), name, written.contents.get(name, ())) for name in names)
    )


def check_free(folder: Path | str, maker: str, names: Iterable[str]) -> None:
    """Check before the work that nobody else's files have the names of those that shall be written.

    Raises:
        OccupiedError: they have, or the manifest is damaged.
    """
    folder, contents = Path(folder), read_written(folder, maker).contents
    taken = [name for name in names if _is_occupied(folder, name) and not _is_own(folder, name, contents.get(name, ()))]
    if taken:
        more = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
        raise OccupiedError(
            f"{folder / taken[0]}{more}: there already, and not as dfmvr ({maker}) wrote it; move it or choose another "
            "folder"
        )


def manifest_of(folder: Path, maker: str) -> Path:
    """Where a folder has the manifest of what a command has written into it."""
    return folder / f"{_HIDDEN}{maker.replace(' ', '_')}.json"


def _is_occupied(folder: Path, name: str) -> bool:
    """Whether something stands where a file shall, or a file where a folder on the way to it shall."""
    ways = [folder.joinpath(*Path(name).parts[:depth]) for depth in range(1, len(Path(name).parts))]
    return os.path.lexists(folder / name) or any(os.path.lexists(way) and not way.is_dir() for way in ways)


def _is_own(folder: Path, name: str, digests: Iterable[str]) -> bool:
    """Whether a file is what a manifest says; never one outside the folder, whatever the manifest says."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not digests:
        return False
    path = folder / path
    return path.is_file() and not path.is_symlink() and sha256_of(path) in digests


def _exchange(partial: Path, folder: Path, maker: str, about: Any, shown: Path) -> None:
    """Put what was made into its place and remove what the maker wrote before."""
    new = {
        path.relative_to(partial).as_posix(): [sha256_of(path)]
        for path in sorted(partial.rglob("*"))
        if not path.is_dir()
    }
    told = {"contents": new, "whole": True, "about": about}
    if not folder.exists():
        write_json(manifest_of(partial, maker), told)
        try:
            os.replace(partial, folder)
            return
        except OSError:
            if not folder.exists():
                raise
        manifest_of(partial, maker).unlink()  # the folder has come to be meanwhile
    with _locked(folder):
        check_free(shown, maker, new)
        old = read_written(folder, maker).contents
        both = {name: [*old.get(name, ()), *new.get(name, ())] for name in {**old, **new}}
        _tell(partial, folder, maker, {"contents": both, "whole": False, "about": about})
        for name in old.keys() - new.keys():
            if _is_own(folder, name, old[name]):
                (folder / name).unlink()
                _remove_empty(folder, Path(name).parent)
        for path in sorted(partial.rglob("*")):  # a folder before what it holds
            place = folder / path.relative_to(partial)
            if path.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                os.replace(path, place)
        _tell(partial, folder, maker, told)


def _tell(partial: Path, folder: Path, maker: str, told: dict[str, Any]) -> None:
    """Put the manifest in place, written in the folder to work in: what a killed process leaves there is removed."""
    write_json(manifest_of(partial, maker), told)
    os.replace(manifest_of(partial, maker), manifest_of(folder, maker))


def _remove_empty(folder: Path, inner: Path) -> None:
    """Remove the folders that a deleted file has left empty."""
    for depth in range(len(inner.parts), 0, -1):
        with suppress(OSError):  # it holds something else
            folder.joinpath(*inner.parts[:depth]).rmdir()


@contextmanager
def working_folder(parent: Path) -> Iterator[Path]:
    """Make a folder to work in, and remove it in the end, and those that killed processes of this machine have left.

    A lock that ends with its process tells which are in use; not all file systems tell other machines of it.
    """
    mine = f"{_HIDDEN}{zlib.crc32(platform.node().encode()):08x}-"
    for left in parent.glob(f"{mine}{'[0-9a-f]' * 8}"):
        with suppress(OSError), _locked(left, wait=False):
            shutil.rmtree(left, ignore_errors=True)
    with ExitStack() as stack:
        made = None
        while made is None or not made.exists():  # it may be taken for one that was left, before it is locked
            made = parent / f"{mine}{uuid.uuid4().hex[:8]}"
            made.mkdir()
            with suppress(FileNotFoundError):
                stack.enter_context(_locked(made))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


def hold(folder: Path | str, leftovers: str) -> None:
    """Hold a folder for the life of this process, together with others, and remove what they left if none is alive.

    A program that marks its folder with files, as Snakemake does, leaves the marks when it is killed. The lock that is
    taken here ends with its process, however that ends.

    Args:
        folder: made if it is not there.
        leftovers: a folder in it, which marks that the processes that hold it are at work.
    """
    with suppress(OSError):  # no such locks here: what is left must be removed by hand
        Path(folder).mkdir(exist_ok=True)
        place = os.open(folder, os.O_RDONLY)  # and never closed
        if fcntl is not None:
            with suppress(BlockingIOError):
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(Path(folder, leftovers), ignore_errors=True)
            fcntl.flock(place, fcntl.LOCK_SH)


@contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[None]:
    """Have a folder to oneself among processes that ask.

    Raises:
        OSError: another has it and `wait` is false, or that cannot be told here.
    """
    if fcntl is None:
        if not wait:
            raise OSError(f"{folder}: locks are not to be had here")
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:  # a file system without locks
            if not wait:
                raise
        yield
    finally:
        os.close(place)
