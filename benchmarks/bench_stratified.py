"""What updates of random, stratified and length-grouped batches hold, by plan alone: labels, widths, tokens.

    python -m benchmarks.bench_stratified --mirror MIRROR --tokenizer BERT_BASE_UNCASED

The first epoch of each seed, batches of 64, nothing dropped; means over the seeds. The straying is that of `tdbs
inspect`: how far label means of updates are from the epoch's, 1 as by chance; its error is of the mean over the seeds.
Tokens are real ones, of updates of 64 samples. Widths and shapes are the different ones of an epoch: of padded batches,
of unpadded rows, and of the calls of `sorted` (rows and width). Processes share an update as in training, dealt out by
length; the busiest decides how long it takes.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence

import numpy as np

import tdbs
from benchmarks.common import markdown_table, provenance
from tdbs.analysis.label_length import label_stray
from tdbs.pipeline.dataset import Split, read_split
from tdbs.train.planning.epoch_plan import EpochPlan, row_width
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.processes import dealt_out

TASKS = ("sst2", "stsb", "cola", "mrpc")
BATCHES = ("random", "stratified", "length_grouped")
PROCESSES = 4

# Shapes: B batches, each an update.


def full_tokens(plan: EpochPlan) -> np.ndarray:
    """Return the real tokens of each update of full size."""
    tokens_B = np.add.reduceat(plan.kept_N, plan.batch_offsets_B1[:-1])
    return tokens_B[plan.batch_sizes_B == plan.batch_sizes_B[0]]


def busiest_excess(plan: EpochPlan) -> float:
    """Return what the busiest process of each update has above an equal share of tokens, over the epoch."""
    updates = np.split(plan.kept_N, plan.batch_offsets_B1[1:-1])
    busiest = sum(np.bincount(dealt_out(update, PROCESSES), weights=update).max() for update in updates)
    return float(busiest * PROCESSES / plan.kept_N.sum() - 1)


def call_shapes(plan: EpochPlan) -> int:
    """Return how many pairs of rows and width the calls have."""
    return len(np.unique(np.stack([plan.rows_B, plan.padded_lengths_B]), axis=1).T)


def measured(split: Split, plans: Sequence[EpochPlan], sorted_plans: Sequence[EpochPlan]) -> dict[str, float]:
    """Return the means over some epochs, padded, and the same updates run as `sorted`."""

    def mean(number_of: Callable[[EpochPlan], float], of: Sequence[EpochPlan] = plans) -> float:
        return statistics.mean(number_of(plan) for plan in of)

    strays = [label_stray(split.targets, plan) or 0.0 for plan in plans]
    return {
        "stray": statistics.mean(strays),
        "stray_error": statistics.stdev(strays) / len(strays) ** 0.5,
        "padded_widths": mean(lambda plan: len(np.unique(plan.padded_lengths_B))),
        "row_widths": mean(lambda plan: len(np.unique(row_width(full_tokens(plan))))),
        "tokens": mean(lambda plan: full_tokens(plan).mean()),
        "tokens_deviation": mean(lambda plan: full_tokens(plan).std()),
        "padding": mean(lambda plan: plan.padding_fraction),
        "sorted_shapes": mean(call_shapes, sorted_plans),
        "sorted_padding": mean(lambda plan: plan.padding_fraction, sorted_plans),
        "busiest_excess": mean(busiest_excess),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for task in TASKS:
            dataset = tdbs.prepare(
                f"glue/{task}", mirror=arguments.mirror, tokenizer=arguments.tokenizer, out=f"{folder}/{task}"
            ).dataset
            split, manifest = read_split(dataset, "train"), dataset.manifest
            for batches in BATCHES:
                padded, in_calls = (
                    [
                        plan_epoch(split.lengths_N, None, strategy, max_length=manifest.max_length, seed=seed, epoch=0)
                        for seed in range(arguments.seeds)
                    ]
                    for strategy in (
                        resolve_strategy("random", manifest.task, {"batches": batches, "execution": execution})
                        for execution in ("padded", "sorted")
                    )
                )
                rows.append({"task": task, "batches": batches, **measured(split, padded, in_calls)})
    if arguments.json:
        print(json.dumps({**provenance(), "seeds": arguments.seeds, "rows": rows}))
        return
    print("\n".join(f"{name}: {value}" for name, value in provenance().items()) + "\n")
    print(
        markdown_table(
            [
                {
                    "task": row["task"],
                    "batches": row["batches"],
                    "straying": f"{row['stray']:.3f} ± {row['stray_error']:.3f}",
                    "padded widths": f"{row['padded_widths']:.1f}",
                    "row widths": f"{row['row_widths']:.1f}",
                    "tokens": f"{row['tokens']:,.0f}",
                    "deviation": f"{row['tokens_deviation']:,.1f}",
                    "padding": f"{row['padding']:.1%}",
                    "sorted shapes": f"{row['sorted_shapes']:.0f}",
                    "sorted padding": f"{row['sorted_padding']:.1%}",
                    f"busiest of {PROCESSES}": f"{row['busiest_excess']:+.1%}",
                }
                for row in rows
            ]
        )
    )


if __name__ == "__main__":
    main()
