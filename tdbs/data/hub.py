"""Find the tables of a task with a short name: in a mirror folder, or on the hub and in its cache."""

from pathlib import Path

import pyarrow as pa

from tdbs.data.tasks import HubTask
from tdbs.errors import SourceError, reason_of
from tdbs.files import exists
from tdbs.shown import fitted


def mirror_files(hub: HubTask, mirror: Path) -> dict[str, Path]:
    """Return DIR/<short name>/<split>.parquet of every split that is there; train must be."""
    folder = mirror / hub.task.name
    files = {split: folder / f"{split}.parquet" for split in hub.splits}
    if not exists(folder) or not files["train"].is_file():
        raise SourceError(
            fitted("The mirror has no file {file}.", file=files["train"]),
            next_step="Put it there, or pass --mirror (or set TDBS_MIRROR) with the folder that contains "
            f"{hub.task.name}.",
        )
    return {split: path for split, path in files.items() if path.is_file()}


def hub_tables(hub: HubTask) -> dict[str, pa.Table]:
    """Return the tables of a task from the hub, or from the cache that `datasets` keeps of it."""
    import datasets

    try:
        loaded = datasets.load_dataset(hub.hub_id, hub.configuration)
    except Exception as error:  # no network, HF_HUB_OFFLINE, a proxy, nothing in the cache: a dozen kinds
        raise SourceError(
            fitted("Cannot load " + hub.task.name + " from the hub: {reason}.", reason=reason_of(error)),
            next_step="Without a network, pass --mirror DIR (or set TDBS_MIRROR) "
            f"with the files DIR/{hub.task.name}/<split>.parquet.",
        ) from error
    return {split: loaded[split].with_format("arrow")[:] for split in hub.splits if split in loaded}
