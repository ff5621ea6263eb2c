"""The hidden folder where a dataset is made: one `prepare` at a time, and continued after a kill.

It stands beside the dataset's place (of an object store: in this machine's temporary folder) under a name with a dot.
What is in it belongs to one cache key: with another key it is emptied. An error of the user's leaves nothing behind; a
kill leaves finished blocks, which the next `prepare` of the same key takes as they are.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tdbs.errors import DatasetError, reason_of_system
from tdbs.files import is_remote, sha256_of, write_text

_KEY_NAME = "key"


@contextmanager
def claimed(place: Path, *, waiting: Callable[[Path], None]) -> Iterator[None]:
    """Hold the place while a dataset is made; while another process holds it, `waiting` is told and this one waits.

    The lock dies with its process. It is of this machine or shared folder alone: object stores have none.
    """
    path = _beside(place, "lock")
    new = [folder for folder in path.parents if not folder.exists()]
    with _writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting(place)
            lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held; who waits for it sees that and makes a new one
        lock.release()
        for folder in new:
            with suppress(OSError):  # not empty: the dataset is in it
                folder.rmdir()


@contextmanager
def work_folder(place: Path, key: str, work: Path | None = None) -> Iterator[Path]:
    """Yield the folder for the work on a dataset with this key; gone afterwards, unless the process was killed.

    `work` names a folder to make it in, instead of the one beside the place.
    """
    folder = _beside(place, "preparing") if work is None else work / f".tdbs-{key[:16]}.preparing"
    with _writable(folder.parent):
        if _key_of(folder) != key:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)  # with the user's usual rights: the dataset is made in it
            write_text(folder / _KEY_NAME, key)
    try:
        yield folder
    except KeyboardInterrupt:
        raise  # as a kill: what is finished stays
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def discard_leftovers(place: Path) -> None:
    """Remove what a kill left behind after its dataset was published, unless a process is at work there."""
    folder = _beside(place, "preparing")
    if not folder.exists():
        return
    with suppress(OSError, Timeout), FileLock(_beside(place, "lock"), timeout=0) as lock:
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)


def _beside(place: Path, what: str) -> Path:
    if is_remote(place):
        return Path(tempfile.gettempdir()) / f".tdbs-{sha256_of(str(place).encode())[:16]}.{what}"
    return place.parent / f".{place.name}.{what}"


def _key_of(folder: Path) -> str | None:
    try:
        return (folder / _KEY_NAME).read_text(encoding="utf-8")
    except OSError:
        return None


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be written: {reason_of_system(error)}.", next_step="Pass another --out."
        ) from error
