"""`--keep`: the train samples that a file lists by their source rows, or the hardest share of a scored run.

The hardest have the highest EL2N that `tdbs score` wrote; if samples do not have one class each, the highest loss.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.arrays import IntArray
from tdbs.errors import ConfigError, reason_of
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.sample_texts import read_columns
from tdbs.pipeline.schema import SOURCE_ROW
from tdbs.settings import TrainSettings
from tdbs.shown import fitted, is_number
from tdbs.train.planning.subsets import EVERY_SAMPLE, Subset, count_of, hardest
from tdbs.train.run_scores import read_scores, unreadable_scores

# Shapes: R rows of the source, N samples of the train split, M those that are kept.

_RANKS = ("el2n", "loss")  # the first one that the scores have


def subset_of(settings: TrainSettings, dataset: PreparedDataset, split: str) -> Subset:
    """Return the samples of a split that settings let a run train on.

    Raises ConfigError if the rows of `--keep` cannot be read or are not those of the split, or if samples do
    not have one class each with `--data-diet`.
    """
    kind = dataset.manifest.task.kind
    if settings.data_diet is not None and kind != "classification":
        raise ConfigError(
            f"--data-diet ranks samples by EL2N, which needs one class for each sample; this task is "
            f"{kind.replace('_', ' ')}.",
            next_step="Leave --data-diet out, or list the samples to train on with --keep.",
        )
    if settings.keep_samples is None:
        return EVERY_SAMPLE if settings.data_diet is None else Subset(diet=settings.data_diet)
    return Subset(kept_M=kept_samples(settings.keep_samples, dataset, split), diet=settings.data_diet)


def kept_samples(given: str, dataset: PreparedDataset, split: str) -> IntArray:
    """Return the samples of a split that `--keep FILE` or `--keep RUN:FRACTION` names, ascending (M)."""
    run, _, share = given.rpartition(":")
    source_rows_N = read_columns(dataset, split, (SOURCE_ROW,))[SOURCE_ROW]
    if run and is_number(share) and not Path(given).exists():
        rows_R = _hardest_rows(Path(run), float(share), dataset, source_rows_N)
    else:
        rows_R = _listed_rows(Path(given))
    unknown_R = rows_R[~np.isin(rows_R, source_rows_N)]
    if len(unknown_R):
        raise ConfigError(
            f"--keep lists row {unknown_R[0]} of the source, which the {split} split does not have.",
            next_step="Count rows from 0 in the source; rows that were held out, skipped or dropped are not there.",
        )
    return np.flatnonzero(np.isin(source_rows_N, rows_R))


def _hardest_rows(run: Path, share: float, dataset: PreparedDataset, source_rows_N: IntArray) -> IntArray:
    """Return the source rows of the share of samples that has a run's highest scores, among those that it scored."""
    if not 0 < share <= 1:
        raise ConfigError(
            f"The fraction of --keep must be above 0 and at most 1, got {share:g}.",
            next_step=f"Pass a fraction such as --keep {run}:0.5.",
        )
    table = read_scores(run, dataset)
    rank = next((name for name in _RANKS if name in table.column_names), None)
    if rank is None:
        raise unreadable_scores(run, f"it has none of {', '.join(_RANKS)}")
    rows_R, scores_R = table[SOURCE_ROW].to_numpy(), table[rank].to_numpy()
    is_here_R = np.isin(rows_R, source_rows_N)  # the dataset may leave out rows that the run had
    rows_R, scores_R = rows_R[is_here_R], scores_R[is_here_R]
    if not len(rows_R):
        raise ConfigError(
            f"The run {run} scored no sample of {dataset.path}.", next_step="Name a run on the same rows of the source."
        )
    return rows_R[hardest(scores_R, count_of(share, len(rows_R)))]


def _listed_rows(file: Path) -> IntArray:
    """Return the source rows that a file lists: a Parquet file's column `source_row`, or a number a line."""
    if not file.is_file():
        reason = "it is a folder" if file.is_dir() else "there is no such file"
        raise ConfigError(
            fitted("--keep {file}: {reason}.", file=file, reason=reason),
            next_step="Pass a file of source rows, or RUN:FRACTION, such as runs/first:0.5, of a scored run.",
        )
    try:
        if file.suffix == ".parquet":
            rows_R = pq.read_table(file, columns=[SOURCE_ROW])[SOURCE_ROW].to_numpy()
        else:
            rows_R = _numbers(file.read_text(encoding="utf-8-sig").split())
        if not (len(rows_R) and np.issubdtype(rows_R.dtype, np.integer)):
            raise ValueError("it has no whole numbers")
    except (OSError, ValueError, KeyError, OverflowError, pa.ArrowException) as error:
        raise ConfigError(
            fitted("--keep {file} does not list source rows: {reason}.", file=file, reason=reason_of(error)),
            next_step=f"Write one number a line, from 0, or a Parquet file with a column {SOURCE_ROW}.",
        ) from error
    return np.unique(rows_R.astype(np.int64))


def _numbers(words: Sequence[str]) -> IntArray:
    """Return the whole numbers that words are. Raises ValueError, which names the first that is none."""
    other = next((word for word in words if not word.isdecimal()), None)
    if other is not None:
        raise ValueError(f"'{other}' is not a whole number from 0")
    return np.array(list(map(int, words)), dtype=np.int64)
