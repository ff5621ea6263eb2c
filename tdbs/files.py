"""Write files so that nobody ever sees half of one: beside their place under a name with a dot, then renamed."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, cast

from tdbs.errors import ConfigError, reason_of
from tdbs.records import Form, PlainText, read_record

LATEST_NAME = "latest.json"
_LATEST = Form(what="a note of tdbs", error=ConfigError, next_step="Remove it, or name the folder that you mean.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Latest:
    """What `latest.json` holds."""

    path: PlainText


Stamp = tuple[int, float]  # bytes, seconds


def to_path(place: str | Path) -> Path:
    """Return a local path; of a URL such as s3://bucket/folder what behaves like one.

    Which URLs are known is fsspec's matter. Raises ConfigError where a package for them is missing.
    """
    if not isinstance(place, str) or "://" not in place:
        return Path(place) if isinstance(place, str) else place
    scheme = place.split("://")[0]
    if scheme == "file":
        return Path(place.removeprefix("file://"))
    try:
        from upath import UPath

        path = UPath(place)
        path.fs  # noqa: B018  (asks for the package that knows the scheme)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"{scheme}:// needs a package that is not here: {reason_of(error)}.",
            next_step="Run: pip install 'tdbs[remote]', or the fsspec package of this kind of storage.",
        ) from error
    return cast(Path, path)


def is_remote(path: Path) -> bool:
    """Tell whether a path is of an object store: nothing is renamed or locked there, but each write is whole."""
    return not isinstance(path, PurePath)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one visible step."""
    if is_remote(path):
        path.write_bytes(bytes(data))
        return
    with new_file(path) as hidden:
        hidden.write_bytes(data)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a place to write a file to; it becomes `path` in one visible step, if nothing went wrong."""
    if is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            hidden = Path(folder) / path.name
            yield hidden
            path.write_bytes(hidden.read_bytes())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield hidden
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) in one visible step."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write a JSON file in one visible step."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def readable(path: Path) -> AbstractContextManager[str | BinaryIO]:
    """Return what Arrow reads a file from: a path where it can open it itself, else an open file."""
    return path.open("rb") if is_remote(path) else nullcontext(str(path))


def stamp_of(path: Path) -> Stamp:
    """Return what tells cheaply whether a file has changed."""
    status = path.stat()
    return status.st_size, status.st_mtime


def sha256_of(data: bytes) -> str:
    """Return the hash that manifests record."""
    return hashlib.sha256(data).hexdigest()


def remember(folder: Path, place: Path) -> None:
    """Note in `folder` the place that commands use when none is named; a convenience, so never an error."""
    with suppress(OSError):
        write_json(folder / LATEST_NAME, {"path": str(place)})


def last_place(folder: Path) -> Path | None:
    """Return the place noted last in `folder`, or None. Raises ConfigError where the note is damaged."""
    note = folder / LATEST_NAME
    return to_path(read_record(note, _Latest, _LATEST).path) if note.exists() else None
