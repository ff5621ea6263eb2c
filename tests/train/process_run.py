"""Train strategies on a dataset in each of several processes: run by torchrun from test_processes.py.

torchrun --nproc_per_node N -m tests.train.process_run DATASET OUT STEPS MODEL STRATEGY:BATCH_SIZE...
"""

import itertools
import json
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from safetensors.torch import save_file

from tdbs.pipeline.dataset import load
from tdbs.train import loop
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.planning.plan import plan_digest
from tdbs.train.planning.rates import learning_rates
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.processes import own_share
from tests.train.opened import tiny_learner

# others are given a rate of words to drop
PARTS = {"tdbs_paper": {}, "reach": {}, "bucket": {"micro_batches": 3}, "sorted": {"drop": "rate", "call_tokens": 8}}


def run(dataset, name: str, size: int, steps: int, model: str = "tiny") -> dict:
    """Train some steps in float64 without dropout; return weights, losses, and the samples this process has taken."""
    torch.set_default_dtype(torch.float64)
    strategy = resolve_strategy(
        name, dataset.manifest.task, PARTS.get(name, {"drop": "rate"}) | {"base_batch_size": size}
    )
    feed = make_feed(open_training_data(dataset), strategy, seed=3, epochs=1)
    learner = tiny_learner(dataset, model=model, seed=3, in_rows=strategy.in_rows)
    learner.model.double()
    rates_S = learning_rates(feed.plans, strategy, base_lr=1e-3, warmup=0.1)
    taken: list[int] = []

    def noted(batches, kind, **place):
        share = own_share(batches, kind, **place)
        taken.extend(int(sample) for batch in share for sample in batch.sample_ids_B)
        return share

    loop.own_share = noted
    made = itertools.islice(feed.steps(feed.plans[0]), steps)
    records = [
        loop.run_step(learner, batches, share, loop.StepPlace(step=step, rate=float(rates_S[step]), seed=3))[0]
        for step, (batches, share) in enumerate(loop.shares_of(learner, made))
    ]
    loop.own_share = own_share
    return {
        "digest": plan_digest(feed.plans),
        "losses": [record.loss for record in records],
        "samples": [record.batch_size for record in records],
        "taken": taken,
        "weights": {name: value.contiguous() for name, value in learner.model.named_parameters()},
    }


def main() -> None:
    dataset, out, steps, model, *names = sys.argv[1:]
    processes = PartialState(cpu=True)
    folder = Path(out)
    for each in names:
        name, _, size = each.partition(":")
        found = run(load(dataset), name, int(size), int(steps), model)
        weights = found.pop("weights")
        told = gather_object([found])
        if processes.is_main_process:
            save_file({key: value.detach() for key, value in weights.items()}, folder / f"{each}.safetensors")
            (folder / f"{each}.json").write_text(json.dumps(told))
    processes.destroy_process_group()


if __name__ == "__main__":
    main()
