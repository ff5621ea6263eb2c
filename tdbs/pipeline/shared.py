"""What of a prepared dataset is for others: the files of its manifest, and the manifest without local places."""

import dataclasses
import re

from tdbs.data.hub_repos import public_name
from tdbs.data.sample import SAMPLE_TASK
from tdbs.data.tasks import HUB_TASKS
from tdbs.errors import DatasetError
from tdbs.pipeline.dataset import TOKENIZER_NAME
from tdbs.pipeline.manifest import Manifest

_SPLIT = r"(train|validation\w*|test\w*)"
_NAMES = re.compile(rf"{_SPLIT}/bucket=\d{{3,}}-\d{{3,}}/part-\d{{5}}\.parquet|references/{_SPLIT}\.parquet")


def is_data_file(name: str) -> bool:
    """Return whether a path below a folder is that of a shard or of references."""
    return _NAMES.fullmatch(name) is not None


def data_files(manifest: Manifest) -> tuple[str, ...]:
    """Return the paths of the shards, the references and the tokenizer: all of a dataset but its manifest.

    Lists of rows that were left out are not among them: they describe a file that others do not have.
    Raises DatasetError for a path that `prepare` gives to no file.
    """
    infos = manifest.splits.values()
    names = [shard.path for info in infos for shard in info.shards]
    names += [info.references.path for info in infos if info.references is not None]
    unusual = next((name for name in names if not is_data_file(name)), None)
    if unusual is not None:
        raise DatasetError(
            f"The manifest names a file that tdbs prepare never writes: {unusual}.",
            next_step="Use another dataset, or prepare it again.",
        )
    return (*names, TOKENIZER_NAME)


def public_manifest(manifest: Manifest) -> Manifest:
    """Return a manifest without places and file names of this machine; the key and all hashes stay.

    The origin stays if it is a short name, which others can open too.
    """
    origin = manifest.origin
    if origin is not None:
        is_named = origin.get("source") in {SAMPLE_TASK.name, *HUB_TASKS}
        origin = {"source": origin["source"], "mirror": None, "prefix": origin.get("prefix")} if is_named else None
    duplicates = manifest.duplicates
    return dataclasses.replace(
        manifest,
        tokenizer=dataclasses.replace(manifest.tokenizer, source=public_name(manifest.tokenizer.source)),
        origin=origin,
        notes=(),  # they quote the user's files
        skipped=None,
        duplicates=None if duplicates is None else dataclasses.replace(duplicates, listing=None),
    )
