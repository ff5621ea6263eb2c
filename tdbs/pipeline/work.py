"""The hidden folder where a dataset is made: by one `prepare` at a time, and continued after a kill.

It is beside the dataset's place (for an object store: in this user's temporary folder) under a name with a dot, and
belongs to this user alone. It contains work of one key; work of another key is removed. A user's error leaves nothing
behind. A kill leaves finished blocks, which the next `prepare` of the same key reuses. A link in its place, or anything
that no `prepare` of this user made, is refused.
"""

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from tdbs.data.reading import BLOCK_BYTES, BLOCK_ROWS
from tdbs.errors import ConfigError, DatasetError, system_errors_as
from tdbs.files import is_remote, private_temporary_folder, sha256_of, to_path
from tdbs.removal import is_own_folder, is_there, links_below, refuse_link, remove_file, remove_folder, remove_if_empty

DATASET_FOLDER = "dataset"  # where shards are made, below the folder of the work; blocks are beside it
_WORK_NAMES = re.compile(r"[0-9a-f]{16}|blocks|dataset")  # in the hidden folder: keys; older versions had no keys
_LOCK = re.compile(rb"|\d+\n[^\n]*\n.*", re.DOTALL)  # empty; on file systems without locks, who holds it and where
_OTHER_PLACE = "Remove it, or pass another --out."


@contextmanager
def claimed(place: Path, *, waiting: Callable[[Path], None]) -> Iterator[None]:
    """Lock the place while a dataset is made; if another process has the lock, call `waiting` and wait.

    The lock ends with its process. It covers this machine or a shared folder only: object stores have none.
    """
    path = _beside(place, "lock")
    with _writable(path.parent):
        lock, new = _lock(path, lambda: waiting(place))
    try:
        yield
    finally:
        remove_file(path)  # while it is held; who waits for it sees that and makes a new one
        for folder in new:
            remove_if_empty(folder)  # else the dataset is in it
        lock.release()


@contextmanager
def work_folder(place: Path, key: str, *, work: str | Path | None = None, fresh: bool = False) -> Iterator[Path]:
    """Yield the folder for the work on a dataset with this cache key; gone afterwards, unless the process was killed.

    `work` names a folder to make it in, instead of the one beside the place. With `fresh`, finished blocks are not
    taken; shards never are.
    """
    hidden = _hidden_folder(place, work)
    folder = hidden / _block_key(key)
    with _writable(hidden.parent):
        if is_there(hidden):
            _reuse(hidden)
            for other in hidden.iterdir():
                if fresh or other != folder:
                    remove_folder(other, faults=True)
            remove_folder(folder / DATASET_FOLDER)
        else:
            hidden.parent.mkdir(parents=True, exist_ok=True)
            hidden.mkdir(mode=0o700)
        folder.mkdir(exist_ok=True)  # with the user's usual rights: the dataset is made in it
    try:
        yield folder
    except KeyboardInterrupt:
        raise  # as a kill: what is finished stays
    except BaseException:
        remove_folder(hidden)
        raise
    remove_folder(hidden)


def discard_leftovers(place: Path, *, work: str | Path | None = None) -> None:
    """Remove what a kill left behind after its dataset was published, unless a process is at work there."""
    with suppress(OSError, Timeout, DatasetError):
        hidden = _hidden_folder(place, work)
        if not is_own_folder(hidden, _WORK_NAMES):
            return
        path = _beside(place, "lock")
        _check_lock(path)
        with FileLock(path, timeout=0):
            remove_folder(hidden)
            remove_file(path)


def _reuse(hidden: Path) -> None:
    """Make sure that a hidden folder is what a killed `prepare` of this user left, and nobody else's from now on."""
    refuse_link(hidden, DatasetError)
    if not is_own_folder(hidden, _WORK_NAMES):
        raise DatasetError(f"{hidden} is not your unfinished work.", next_step=_OTHER_PLACE)
    if stat.S_IMODE(hidden.stat().st_mode) & 0o022:
        hidden.chmod(0o700)
    for link in links_below(hidden):
        refuse_link(link, DatasetError)


def _lock(path: Path, waiting: Callable[[], None]) -> tuple[FileLock, list[Path]]:
    """Return the lock of a path, held, and the folders made for it; `waiting` is called once if another holds it."""
    _check_lock(path)
    lock = FileLock(path)
    timeout = 0
    while True:
        new = [folder for folder in path.parents if not folder.exists()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=timeout)
        except Timeout:
            waiting()
            timeout = -1  # none
        except (FileExistsError, FileNotFoundError):  # who held it has removed the folders that it had made
            if any(os.path.lexists(folder) and not folder.is_dir() for folder in path.parents):
                raise
        else:
            return lock, new


def _check_lock(path: Path) -> None:
    """Refuse what has the name of a lock and is not one: a link, a folder, a file that contains other files."""
    refuse_link(path, DatasetError)
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode) or not _LOCK.fullmatch(path.read_bytes()):
            raise DatasetError(f"{path} is not a lock of tdbs.", next_step=_OTHER_PLACE)


def _hidden_folder(place: Path, work: str | Path | None) -> Path:
    if work is None:
        return _beside(place, "preparing")
    folder = to_path(work)
    if is_remote(folder):
        raise ConfigError(
            f"--work {work} is not a folder of this machine.", next_step="Pass a local folder, or leave it out."
        )
    return folder.resolve() / f".tdbs-{_short_hash(place)}.preparing"


def _beside(place: Path, what: str) -> Path:
    """Return a hidden path beside the place itself, whatever links lead there: one place, one lock."""
    if is_remote(place):
        return private_temporary_folder() / f".tdbs-{_short_hash(place)}.{what}"
    real = place.resolve()
    return real.parent / f".{real.name}.{what}"


def _short_hash(place: Path) -> str:
    return sha256_of(str(place if is_remote(place) else place.resolve()).encode())[:16]


def _block_key(key: str) -> str:
    """Return the key of stored blocks: the dataset's key, and whatever else decides the contents of a block's file."""
    versions = {name: version(name) for name in ("tdbs", "tokenizers", "numpy", "pyarrow")}
    return sha256_of(json.dumps([key, versions, BLOCK_ROWS, BLOCK_BYTES]).encode())[:16]


def _writable(folder: Path) -> AbstractContextManager[None]:
    return system_errors_as(DatasetError, f"{folder} cannot be written", next_step="Pass another --out.")
