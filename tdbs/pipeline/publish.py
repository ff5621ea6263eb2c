"""Put a finished dataset in its place, completely or not at all, and never over foreign files.

Shards are made in a hidden folder. Publishing moves them in, the manifest last. A failure before publishing leaves the
place unchanged; an old dataset is removed only when publishing begins. The place may be the user's own link; a link
with a name that tdbs makes inside it is refused.
"""

import re
import shutil
from pathlib import Path

from tdbs.errors import DatasetError
from tdbs.files import is_remote, write_bytes
from tdbs.pipeline.dataset import TOKENIZER_NAME
from tdbs.pipeline.manifest import DUPLICATES_NAME, LIST_NAMES, SKIPPED_NAME, Manifest
from tdbs.pipeline.manifest_file import FORM, MANIFEST_NAME, read_manifest, write_manifest
from tdbs.records import read_json
from tdbs.removal import (
    is_mine,
    is_own_folder,
    is_there,
    links_below,
    refuse_link,
    remove_file,
    remove_folder,
    remove_if_empty,
)

_MARK = ".tdbs-publishing"
_COPY = ".tdbs-copying"
_SHARD_NAME = re.compile(r"bucket=\d{3,}-\d{3,}/part-\d{5}\.parquet")
_OWN_NAMES = re.compile(
    r"train|validation\w*|test\w*|references|(manifest|tokenizer)\.json|(skipped|duplicates)\.jsonl|\.tdbs-(publishing|copying)"
)
_REFERENCES_NAME = re.compile(r"references/(train|validation\w*|test\w*)\.parquet")


def check_place(place: Path, *, overwrite: bool) -> Manifest | None:
    """Return the manifest of the dataset at `place` if it may stay; refuse what tdbs may not replace."""
    if is_remote(place):
        place.fs.invalidate_cache()  # type: ignore[attr-defined]  # another process may have written there meanwhile
    else:
        _check_link(place)
    if place.exists() and not place.is_dir():
        raise DatasetError(f"{place} is a file.", next_step="Pass another --out.")
    if not place.is_dir():
        return None
    if (place / MANIFEST_NAME).exists() and not overwrite:
        return read_manifest(place)
    _refuse_links(place)
    is_empty = all(path.name == _COPY for path in place.iterdir())
    if not is_remote(place) and place.is_symlink() and not is_empty and not _is_whole(place):
        raise DatasetError(
            f"{place} is a link to something other than a prepared dataset.", next_step="Pass another --out."
        )
    if is_empty or _is_ours(place):
        return None
    if not overwrite:
        raise DatasetError(
            f"{place} contains something other than a prepared dataset.",
            next_step="Pass another --out, or --overwrite to prepare into it; files that tdbs did not write stay.",
        )
    for name in (MANIFEST_NAME, TOKENIZER_NAME, *LIST_NAMES):
        if (place / name).exists():
            raise _foreign(place, name)
    return None


def publish(staging: Path, place: Path, manifest: Manifest) -> None:
    """Move a dataset from `staging` to `place`: in one step if the place is empty.

    Else the old manifest goes first and the new one comes last, so that nobody reads a mixture; a mark informs the next
    `prepare` of an interruption in between. In an occupied place only tdbs's own files are removed.
    """
    write_manifest(staging, manifest)
    if is_remote(place):
        _move(staging, place)
        return
    place = place.resolve()  # what a link leads to is replaced, not the link
    if staging.stat().st_dev == (place if place.exists() else place.parent).stat().st_dev:
        _move(staging, place)
        return
    # Nothing can be renamed from one file system to another: files are copied to that of the place first.
    copied = place / _COPY if place.exists() else place.parent / f".{place.name}.publishing"
    refuse_link(copied, DatasetError)
    if is_there(copied) and not is_own_folder(copied, _OWN_NAMES):
        raise DatasetError(f"{copied} is not a copy that tdbs made.", next_step="Remove it, or pass another --out.")
    remove_folder(copied)  # what a kill left
    copied.mkdir(mode=0o700)
    try:
        _move(Path(shutil.copytree(staging, copied, dirs_exist_ok=True)), place)
    finally:
        remove_folder(copied)


