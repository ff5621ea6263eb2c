"""Steps of transformers' Trainer on SST-2, as it is, with batches grouped by length, and after prepare_trainer.

    python -m benchmarks.bench_prepare_trainer --model MODEL --mirror DIR --steps 20 --turns 3

Same samples a batch, rate, seed and precision. Arms run in turns in one process; the least and the median of a step's
seconds count, and the seconds of this process's CPU time.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from datasets import Dataset, disable_progress_bars
from transformers import TrainerCallback

from benchmarks.common import markdown_table, provenance
from benchmarks.trainer_script import sst2, trainer_of
from tdbs.cli.common import quiet_libraries
from tdbs.integrations.transformers import prepare_trainer

BATCH, RATE, SEED, WARMUP_STEPS = 64, 1e-4, 1, 2
# the script that each arm begins with, in fp32 and in bf16
ARMS = {
    "Trainer": ("Trainer, its defaults", "Trainer, bf16"),
    "Trainer, group_by_length": ("Trainer, group_by_length", "Trainer, group_by_length, bf16"),
    "prepare_trainer": ("Trainer, its defaults", "Trainer, bf16"),
}


class StepClock(TrainerCallback):
    """Notes when each step of a Trainer ends, in seconds and in seconds of CPU time."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def on_step_end(self, *_arguments: Any, **_named: Any) -> None:
        """Note the times."""
        self.ends.append((time.perf_counter(), time.process_time()))


def seconds_of_steps(arm: str, options: argparse.Namespace, rows: Dataset) -> list[tuple[float, float]]:
    """Return the seconds of each step of an arm, and those of CPU time."""
    clock = StepClock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(
            ARMS[arm][options.bf16],
            rows,
            model=options.model,
            folder=Path(folder),
            batch=BATCH,
            rate=RATE,
            seed=SEED,
            steps=WARMUP_STEPS + options.steps,
            callbacks=[clock],
        )
        (prepare_trainer(trainer) if arm == "prepare_trainer" else trainer).train()
    ends = clock.ends[WARMUP_STEPS - 1 :]
    return [(wall - before, cpu - used) for (before, used), (wall, cpu) in itertools.pairwise(ends)]


def main() -> None:
    """Measure all arms and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()
    quiet_libraries()
    disable_progress_bars()
    rows = sst2(options.mirror, "train", model=options.model)
    turns: dict[str, list[list[tuple[float, float]]]] = {arm: [] for arm in ARMS}
    for _ in range(options.turns):
        for arm in ARMS:
            turns[arm].append(seconds_of_steps(arm, options, rows))
    table_rows = []
    for arm, found in turns.items():
        walls, cpus = ([sum(step[part] for step in turn) for turn in found] for part in (0, 1))
        seconds = {"least": min(walls), "median": statistics.median(walls), "least of CPU time": min(cpus)}
        table_rows.append({"": arm, **{name: f"{value:.2f}" for name, value in seconds.items()}})
    print(json.dumps(provenance()))
    print(f"Seconds of {options.steps} steps:\n\n{markdown_table(table_rows)}")


if __name__ == "__main__":
    main()
