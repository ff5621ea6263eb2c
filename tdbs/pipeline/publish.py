"""Put a finished dataset in its place, whole or not at all, and never over anything that is not ours.

Shards are made in a hidden folder beside the place. Publishing moves them in, the manifest last; whatever fails
before that leaves the place as it was.
"""

import shutil
import tempfile
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
        place.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as error:
        raise DatasetError(
            f"{place.parent} cannot be written: {error.strerror}.", next_step="Pass another --out."
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_place(place: Path, *, overwrite: bool) -> Manifest | None:
    """Return the manifest of the dataset that stands at `place`, if any; refuse what is not ours to replace."""
    if place.exists() and not place.is_dir():
        raise DatasetError(f"{place} is a file.", next_step="Pass another --out.")
    if (place / MANIFEST_NAME).exists():
        return read_manifest(place)
    if place.is_dir() and any(place.iterdir()) and not overwrite:
        raise DatasetError(
            f"{place} holds something else than a prepared dataset.",
            next_step="Pass another --out, or --overwrite to prepare into it; files that tdbs did not write stay.",
        )
    return None


def publish(staging: Path, place: Path, manifest: Manifest, *, replaced: Manifest | None) -> None:
    """Move the shards from `staging` to `place`, replacing those of the dataset that stood there; manifest last."""
    if replaced is not None:
        (place / MANIFEST_NAME).unlink()
        for split in replaced.splits.values():
            for shard in split.shards:
                (place / shard.path).unlink(missing_ok=True)
                _remove_empty(place / Path(shard.path).parent, up_to=place)
    shards = [shard.path for split in manifest.splits.values() for shard in split.shards]
    for path in (*shards, TOKENIZER_NAME):
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (staging / path).replace(target)
    write_manifest(place, manifest)


def _remove_empty(folder: Path, *, up_to: Path) -> None:
    while folder != up_to and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
