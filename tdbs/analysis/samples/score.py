"""Score the train samples of a run: how well it learned each one, and which labels are likely wrong.

How well the run knows its labels is what its last epoch predicts. A data diet's last epoch lacks the samples that were
easy before, so its trained model predicts a random part of the samples then.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.analysis.samples.by_model import scores_by_model
from tdbs.analysis.samples.label_errors import TrainFit, likeliest_label_errors, train_fit
from tdbs.analysis.samples.summary import AUM, CORRECT, EPOCHS, FORGETTING, Summary, summarize
from tdbs.arrays import IntArray
from tdbs.errors import TrainingError, at_least
from tdbs.files import new_file
from tdbs.given import Place, checked, text_of
from tdbs.pipeline.dataset import AnyDataset, PreparedDataset, opened, read_split, split_info
from tdbs.pipeline.sample_texts import SampleText, read_columns, read_texts
from tdbs.pipeline.schema import LABEL, SAMPLE_ID, SOURCE_ROW
from tdbs.removal import refuse_link
from tdbs.rng import RandomPurpose, stream
from tdbs.shown import shown
from tdbs.train.evaluate import check_same_data, load_trained, own_dataset
from tdbs.train.feed import TRAIN
from tdbs.train.run_folder import ACCURACY_OF_SCORES, SCORES_NAME, SOURCE_OF_SCORES, Run, read_run
from tdbs.train.run_scores import check_scored_kind
from tdbs.train.sample_records import MARGIN, PREDICTED, SCORE_NAMES, EpochRecord, has_epoch, read_epoch

# Shapes: N samples of the train split, M samples with scores, T those that the trained model predicts.

SHOWN_ERRORS = 10
_PREDICTED_AT_END = 2000  # samples; their accuracy is within 3.4 points of that of all in 99.7 % of draws


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelError:
    """A sample whose label is likely wrong."""

    source_row: int  # from 0
    text: str  # as its tokens have it
    pair: str | None  # second text
    label: str
    predicted: str  # when the run last saw the sample
    score: float  # area under the margin, or margin: the lower, the likelier


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreResult:
    """The scores of a run's train samples; the fields are the JSON keys of `tdbs score`."""

    run: str
    dataset: str
    scores: str  # the Parquet file
    rows: int  # samples that have scores
    columns: list[str]
    source: str  # epochs: as the run recorded them; model: the trained model, in evaluation mode
    epochs: int  # recorded epochs that the scores are of
    missing_epochs: list[int]  # epochs whose scores the run lacks though it has others: the trained model is scored
    train_fit: TrainFit | None  # how well the run knows its labels; None: samples do not have one class each
    suspected: int  # samples whose label may be wrong
    label_errors: list[LabelError]  # the likeliest of them
    ranked_by: str | None  # the column that ranks them; None: samples do not have one class each
    seconds: float

    def __repr__(self) -> str:
        return shown(f"<ScoreResult of {self.run}: {self.rows:,} samples, {self.suspected:,} suspected labels>")


@checked
def score(run: Place, *, label_errors: int = SHOWN_ERRORS, dataset: AnyDataset | None = None) -> ScoreResult:
    """Score each train sample of a finished run, and write the scores into the run's folder (`scores.parquet`).

    Classification: loss, EL2N, margin and predicted class of the sample's last epoch, area under the margin, forgetting
    events and epochs in which it was right. Regression and several labels: the loss. A run without records of its
    epochs, as of an older version, is scored with its trained model: then there is neither area nor forgetting.

    Args:
        run: Folder of a finished run, or what `train` returned.
        label_errors: Number of likeliest label errors to return with their texts.
        dataset: The dataset that the run was trained on, if it is elsewhere now. None: the place that the run names.

    Returns:
        The file of the scores, its columns, and the likeliest label errors.

    Raises:
        ConfigError: Samples of the task have no scores, or the run names its dataset by a URL and none is given.
        DatasetError: The dataset is missing, damaged, or is not the run's.
        ModelError: The trained model cannot be loaded.
        TrainingError: The folder is not a run, it did not finish or lacks its model, or its records are damaged.
    """
    started = time.perf_counter()
    at_least("--label-errors", label_errors, 0)
    read = read_run(Path(run))
    check_scored_kind(read.config["task"]["kind"])
    if read.result is None:
        raise TrainingError(f"The run {read.path} did not finish.", next_step="Continue it with tdbs train --resume.")
    source = own_dataset(read, command="score") if dataset is None else opened(dataset)
    check_same_data(read, source)
    rows = split_info(source, TRAIN).rows
    epochs = int(read.config["epochs"])
    missing = [epoch for epoch in range(epochs) if not has_epoch(read.path, epoch)]
    recorded = not missing
    found = summarize(_epochs(read, epochs, rows) if recorded else [_by_model(read, source)], rows=rows)
    table = _table(source, found, recorded=recorded)
    fit = _fit(read, source, table, found) if MARGIN in found.last else None
    if fit is not None:
        noted = {**table.schema.metadata, ACCURACY_OF_SCORES: repr(fit.accuracy)}
        table = table.replace_schema_metadata(noted)
    place = read.path / SCORES_NAME
    refuse_link(place, TrainingError)
    with new_file(place) as hidden:
        pq.write_table(table, hidden, compression="zstd")
    suspected, ranked_by = _suspected(table)
    return ScoreResult(
        run=text_of(run),
        dataset=str(source.path),
        scores=str(place),
        rows=len(table),
        columns=table.column_names,
        source="epochs" if recorded else "model",
        epochs=epochs if recorded else 0,
        missing_epochs=missing if len(missing) < epochs else [],
        train_fit=fit,
        suspected=len(suspected),
        label_errors=_described(source, table, suspected[:label_errors], ranked_by),
        ranked_by=ranked_by,
        seconds=time.perf_counter() - started,
    )


