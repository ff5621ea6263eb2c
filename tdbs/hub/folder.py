"""Write what a repository is to contain into a folder: to look at it first, or to upload it from elsewhere."""

import shlex
import shutil
from pathlib import Path

from tdbs.errors import ConfigError
from tdbs.files import new_file, write_bytes
from tdbs.hub.repo_files import CARD_NAME, RepoFiles
from tdbs.removal import links_below, refuse_link, remove_file

FOLDER = Path("hub")


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is not empty, unless `overwrite`, and any link in it."""
    refuse_link(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file.", next_step="Pass another --out.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise ConfigError(
            f"{folder} contains other files.",
            next_step="Pass another --out, or --overwrite to replace what tdbs wrote there.",
        )
    if not (folder / CARD_NAME).is_file():
        raise ConfigError(f"{folder} is not a folder that tdbs push wrote.", next_step="Pass another --out.")
    for link in links_below(folder):
        refuse_link(link)


def write_folder(found: RepoFiles, folder: Path, *, overwrite: bool) -> None:
    """Write all files, the card last; files of an earlier push go, other files stay.

    Raises ConfigError if the folder is not ours to write into.
    """
    check_folder(folder, overwrite=overwrite)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in found.outdated(there):
        remove_file(folder / name)
    for name in sorted(found.files, key=lambda name: name == CARD_NAME):
        content = found.files[name]
        if isinstance(content, bytes):
            write_bytes(folder / name, content)
            continue
        with new_file(folder / name) as hidden:
            shutil.copyfile(content, hidden)


def upload_command(found: RepoFiles, folder: Path, *, private: bool) -> str:
    """Return the command that uploads such a folder; it makes the repository if there is none."""
    options = ["--repo-type", found.kind, *(["--private"] if private else [])]
    return shlex.join(["hf", "upload", found.repo, str(folder), ".", *options])
