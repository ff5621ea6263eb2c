"""Scores of every sample in every epoch, as a run keeps them: `samples/epoch-0.parquet` and so on.

An epoch's scores are collected in memory, go into its checkpoints, and become a file when the epoch ends. So a run
that was resumed has the same files, bit by bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.arrays import IntArray
from tdbs.data.tasks import TaskKind
from tdbs.errors import TrainingError, reason_of
from tdbs.files import make_folder, new_file
from tdbs.pipeline.schema import SAMPLE_ID
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.run_folder import SAMPLES_FOLDER

# Shapes: N samples of the train split, S samples of an epoch, B samples of an update, K scores of a sample.

LOSS, EL2N, MARGIN, PREDICTED = "loss", "el2n", "margin", "predicted"
# The scores of each kind of task; other kinds have none.
SCORE_NAMES: Mapping[TaskKind, tuple[str, ...]] = MappingProxyType(
    {
        "classification": (LOSS, EL2N, MARGIN, PREDICTED),
        "regression": (LOSS,),
        "multi_label": (LOSS,),
    }
)

Scores = npt.NDArray[np.float32]


@dataclass(kw_only=True, slots=True)
class EpochScores:
    """The scores of the current epoch so far; NaN for a sample that has none yet."""

    names: tuple[str, ...]  # none: the task has no scores of samples
    rows: int  # samples of the train split
    values_NK: Scores | None = None  # None: no sample has scores yet

    def take(self, sample_ids_B: IntArray, values_BK: Scores) -> None:
        """Keep the scores of an update's samples."""
        if self.values_NK is None:
            self.values_NK = np.full((self.rows, len(self.names)), np.nan, dtype=np.float32)
        self.values_NK[sample_ids_B] = values_BK

    def close(self, run: Path, plan: EpochPlan, *, writes: bool) -> "EpochRecord | None":
        """Return the scores of an epoch that ends, begin the next one, and `writes`: write the epoch's file.

        An epoch of which some samples have no scores has none, and no file: an older version began it.
        """
        values_NK, self.values_NK = self.values_NK, None
        if values_NK is None:
            return None
        ids_S = np.sort(plan.sample_ids_N)
        if np.isnan(values_NK[ids_S, 0]).any():
            return None
        record = EpochRecord(sample_ids_S=ids_S, values_SK=values_NK[ids_S], names=self.names)
        if writes:
            write_epoch(run, plan.epoch, record)
        return record


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochRecord:
    """The scores of an epoch's samples, in sample_id order."""

    sample_ids_S: IntArray
    values_SK: Scores
    names: tuple[str, ...]

    def column(self, name: str) -> Scores:
        """Return one score of all samples."""
        found: Scores = self.values_SK[:, self.names.index(name)]
        return found


def write_epoch(run: Path, epoch: int, record: EpochRecord) -> None:
    """Write the scores of an epoch into a run's folder."""
    columns = {SAMPLE_ID: pa.array(record.sample_ids_S)}
    for name in record.names:
        values_S = record.column(name)
        columns[name] = pa.array(values_S.astype(np.int32) if name == PREDICTED else values_S)
    place = _place(run, epoch)
    make_folder(place.parent, TrainingError)
    with new_file(place) as hidden:
        pq.write_table(pa.table(columns), hidden, compression="zstd")


def has_epoch(run: Path, epoch: int) -> bool:
    """Return whether a run has the scores of an epoch."""
    return _place(run, epoch).is_file()


def read_epoch(run: Path, epoch: int, *, names: tuple[str, ...], rows: int) -> EpochRecord:
    """Return the scores of an epoch, of some samples of `rows`. Raises TrainingError if the file is damaged."""
    place = _place(run, epoch)
    try:
        table = pq.read_table(place, columns=[SAMPLE_ID, *names])
        ids_S = table[SAMPLE_ID].to_numpy()
        values_SK = np.stack([table[name].to_numpy().astype(np.float32) for name in names], axis=1)
        ascends = len(ids_S) > 0 and bool((np.diff(ids_S) > 0).all())
        if not (ascends and ids_S[0] >= 0 and ids_S[-1] < rows) or np.isnan(values_SK).any():
            raise ValueError(f"its samples are not those of a split of {rows}")
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise TrainingError(
            f"The scores {place} are damaged: {reason_of(error)}.",
            next_step="Remove the file: tdbs score then uses the run's trained model.",
        ) from error
    return EpochRecord(sample_ids_S=ids_S, values_SK=values_SK, names=names)


def _place(run: Path, epoch: int) -> Path:
    return run / SAMPLES_FOLDER / f"epoch-{epoch}.parquet"
