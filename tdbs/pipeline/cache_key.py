"""The cache key of a prepared dataset: computed from contents, never from pickled objects or times.

The same source bytes, tokenizer, words, length, task and schema give the same key, so `prepare` has nothing to do. On a
miss, it says which part changed.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tdbs.data.tasks import Task, task_record
from tdbs.errors import DatasetError
from tdbs.files import name_in_folder, sha256_of
from tdbs.pipeline.duplicates.options import DropRules
from tdbs.pipeline.manifest_file import MANIFEST_NAME, read_manifest
from tdbs.pipeline.schema import SCHEMA_VERSION


def key_parts(
    *,
    source_sha256: str,
    readings: Mapping[str, int],
    task: Task,
    tokenizer_sha256: str,
    words_sha256: str,
    max_length: int,
    stride: int | None,
    max_target_length: int | None,
    rules: DropRules | None = None,
) -> dict[str, str]:
    """Return the named parts of the key; `readings` are versions of the rules for users' files, by what they read.

    Rules by which rows are left out are a part if there are any: datasets without them keep their keys.
    """
    return {
        **{name: str(version) for name, version in readings.items()},
        "source": source_sha256,
        "task": sha256_of(json.dumps(task_record(task), sort_keys=True).encode()),
        "tokenizer": tokenizer_sha256,
        "droppable words": words_sha256,
        "max length": str(max_length),
        "stride": str(stride),
        "max target length": str(max_target_length),
        "schema version": str(SCHEMA_VERSION),
        **({} if rules is None else rules.key_parts()),
    }


def key_of(parts: Mapping[str, str]) -> str:
    """Return the key: one hash over all parts."""
    return sha256_of(json.dumps(dict(parts), sort_keys=True).encode())


def dataset_name(tokenizer: str, max_length: int, key: str) -> str:
    """Return the name of a dataset's folder."""
    return f"{name_in_folder(tokenizer)}-{max_length}-{key[:8]}"


def changed_parts(parts: Mapping[str, str], others: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Return what differs from the most similar of the other datasets; nothing if there is none."""
    differences = [tuple(name for name in parts if other.get(name) != parts[name]) for other in others]
    return min(differences, key=len, default=())


def neighbouring_parts(folder: Path) -> list[Mapping[str, str]]:
    """Return the key parts of the datasets beside `folder`: of the same source, prepared otherwise."""
    found = []
    for manifest in sorted(folder.parent.glob(f"*/{MANIFEST_NAME}")):
        try:
            found.append(read_manifest(manifest.parent).key_parts)
        except DatasetError:
            continue  # of another version: it cannot say what changed
    return found
