"""What `sorted` saves of padded random batches, and what a call of the model costs beyond its tokens.

    python -m benchmarks.bench_sorted --model MODEL --mirror DIR [--precision bf16] [--threads 1] [--updates 20]
    python -m benchmarks.bench_sorted --model MODEL --mirror DIR --calls [--precision bf16] [--threads 1]

Both time whole updates (forward, backward, weights) without dropout, with one attention kernel, in turns on one
learner. The first command runs the same 64-sample updates of SST-2 padded, sorted and unpadded, and `equal length`: 64
samples of their mean length, which have no padding. The second one runs 64 samples of one length in 1, 2, 4, … calls.
What each further call takes, over what a token takes, is what a call costs in tokens (CALL_TOKENS in
tdbs/train/planning/cuts.py).
"""

import argparse
import itertools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.accuracy_runs import prepared_task
from benchmarks.common import print_rows
from tdbs.analysis.profile.shapes import synthetic_batch
from tdbs.analysis.profile.timing import timed_step
from tdbs.cli.common import quiet_libraries
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.settings import TrainSettings
from tdbs.train.batches import Batch
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.learner import Learner, make_learner
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.resolved import resolve_settings

SAMPLES = 64
STRATEGIES = ("random", "sorted", "unpadded")
CEILING = "equal length"
CALLS = (1, 2, 4, 8, 16)
LENGTHS = (8, 16, 32)
ROUNDS = 4  # of all updates; the first is left out

Updates = Mapping[str, Sequence[Sequence[Batch]]]


def real_updates(dataset: PreparedDataset, count: int) -> Updates:
    """Return the first updates of an epoch by strategy, and updates of as many tokens without padding."""
    data = open_training_data(dataset)
    found: dict[str, list[Sequence[Batch]]] = {}
    for name in STRATEGIES:
        strategy = resolve_strategy(name, dataset.manifest.task, {"base_batch_size": SAMPLES})
        feed = make_feed(data, strategy, seed=1, epochs=1)
        found[name] = list(itertools.islice(feed.steps(feed.plans[0]), count))
    means = [round(float(batch.lengths_B.mean())) for (batch,) in found["random"]]
    found[CEILING] = [[synthetic_batch(dataset.manifest, "padded", samples=SAMPLES, length=length)] for length in means]
    return found


def in_calls(dataset: PreparedDataset) -> Updates:
    """Return updates of samples of one length, in several calls."""
    return {
        f"{length} tokens, {calls} calls": [
            [synthetic_batch(dataset.manifest, "padded", samples=SAMPLES // calls, length=length) for _ in range(calls)]
        ]
        for length in LENGTHS
        for calls in CALLS
    }


def times_in_turns(learners: Mapping[str, Learner], updates: Updates, *, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each update, the median over its rounds: every one in turn, so load slows all alike.

    Learners and updates are named by execution.
    """
    seconds = {name: [[] for _ in own] for name, own in updates.items()}
    most = max(map(len, updates.values()))
    for turn in range(rounds):
        for place in range(most):
            for name, own in updates.items():
                taken = timed_step(learners[name], own[place])
                if turn:
                    seconds[name][place].append(taken)
    return {name: [statistics.median(own) for own in found] for name, found in seconds.items()}


def strategy_rows(updates: Updates, times: Mapping[str, list[float]]) -> list[dict[str, float | int | str]]:
    """Return a row for each way to run the same updates."""
    padded = sum(times["random"])
    return [
        {
            "execution": name,
            "calls": sum(map(len, updates[name])) / len(updates[name]),
            "tokens": sum(batch.input_ids_RW.size for own in updates[name] for batch in own) // len(updates[name]),
            "ms an update": 1e3 * statistics.mean(own),
            "random is slower": f"{padded / sum(own):.2f} x",
            "over equal length": f"{sum(own) / sum(times[CEILING]):.2f}",
        }
        for name, own in times.items()
    ]


def call_rows(times: Mapping[str, list[float]]) -> list[dict[str, float | int | str]]:
    """Return a row for each length and number of calls: what each further call costs in tokens."""
    one = {length: times[f"{length} tokens, 1 calls"][0] for length in LENGTHS}
    a_token = (one[LENGTHS[-1]] - one[LENGTHS[0]]) / (SAMPLES * (LENGTHS[-1] - LENGTHS[0]))
    rows: list[dict[str, float | int | str]] = []
    for length, calls in itertools.product(LENGTHS, CALLS):
        taken = times[f"{length} tokens, {calls} calls"][0]
        a_call = (taken - one[length]) / max(calls - 1, 1)
        rows.append(
            {
                "length": length,
                "calls": calls,
                "ms": 1e3 * taken,
                "a call, ms": 1e3 * a_call,
                "a call, tokens": a_call / a_token,
            }
        )
    return rows


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("data/accuracy"), help="folder of the prepared dataset")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--attention", default="eager")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--calls", action="store_true", help="measure what a call costs")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(arguments.threads)
    dataset = prepared_task("sst2-8000", model=arguments.model, mirror=arguments.mirror, out=arguments.data)
    asked = TrainSettings(model=arguments.model, precision=arguments.precision, attention=arguments.attention)
    learner = make_learner(dataset, resolve_settings(asked, dataset.manifest), seed=1, dropout=0.0, in_rows=True)
    learner.prepared.train()
    updates = in_calls(dataset) if arguments.calls else real_updates(dataset, arguments.updates)
    times = times_in_turns(dict.fromkeys(updates, learner), updates, rounds=arguments.rounds)
    rows = call_rows(times) if arguments.calls else strategy_rows(updates, times)
    print_rows(
        rows,
        as_json=arguments.json,
        precision=arguments.precision,
        attention=arguments.attention,
        threads=arguments.threads,
        rounds=arguments.rounds - 1,
    )


if __name__ == "__main__":
    main()
