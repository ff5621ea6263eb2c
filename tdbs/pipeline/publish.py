"""Put a finished dataset in its place, whole or not at all, and never over anything that is not ours.

Shards are made in a hidden folder beside the place. Publishing moves them in, the manifest last; whatever fails
before that leaves the place as it was.
"""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tdbs.errors import DatasetError
from tdbs.pipeline.dataset import TOKENIZER_NAME
from tdbs.pipeline.manifest import MANIFEST_NAME, Manifest, read_manifest, write_manifest


@contextmanager
def staging_folder(place: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `place`; it is gone afterwards, whatever happened."""
    try:
        folder = place.parent / f".{place.name}.{uuid.uuid4().hex}"
        folder.mkdir(parents=True)  # with the user's usual rights: it becomes the dataset
    except OSError as error:
        raise DatasetError(
            f"{place.parent} cannot be written: {error.strerror}.", next_step="Pass another --out."
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_place(place: Path, *, overwrite: bool) -> Manifest | None:
    """Return the manifest of the dataset that stands at `place`, if any; refuse what is not ours to replace.

    A folder with our files alone and no manifest is a publication that was interrupted: it is done again.
    """
    if place.exists() and not place.is_dir():
        raise DatasetError(f"{place} is a file.", next_step="Pass another --out.")
    if (place / MANIFEST_NAME).exists():
        if overwrite and not _is_foreign(place / MANIFEST_NAME):
            return None  # readable or damaged, it is replaced
        return read_manifest(place)
    if (
        place.is_dir()
        and not overwrite
        and any(path.is_file() and not _is_ours(path, place) for path in place.rglob("*"))
    ):
        raise DatasetError(
            f"{place} holds something else than a prepared dataset.",
            next_step="Pass another --out, or --overwrite to prepare into it; files that tdbs did not write stay.",
        )
    return None


def publish(staging: Path, place: Path, manifest: Manifest) -> None:
    """Move a dataset from `staging` to `place`: in one step where nothing stands there.

    Else the old manifest goes first and the new one comes last, so that nobody reads a mixture; of what stands there
    only files of ours are removed.
    """
    write_manifest(staging, manifest)
    if not place.exists():
        staging.rename(place)
        return
    (place / MANIFEST_NAME).unlink(missing_ok=True)
    for path in [path for path in place.rglob("*") if path.is_file() and _is_ours(path, place)]:
        path.unlink()
        _remove_empty(path.parent, up_to=place)
    files = [path for path in staging.rglob("*") if path.is_file() and path.name != MANIFEST_NAME]
    for path in [*files, staging / MANIFEST_NAME]:
        target = place / path.relative_to(staging)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _is_ours(path: Path, place: Path) -> bool:
    """Tell whether a file of the folder has the name of something that tdbs writes there."""
    relative = path.relative_to(place)
    shard = relative.match("*/bucket=*/part-*.parquet") and len(relative.parts) == 3
    return shard or str(relative) in (MANIFEST_NAME, TOKENIZER_NAME)


def _is_foreign(manifest: Path) -> bool:
    """Tell whether a manifest.json is somebody else's: whole, and without our schema version."""
    try:
        fields = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and "schema_version" not in fields


def _remove_empty(folder: Path, *, up_to: Path) -> None:
    while folder != up_to and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