def _epochs(run: Run, epochs: int, rows: int) -> Iterator[EpochRecord]:
    read = partial(read_epoch, run.path, names=SCORE_NAMES[run.config["task"]["kind"]], rows=rows)
    return (read(epoch) for epoch in range(epochs))


def _by_model(run: Run, dataset: PreparedDataset, sample_ids_T: IntArray | None = None) -> EpochRecord:
    """Return the scores of some samples by the trained model; None: of all."""
    loaded, split, manifest = load_trained(run, dataset), read_split(dataset, TRAIN), dataset.manifest
    pad_id = manifest.tokenizer.pad_id
    return scores_by_model(loaded, split, manifest.task.kind, pad_id=pad_id, sample_ids_S=sample_ids_T)


def _fit(run: Run, dataset: PreparedDataset, table: pa.Table, found: Summary) -> TrainFit:
    """Return how well the run knows its labels at the end, for classes.

    The scores of samples that the last epoch left out are of an earlier model, which had them right.
    """
    labels_M = table[LABEL].to_numpy()
    if found.ends_whole:
        return train_fit(labels_M, float((labels_M == table[PREDICTED].to_numpy()).mean()))
    count = min(_PREDICTED_AT_END, len(table))
    drawn_T = np.sort(stream(RandomPurpose.TRAIN_FIT, seed=0).choice(len(table), count, replace=False))
    predicted_T = _by_model(run, dataset, found.sample_ids_M[drawn_T]).column(PREDICTED)
    return train_fit(labels_M, float((labels_M[drawn_T] == predicted_T).mean()))


def _table(dataset: PreparedDataset, found: Summary, *, recorded: bool) -> pa.Table:
    """Return the scores as they are written, in sample_id order."""
    is_classes = dataset.manifest.task.kind == "classification"
    rows = read_columns(dataset, TRAIN, (SOURCE_ROW, *((LABEL,) if is_classes else ())))
    columns: dict[str, Any] = {SAMPLE_ID: found.sample_ids_M}
    columns |= {name: values_N[found.sample_ids_M] for name, values_N in rows.items()}
    for name, values_M in found.last.items():
        columns[name] = values_M.astype(np.int32) if name == PREDICTED else values_M
    if recorded:
        of_epochs = {AUM: found.aum_M, FORGETTING: found.forgetting_M, CORRECT: found.correct_M, EPOCHS: found.epochs_M}
        columns |= {name: values_M for name, values_M in of_epochs.items() if values_M is not None}
    contents = dataset.manifest.key_parts.get("source", "")
    return pa.table(columns).replace_schema_metadata({SOURCE_OF_SCORES: contents})


def _suspected(table: pa.Table) -> tuple[IntArray, str | None]:
    """Return the places of samples whose label is likely wrong, the likeliest first, and the column that ranks them."""
    if MARGIN not in table.column_names:
        return np.empty(0, dtype=np.int64), None
    ranked_by = AUM if AUM in table.column_names else MARGIN
    margins_M, labels_M, predicted_M = (table[name].to_numpy() for name in (ranked_by, LABEL, PREDICTED))
    return likeliest_label_errors(margins_M, labels_M, predicted_M), ranked_by


def _described(dataset: PreparedDataset, table: pa.Table, places: IntArray, ranked_by: str | None) -> list[LabelError]:
    """Return some samples with their texts and the names of their classes."""
    if ranked_by is None or not len(places):
        return []
    chosen = table.take(pa.array(places)).to_pylist()
    texts: dict[int, SampleText] = read_texts(dataset, TRAIN, np.array([row[SAMPLE_ID] for row in chosen]))
    classes = dataset.manifest.task.classes
    return [
        LabelError(
            source_row=row[SOURCE_ROW],
            text=texts[row[SAMPLE_ID]].text,
            pair=texts[row[SAMPLE_ID]].pair,
            label=classes[row[LABEL]],
            predicted=classes[row[PREDICTED]],
            score=row[ranked_by],
        )
        for row in chosen
    ]
