"""Fine-tune on every n-th question of SQuAD and score it beside the untrained model: what bench_squad*.py share."""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import tdbs
from benchmarks.common import provenance
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.settings import TrainSettings
from tdbs.train.evaluate import evaluate_split
from tdbs.train.learner import make_learner
from tdbs.train.resolved import resolve_settings
from tdbs.train.scores.scoring import ScoredSplit, read_scored_split

Measure = Callable[[argparse.Namespace, Path], dict[str, object]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartRun:
    """What was trained, and what is found of it."""

    dataset: PreparedDataset
    held_out: ScoredSplit
    facts: dict[str, object]  # as JSON values: where they come from, and how many questions and windows there are
    scores: dict[str, object]  # of the untrained and of the trained model


def print_measured(doc: str | None, measure: Measure, *, every: int) -> None:
    """Read the options, measure in a temporary folder, and print one JSON object."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mirror", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--every", type=int, default=every)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--strategy", default="reach")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--max-length", type=int, default=384)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    print(json.dumps(found, indent=1))


def trained_on_part(
    options: argparse.Namespace, folder: Path, *, name: str, change: Callable[[pa.Table], pa.Table] = lambda rows: rows
) -> PartRun:
    """Prepare every n-th question, changed, under a name; score the model before and after it is trained on them."""
    part = folder / name
    part.mkdir()
    for split in ("train", "validation"):
        table = pq.read_table(options.mirror / f"squad/{split}.parquet")
        pq.write_table(change(table.take(list(range(0, table.num_rows, options.every)))), part / f"{split}.parquet")
    dataset = tdbs.prepare(
        str(part), tokenizer=options.model, max_length=options.max_length, out=folder / "dataset"
    ).dataset
    settings = resolve_settings(TrainSettings(model=options.model), dataset.manifest)
    learner = make_learner(dataset, settings, seed=options.seed, dropout=0.0)
    held_out = read_scored_split(dataset, "validation")
    untrained: dict[str, Any] = evaluate_split(
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
    splits = dataset.manifest.splits.items()
    return PartRun(
        dataset=dataset,
        held_out=held_out,
        facts={
            **provenance(),
            "max_length": options.max_length,
            "questions": {split: info.source_rows for split, info in splits},
            "windows": {split: info.rows for split, info in splits},
        },
        scores={"untrained": untrained, "trained": {**dataclasses.asdict(trained), "run": None}},
    )
