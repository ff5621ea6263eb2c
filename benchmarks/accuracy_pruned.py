"""Time against accuracy on parts of the train samples: the hardest, a data diet, and random ones of the same number.

    python -m benchmarks.accuracy_pruned --model MODEL --mirror DIR

Runs without a record in reports/accuracy/pruned.jsonl are trained, task by task and seed by seed; then the page
reports/accuracy/pruned.md is written from all records. The choices, each with 70, 50 and 30 % of the samples:

- random: `--keep` with rows drawn by the seed, in every epoch the same.
- hardest: `--keep RUN:FRACTION`, by EL2N of the last epoch of the run on all samples with the same seed.
- diet: `--data-diet FRACTION`. Its first epoch is whole, so it trains on more samples than the others.

Time is the processor's, of training and planning: the run's, times their share of its wall-clock time without other
work. So it compares runs of a machine in use, as long as each process has one thread (OMP_NUM_THREADS=1). That of
`hardest` leaves out the run that made its scores.
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import tdbs
from benchmarks.accuracy import REPORTS
from benchmarks.accuracy_runs import prepared_task
from benchmarks.accuracy_tables import mean_over_tasks, shown_difference
from benchmarks.common import markdown_table, provenance
from tdbs.analysis.compare.record import paired_difference
from tdbs.cli.common import quiet_libraries
from tdbs.pipeline.dataset import PreparedDataset, read_split
from tdbs.train.planning.subsets import count_of

RATES = {"mrpc": 1e-4, "cola": 5e-5, "sst2-8000": 1e-4, "rte": 1e-4}
SEEDS = (1, 2, 3)
SHARES = (0.7, 0.5, 0.3)
EPOCHS = 3
ALL, RANDOM, HARDEST, DIET = "all", "random", "hardest", "diet"


@dataclass(frozen=True, kw_only=True, slots=True)
class PrunedRun:
    """A run on a part of the samples, and what came of it."""

    task: str
    choice: str
    share: float
    seed: int
    epochs: int
    score: float
    seconds: float  # of the processor, without those of scoring
    samples: int
    tokens: int
    steps: int
    device: str
    date: str
    commit: str

    @property
    def name(self) -> str:
        """The choice with its share."""
        return self.choice if self.choice == ALL else f"{self.choice}, {self.share:.0%}"


def variants(shares: Sequence[float]) -> list[tuple[str, float]]:
    """Return the choices with their shares, all samples first: the hardest are known after that run."""
    return [(ALL, 1.0), *((choice, share) for share in shares for choice in (RANDOM, HARDEST, DIET))]


def train_part(
    dataset: PreparedDataset, task: str, choice: str, share: float, *, seed: int, epochs: int, model: str, folder: Path
) -> PrunedRun:
    """Train one run; that on all samples stays in the folder, with its scores."""
    folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, object] = {}
    if choice == RANDOM:
        options["keep_samples"] = str(random_rows(dataset, share, seed=seed, file=folder / f"random-{share:g}.txt"))
    if choice == HARDEST:
        options["keep_samples"] = f"{folder / ALL}:{share:g}"
    if choice == DIET:
        options["data_diet"] = share
    clock = time.process_time()
    run = tdbs.train(
        dataset,
        model=model,
        epochs=epochs,
        lr=RATES[task],
        seed=seed,
        out=folder / (ALL if choice == ALL else "part"),
        overwrite=True,
        checkpoints=None,
        save=False,
        progress=False,
        **options,
    )
    used, trained = time.process_time() - clock, run.seconds["train"] + run.seconds["plan"]
    if choice == ALL:
        tdbs.score(run, label_errors=0)
    origin = provenance()
    return PrunedRun(
        task=task,
        choice=choice,
        share=share,
        seed=seed,
        epochs=epochs,
        score=run.score,
        seconds=round(used * trained / (trained + run.seconds["evaluate"]), 1),
        samples=run.samples,
        tokens=run.tokens,
        steps=run.steps,
        device=origin["hardware"],
        date=origin["date"],
        commit=origin["commit"],
    )


def random_rows(dataset: PreparedDataset, share: float, *, seed: int, file: Path) -> Path:
    """Write source rows of a random share of the train samples, a number a line."""
    rows_N = read_split(dataset, "train").source_rows_N
    chosen = np.random.default_rng([seed, round(1000 * share)]).choice(rows_N, count_of(share, len(rows_N)), False)
    file.write_text("\n".join(map(str, sorted(chosen.tolist()))) + "\n", encoding="utf-8")
    return file


def page(found: Sequence[PrunedRun]) -> str:
    """Return the page of all records: scores and time, and differences to all samples and to random ones."""
    names = list(dict.fromkeys(run.name for run in sorted(found, key=lambda run: -run.share)))
    tasks = list(dict.fromkeys(run.task for run in found))
    seeds = sorted({run.seed for run in found})
    facts = sorted({f"{run.device}, {run.date}, {run.commit}" for run in found})
    return "\n\n".join(
        [
            "# Training on a part of the samples",
            f"{len(found)} runs: all-MiniLM-L6-v2 (22 M parameters), {found[0].epochs} epochs, base batch 64, the "
            f"default strategy, seeds {', '.join(map(str, seeds))}; {'; '.join(facts)}. Scores: Matthews (cola), else "
            "accuracy, x 100; mean and deviation over seeds. Time is the processor's; that of the run on all samples "
            "with the same seed is 1.00: mean over seeds and tasks. Differences are of means over tasks, seed by seed, "
            "with 95 % t intervals.",
            markdown_table([_row(found, name, tasks) for name in names]),
            "`hardest` needs the run on all samples first, whose time is not counted. `diet` has a whole first epoch.",
            "Made by `python -m benchmarks.accuracy_pruned --model MODEL --mirror DIR`.\n",
        ]
    )


def _row(found: Sequence[PrunedRun], name: str, tasks: Sequence[str]) -> dict[str, str]:
    own = [run for run in found if run.name == name]
    row = {"samples": name}
    for task in tasks:
        points = [100 * run.score for run in own if run.task == task]
        spread = f" ± {statistics.stdev(points):.1f}" if len(points) > 1 else ""
        row[task] = f"{statistics.mean(points):.1f}{spread}" if points else ""
    whole = {(run.task, run.seed): run for run in found if run.choice == ALL}
    paired = [(run, whole[run.task, run.seed]) for run in own if (run.task, run.seed) in whole]
    row["time"] = f"{statistics.mean(run.seconds / all_.seconds for run, all_ in paired):.2f}" if paired else ""
    row["tokens"] = f"{statistics.mean(run.tokens / all_.tokens for run, all_ in paired):.2f}" if paired else ""
    row["difference to all"] = "" if own[0].choice == ALL else _difference(found, name, ALL, tasks)
    beside = f"{RANDOM}, {own[0].share:.0%}"
    row["to random"] = "" if own[0].choice in (ALL, RANDOM) else _difference(found, name, beside, tasks)
    return row


def _difference(found: Sequence[PrunedRun], name: str, base: str, tasks: Sequence[str]) -> str:
    ours, theirs = (mean_over_tasks(_scores(found, each, tasks)) for each in (name, base))
    return shown_difference(paired_difference(ours, theirs))


def _scores(found: Sequence[PrunedRun], name: str, tasks: Sequence[str]) -> Mapping[str, Mapping[int, float]]:
    return {task: {run.seed: run.score for run in found if (run.name, run.task) == (name, task)} for task in tasks}


def read_runs(path: Path) -> list[PrunedRun]:
    """Return the records of a file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [PrunedRun(**json.loads(line)) for line in lines]


