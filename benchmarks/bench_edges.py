"""Edges that `--bucket-width auto` chooses on nine GLUE tasks, beside the best of the widths 1 to 64.

    python -m benchmarks.bench_edges --mirror MIRROR --tokenizer BERT_BASE_UNCASED [--profile PROFILE.json]

Costs are those of real plans of the strategy `bucket`, mean of three seeds, sum of three epochs: tokens, calls and
shapes without a profile; with one, the seconds of its cost model. The last columns are without residual merging.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import print_rows
from tdbs import prepare
from tdbs.analysis.cost import plan_work
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.pipeline.split_index import index_columns, read_index
from tdbs.train.planning.batching import epoch_caps, strategy_edges
from tdbs.train.planning.cost_model import COUNTS, CostModel, fit_costs
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.edges import BatchCosts
from tdbs.train.planning.epoch_plan import EpochPlan, run_padding
from tdbs.train.planning.plan import plan_run
from tdbs.train.planning.profile_file import Profile, opened_profile
from tdbs.train.planning.strategies import Strategy, resolve_strategy

TASKS = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli")
WIDTHS = range(1, 65)
EPOCHS = 3

Cost = Callable[[EpochPlan], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What the plans of a run cost, in tokens or seconds, and their padding."""

    auto_cost: float
    auto_padding: float
    auto_buckets: int  # in epoch 0
    fixed_width: int  # the best one
    fixed_cost: float
    fixed_padding: float
    milliseconds: float  # that choosing the edges of an epoch takes


def compared(
    dataset: PreparedDataset, *, seeds: int, profile: Profile | None = None, parts: dict[str, object] | None = None
) -> Compared:
    """Return what chosen edges cost on a dataset, and what the best fixed width does."""
    lengths_N = read_index(dataset, "train", columns=index_columns(dataset, "train", drops=False)).lengths_N.astype(
        np.int64
    )
    max_length = dataset.manifest.max_length

    def strategy_of(width: int | str) -> Strategy:
        given = {"bucket_width": width, **(parts or {})}
        return resolve_strategy("bucket", dataset.manifest.task, given, profile=profile)

    def run(width: int | str, cost: Cost) -> tuple[float, float]:
        strategy = strategy_of(width)
        plans = [
            plan_run(lengths_N, None, strategy, max_length=max_length, seed=seed, epochs=range(EPOCHS))
            for seed in range(seeds)
        ]
        costs = [sum(map(cost, of_seed)) for of_seed in plans]
        return float(np.mean(costs)), float(np.mean([run_padding(of_seed) for of_seed in plans]))

    auto = strategy_of("auto")
    dropout = resolve_dropout(None, auto, split_info(dataset, "train").rows) > 0
    cost = _cost_of(auto.batch_costs or BatchCosts(), profile, dropout=dropout)
    fixed = {width: run(width, cost) for width in WIDTHS}
    best = min(fixed, key=lambda width: fixed[width][0])
    auto_cost, auto_padding = run("auto", cost)
    caps_L1 = epoch_caps(auto, max_length=max_length, epoch=0)
    begun = time.perf_counter()
    edges = strategy_edges(lengths_N, caps_L1, auto)
    return Compared(
        milliseconds=1e3 * (time.perf_counter() - begun),
        auto_cost=auto_cost,
        auto_padding=auto_padding,
        auto_buckets=len(edges) - 1,
        fixed_width=best,
        fixed_cost=fixed[best][0],
        fixed_padding=fixed[best][1],
    )


def _cost_of(costs: BatchCosts, profile: Profile | None, *, dropout: bool) -> Cost:
    """Return what an epoch costs: by the fit of a profile, or in tokens; and each of its shapes."""
    model: CostModel | None = None
    if profile is not None:
        model = fit_costs(profile.points, str(profile.settings["attention"]))
    in_tokens_F = np.array([{"calls": costs.call, "tokens": costs.token}.get(name, 0.0) for name in COUNTS])

    def cost(plan: EpochPlan) -> float:
        work_SF = plan_work(plan)
        steps_S = work_SF @ in_tokens_F if model is None else model.step_seconds(work_SF, dropout=dropout)
        shapes = len(set(zip(plan.batch_sizes_B.tolist(), plan.padded_lengths_B.tolist(), strict=True)))
        return float(steps_S.sum()) + costs.shape * shapes

    return cost


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mirror", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--profile")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    profile = opened_profile(arguments.profile)
    rows: list[dict[str, float | int | str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for task in arguments.tasks.split(","):
            options = {"mirror": arguments.mirror, "tokenizer": arguments.tokenizer}
            dataset = prepare(f"glue/{task}", out=Path(folder) / task, **options).dataset
            found = compared(dataset, seeds=arguments.seeds, profile=profile)
            alone = compared(dataset, seeds=arguments.seeds, profile=profile, parts={"rbm": False})
            rows.append(
                {
                    "task": task,
                    "best width": found.fixed_width,
                    "its cost": found.fixed_cost,
                    "its padding": f"{found.fixed_padding:.2%}",
                    "buckets of auto": found.auto_buckets,
                    "cost of auto": found.auto_cost,
                    "padding of auto": f"{found.auto_padding:.2%}",
                    "less": f"{1 - found.auto_cost / found.fixed_cost:.2%}",
                    "ms": found.milliseconds,
                    "without RBM: best width": alone.fixed_width,
                    "buckets": alone.auto_buckets,
                    "less ": f"{1 - alone.auto_cost / alone.fixed_cost:.2%}",
                }
            )
    print_rows(rows, as_json=arguments.json, cost="tokens" if profile is None else "seconds", seeds=arguments.seeds)


if __name__ == "__main__":
    main()
