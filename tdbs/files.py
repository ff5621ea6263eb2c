"""Write files atomically: under a hidden name beside their place, then renamed.

The hidden name belongs to one process, so no link can wait there. The rename replaces a link in the place itself and
leaves its target alone. Files get the rights of the user's umask, whatever the writing library sets.
"""

import errno
import hashlib
import itertools
import json
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, BinaryIO, cast

from tdbs.errors import ConfigError, TdbsError, reason_of
from tdbs.fields import PlainText
from tdbs.records import Form, read_record
from tdbs.removal import is_mine, is_there, owner_id, refuse_link, remove_file, remove_folder
from tdbs.shown import fitted

LATEST_NAME = "latest.json"
_LATEST = Form(what="a note of tdbs", error=ConfigError, next_step="Remove it, or name the folder that you mean.")

# A link is never opened; systems without the flag have no other users who could lay one.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)

Stamp = tuple[int, float]  # bytes, seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class _Latest:
    """What `latest.json` holds."""

    path: PlainText


def to_path(place: str | os.PathLike[str]) -> Path:
    """Return a local path, or for a URL such as s3://bucket/folder an object that behaves like one.

    Which URLs are known is fsspec's matter. Raises ConfigError if a package for them is missing.
    """
    if not isinstance(place, str) and hasattr(place, "joinpath"):
        return cast(Path, place)
    place = os.fspath(place)
    if "://" not in place:
        return Path(place)
    scheme = place.split("://")[0]
    if scheme == "file":
        return Path(place.removeprefix("file://"))
    try:
        from upath import UPath

        path = UPath(place)
        path.fs  # noqa: B018  (asks for the package that knows the scheme)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            fitted("{scheme}:// needs a package that is not here: {reason}.", scheme=scheme, reason=reason_of(error)),
            next_step="Run: pip install 'tdbs[remote]', or the fsspec package of this kind of storage.",
        ) from error
    return cast(Path, path)


def exists(path: Path) -> bool:
    """Return whether a path exists; none has a name that is too long for the system, which is an error of its own."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def is_url(place: str) -> bool:
    """Return whether `to_path` would contact a host for a place; this check contacts none."""
    return "://" in place and not place.startswith("file://")


def is_remote(path: Path) -> bool:
    """Return whether a path is of an object store: nothing is renamed or locked there, but each write is whole."""
    return not isinstance(path, PurePath)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    if is_remote(path):
        path.write_bytes(bytes(data))
        return
    with new_file(path) as hidden:
        hidden.write_bytes(data)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a place to write a file to; it becomes `path` atomically, if nothing went wrong."""
    if is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            hidden = Path(folder) / path.name
            yield hidden
            path.write_bytes(hidden.read_bytes())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = _hidden_beside(path)
    rights = _make_file(hidden)
    try:
        yield hidden
        _give_rights(hidden, rights)  # some libraries put a file of their own there, for its owner alone
        hidden.replace(path)
    finally:
        remove_file(hidden)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill; it becomes `path` if nothing went wrong, instead of the folder that existed.

    Nobody else can write into it before. What a killed process left of one is removed. Raises ConfigError if a link
    has its name.
    """
    refuse_link(path, next_step="Remove the link.")
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in os.listdir(path.parent):
        if re.fullmatch(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}", name) and is_mine(path.parent / name):
            remove_folder(path.parent / name)
    hidden = _hidden_beside(path)
    hidden.mkdir(mode=0o700)
    try:
        yield hidden
        probe = hidden / ".rights"
        rights = _make_file(probe)
        remove_file(probe)
        probe.mkdir()  # with what a shared folder gives to those in it
        folder_rights = stat.S_IMODE(probe.stat().st_mode)
        remove_folder(probe)
        for inner in (hidden, *hidden.rglob("*")):
            _give_rights(inner, folder_rights if inner.is_dir() else rights)
        remove_folder(path, faults=True)
        hidden.rename(path)
    finally:
        remove_folder(hidden)


def make_folder(folder: Path, kind: type[TdbsError] = ConfigError) -> None:
    """Make a folder in one of tdbs's, unless it exists. Raises `kind` if a link has its name."""
    refuse_link(folder, kind, next_step="Remove the link.")
    folder.mkdir(parents=True, exist_ok=True)


def make_file(path: Path) -> None:
    """Make an empty file for a library that writes into one, unless it exists."""
    with suppress(FileExistsError):
        _make_file(path)


def append_to(path: Path) -> IO[str]:
    """Open a log to append to; a link in its place is an error of the system's."""
    return open(path, "a", encoding="utf-8", opener=lambda place, flags: os.open(place, flags | _NO_LINK, 0o666))


def copy_files(source: Path, target: Path, *, leave_out: str) -> None:
    """Copy the files of a folder into another one, each atomically; links are not copied."""
    make_folder(target)
    for path in sorted(source.iterdir()):
        if path.is_symlink() or path.name == leave_out:
            continue
        if path.is_dir():
            copy_files(path, target / path.name, leave_out=leave_out)
        else:
            write_bytes(target / path.name, path.read_bytes())


def private_temporary_folder() -> Path:
    """Return this user's folder in the system's temporary one, where every user may make any name.

    Raises ConfigError if that name is a link or a folder that others own or may write into.
    """
    user = owner_id()
    folder = Path(tempfile.gettempdir()) / f"tdbs-{'user' if user is None else user}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    is_open = user is not None and (status.st_uid != user or bool(status.st_mode & 0o077))
    if not stat.S_ISDIR(status.st_mode) or is_open:
        raise ConfigError(
            f"{folder} is not a folder that you alone can write into.",
            next_step="Remove it, or set TMPDIR to a folder of your own.",
        )
    return folder


def folders_named(name: str) -> Path:
    """Return a name from a file as folders below another one: no part leads up or to a root."""
    parts = [_safe(part) for part in re.split(r"[/\\]", name)]
    return Path(*([part for part in parts if part not in ("", ".", "..")] or ["unnamed"]))


def name_in_folder(name: str) -> str:
    """Return a name from a file as the name of one file or folder."""
    return "-".join(folders_named(name).parts)


def dated_folder(below: Path, name: str) -> Path:
    """Return a folder of a name and the time that is not there yet: two of one second have folders of their own."""
    folder = below / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    later = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(place for place in itertools.chain([folder], later) if not is_there(place))


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) atomically; half of a surrogate pair as its escape, which JSON reads back."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: object) -> None:
    """Write a JSON file atomically."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """Return what `write_json` writes."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def readable(path: Path) -> AbstractContextManager[str | BinaryIO]:
    """Return what Arrow reads a file from: a path if it can open it itself, else an open file."""
    return path.open("rb") if is_remote(path) else nullcontext(str(path))


def stamp_of(path: Path) -> Stamp:
    """Return a cheap fingerprint that changes if the file does."""
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
    """Return the place noted last in `folder`, or None. Raises ConfigError if the note is damaged."""
    note = folder / LATEST_NAME
    return to_path(read_record(note, _Latest, _LATEST).path) if note.exists() else None


def _safe(part: str) -> str:
    return re.sub(r"[\x00-\x1f]" if os.name != "nt" else r'[\x00-\x1f:*?"<>|]', "_", part)


def _hidden_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _make_file(path: Path) -> int:
    """Make a file that is not there; return the rights that the system gives new files here."""
    place = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NO_LINK, 0o666)
    try:
        return stat.S_IMODE(os.fstat(place).st_mode)
    finally:
        os.close(place)


def _give_rights(path: Path, rights: int) -> None:
    mode = path.lstat().st_mode
    if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) != rights:
        path.chmod(rights)