def _move(staging: Path, place: Path) -> None:
    if not is_remote(place) and not is_there(place):
        staging.rename(place)
        return
    _refuse_links(place)  # that were not there when the work began
    replaced, lists = _is_ours(place), _own_lists(place)
    for name in LIST_NAMES:
        if name not in lists and (staging / name).exists() and (place / name).exists():
            raise _foreign(place, name)
    write_bytes(place / _MARK, b"")
    for name in lists:
        remove_file(place / name)
    if replaced:
        remove_file(place / MANIFEST_NAME)
        remove_file(place / TOKENIZER_NAME)
        for shard in _shards(place):
            remove_file(shard)
            _remove_empty(shard.parent, up_to=place)
    files = [path for path in staging.rglob("*") if path.is_file() and path.name != MANIFEST_NAME]
    for path in [*files, staging / MANIFEST_NAME]:
        target = place / path.relative_to(staging).as_posix()
        if is_remote(place):
            write_bytes(target, path.read_bytes())
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    remove_file(place / _MARK)


def _is_whole(place: Path) -> bool:
    """Return whether a folder is certainly a dataset of tdbs, even if its replacement was interrupted."""
    if (place / _MARK).is_file():
        return True
    try:
        return bool(read_manifest(place))
    except DatasetError:
        return False


def _check_link(place: Path) -> None:
    """Refuse a place that is another user's link, or a link that leads nowhere."""
    if not place.is_symlink():
        return
    if not is_mine(place) and place.lstat().st_uid != 0:
        raise DatasetError(f"{place} is a link that another user made.", next_step="Pass another --out.")
    if not place.exists():
        raise DatasetError(f"{place} is a link that leads nowhere.", next_step="Remove it, or pass another --out.")


def _refuse_links(place: Path) -> None:
    """Refuse links with names that tdbs makes in a dataset's folder: nothing is written or removed through them."""
    for path in () if is_remote(place) else place.iterdir():
        if _OWN_NAMES.fullmatch(path.name):
            for link in (path, *links_below(path)):
                refuse_link(link, DatasetError)


def _is_ours(place: Path) -> bool:
    """Return whether tdbs made the folder: by a manifest, by our mark, or by our shards beside a damaged manifest."""
    if (place / _MARK).exists():
        return True
    try:
        fields = read_json(place / MANIFEST_NAME, FORM)
    except DatasetError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False
        fields = None
    whole = isinstance(fields, dict) and {"schema_version", "key_parts"} <= fields.keys()
    return whole or bool(_shards(place))


def _foreign(place: Path, name: str) -> DatasetError:
    return DatasetError(f"{place} contains a {name} that tdbs did not write.", next_step="Pass another --out.")


def _own_lists(place: Path) -> tuple[str, ...]:
    """Return the lists of rows in the folder that are tdbs's own."""
    if (place / _MARK).exists():
        return LIST_NAMES
    try:
        fields = read_json(place / MANIFEST_NAME, FORM)
    except DatasetError:
        return ()
    if not isinstance(fields, dict):
        return ()
    duplicates = fields.get("duplicates")
    listing = duplicates.get("listing") if isinstance(duplicates, dict) else None
    named = {SKIPPED_NAME: fields.get("skipped"), DUPLICATES_NAME: listing}
    return tuple(name for name, file in named.items() if file is not None)


def _shards(place: Path) -> list[Path]:
    """Return the files of the folder that have the place and name of a shard or of references; none behind a link."""
    shards = place.glob("*/bucket=*/part-*.parquet")
    references = place.glob("references/*.parquet")
    found = [path for path in shards if _SHARD_NAME.fullmatch(f"{path.parent.name}/{path.name}")] + [
        path for path in references if _REFERENCES_NAME.fullmatch(f"{path.parent.name}/{path.name}")
    ]
    return found if is_remote(place) else [path for path in found if not _is_behind_link(path, place)]


def _is_behind_link(path: Path, place: Path) -> bool:
    below = [path, *path.parents]
    return any(each.is_symlink() for each in below[: below.index(place)])


def _remove_empty(folder: Path, *, up_to: Path) -> None:
    while folder != up_to and folder.is_dir() and not any(folder.iterdir()):
        remove_if_empty(folder)
        folder = folder.parent
