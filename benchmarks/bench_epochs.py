"""Whole epochs of SST-2, seconds and score: transformers' Trainer, with `group_by_length`, and tdbs's strategies.

    python -m benchmarks.bench_epochs --model MODEL --mirror DIR [--precision bf16] [--seeds 3] [--arms ...]

Same model, batch size, rate, warmup and precision. Each run is a process of its own, one after another, seed by seed.
Seconds are those of training, without scoring; the score is the accuracy on the validation split. Runs are added to
--records as they end, and a run that stands there is not made again. Other work beside a run spoils its seconds, not
its score: such runs are made with --scores-alone.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import tdbs
from benchmarks.common import print_rows, provenance
from benchmarks.trainer_script import ARMS, arms_of, sst2, trainer_of
from tdbs.cli.common import quiet_libraries
from tdbs.settings import TrainSettings
from tdbs.train.resolved import resolve_settings

BATCH, RATE = 64, 1e-4
STRATEGIES = ("unpadded", "reach", "length_grouped")

Found = dict[str, Any]


def run_trainer(options: argparse.Namespace, name: str, seed: int, folder: Path) -> Found:
    """Return seconds and score of a Trainer's epoch."""
    train, validation = (sst2(options.mirror, split, model=options.model) for split in ("train", "validation"))
    trainer = trainer_of(name, train, model=options.model, folder=folder, batch=BATCH, rate=RATE, seed=seed)
    clock = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - clock
    found = trainer.predict(validation)
    return {"seconds": seconds, "score": float(np.mean(found.predictions.argmax(axis=1) == found.label_ids))}


def run_strategy(options: argparse.Namespace, name: str, seed: int, folder: Path) -> Found:
    """Return seconds and score of an epoch of `tdbs train`."""
    result = tdbs.train(
        options.data,
        strategy=name,
        base_batch_size=BATCH,
        model=options.model,
        epochs=1,
        lr=RATE,
        seed=seed,
        precision=options.precision,
        out=folder / "run",
    )
    return {"seconds": result.seconds["train"], "score": result.score}


def run_arm(options: argparse.Namespace, name: str, seed: int) -> None:
    """Run an arm once, and add what came of it to the records."""
    quiet_libraries()
    with tempfile.TemporaryDirectory() as folder:
        found = (run_trainer if name in ARMS else run_strategy)(options, name, seed, Path(folder))
    if options.scores_alone:
        del found["seconds"]
    record = {"arm": name, "seed": seed, "precision": options.precision, **found, **provenance()}
    with options.records.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    print(f"{name}, seed {seed}: {100 * found['score']:.1f} in {found.get('seconds', 0):.0f} s", flush=True)


def records_of(path: Path, precision: str) -> list[Found]:
    """Return the records of runs of a precision."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [record for record in map(json.loads, lines) if record["precision"] == precision]


def row_of(name: str, found: list[Found], ours: float) -> dict[str, float | int | str]:
    """Return the row of an arm: the median of its seconds, mean and deviation of its scores."""
    seconds = [record["seconds"] for record in found if "seconds" in record]
    scores = [100 * record["score"] for record in found]
    spread = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
    return {
        "": name,
        "seconds": f"{statistics.median(seconds):.0f} (n = {len(seconds)})" if seconds else "",
        "of it unpadded takes": f"{ours / statistics.median(seconds):.2f}" if seconds else "",
        "score x 100": f"{statistics.mean(scores):.1f}{spread} (n = {len(scores)})",
    }


def main() -> None:
    """Run what is missing, and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", help="these alone, with semicolons between")
    parser.add_argument("--records", type=Path, default=Path("data/epochs.jsonl"))
    parser.add_argument("--scores-alone", action="store_true", help="other work runs beside: note scores alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    quiet_libraries()
    prepared = tdbs.prepare("glue/sst2", mirror=options.mirror, tokenizer=options.model, out=Path("data/epochs/sst2"))
    options.data = prepared.dataset.path
    settings = TrainSettings(model=options.model, precision=options.precision)
    options.precision = resolve_settings(settings, prepared.dataset.manifest).execution.precision
    arms = [*STRATEGIES, *arms_of(options.precision)]
    context = multiprocessing.get_context("spawn")
    for seed in range(1, options.seeds + 1):
        for name in arms if options.arms is None else options.arms.split(";"):
            done = {(record["arm"], record["seed"]) for record in records_of(options.records, options.precision)}
            if (name, seed) not in done:
                process = context.Process(target=run_arm, args=(options, name, seed))
                process.start()
                process.join()
    records = records_of(options.records, options.precision)
    found = {name: [record for record in records if record["arm"] == name] for name in arms}
    ours = [record["seconds"] for record in found["unpadded"] if "seconds" in record]
    print_rows(
        [row_of(name, own, statistics.median(ours) if ours else 0.0) for name, own in found.items() if own],
        as_json=options.json,
        precision=options.precision,
    )


if __name__ == "__main__":
    main()
