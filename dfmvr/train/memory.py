"""How the C library hands memory out, which a step on the CPU depends on."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3), glibc."""

_LARGEST_MMAP_THRESHOLD = 32 * 2**20
_NEVER_TRIMMED = 2**30


def keep_freed_memory() -> bool:
    """Let a freed tensor's memory be taken by the next one, in place of returning it to the system.

    By default glibc returns large blocks at once, and every tensor of a step is paid for with fresh, zeroed pages: a
    tenth of the time of a step with renderings.

    Returns:
        Whether the C library understood; others than glibc do not.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD) and mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIMMED))
