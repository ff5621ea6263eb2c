"""The labels of train that a scored run does not believe (`--scores`), the likeliest errors first."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding
from tdbs.analysis.samples.label_errors import TrainFit, chance_sentence, likeliest_label_errors, train_fit
from tdbs.analysis.samples.summary import AUM, EPOCHS
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.schema import LABEL, SOURCE_ROW
from tdbs.train.run_folder import ACCURACY_OF_SCORES
from tdbs.train.run_scores import read_scores, unreadable_scores
from tdbs.train.sample_records import MARGIN, PREDICTED

# Shapes: N samples of the train split, M samples with scores.


def label_error_findings(contents: Contents, dataset: PreparedDataset, run: Path) -> list[Finding]:
    """Return the train samples whose label is likely wrong by the scores of a run (docs/scores.md).

    Raises:
        ConfigError: The run is not scored, its scores are damaged, are of another source, or are not of classes.
        TrainingError: The folder is not a run.
    """
    table = read_scores(run, dataset)
    ranked_by = AUM if AUM in table.column_names else MARGIN
    if not {ranked_by, LABEL, PREDICTED} <= set(table.column_names):
        raise ConfigError(
            f"The scores of {run} have no margins, which need one class for each sample; its task is "
            f"{contents.manifest.task.kind.replace('_', ' ')}.",
            next_step="Leave --scores out, or name a run of classification.",
        )
    margins_M, labels_M, predicted_M = (table[name].to_numpy() for name in (ranked_by, LABEL, PREDICTED))
    suspected_S = likeliest_label_errors(margins_M, labels_M, predicted_M)
    train_N = contents.source_rows_N[contents.slice_of(0)]
    order_N = np.argsort(train_N)
    wanted_S = table[SOURCE_ROW].to_numpy()[suspected_S]
    places_S = order_N[np.minimum(np.searchsorted(train_N, wanted_S, sorter=order_N), len(train_N) - 1)]
    rows_R = places_S[train_N[places_S] == wanted_S]  # a dataset may lack rows that the run had
    if not contents.has_train or not len(rows_R):
        return []
    fit = _fit(table, run)
    what = f"Samples of train whose label is likely wrong by the {ranked_by} of {run}: {len(rows_R):,}."
    return [
        finding(
            contents,
            "likely_label_errors",
            0,
            rows_R,
            what=f"{what} {chance_sentence(fit)}" if fit.near_chance else what,
            fix="Train a run that learns the labels, then: tdbs score RUN"
            if fit.near_chance
            else f"Read them: tdbs score {run} --label-errors {min(len(rows_R), 100)}",
            severity="note" if fit.near_chance else "warning",
        )
    ]


def _fit(table: pa.Table, run: Path) -> TrainFit:
    """Return how well a scored run knows its labels. Raises ConfigError if an older version scored a data diet."""
    labels_M = table[LABEL].to_numpy()
    noted = table.schema.metadata.get(ACCURACY_OF_SCORES)
    if noted is not None:
        return train_fit(labels_M, float(noted))
    if EPOCHS in table.column_names and len(table[EPOCHS].unique()) > 1:
        raise unreadable_scores(run, "an older version wrote it, which did not know how well a data diet ends")
    return train_fit(labels_M, float((labels_M == table[PREDICTED].to_numpy()).mean()))
