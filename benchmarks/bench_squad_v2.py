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
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tdbs
from benchmarks.common import provenance
from tdbs.data.content import ANSWERS
from tdbs.settings import TrainSettings
from tdbs.train.evaluate import evaluate_split
from tdbs.train.learner import make_learner
from tdbs.train.resolved import resolve_settings
from tdbs.train.scores.no_answers import no_answer_metrics
from tdbs.train.scores.scoring import read_scored_split

_TRIES = 100  # draws of a context
_NO_ANSWER: dict[str, list[Any]] = {"text": [], "answer_start": []}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mirror", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--strategy", default="reach")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--max-length", type=int, default=384)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    print(json.dumps(found, indent=1))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Return the scores of an empty text, of the untrained model and of the trained one, with what the run was."""
    part = folder / "squad_v2_part"
    part.mkdir()
    for split in ("train", "validation"):
        table = pq.read_table(options.mirror / f"squad/{split}.parquet")
        some = table.take(list(range(0, table.num_rows, options.every)))
        pq.write_table(with_unanswerable(some, seed=options.seed), part / f"{split}.parquet")
    dataset = tdbs.prepare(
        str(part), tokenizer=options.model, max_length=options.max_length, out=folder / "dataset"
    ).dataset
    settings = resolve_settings(TrainSettings(model=options.model), dataset.manifest)
    learner = make_learner(dataset, settings, seed=options.seed, dropout=0.0)
    held_out = read_scored_split(dataset, "validation")
    untrained = evaluate_split(
        learner.accelerator, learner.prepared, held_out, pad_id=learner.pad_id, rules=learner.rules
    )
    trained = tdbs.train(
        dataset,
        strategy=options.strategy,
        model=options.model,
        epochs=options.epochs,
        seed=options.seed,
        lr=options.lr,
        out=folder / "run",
    )
    references = [] if held_out.references is None else held_out.references.texts
    nothing = no_answer_metrics([""] * len(references), references, np.zeros(len(references)), threshold=0.0)
    splits = dataset.manifest.splits.items()
    return {
        **provenance(),
        "max_length": options.max_length,
        "questions": {name: info.source_rows for name, info in splits},
        "without an answer": {name: info.unanswered for name, info in splits},
        "windows": {name: info.rows for name, info in splits},
        "always empty": {name: value for name, value in nothing.items() if not name.startswith("best")},
        "untrained": untrained,
        "trained": {**dataclasses.asdict(trained), "run": None},
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
    main()
