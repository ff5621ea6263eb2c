"""Seconds of an epoch of SST-2 by strategy, beside transformers' Trainer with its defaults and with `group_by_length`.

    python -m benchmarks.bench_turns --model MODEL --mirror DIR [--precision bf16] [--rounds 10] [--steps 10]

Everything runs in turns in one process: some steps of each, then some of the next, so that a machine that changes its
pace changes it for all. A step is all that its loop does: the batch, forward, backward, update, log. The Trainer has
its own attention kernel, collator, sampler and optimizer, and waits in a thread of its own for its turn. Seconds of an
epoch are the median over rounds of its mean step, times its steps; ratios are the median of those of each round.
"""

import argparse
import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import tdbs
from benchmarks.bench_train_loop import our_loop
from benchmarks.common import print_rows
from tdbs.cli.common import quiet_libraries
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.settings import TrainSettings
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.learner import make_learner
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.resolved import resolve_settings

BATCH, RATE, SEED, WARMUP = 64, 1e-4, 1, 3
DEFAULT = "unpadded"
STRATEGIES = f"{DEFAULT},length_grouped,stratified,random,reach"
TRAINERS: Mapping[str, dict[str, Any]] = {
    "Trainer, its defaults": {},
    "Trainer, group_by_length": {"train_sampling_strategy": "group_by_length"},
}


class _Turns(TrainerCallback):  # type: ignore[misc]  # transformers gives it no type
    """Stops a Trainer after each step until it is asked for the next one."""

    def __init__(self) -> None:
        self.asked, self.done = threading.Semaphore(0), threading.Semaphore(0)

    def on_train_begin(self, *_arguments: Any, **_named: Any) -> None:
        """Wait for the first turn."""
        self.asked.acquire()

    def on_step_end(self, *_arguments: Any, **_named: Any) -> None:
        """Tell that a step is done, and wait: the next batch is made in the next turn."""
        self.done.release()
        self.asked.acquire()


def trainer_steps(options: argparse.Namespace, rows: Dataset, own: Mapping[str, Any], folder: Path) -> Iterator[None]:
    """Make the steps of a Trainer, one for each item that is asked for."""
    turns = _Turns()
    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(options.model, num_labels=2),
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            bf16=options.precision == "bf16",
            use_cpu=True,
            seed=SEED,
            max_steps=_count(options) + 1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            **own,
        ),
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(AutoTokenizer.from_pretrained(options.model)),
        callbacks=[turns],
    )
    threading.Thread(target=trainer.train, daemon=True).start()
    while True:
        turns.asked.release()
        turns.done.acquire()
        yield


def strategy_steps(
    options: argparse.Namespace, dataset: PreparedDataset, name: str, folder: Path
) -> tuple[Iterator[None], int]:
    """Return the steps of `tdbs.train` with a strategy, and how many an epoch has."""
    strategy = resolve_strategy(name, dataset.manifest.task, {"base_batch_size": BATCH})
    feed = make_feed(open_training_data(dataset), strategy, seed=SEED, epochs=1)
    settings = resolve_settings(TrainSettings(model=options.model, precision=options.precision), dataset.manifest)
    dropout = resolve_dropout(None, strategy, split_info(dataset, "train").rows)
    learner = make_learner(dataset, settings, seed=SEED, dropout=dropout, in_rows=strategy.in_rows)
    log = folder / f"{name}.jsonl"
    return our_loop(learner, feed, steps=_count(options), log=log), feed.plans[0].steps


def in_turns(loops: Mapping[str, Iterator[None]], *, rounds: int, steps: int) -> dict[str, list[float]]:
    """Return the mean seconds of each loop's steps in each round."""
    for loop in loops.values():
        for _ in range(WARMUP):
            next(loop)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    names = list(loops)
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            clock = time.perf_counter()
            for _ in itertools.repeat(None, steps):
                next(loops[name])
            seconds[name].append((time.perf_counter() - clock) / steps)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--strategies", default=STRATEGIES)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=10, help="of each loop in a round")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    quiet_libraries()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        dataset = tdbs.prepare("glue/sst2", mirror=options.mirror, tokenizer=options.model, out=folder / "sst2").dataset
        settings = resolve_settings(TrainSettings(model=options.model, precision=options.precision), dataset.manifest)
        options.precision = settings.execution.precision
        loops, counts = {}, {}
        for name in options.strategies.split(","):
            loops[name], counts[name] = strategy_steps(options, dataset, name, folder)
        rows = _tokenized(options)
        for name, own in TRAINERS.items():
            loops[name] = trainer_steps(options, rows, own, folder / name)
            counts[name] = -(-len(rows) // BATCH)
        seconds = in_turns(loops, rounds=options.rounds, steps=options.steps)
    print_rows(
        [
            {
                "": name,
                "ms a step": 1e3 * statistics.median(own),
                "s an epoch": counts[name] * statistics.median(own),
                f"{DEFAULT} takes": f"{_ratio(seconds, counts, name):.2f} of it",
            }
            for name, own in seconds.items()
        ],
        as_json=options.json,
        precision=options.precision,
        rounds=options.rounds,
        steps=options.steps,
    )


def _ratio(seconds: Mapping[str, list[float]], counts: Mapping[str, int], name: str) -> float:
    of_rounds = (ours / theirs for ours, theirs in zip(seconds[DEFAULT], seconds[name], strict=True))
    return statistics.median(of_rounds) * counts[DEFAULT] / counts[name]


def _count(options: argparse.Namespace) -> int:
    return WARMUP + options.rounds * options.steps


def _tokenized(options: argparse.Namespace) -> Dataset:
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    table = pq.read_table(options.mirror / "glue" / "sst2" / "train.parquet", columns=["sentence", "label"])
    return Dataset(table).map(
        lambda batch: tokenizer(batch["sentence"], truncation=True, max_length=128),
        batched=True,
        remove_columns=["sentence"],
        keep_in_memory=True,
    )


if __name__ == "__main__":
    main()
