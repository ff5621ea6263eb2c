"""Train strategies on one prepared dataset, on equal terms: same model, attention kernel, optimizer, rate and seeds.

    python -m benchmarks.bench_train DATASET --model MODEL --epochs 1 --seeds 1 --whole random,tdbs_paper,reach \
        --part random_max --steps 40

`--whole` strategies are trained and scored; of `--part` strategies some dozen steps, spread evenly over the first
epoch's plan, tell the rate of the whole epoch (by tokens: all steps of `random_max` but the last are of one shape).
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from transformers.utils import logging

import tdbs
from benchmarks.common import markdown_table, provenance
from tdbs.analysis.speedup import plan_dataset
from tdbs.pipeline.dataset import PreparedDataset, read_split
from tdbs.settings import TrainSettings
from tdbs.train.batches import epoch_batches
from tdbs.train.learner import make_learner
from tdbs.train.loop import StepPlace, run_step, shares_of
from tdbs.train.planning.dropout import paper_dropout
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.strategies import Strategy, resolve_strategy
from tdbs.train.planning.tokendrop import dropped_tokens, words_of_split
from tdbs.train.resolved import resolve_settings


def part_seconds(
    dataset: PreparedDataset, strategy: Strategy, plan: EpochPlan, *, model: str, steps: int, attention: str, lr: float
) -> float:
    """Return the seconds of an epoch, from some of its steps; three warm-up steps are left out."""
    split = read_split(dataset, "train")
    tokenizer = dataset.manifest.tokenizer
    words = words_of_split(split, strategy, tokenizer)
    dropout = paper_dropout(strategy, len(split.lengths_N))
    settings = resolve_settings(TrainSettings(model=model, attention=attention), dataset.manifest)
    learner = make_learner(dataset, settings, seed=1, dropout=dropout)
    chosen = set(np.linspace(0, len(plan.padded_lengths_B) - 2, steps + 3).astype(int).tolist())
    dropped_T = dropped_tokens(split, words, strategy, plan, tokenizer, seed=1)
    batches = [
        (batch,)
        for index, batch in enumerate(epoch_batches(split, plan, dropped_T, pad_id=tokenizer.pad_id))
        if index in chosen
    ]
    clock, tokens = 0.0, 0
    for index, (step, share) in enumerate(shares_of(learner, batches)):
        record, _ = run_step(learner, step, share, StepPlace(step=index, rate=lr, seed=1))
        if index == 2:
            clock = time.perf_counter()
        elif index > 2:
            tokens += record.batch_size * record.padded_length
    return (time.perf_counter() - clock) * plan.tokens / tokens


def measure(arguments: argparse.Namespace) -> list[dict[str, float | str | int | None]]:
    """Return one row a run."""
    dataset = tdbs.load(arguments.dataset)
    caps = {"caps": arguments.caps}
    rows: list[dict[str, float | str | int | None]] = []
    for name in filter(None, arguments.part.split(",")):
        strategy = resolve_strategy(name, dataset.manifest.task, caps)
        plan = plan_dataset(dataset, strategy, seed=1, epochs=1)[0]
        seconds = part_seconds(
            dataset,
            strategy,
            plan,
            model=arguments.model,
            steps=arguments.steps,
            attention=arguments.attention,
            lr=arguments.lr,
        )
        rows.append(
            {
                "strategy": f"{name} (from {arguments.steps} steps)",
                "seed": 1,
                "seconds_per_epoch": seconds,
                "steps": len(plan.padded_lengths_B) * arguments.epochs,
                "tokens": plan.tokens * arguments.epochs,
                "padding_fraction": plan.padding_fraction,
                "score": None,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    for seed in range(1, arguments.seeds + 1):
        for name in filter(None, arguments.whole.split(",")):
            strategy = resolve_strategy(name, dataset.manifest.task, caps)
            with tempfile.TemporaryDirectory() as folder:
                result = tdbs.train(
                    dataset,
                    strategy=strategy,
                    model=arguments.model,
                    epochs=arguments.epochs,
                    seed=seed,
                    lr=arguments.lr,
                    attention=arguments.attention,
                    out=Path(folder) / "run",
                )
            rows.append(
                {
                    "strategy": name,
                    "seed": seed,
                    "seconds_per_epoch": result.seconds["train"] / arguments.epochs,
                    "steps": result.steps,
                    "tokens": result.tokens,
                    "padding_fraction": result.padding_fraction,
                    "score": result.score,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--model", required=True)
    parser.add_argument("--whole", default="random,tdbs_paper,reach")
    parser.add_argument("--part", default="")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--attention", default="eager")
    parser.add_argument("--caps", default=None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable_progress_bar()
    rows = measure(arguments)
    if arguments.json:
        print(json.dumps({**provenance(), "rows": rows}))
        return
    own = statistics.median(row["seconds_per_epoch"] for row in rows if str(row["strategy"]).startswith("reach"))
    print("\n".join(f"{name}: {value}" for name, value in provenance().items()) + "\n")
    print(
        markdown_table(
            [
                {
                    "strategy": str(row["strategy"]),
                    "seed": str(row["seed"]),
                    "s / epoch": f"{row['seconds_per_epoch']:.1f}",
                    "against reach": f"{row['seconds_per_epoch'] / own:.2f} x",
                    "steps": f"{row['steps']:,}",
                    "tokens": f"{row['tokens']:,}",
                    "tokens / s": f"{row['tokens'] / arguments.epochs / row['seconds_per_epoch']:,.0f}",
                    "padding": f"{row['padding_fraction']:.1%}",
                    "score": "" if row["score"] is None else f"{row['score']:.4f}",
                }
                for row in rows
            ]
        )
    )


if __name__ == "__main__":
    main()
