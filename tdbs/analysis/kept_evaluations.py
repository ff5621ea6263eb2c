"""What was found of a run under conditions, kept in its folder: `evaluations/<split>-<what was asked>.json`.

The name has a hash over the question and the dataset, so asking again replaces that file and no other. Training the
run anew removes them: they are of the model that was.
"""

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tdbs.analysis.condition import Asked, ConditionRow
from tdbs.analysis.environment import device_name
from tdbs.errors import TrainingError
from tdbs.files import make_folder, name_in_folder, sha256_of, write_json
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.edits import TextEdit
from tdbs.records import Form, read_record
from tdbs.removal import refuse_link
from tdbs.train.run_folder import EVALUATIONS_FOLDER

_FORM = Form(what="an evaluation of tdbs", error=TrainingError, next_step="Remove it, and evaluate again.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Evaluation:
    """What is read of an evaluation."""

    date: str
    rows: tuple[ConditionRow, ...]


def evaluation_path(run: Path, dataset: PreparedDataset, split: str, asked: Asked) -> Path:
    """Return where what is found of a run is kept: the same question, the same file."""
    question = json.dumps([dataset.manifest.key, split, _plain(asked)], sort_keys=True)
    return run / EVALUATIONS_FOLDER / f"{name_in_folder(split)}-{sha256_of(question.encode())[:12]}.json"


def check_kept(run: Path) -> None:
    """Refuse a run whose folder of evaluations is a link: nothing is written through it."""
    refuse_link(run / EVALUATIONS_FOLDER, next_step="Remove the link.")


def keep_evaluation(
    run: Path, dataset: PreparedDataset, split: str, asked: Asked, rows: Sequence[ConditionRow]
) -> None:
    """Write what was found of a run into its folder."""
    make_folder(run / EVALUATIONS_FOLDER)
    write_json(
        evaluation_path(run, dataset, split, asked),
        {
            "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="milliseconds"),
            "device": device_name(),
            "dataset": {"key": dataset.manifest.key, "source": dataset.manifest.source},
            "split": split,
            "asked": _plain(asked),
            "rows": [{name: value for name, value in asdict(row).items() if name != "run"} for row in rows],
        },
    )


def kept_rows(path: Path) -> list[ConditionRow] | None:
    """Return what was found of a run before; None where nothing was."""
    if not path.exists():
        return None
    return _rows(path, read_record(path, _Evaluation, _FORM))


def newest_over_rates(run: Path) -> list[ConditionRow]:
    """Return what was found last of a run at two drop rates or more; nothing where no evaluation has them."""
    newest: tuple[str, list[ConditionRow]] = ("", [])
    for path in sorted((run / EVALUATIONS_FOLDER).glob("*.json")):
        found = read_record(path, _Evaluation, _FORM)
        rows = [row for row in _rows(path, found) if row.drop_rate is not None]
        if len(rows) > 1 and found.date >= newest[0]:
            newest = (found.date, rows)
    return newest[1]


def _rows(path: Path, found: _Evaluation) -> list[ConditionRow]:
    return [replace(row, run=str(path.parents[1])) for row in found.rows]


def _plain(asked: Asked) -> dict[str, Any]:
    """Return a question as values for JSON."""
    return {
        "conditions": [
            {
                "name": condition.name,
                "drop_rate": condition.drop_rate,
                "batches": condition.batches,
                "rules": [] if condition.edit is None else _rules(condition.edit),
            }
            for condition in asked.conditions
        ],
        "draws": asked.draws,
        "seed": asked.seed,
        "timed": asked.timed,
    }


def _rules(edit: TextEdit) -> list[list[str]]:
    """Return the patterns of the user's edits; of a removal its name says all."""
    return [[pattern.pattern, by] for pattern, by in edit.rules if isinstance(by, str)]
