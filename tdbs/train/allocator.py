"""Keep memory that a step has freed for the next one (docs/decisions.md, "Freed memory")."""

import ctypes
import functools
import sys

# parameters of mallopt, and what is set: above glibc's own limit, blocks are given back whenever they are freed
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MOST_KEPT = 1 << 30
_MORE_AT_ONCE = 1 << 26
_LARGE = 1 << 28


@functools.cache
def keep_freed_memory() -> None:
    """Let the C library of Linux keep up to 1 GiB of freed memory in this process.

    The tensors of a step are made and freed in each one. Without this, the system takes back their pages and hands them
    out again one by one. Nothing happens with another C library.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return
    for parameter, size in ((_TRIM_THRESHOLD, _MOST_KEPT), (_TOP_PAD, _MORE_AT_ONCE), (_MMAP_THRESHOLD, _LARGE)):
        mallopt(parameter, size)
