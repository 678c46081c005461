"""Downloads that can be interrupted: by range, into `<name>.part`, with a checksum, renamed once whole.

In     an address: https, file, or http to this machine; the SHA-256 of what is there, if it is known.
Gives  the file. `<name>.part` and `<name>.part.json` stay behind if it could not be finished, and the next call goes on
       where it ended, provided that the server still has the same file.

Source: RFC 9110, HTTP Semantics, sections 13 (conditional requests) and 14 (range requests).
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tqdm import tqdm

from dfmvr.errors import ConfigError, DataError, OutputError, UnavailableError
from dfmvr.files import output_error, sha256_of, write_json

if TYPE_CHECKING:
    from requests import Response

log = logging.getLogger(__name__)

CHUNK = 1 << 16
"""Bytes at a time; what came of the last piece is lost with the connection."""

TIMEOUT_S = (15.0, 60.0)  # to connect; between two pieces
ATTEMPTS, PAUSE_S = 5, 1.0
RESERVE = 256 << 20
"""Bytes that a download leaves free on the disk."""

_LOCAL = ("localhost", "127.0.0.1", "::1")
_BUSY = (408, 425, 429, 500, 502, 503, 504)


class _Again(Exception):
    """The download ended early at `size` bytes; another try may go on."""

    def __init__(self, reason: str, size: int = 0) -> None:
        super().__init__(reason)
        self.size = size


class _Changed(_Again):
    """What is there cannot be gone on with: the server now has another file."""


class _Part(NamedTuple):
    """A download that is not finished."""

    path: Path
    record: Path

    def done(self, url: str) -> tuple[int, dict[str, object]]:
        """Bytes that are there of this address, and what its server said of the file."""
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            size = self.path.stat().st_size
            if record["url"] == url and isinstance(record["total"], int) and size <= record["total"]:
                return size, record
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0, {}

    def drop(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)


def _check_url(url: str, key: str) -> str:
    """Give the scheme of an address that may be used."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("https", "file") or (parts.scheme == "http" and parts.hostname in _LOCAL):
            return parts.scheme
    except ValueError:
        pass
    raise ConfigError(f"{key}: expected an address that begins with https:// or file://, found {url!r}")


def _hint(key: str, path: Path) -> str:
    return f"check the network and {key}, or put the file at {path} by hand"


def _check_room(folder: Path, missing: int) -> None:
    free = shutil.disk_usage(folder).free
    if missing + RESERVE > free:
        raise OutputError(
            f"{folder}: {missing / 1e9:.1f} GB are to come, {free / 1e9:.1f} GB are free; free some space or choose "
            "another folder"
        )


def _check_answer(response: Response, start: int, record: dict[str, object], key: str, path: Path) -> int:
    """Look at status and headers; give the place of the first byte that comes."""
    for hop in (*response.history, response):
        _check_url(hop.url, key)
    status, url = response.status_code, response.url
    if status in _BUSY:
        raise _Again(f"the server answered {status} {response.reason}")
    if status == 416 or (status == 206 and not _continues(response, start, record)):
        raise _Changed("the file on the server has changed")
    if status not in (200, 206):
        raise UnavailableError(f"{url}: the server answered {status} {response.reason}; {_hint(key, path)}")
    if response.headers.get("Content-Type", "").startswith("text/html") and path.suffix not in (".html", ".htm"):
        raise UnavailableError(
            f"{url}: answered with a web page instead of a file, perhaps to ask for a consent; download it with a "
            f"browser and put it at {path}, or give the file's own address in {key}"
        )
    return start if status == 206 else 0


