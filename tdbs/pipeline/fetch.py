"""Fetch a prepared dataset that tdbs pushed to the hub: checked file by file, then published as `prepare` does it.

Only files that the manifest names are fetched, into the hub's own cache. They are copied from there, so the dataset
does not change or vanish with that cache. Each repository has a folder of its own: a foreign manifest may claim any
key, and must not stand where `prepare` looks for what it made itself.
"""

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tdbs.data.hub_repos import HubDataset, hub_file, hub_folder
from tdbs.data.tasks import Task
from tdbs.data.understood import column_facts
from tdbs.errors import ConfigError, DatasetError
from tdbs.files import folders_named, to_path
from tdbs.pipeline import publish
from tdbs.pipeline.cache_key import dataset_name
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.manifest_file import MANIFEST_NAME, read_manifest, write_manifest
from tdbs.pipeline.shared import data_files
from tdbs.pipeline.verify import verify
from tdbs.pipeline.work import DATASET_FOLDER, claimed, work_folder

_HUB_FOLDER = "hub"
# options of prepare that decide nothing of what is fetched; the mirror may be set for every call
_TAKEN = ("source", "mirror", "out", "overwrite", "progress", "waiting")


def refuse_options(found: HubDataset, names: Iterable[str]) -> None:
    """Refuse the first of these options of prepare that says how to prepare: on the hub, that is done."""
    for name in names:
        if name not in _TAKEN:
            raise ConfigError(
                f"--{name.replace('_', '-')} has no effect on {found.repo}, which was prepared before it was pushed.",
                next_step="Leave the option out, or prepare the texts themselves.",
            )


def fetch(
    found: HubDataset, *, data: Path, out: str | Path | None, overwrite: bool, waiting: Callable[[Path], None]
) -> tuple[PreparedDataset, bool]:
    """Return a dataset of the hub on this machine, and whether it was there already.

    Args:
        found: Its repository, and the state to fetch.
        data: Folder of datasets without a place of their own.
        out: Its folder; None puts it below hub/USER/NAME in `data`.
        overwrite: Replace another dataset in that folder.
        waiting: Called once with the folder if another process is preparing it.

    Raises:
        SourceError: The hub cannot be reached, or has no such dataset.
        DatasetError: The dataset is damaged, or another one is in its place.
    """
    first = hub_file(found, MANIFEST_NAME).parent
    state = dataclasses.replace(found, revision=first.name)  # later files are of the same commit
    manifest = read_manifest(first)
    names = data_files(manifest)
    name = dataset_name(manifest.tokenizer.name, manifest.longest_input, manifest.key)
    place = data / _HUB_FOLDER / folders_named(found.repo) / name if out is None else to_path(out)
    if _is_there(place, manifest, overwrite=overwrite):
        return PreparedDataset(path=place, manifest=read_manifest(place)), True
    folder = hub_folder(state, names)
    with claimed(place, waiting=waiting), work_folder(place, manifest.key, fresh=overwrite) as work:
        if _is_there(place, manifest, overwrite=overwrite):  # another process may have fetched it meanwhile
            return PreparedDataset(path=place, manifest=read_manifest(place)), True
        _copy_checked(folder, work / DATASET_FOLDER, names, manifest, repo=found.repo)
        publish.publish(work / DATASET_FOLDER, place, manifest)
    return PreparedDataset(path=place, manifest=manifest), False


def fetched_facts(manifest: Manifest) -> Mapping[str, Any]:
    """Return what is understood of a dataset that was prepared elsewhere, as `tdbs.data.understood` has it."""
    task: Task = manifest.task
    return {
        "name": manifest.source,
        "files": [],
        "columns": column_facts(task.columns),
        "kind": task.kind,
        "classes": list(task.classes),
    }


def _is_there(place: Path, manifest: Manifest, *, overwrite: bool) -> bool:
    """Return whether the dataset is in its place already, with the same files; refuse any other one."""
    standing = publish.check_place(place, overwrite=overwrite)
    if standing is not None and (standing.key, standing.splits) != (manifest.key, manifest.splits):
        raise DatasetError(f"{place} contains another dataset.", next_step="Pass another --out, or --overwrite.")
    return standing is not None


def _copy_checked(folder: Path, copied: Path, names: tuple[str, ...], manifest: Manifest, *, repo: str) -> None:
    """Copy the files out of the hub's cache. Raises DatasetError for the first one that the manifest does not prove."""
    for name in names:
        if not (folder / name).is_file():
            raise _damaged(repo, name, "is missing")
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, copied / name)
    write_manifest(copied, manifest)
    problems = verify(copied).problems
    if problems:
        raise _damaged(repo, problems[0].file, problems[0].problem)


def _damaged(repo: str, file: str, problem: str) -> DatasetError:
    return DatasetError(
        f"The dataset {repo} on the hub is damaged: {file} {problem}.",
        next_step="Ask its owner to push it again, or fetch an older state: hub:USER/NAME@REVISION.",
    )
