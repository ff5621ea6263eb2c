"""Fine-tune on a part of SQuAD of which half the questions have no answer: does a model learn when to leave one empty?

python -m benchmarks.bench_squad_v2 MIRROR --model FOLDER [--every 20] [--epochs 2] [--strategy reach] [--lr 1e-4]

Takes every n-th question of both splits (MIRROR/squad/<split>.parquet, v1.1). Every second one of them gets the context
of another article, so it has no answer there; the rest keep theirs. Prints one JSON object: F1 and exact match of all
questions, of those with and of those without an answer, for an empty text for every question, for the untrained model
and for the trained one. The models have their best no-answer threshold on the scored questions.

These questions are easier than those of SQuAD v2, which people wrote to fit their contexts: here the subject alone
tells. So the numbers show that it is learned, not how well it would be there.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.squad_part import print_measured, trained_on_part
from tdbs.data.content import ANSWERS
from tdbs.train.scores.no_answers import no_answer_metrics

_TRIES = 100  # draws of a context
_NO_ANSWER: dict[str, list[Any]] = {"text": [], "answer_start": []}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Return the scores of an empty text, of the untrained model and of the trained one, with what the run was."""
    run = trained_on_part(
        options, folder, name="squad_v2_part", change=lambda rows: with_unanswerable(rows, seed=options.seed)
    )
    references = [] if run.held_out.references is None else run.held_out.references.texts
    nothing = no_answer_metrics([""] * len(references), references, np.zeros(len(references)), threshold=0.0)
    return {
        **run.facts,
        "without an answer": {name: info.unanswered for name, info in run.dataset.manifest.splits.items()},
        "always empty": {name: value for name, value in nothing.items() if not name.startswith("best")},
        **run.scores,
    }


def with_unanswerable(table: pa.Table, *, seed: int) -> pa.Table:
    """Return questions of SQuAD v1.1 of which every second one has another article's context, and no answer in it.

    A context that contains an answer of the question by chance is not taken; a few questions with answers such as "a"
    find no other and keep theirs. Rows keep their order.
    """
    rows = table.select(["title", "context", "question", "answers"]).to_pylist()
    titles, contexts = table["title"].to_pylist(), table["context"].to_pylist()
    chance = np.random.default_rng(seed)
    for number in range(1, len(rows), 2):
        row = rows[number]
        for other in chance.integers(0, len(rows), _TRIES).tolist():
            title, context = titles[other], contexts[other]
            if title != row["title"] and not _holds(context, row["answers"]["text"]):
                rows[number] = {**row, "context": context, "answers": _NO_ANSWER}
                break
    schema = pa.schema([("context", pa.string()), ("question", pa.string()), ("answers", ANSWERS)])
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=schema)


def _holds(context: str, answers: list[str]) -> bool:
    return any(answer.lower() in context.lower() for answer in answers)


if __name__ == "__main__":
    print_measured(__doc__, measure, every=20)