def _continues(response: Response, start: int, record: dict[str, object]) -> bool:
    """Whether a partial answer begins at `start` of the same file."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    return match is not None and (int(match[1]), int(match[2])) == (start, record.get("total"))


def _record(url: str, response: Response) -> dict[str, object]:
    """What must be known of a file to go on with it later."""
    headers = response.headers
    length = headers.get("Content-Length", "")
    # The length of an encoded answer is not that of the file.
    total = int(length) if re.fullmatch("[0-9]+", length) and "Content-Encoding" not in headers else None
    tag = headers.get("ETag", "")
    validator = tag if tag.startswith('"') else headers.get("Last-Modified")
    return {"url": url, "total": total, "validator": validator}


def _receive(url: str, part: _Part, key: str, path: Path) -> None:
    """Ask once for the file or for the rest of it. Raises _Again if there should be another try."""
    import requests

    start, record = part.done(url)
    if start and start == record["total"]:
        return
    headers = {"Accept-Encoding": "identity", "User-Agent": "dfmvr"}
    if start:
        headers["Range"] = f"bytes={start}-"
        headers |= {"If-Range": str(record["validator"])} if record.get("validator") else {}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            start = _check_answer(response, start, record, key, path)
            if not start:
                part.drop()
                record = _record(url, response)
                write_json(part.record, record)
            size = _write(response, part.path, start, record["total"])
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _Again(_reason(error), part.path.stat().st_size if part.path.exists() else 0) from error
    except requests.RequestException as error:
        raise UnavailableError(f"{url}: cannot be downloaded ({_reason(error)}); {_hint(key, path)}") from error
    if record["total"] not in (None, size):
        raise _Again(f"{size} of {record['total']} bytes came", size)


def _reason(error: Exception) -> str:
    """The innermost cause of an error of `requests`, on one line."""
    while error.__context__ is not None:
        error = error.__context__
    return " ".join(str(error).split())[:200] or type(error).__name__


def _write(response: Response, path: Path, start: int, total: int | None) -> int:
    """Write what comes behind the first `start` bytes; give the file's size."""
    _check_room(path.parent, (total or start) - start)
    with (
        path.open("ab" if start else "wb") as file,
        tqdm(desc=f"download {path.stem}", total=total, initial=start, unit="B", unit_scale=True) as bar,
    ):
        for chunk in response.iter_content(CHUNK):
            _check_room(path.parent, len(chunk))
            file.write(chunk)
            bar.update(len(chunk))
        return file.tell()


def _receive_all(url: str, part: _Part, key: str, path: Path, pause_s: float) -> None:
    """Ask until the whole file is there, or ATTEMPTS tries in a row brought nothing new."""
    failures, best = 0, 0
    while True:
        try:
            return _receive(url, part, key, path)
        except _Again as error:
            failures = 0 if error.size > best else failures + 1
            best = max(best, error.size)
            if isinstance(error, _Changed):
                part.drop()
            if failures >= ATTEMPTS:
                raise UnavailableError(f"{url}: cannot be downloaded ({error}); {_hint(key, path)}") from error
            log.info("%s: %s; trying again", url, error)
            time.sleep(pause_s * 2**failures)


def _copy(url: str, part: _Part, key: str, path: Path) -> None:
    """Copy what a file:// address names."""
    source = Path(url2pathname(urlsplit(url).path))
    if not source.is_file():
        raise UnavailableError(f"{source}: no such file; check {key}")
    _check_room(part.path.parent, source.stat().st_size)
    with source.open("rb") as reading, part.path.open("wb") as writing:
        shutil.copyfileobj(reading, writing, CHUNK)


def _matches(path: Path, sha256: str | None) -> bool:
    """Whether a file has this checksum, or its beginning; any file has an unknown one."""
    return sha256 is None or sha256_of(path).startswith(sha256)


def download(
    url: str, path: Path | str, sha256: str | None = None, key: str = "the address", pause_s: float = PAUSE_S
) -> Path:
    """Download a file, or the rest of it. One that is there already, with the right checksum, is left as it is.

    Args:
        url: its address.
        path: its place.
        sha256: its checksum as 64 hexadecimal digits, or the first eight or more of them.
        key: key of the configuration that gave the address, for the messages.
        pause_s: pause before the second try; doubled before each further one.
    Returns:
        `path`.
    Raises:
        ConfigError: the address or checksum is none.
        DataError: the file has another checksum; it was removed.
        OutputError: the file cannot be written, or there is no room.
        UnavailableError: there is no network, or no such file.
    """
    path = Path(path)
    scheme = _check_url(url, key)
    sha256 = sha256.lower() if sha256 else None
    if sha256 and not re.fullmatch("[0-9a-f]{8,64}", sha256):
        raise ConfigError(f"{key}: expected a SHA-256 of 64 hexadecimal digits, found {sha256!r}")
    part = _Part(path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json"))
    try:
        if path.is_file():
            if _matches(path, sha256):
                return path
            raise OutputError(f"{path}: another file than {url}, by its checksum, stands there; remove it")
        path.parent.mkdir(parents=True, exist_ok=True)
        if scheme == "file":
            _copy(url, part, key, path)
        else:
            _receive_all(url, part, key, path, pause_s)
        if not _matches(part.path, sha256):
            part.drop()
            raise DataError(f"{url}: its SHA-256 is not {sha256}; check {key} and the checksum, then download it again")
        os.replace(part.path, path)
        part.drop()
    except OutputError:
        raise
    except OSError as error:
        raise output_error(path, error) from error
    return path
