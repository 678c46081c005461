"""Damaged copies of a file, as a full disk, a broken transfer or a wrong editor leaves them."""

import contextlib
import random
from pathlib import Path

from dfmvr.errors import DataError


def truncations(content, step=1):
    """The content cut off at every `step`-th length."""
    return (content[:length] for length in range(0, len(content), step))


def flips(content, count, seed=0, texts=False):
    """`count` copies with one to four bytes changed; for text files half of the new bytes are digits and signs."""
    rng = random.Random(seed)
    for _ in range(count):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            new = rng.choice(b"0123456789-+.e/ \n\t,nf") if texts and rng.random() < 0.5 else rng.randrange(256)
            damaged[rng.randrange(len(damaged))] = new
        yield bytes(damaged)


def read_all(read, path, contents):
    """Read every content from `path`; nothing but DataError may come out. Gives the numbers tried and read."""
    tried = whole = 0
    for content in contents:
        Path(path).unlink(missing_ok=True)  # some file systems wait for the disk where a file is overwritten
        Path(path).write_bytes(content)
        tried += 1
        with contextlib.suppress(DataError):
            read(path)
            whole += 1
    return tried, whole
