"""Large arrays that are made block by block: joined in memory, or spilled to files and mapped.

A file has no name, so nothing is left of it, even after a kill; TMPDIR chooses the place. It is written by calls of the
system, which report a full disk, and is read through a map. The result is an array like any other, read-only. Pages of
a map that were read count as memory of the process until `forget` gives them back; the next read takes them from the
system's cache, or from the disk.
"""

import mmap
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import fields, is_dataclass
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from tdbs.errors import ConfigError, system_errors_as

AnyArray = npt.NDArray[Any]
Key = TypeVar("Key")


def joined(blocks: Iterable[Mapping[Key, AnyArray]], *, spilled: bool) -> dict[Key, AnyArray]:
    """Return columns as one array each, block after block.

    Args:
        blocks: One or more blocks, each with an array for each column. Arrays of a column differ in their rows alone.
        spilled: Whether the columns go to files instead of memory.

    Raises:
        ConfigError: The folder for temporary files is full, or cannot be written.
    """
    if not spilled:
        parts: dict[Key, list[AnyArray]] = {}
        for block in blocks:
            for name, array in block.items():
                parts.setdefault(name, []).append(array)
        return {name: np.concatenate(parts.pop(name)) for name in list(parts)}
    files: dict[Key, IO[bytes]] = {}
    last: Mapping[Key, AnyArray] = {}
    with ExitStack() as stack:
        for last in blocks:
            with _disk_errors():
                files = files or {name: stack.enter_context(tempfile.TemporaryFile()) for name in last}
                for name, array in last.items():
                    _write(files[name], array)
        with _disk_errors():
            return {name: _mapped(files[name], array) for name, array in last.items()}


def kept(array: AnyArray, *, spilled: bool) -> AnyArray:
    """Return an array itself, or spilled. Raises ConfigError as `joined` does."""
    return joined([{0: array}], spilled=True)[0] if spilled else array


def forget(*values: object) -> None:
    """Give back the memory of what was read of spilled arrays; they stay as they are, and so do arrays in memory.

    Args:
        values: Arrays, and records or tuples of arrays; anything else is ignored.
    """
    for value in values:
        if isinstance(value, np.ndarray):
            _forget_pages(value)
        elif isinstance(value, tuple):
            forget(*value)
        elif is_dataclass(value):
            forget(*(getattr(value, each.name) for each in fields(value)))


def _write(file: IO[bytes], array: AnyArray) -> None:
    if array.size:
        file.write(np.ascontiguousarray(array).view(np.uint8).data)


def _mapped(file: IO[bytes], like: AnyArray) -> AnyArray:
    """Return what a file holds as an array: of the last block's type, and as wide."""
    file.flush()
    width = like.shape[1:]
    if not file.tell():  # nothing can be mapped
        return np.empty((0, *width), dtype=like.dtype)
    return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=like.dtype).reshape(-1, *width)


def _forget_pages(array: AnyArray) -> None:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.obj.madvise(mmap.MADV_DONTNEED)


def _disk_errors() -> AbstractContextManager[None]:
    return system_errors_as(
        ConfigError,
        f"{_folder()} does not take what exceeds --memory",
        next_step="Free space there, set TMPDIR to another folder, or pass a greater --memory.",
    )


def _folder() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return "The folder for temporary files"
