"""Fine-tune on a part of SQuAD and score it beside the untrained model: does question answering learn?

python -m benchmarks.bench_squad MIRROR --model FOLDER [--every 10] [--epochs 2] [--strategy reach] [--lr 1e-4]

Takes every n-th question of both splits (MIRROR/squad/<split>.parquet), prepares them with the model's tokenizer, and
prints one JSON object. Validation questions are scored on all their windows.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

import tdbs
from benchmarks.common import provenance
from tdbs.settings import TrainSettings
from tdbs.train.evaluate import evaluate_split
from tdbs.train.learner import make_learner
from tdbs.train.resolved import resolve_settings
from tdbs.train.scores.scoring import read_scored_split


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mirror", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--every", type=int, default=10)
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
    """Return the scores before and after training, with what the run was."""
    part = folder / "squad_part"
    part.mkdir()
    for split in ("train", "validation"):
        table = pq.read_table(options.mirror / f"squad/{split}.parquet")
        pq.write_table(table.take(list(range(0, table.num_rows, options.every))), part / f"{split}.parquet")
    dataset = tdbs.prepare(
        str(part), tokenizer=options.model, max_length=options.max_length, out=folder / "dataset"
    ).dataset
    settings = resolve_settings(TrainSettings(model=options.model), dataset.manifest)
    learner = make_learner(dataset, settings, seed=options.seed, dropout=0.0)
    untrained = evaluate_split(
        learner.accelerator,
        learner.prepared,
        read_scored_split(dataset, "validation"),
        pad_id=learner.pad_id,
        rules=learner.rules,
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
    return {
        **provenance(),
        "max_length": options.max_length,
        "questions": {name: info.source_rows for name, info in splits},
        "windows": {name: info.rows for name, info in splits},
        "untrained": untrained,
        "trained": {**dataclasses.asdict(trained), "run": None},
    }


if __name__ == "__main__":
    main()
