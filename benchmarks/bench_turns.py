"""Seconds of an epoch of SST-2 by strategy, beside transformers' Trainer with its defaults and with `group_by_length`.

    python -m benchmarks.bench_turns --model MODEL --mirror DIR [--precision bf16] [--arms ...]

Each arm is a process of its own, and they take turns: some steps of one, then some of the next, so that a machine that
changes its pace changes it for all. A step is all that its loop does: the batch, forward, backward, update, log. The
Trainer has its own attention kernel, collator, sampler and optimizer. The first steps of a turn are left out, since
another process had the caches; an epoch has no turns. Samplers by length go from long samples to short ones every 50
steps, so 5 rounds of 30 steps, or a multiple, have all lengths alike in what is counted. Seconds of an epoch are the
mean step times the steps of the epoch. Each round's means go to stderr as it ends.

--before DIR adds `random` of another checkout of tdbs, with bench_turns.py and trainer_script.py of this one in it.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

import tdbs
from benchmarks.bench_train_loop import our_loop
from benchmarks.common import print_rows
from benchmarks.trainer_script import ARMS, arms_of, sst2, trainer_of
from tdbs.cli.common import quiet_libraries
from tdbs.pipeline.dataset import PreparedDataset, load, split_info
from tdbs.settings import TrainSettings
from tdbs.train.feed import Feed, make_feed, open_training_data
from tdbs.train.learner import Learner, make_learner
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.resolved import resolve_settings

BATCH, RATE, SEED = 64, 1e-4, 1
DEFAULT = "unpadded"
STRATEGIES = (DEFAULT, "length_grouped")
LEFT_OUT = 5  # steps of a turn


class _Steps(TrainerCallback):  # type: ignore[misc]  # transformers gives it no type
    """Waits after each step of a Trainer for its turn: the next batch is made in the next one."""

    def __init__(self, turns: Iterator[None]) -> None:
        self.turns = turns

    def on_train_begin(self, *_arguments: Any, **_named: Any) -> None:
        """Wait for the first turn."""
        next(self.turns)

    def on_step_end(self, *_arguments: Any, **_named: Any) -> None:
        """Tell that a step is done."""
        next(self.turns)


def turns_of(channel: Connection) -> Iterator[None]:
    """Yield where a step may begin; tell the seconds of each turn, whose number of steps is asked for."""
    while True:
        steps = channel.recv()
        for _ in range(LEFT_OUT):
            yield
        clock = time.perf_counter()
        for _ in range(steps):
            yield
        channel.send(time.perf_counter() - clock)


def run_trainer(channel: Connection, options: argparse.Namespace, name: str, folder: Path) -> None:
    """Run a Trainer, in turns."""
    rows = sst2(options.mirror, "train", model=options.model)
    steps = _Steps(turns_of(channel))
    trainer = trainer_of(
        name, rows, model=options.model, folder=folder, batch=BATCH, rate=RATE, seed=SEED, callbacks=[steps]
    )
    channel.send(-(-len(rows) // BATCH))
    trainer.train()


def learner_and_feed(dataset: PreparedDataset, name: str, *, model: str, precision: str) -> tuple[Learner, Feed]:
    """Return a model and the updates of an epoch, as `tdbs train` has them with a strategy."""
    strategy = resolve_strategy(name, dataset.manifest.task, {"base_batch_size": BATCH})
    feed = make_feed(open_training_data(dataset), strategy, seed=SEED, epochs=1)
    settings = resolve_settings(TrainSettings(model=model, precision=precision), dataset.manifest)
    dropout = resolve_dropout(None, strategy, split_info(dataset, "train").rows)
    return make_learner(dataset, settings, seed=SEED, dropout=dropout, in_rows=strategy.in_rows), feed


def run_strategy(channel: Connection, options: argparse.Namespace, name: str, folder: Path) -> None:
    """Run the loop of `tdbs.train` with a strategy, in turns."""
    learner, feed = learner_and_feed(load(options.data), name, model=options.model, precision=options.precision)
    channel.send(feed.plans[0].steps)
    turns = turns_of(channel)
    next(turns)
    for _ in our_loop(learner, feed, steps=feed.plans[0].steps, log=folder.with_suffix(".jsonl")):
        next(turns)


class Arm:
    """A process with a loop that runs in turns."""

    def __init__(self, run: Callable[..., None], *given: Any) -> None:
        self.channel, other = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=run, args=(other, *given), daemon=True)
        self.process.start()
        self.steps: int = self.channel.recv()  # of an epoch
        self.seconds: list[float] = []  # of a step, by turn

    def take_turn(self, steps: int) -> None:
        """Run some steps, and note the mean of all but the first ones."""
        self.channel.send(steps - LEFT_OUT)
        self.seconds.append(self.channel.recv() / (steps - LEFT_OUT))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--arms", help="strategies and Trainer scripts, with semicolons between")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=30, help="of each arm in a round")
    parser.add_argument("--before", type=Path, help="another checkout, whose `random` is an arm")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    quiet_libraries()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        prepared = tdbs.prepare("glue/sst2", mirror=options.mirror, tokenizer=options.model, out=folder / "sst2")
        options.data = prepared.dataset.path
        settings = resolve_settings(
            TrainSettings(model=options.model, precision=options.precision), prepared.dataset.manifest
        )
        options.precision = settings.execution.precision
        asked = options.arms.split(";") if options.arms else [*STRATEGIES, *arms_of(options.precision)]
        arms = {
            name: Arm(run_trainer if name in ARMS else run_strategy, options, name, folder / name) for name in asked
        }
        if options.before is not None:
            sys.path.insert(0, str(options.before.resolve()))  # a process that is begun takes it over
            arms["random, before"] = Arm(run_strategy, options, "random", folder / "before")
            del sys.path[0]
        for number in range(options.rounds + 1):  # the first round is left out
            first = number % len(arms)
            for name in (*list(arms)[first:], *list(arms)[:first]):
                arms[name].take_turn(options.steps)
            done = {name: round(1e3 * arm.seconds[-1]) for name, arm in arms.items()}
            print(number, done, file=sys.stderr, flush=True)
        for arm in arms.values():
            arm.process.terminate()
    print_rows(
        [
            {
                "": name,
                "ms a step": 1e3 * statistics.mean(arm.seconds[1:]),
                "s an epoch": arm.steps * statistics.mean(arm.seconds[1:]),
                f"{DEFAULT} takes": f"{_ratio(arms[DEFAULT], arm):.2f} of it",
                "median of pairs": f"{statistics.median(_ratios(arms[DEFAULT], arm)):.2f}",
            }
            for name, arm in arms.items()
        ],
        as_json=options.json,
        precision=options.precision,
        rounds=options.rounds,
        steps=options.steps,
    )


def _ratio(ours: Arm, theirs: Arm) -> float:
    return ours.steps * sum(ours.seconds[1:]) / (theirs.steps * sum(theirs.seconds[1:]))


def _ratios(ours: Arm, theirs: Arm) -> list[float]:
    """Return the ratio of each round: a batch's length differs more in them than in their means."""
    pairs = zip(ours.seconds[1:], theirs.seconds[1:], strict=True)
    return [ours.steps * own / (theirs.steps * other) for own, other in pairs]


if __name__ == "__main__":
    main()
