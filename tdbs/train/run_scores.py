"""Read the scores of a run's train samples (`scores.parquet` of `tdbs score`), for a dataset of its source."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.data.tasks import TaskKind
from tdbs.errors import ConfigError, reason_of
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.schema import SOURCE_ROW
from tdbs.train.run_folder import SCORES_NAME, SOURCE_OF_SCORES, read_run
from tdbs.train.sample_records import SCORE_NAMES


def read_scores(run: Path, dataset: PreparedDataset) -> pa.Table:
    """Return the scores of a run's samples, a row each with its `source_row`.

    Args:
        run: Folder of a run that `tdbs score` has scored.
        dataset: A dataset of the same source; tokenizer and lengths may differ.

    Raises:
        ConfigError: The run has no scores, or its task has none, they cannot be read, or they are of another source.
        TrainingError: The folder is not a run.
    """
    check_scored_kind(read_run(run).config["task"]["kind"])
    place = run / SCORES_NAME
    if not place.exists():
        raise ConfigError(f"The run {run} is not scored.", next_step=f"Run: tdbs score {run}")
    try:
        table = pq.read_table(place)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable_scores(run, reason_of(error)) from error
    if SOURCE_ROW not in table.column_names:
        raise unreadable_scores(run, f"it has no column {SOURCE_ROW}")
    contents = (table.schema.metadata or {}).get(SOURCE_OF_SCORES, b"").decode("utf-8", "replace")
    if contents != dataset.manifest.key_parts.get("source"):
        raise ConfigError(
            f"The run {run} was trained on another source than that of {dataset.path}.",
            next_step="Name a run on the same source.",
        )
    return table


def check_scored_kind(kind: TaskKind) -> None:
    """Refuse a kind of task whose samples have no scores."""
    if kind not in SCORE_NAMES:
        raise ConfigError(
            f"Samples of {kind.replace('_', ' ')} have no scores.",
            next_step="Score a run of classification, regression or several labels.",
        )


def unreadable_scores(run: Path, reason: str) -> ConfigError:
    """Return the error for a file of scores that is not what `tdbs score` writes."""
    return ConfigError(f"{run / SCORES_NAME} cannot be read: {reason}.", next_step=f"Run: tdbs score {run}")
