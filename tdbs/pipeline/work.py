"""The hidden folder where a dataset is made: one `prepare` at a time, and continued after a kill.

It stands beside the dataset's place (of an object store: in this machine's temporary folder) under a name with a dot.
What is in it is of one key; what is of another key is removed. An error of the user's leaves nothing behind; a kill
leaves finished blocks, which the next `prepare` of the same key takes as they are.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from tdbs.data.reading import BLOCK_BYTES, BLOCK_ROWS
from tdbs.errors import ConfigError, DatasetError, system_errors_as
from tdbs.files import is_remote, sha256_of, to_path

DATASET_FOLDER = "dataset"  # where shards are made, below the folder of the work; blocks are beside it


@contextmanager
def claimed(place: Path, *, waiting: Callable[[Path], None]) -> Iterator[None]:
    """Hold the place while a dataset is made; while another process holds it, `waiting` is told and this one waits.

    The lock dies with its process. It is of this machine or shared folder alone: object stores have none.
    """
    path = _beside(place, "lock")
    with _writable(path.parent):
        lock, new = _lock(path, lambda: waiting(place))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held; who waits for it sees that and makes a new one
        for folder in new:
            with suppress(OSError):  # not empty: the dataset is in it
                folder.rmdir()
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
        for other in hidden.iterdir() if hidden.exists() else ():
            if fresh or other != folder:
                shutil.rmtree(other) if other.is_dir() else other.unlink()
        shutil.rmtree(folder / DATASET_FOLDER, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)  # with the user's usual rights: the dataset is made in it
    try:
        yield folder
    except KeyboardInterrupt:
        raise  # as a kill: what is finished stays
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    shutil.rmtree(hidden, ignore_errors=True)


def discard_leftovers(place: Path, *, work: str | Path | None = None) -> None:
    """Remove what a kill left behind after its dataset was published, unless a process is at work there."""
    hidden = _hidden_folder(place, work)
    if not hidden.exists():
        return
    with suppress(OSError, Timeout), FileLock(_beside(place, "lock"), timeout=0) as lock:
        shutil.rmtree(hidden, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)


def _lock(path: Path, waiting: Callable[[], None]) -> tuple[FileLock, list[Path]]:
    """Return the lock of a path, held, and the folders made for it; `waiting` is called once if another holds it."""
    lock = FileLock(path)
    timeout = 0
    while True:
        new = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            waiting()
            timeout = -1  # none
        except FileNotFoundError:
            continue  # who held it has removed the folders that it had made
        else:
            return lock, new


def _hidden_folder(place: Path, work: str | Path | None) -> Path:
    if work is None:
        return _beside(place, "preparing")
    folder = to_path(work)
    if is_remote(folder):
        raise ConfigError(f"--work {work} is no folder of this machine's.", next_step="Name a folder, or leave it out.")
    return folder.resolve() / f".tdbs-{_short_hash(place)}.preparing"


def _beside(place: Path, what: str) -> Path:
    """Return a hidden path beside the place itself, whatever links lead there: one place, one lock."""
    if is_remote(place):
        return Path(tempfile.gettempdir()) / f".tdbs-{_short_hash(place)}.{what}"
    real = place.resolve()
    return real.parent / f".{real.name}.{what}"


def _short_hash(place: Path) -> str:
    return sha256_of(str(place if is_remote(place) else place.resolve()).encode())[:16]


def _block_key(key: str) -> str:
    """Return what blocks are kept under: the dataset's key, and whatever else decides what is in a block's file."""
    versions = {name: version(name) for name in ("tdbs", "tokenizers", "numpy", "pyarrow")}
    return sha256_of(json.dumps([key, versions, BLOCK_ROWS, BLOCK_BYTES]).encode())[:16]


def _writable(folder: Path) -> AbstractContextManager[None]:
    return system_errors_as(DatasetError, f"{folder} cannot be written", next_step="Pass another --out.")
