"""Keep memory that a step has freed for the next one, or give it back at once (docs/decisions.md, "Freed memory")."""

import ctypes
import functools
import sys
from collections.abc import Callable

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
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        for parameter, size in ((_TRIM_THRESHOLD, _MOST_KEPT), (_TOP_PAD, _MORE_AT_ONCE), (_MMAP_THRESHOLD, _LARGE)):
            mallopt(parameter, size)


def give_back_freed_memory() -> None:
    """Let the C library of Linux give freed memory back to the system, which it keeps in pieces otherwise."""
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


@functools.cache
def _of_glibc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library, if it is Linux's and has it."""
    if sys.platform != "linux":
        return None
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):  # musl has none of them
        return None
    return found
