"""Downloads that can be interrupted: by range, into `<name>.part`, with a checksum, renamed once whole.

In     an address: https, file, or http to this machine; the SHA-256 of what is there, if it is known.
Gives  the file. `<name>.part` and `<name>.part.json` stay behind if it could not be finished, and the next call goes on
       where it ended, provided that the server still has the same file.

requests does the talking; resuming is ours, since the libraries for downloads with a checksum (pooch) start again.
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
from typing import TYPE_CHECKING
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


class _Interrupted(Exception):
    """The download ended early; another try may go on."""


def _check_url(url: str, key: str) -> str:
    """Give the scheme of an address that may be used."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("https", "file") or (parts.scheme == "http" and parts.hostname in _LOCAL):
            return parts.scheme
    except ValueError:
        pass
    raise ConfigError(f"{key}: expected an address that begins with https:// or file://, found {url!r}")


def _check_room(folder: Path, missing: int) -> None:
    free = shutil.disk_usage(folder).free
    if missing + RESERVE > free:
        raise OutputError(
            f"{folder}: {missing / 1e9:.1f} GB are to come, {free / 1e9:.1f} GB are free; free some space or choose "
            "another folder"
        )


def _check_answer(response: Response, key: str, path: Path) -> None:
    """Look at the way, status and kind of an answer."""
    for hop in (*response.history, response):
        _check_url(hop.url, key)
    if response.status_code in (416, *_BUSY):  # 416: what is there is longer than the file
        raise _Interrupted(f"the server answered {response.status_code} {response.reason}")
    if response.status_code not in (200, 206):
        raise UnavailableError(f"{response.url}: the server answered {response.status_code} {response.reason}")
    if response.headers.get("Content-Type", "").startswith("text/html") and path.suffix not in (".html", ".htm"):
        raise UnavailableError(
            f"{response.url}: answered with a web page instead of a file, perhaps to ask for a consent; download it "
            f"with a browser, or give the file's own address in {key}"
        )


def _validator(record: Path, url: str) -> str | None:
    """What the server of `url` called the version of the file that a part is of; None if that is not known."""
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        return known["validator"] if known["url"] == url else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _receive(url: str, part: Path, key: str, path: Path) -> None:
    """Ask once for the file, or for the rest of it if the server still has the same one."""
    import requests

    record = part.with_name(f"{part.name}.json")
    validator = _validator(record, url)
    start = part.stat().st_size if validator and part.exists() else 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "dfmvr"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            told = response.headers
            if response.status_code == 416:
                if told.get("Content-Range") == f"bytes */{start}":
                    return  # it is whole
                part.unlink()
            _check_answer(response, key, path)
            if response.status_code == 200:
                start = 0
                tag = told.get("ETag", "")  # a weak one, W/"...", does not tell two files of the same meaning apart
                write_json(record, {"url": url, "validator": tag if tag[:1] == '"' else told.get("Last-Modified")})
            elif not told.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise UnavailableError(f"{url}: the server answered with another range than asked for")
            # the length of an encoded answer is not that of the file
            length = (
                int(told["Content-Length"]) if "Content-Length" in told and "Content-Encoding" not in told else None
            )
            _write(response, part, start, length)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _Interrupted(str(error)) from error
    except requests.RequestException as error:
        raise UnavailableError(f"{url}: cannot be downloaded ({error})") from error
    if length is not None and part.stat().st_size != start + length:
        raise _Interrupted(f"{part.stat().st_size} of {start + length} bytes came")


def _write(response: Response, part: Path, start: int, length: int | None) -> None:
    """Write what comes behind the first `start` bytes."""
    _check_room(part.parent, length or 0)
    with (
        part.open("ab" if start else "wb") as file,
        tqdm(desc=part.stem, total=length and start + length, initial=start, unit="B", unit_scale=True) as bar,
    ):
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))


def _receive_all(url: str, part: Path, key: str, path: Path, pause_s: float) -> None:
    """Ask until the whole file is there, or ATTEMPTS tries in a row brought nothing new."""
    failures, most = 0, 0
    while True:
        try:
            return _receive(url, part, key, path)
        except _Interrupted as error:
            size = part.stat().st_size if part.exists() else 0
            failures = 0 if size > most else failures + 1
            most = max(most, size)
            if failures >= ATTEMPTS:
                raise UnavailableError(f"{url}: cannot be downloaded ({error})") from error
            log.info("%s: %s; trying again", url, error)
            time.sleep(pause_s * 2**failures)


def _copy(url: str, part: Path) -> None:
    """Copy what a file:// address names."""
    source = Path(url2pathname(urlsplit(url).path))
    if not source.is_file():
        raise UnavailableError(f"{source}: no such file")
    _check_room(part.parent, source.stat().st_size)
    shutil.copyfile(source, part)


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
    path, scheme = Path(path), _check_url(url, key)
    if sha256 and not re.fullmatch("[0-9a-fA-F]{8,64}", sha256):
        raise ConfigError(f"{key}: expected a SHA-256 of 64 hexadecimal digits, found {sha256!r}")

    def fits(file: Path) -> bool:
        return not sha256 or sha256_of(file).startswith(sha256.lower())

    part, record = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json")
    try:
        if path.is_file():
            if fits(path):
                return path
            raise OutputError(f"{path}: another file than {url}, by its checksum, stands there; remove it")
        path.parent.mkdir(parents=True, exist_ok=True)
        _copy(url, part) if scheme == "file" else _receive_all(url, part, key, path, pause_s)
        if not fits(part):
            part.unlink()
            record.unlink(missing_ok=True)
            raise DataError(f"{url}: its SHA-256 is not {sha256}; check {key} and the checksum, then download it again")
        os.replace(part, path)
        record.unlink(missing_ok=True)
    except UnavailableError as error:
        raise UnavailableError(f"{error}; check the network and {key}, or put the file at {path} by hand") from error
    except OutputError:
        raise
    except OSError as error:
        raise output_error(path, error) from error
    return path
