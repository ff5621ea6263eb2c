"""What marks a run's folder, which is not a dataset: its configuration, which names the dataset that it trains on."""

from pathlib import Path
from typing import Any

from tdbs.errors import DatasetError
from tdbs.records import Form, read_toml
from tdbs.shown import shown

RUN_CONFIG_NAME = "config.toml"
RUN_KEY = "plan_digest"  # which only tdbs writes into such a file
_FORM = Form(what="a run", error=DatasetError, next_step="Pass a prepared dataset.")


def refuse_run(folder: Path) -> None:
    """Raise DatasetError if a folder, which is to be a dataset, is a run; its next step names the run's dataset."""
    if not (folder / RUN_CONFIG_NAME).is_file():
        return
    try:
        config = read_toml(folder / RUN_CONFIG_NAME, _FORM)
    except DatasetError:  # a file of another program
        return
    if RUN_KEY in config:
        raise DatasetError(
            f"{folder} is a run, not a prepared dataset.",
            next_step=f"Pass its dataset{_named(config)}; or run tdbs report, evaluate, score or predict on the run.",
        )


def _named(config: dict[str, Any]) -> str:
    """Return the dataset's place, as the run recorded it."""
    dataset = config.get("dataset")
    path = dataset.get("path") if isinstance(dataset, dict) else None
    return f", {shown(path)}" if isinstance(path, str) and path else ""
