"""Put a finished dataset in its place, whole or not at all, and never over anything that is not ours.

Shards are made in a hidden folder. Publishing moves them in, the manifest last. Whatever fails before publishing leaves
the place as it was; where an old dataset is replaced, it goes as publishing begins.
"""

import re
import shutil
from pathlib import Path

from tdbs.errors import DatasetError
from tdbs.files import is_remote
from tdbs.pipeline.dataset import TOKENIZER_NAME
from tdbs.pipeline.manifest import FORM, MANIFEST_NAME, Manifest, read_manifest, write_manifest
from tdbs.records import read_json

_MARK = ".tdbs-publishing"
_COPY = ".tdbs-copying"
_SHARD_NAME = re.compile(r"bucket=\d{3,}-\d{3,}/part-\d{5}\.parquet")
_REFERENCES_NAME = re.compile(r"references/(train|validation\w*|test\w*)\.parquet")


def check_place(place: Path, *, overwrite: bool) -> Manifest | None:
    """Return the manifest of the dataset that stands at `place`, if it may stay; refuse what is not ours to replace."""
    if is_remote(place):
        place.fs.invalidate_cache()  # type: ignore[attr-defined]  # another process may have written there meanwhile
    if place.exists() and not place.is_dir():
        raise DatasetError(f"{place} is a file.", next_step="Pass another --out.")
    if not place.is_dir() or all(path.name == _COPY for path in place.iterdir()):
        return None
    if (place / MANIFEST_NAME).exists() and not overwrite:
        return read_manifest(place)
    if _is_ours(place):
        return None
    if not overwrite:
        raise DatasetError(
            f"{place} holds something else than a prepared dataset.",
            next_step="Pass another --out, or --overwrite to prepare into it; files that tdbs did not write stay.",
        )
    for name in (MANIFEST_NAME, TOKENIZER_NAME):
        if (place / name).exists():
            raise DatasetError(f"{place} holds a {name} that tdbs did not write.", next_step="Pass another --out.")
    return None


def publish(staging: Path, place: Path, manifest: Manifest) -> None:
    """Move a dataset from `staging` to `place`: in one step where nothing stands there.

    Else the old manifest goes first and the new one comes last, so that nobody reads a mixture; a mark tells the next
    `prepare` of an interruption in between. Of what stands there only files of ours are removed.
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
    shutil.rmtree(copied, ignore_errors=True)  # what a kill left
    try:
        _move(Path(shutil.copytree(staging, copied)), place)
    finally:
        shutil.rmtree(copied, ignore_errors=True)


def _move(staging: Path, place: Path) -> None:
    if not is_remote(place) and not place.exists():
        staging.rename(place)
        return
    replaced = _is_ours(place)
    (place / _MARK).touch()
    if replaced:
        (place / MANIFEST_NAME).unlink(missing_ok=True)
        (place / TOKENIZER_NAME).unlink(missing_ok=True)
        for shard in _shards(place):
            shard.unlink()
            _remove_empty(shard.parent, up_to=place)
    files = [path for path in staging.rglob("*") if path.is_file() and path.name != MANIFEST_NAME]
    for path in [*files, staging / MANIFEST_NAME]:
        target = place / path.relative_to(staging).as_posix()
        if is_remote(place):
            target.write_bytes(path.read_bytes())
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    (place / _MARK).unlink()


def _is_ours(place: Path) -> bool:
    """Tell whether tdbs made the folder: by a manifest, by our mark, or by our shards beside a damaged manifest."""
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


def _shards(place: Path) -> list[Path]:
    """Return the files of the folder that have the place and name of a shard or of references."""
    shards = place.glob("*/bucket=*/part-*.parquet")
    references = place.glob("references/*.parquet")
    return [path for path in shards if _SHARD_NAME.fullmatch(f"{path.parent.name}/{path.name}")] + [
        path for path in references if _REFERENCES_NAME.fullmatch(f"{path.parent.name}/{path.name}")
    ]


def _remove_empty(folder: Path, *, up_to: Path) -> None:
    while folder != up_to and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