def main() -> None:
    """Train what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("data/accuracy"), help="folder of prepared tasks and of runs")
    parser.add_argument("--records", type=Path, default=REPORTS / "pruned.jsonl")
    parser.add_argument("--tasks", nargs="+", default=list(RATES), choices=list(RATES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    quiet_libraries()
    for task in arguments.tasks:
        dataset = prepared_task(task, model=arguments.model, mirror=arguments.mirror, out=arguments.data)
        for seed in arguments.seeds:
            folder = arguments.data / "pruned" / f"{task}-{arguments.epochs}-seed{seed}"
            for choice, share in variants(arguments.shares):
                key = (task, choice, share, seed, arguments.epochs)
                done = [(run.task, run.choice, run.share, run.seed, run.epochs) for run in read_runs(arguments.records)]
                if key in done and (choice != ALL or (folder / ALL / "scores.parquet").exists()):
                    continue
                terms = {"seed": seed, "epochs": arguments.epochs, "model": arguments.model, "folder": folder}
                found = train_part(dataset, task, choice, share, **terms)
                if key not in done:
                    arguments.records.parent.mkdir(parents=True, exist_ok=True)
                    with arguments.records.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(found)) + "\n")
                print(
                    f"{task}, seed {seed}, {found.name}: {100 * found.score:.1f} in {found.seconds:.0f} s", flush=True
                )
    records = [run for run in read_runs(arguments.records) if run.epochs == arguments.epochs]
    arguments.records.with_suffix(".md").write_text(page(records), encoding="utf-8")


if __name__ == "__main__":
    main()
