"""The one place that removes files and folders: only what tdbs made, and never the target of a link.

Another user may have made a link, or this user may have linked a file that must stay. All paths here are on this
machine; folders above them may be links.
"""

import os
import re
import shutil
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import combinations
from pathlib import Path

from tdbs.errors import ConfigError, TdbsError


def is_there(path: Path) -> bool:
    """Return whether anything has this name, a link that leads nowhere included."""
    return os.path.lexists(path)


def is_mine(path: Path) -> bool:
    """Return whether this user owns what has this name, a link itself and not what it leads to."""
    return owner_id() in (None, path.lstat().st_uid)


def owner_id() -> int | None:
    """Return the number of this user; None on systems that have none, whose folders are their users' already."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def is_own_folder(folder: Path, names: re.Pattern[str]) -> bool:
    """Return whether a folder is not a link, is this user's, and holds nothing but folders and files of these names."""
    if folder.is_symlink() or not folder.is_dir() or not is_mine(folder):
        return False
    return all(names.fullmatch(path.name) and not path.is_symlink() for path in folder.iterdir())


def links_below(folder: Path) -> list[Path]:
    """Return all links in a folder, in order; none of them is followed."""
    found = (Path(top, name) for top, folders, files in os.walk(folder) for name in (*folders, *files))
    return sorted(path for path in found if path.is_symlink())


def refuse_link(
    path: Path, kind: type[TdbsError] = ConfigError, *, next_step: str = "Remove the link, or pass another --out."
) -> None:
    """Raise an error if a link has the name of something that tdbs is to write or to remove."""
    if path.is_symlink():
        raise kind(f"{path} is a link, and tdbs neither writes nor removes through links.", next_step=next_step)


def refuse_taken(
    path: Path, is_own: Callable[[Path], bool], *, overwrite: bool, resume: bool = False, option: str = "--out"
) -> None:
    """Raise ConfigError if a command may not write a file to a place: a link, a folder, or a file that must stay.

    Args:
        path: Place of the file.
        is_own: Whether the file in that place is one that tdbs wrote. Not asked of an empty one, which holds nothing.
        overwrite: Whether a file of tdbs may be replaced. A file of the user's never is.
        resume: Whether the command would continue what it wrote there.
        option: Option that names the place.
    """
    refuse_link(path, next_step=f"Remove the link, or pass another {option}.")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder.", next_step=f"Pass {option} with the path of a file.")
    if not is_there(path):
        return
    if not (path.is_file() and (path.stat().st_size == 0 or is_own(path))):
        raise ConfigError(f"{path} already exists, and tdbs did not write it.", next_step=f"Pass another {option}.")
    if overwrite:
        return
    next_step = f"Pass another {option}, or --overwrite."
    if resume:
        raise ConfigError(f"{path} is finished: there is nothing to resume.", next_step=next_step)
    raise ConfigError(f"{path} already exists.", next_step=next_step)


def refuse_same(options: Mapping[str, Path | None]) -> None:
    """Raise ConfigError if two options name the same file, whatever its path: one would replace what the other wrote.

    Args:
        options: Each with its file, or None.
    """
    given = [(option, path) for option, path in options.items() if path is not None]
    for (option, path), (other, second) in combinations(given, 2):
        both_there = path.exists() and second.exists()
        if path.resolve() == second.resolve() or (both_there and path.samefile(second)):
            raise ConfigError(f"{option} and {other} name the same file, {path}.", next_step=f"Pass another {other}.")


def remove_file(path: Path) -> None:
    """Remove a file if it exists; for a link, the link itself."""
    path.unlink(missing_ok=True)


def remove_folder(folder: Path, *, faults: bool = False) -> None:
    """Remove a folder with all in it, if it is one; a link in its place stays, as does what any link leads to.

    With `faults` a system's error is raised; without, what cannot be removed stays.
    """
    try:
        is_folder = stat.S_ISDIR(folder.lstat().st_mode)
    except OSError:
        return
    if is_folder:
        shutil.rmtree(folder, ignore_errors=not faults)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds nothing; any other stays."""
    with suppress(OSError):
        folder.rmdir()
