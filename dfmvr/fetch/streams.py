"""Files that decompress and count: what lies between an archive and the library that reads it."""

from __future__ import annotations

import io
import lzma
import re
from collections.abc import Callable
from typing import BinaryIO

CHUNK = 1 << 16
XZ_MEMORY = 256 << 20


class OneWay:
    """A tar file's bytes in one pass and never many at once, since tarfile reads as many as a header announces.

    `check` is called with the number of bytes read so far and may raise. `in_header` is for the user to change.
    """

    def __init__(self, raw: BinaryIO, check: Callable[[int], None]) -> None:
        self._raw, self._check = raw, check
        self.position, self.last, self._ahead = 0, b"", b""
        self.in_header = True

    def tell(self) -> int:
        """Bytes read."""
        return self.position

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        if not 0 < size <= CHUNK:
            raise ValueError(f"a header of {size} bytes")
        data = self._ahead + self._raw.read(size - len(self._ahead))
        self._ahead = b""
        self.position += len(data)
        self._check(self.position)
        # Some releases of tarfile need quadratic time for long runs of digits in a header (CVE-2024-6232).
        if self.in_header and re.search(rb"\d{256}", data):
            raise ValueError("a number of 256 digits in a header")
        self.last = data
        return data

    def seek(self, position: int) -> int:
        """Skip to `position`; back by one byte at the most, as tarfile does to probe the end of an entry."""
        if position == self.position - 1 and self.last and not self._ahead:
            self._ahead, self.position = self.last[-1:], position
        if position < self.position:
            raise ValueError("an entry that lies before another")
        while self.position < position and self.read(min(CHUNK, position - self.position)):
            pass
        return self.position


class XzFile(io.RawIOBase):
    """Decompressed bytes of an xz file, in bounded memory: a header may ask for a dictionary of 4 GiB."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._rest, self._decoder = raw, b"", self._new()

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 at the end."""
        while True:
            if self._decoder.eof:  # parallel compressors write several streams
                self._rest = (self._decoder.unused_data or self._raw.read(CHUNK)).lstrip(b"\0")
                if not self._rest:
                    return 0
                self._decoder = self._new()
            if self._decoder.needs_input and not self._rest:
                self._rest = self._raw.read(CHUNK)
                if not self._rest:
                    raise EOFError("it ends early")
            data, self._rest = self._decoder.decompress(self._rest, len(buffer)), b""
            if data:
                buffer[: len(data)] = data
                return len(data)
