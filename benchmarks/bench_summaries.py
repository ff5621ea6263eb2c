"""Summarization end to end: padding of sources and targets, by strategy, and a run of a small random T5.

python -m benchmarks.bench_summaries FILE.parquet [FILE.parquet ...] --tokenizer FOLDER [--epochs 1] [--seed 1]

Each file has columns document and summary; a tenth of its rows is held out. Prints one JSON object. The model is `tiny`
(a T5 of 2 layers, 128 dimensions, random weights): its ROUGE says that the path works, nothing else.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import tdbs
from benchmarks.common import provenance
from tdbs.analysis.statistics import split_statistics
from tdbs.train.planning.strategies import resolve_strategy

STRATEGIES = ("random_max", "random", "bucket", "tdbs_paper", "reach")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {f"{file.parent.name}/{file.name}": measure(file, options, Path(folder)) for file in options.files}
    print(json.dumps({**provenance(), "files": found}, indent=1))


def measure(file: Path, options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Return lengths, plans and a run of one file."""
    name = file.parent.name
    dataset = tdbs.prepare(
        str(file),
        text="document",
        target="summary",
        prefix="summarize: ",
        tokenizer=options.tokenizer,
        validation="0.1",
        out=folder / name,
    ).dataset
    task = dataset.manifest.task
    unsorted = resolve_strategy("reach", task, {"sort_targets": False})
    estimates = tdbs.estimate_speedup(
        dataset, [*STRATEGIES, dataclasses.replace(unsorted, name="reach, targets not sorted")], seed=options.seed
    )
    run = tdbs.train(dataset, model="tiny", epochs=options.epochs, seed=options.seed, out=folder / f"{name}-run")
    train = dataset.manifest.splits["train"]
    return {
        "rows": {split: info.rows for split, info in dataset.manifest.splits.items()},
        "sources": dataclasses.asdict(split_statistics(train)),
        "targets": {"rows": train.rows, "tokens": sum(t * n for t, n in enumerate(train.target_histogram))},
        "estimates": [dataclasses.asdict(estimate) for estimate in estimates],
        "run": {**dataclasses.asdict(run), "run": None},
    }


if __name__ == "__main__":
    main()
