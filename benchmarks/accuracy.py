"""What a strategy costs in accuracy: variants x seeds x tasks, trained through `compare`, with paired differences.

    python -m benchmarks.accuracy STUDY --model MODEL --mirror DIR

STUDY is rates, screening, causes, customary, beside, whole or stratified (accuracy_studies.py; the confirmation is
added once it is known of what). Runs without a record in reports/accuracy/runs.jsonl are trained, seed by seed; then
the study's page reports/accuracy/<study>.md is written from the records of all runs there are. Several processes may
train side by side, with --tasks, --seeds or --variants of their own (OMP_NUM_THREADS=1 each: two cores then do a third
more than one process does on both).

How the default is chosen, written when five runs of seed 1 and the rates of STS-B were known:

- The rate of a task is the best of a grid on random batches with the model's dropout, over seeds 1 and 2.
- Screening has seeds 1 to 5. Random batches, with the model's dropout of 0.1 or without, stand in for `random` in
  score: they run unpadded, the same function of the same batches. A variant is a candidate where its mean over tasks
  is at most 0.2 points below each of the two, and no task's mean is below that of the model's dropout by more than a
  deviation of its scores.
- The fastest candidate is confirmed on seeds 101 to 120 against random batches with the model's dropout, by the rule of
  accuracy_tables.passes. One that fails there is out, and the next one gets 20 seeds that no run has seen.
- Random batches run unpadded with the model's dropout need no confirmation; they are what is left if all fail.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy_runs import RunKey, RunRecord, append_record, prepared_task, read_records, run_key, train_run
from benchmarks.accuracy_studies import STUDIES, Study, Variant
from benchmarks.accuracy_tables import rate_page, study_page
from tdbs.cli.common import quiet_libraries
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset

REPORTS = Path(__file__).parent.parent / "reports" / "accuracy"
RECORDS = REPORTS / "runs.jsonl"

Datasets = Mapping[str, PreparedDataset]
Records = Mapping[str, RunRecord]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run of a study."""

    variant: Variant
    key: RunKey


def runs_of(study: Study, datasets: Datasets, rates: Mapping[str, tuple[float, ...]], *, model: str) -> Iterator[Run]:
    """Yield the runs of a study on some of its tasks, seed by seed."""
    for seed in study.seeds:
        for task, dataset in datasets.items():
            for rate in rates[task]:
                for variant in study.variants:
                    key = run_key(dataset, task, variant, model=model, rate=rate, epochs=study.epochs, seed=seed)
                    yield Run(variant=variant, key=key)


def scores_by_rate(datasets: Datasets, records: Records, *, model: str) -> dict[str, dict[float, list[float]]]:
    """Return what the study of rates has found so far, by task and rate."""
    study = STUDIES["rates"]
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    known = {task: dataset for task, dataset in datasets.items() if task in (study.rates or {})}
    for run in runs_of(study, known, study.rates or {}, model=model):
        if run.key.text in records:
            found[run.key.task][run.key.rate].append(records[run.key.text].score)
    return found


def rates_of(study: Study, datasets: Datasets, records: Records, *, model: str) -> Mapping[str, tuple[float, ...]]:
    """Return the rates that a study trains with: its own, or for each task the one of the best mean score."""
    if study.rates is not None:
        return study.rates
    found = scores_by_rate(datasets, records, model=model)
    for task in datasets:
        if task not in found:
            raise ConfigError(f"No rate of {task} is known.", next_step=f"Run the study rates with --tasks {task}.")
    return {task: (max(found[task], key=lambda rate: statistics.mean(found[task][rate])),) for task in datasets}


def main() -> None:
    """Train what is missing and write the study's page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("data/accuracy"), help="folder of the prepared tasks")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--tasks", help="train these tasks alone, with commas between")
    parser.add_argument("--variants", help="train these variants alone, with semicolons between")
    parser.add_argument("--seeds", help="train these seeds alone, with commas between")
    arguments = parser.parse_args()
    quiet_libraries()
    study, model, path = STUDIES[arguments.study], arguments.model, arguments.records
    datasets = {
        task: prepared_task(task, model=model, mirror=arguments.mirror, out=arguments.data) for task in study.tasks
    }
    rates = rates_of(study, datasets, read_records(path), model=model)
    tasks, variants, seeds = (
        None if given is None else given.split(separator)
        for given, separator in ((arguments.tasks, ","), (arguments.variants, ";"), (arguments.seeds, ","))
    )
    for run in runs_of(study, datasets, rates, model=model):
        asked = (
            (tasks is None or run.key.task in tasks)
            and (variants is None or run.variant.name in variants)
            and (seeds is None or str(run.key.seed) in seeds)
        )
        if asked and run.key.text not in read_records(path):  # read again: other processes add to it
            record = train_run(datasets[run.key.task], run.key, run.variant, model=model)
            append_record(path, record)
            print(record.line(run.variant.name), flush=True)
    records = read_records(path)
    if arguments.study == "rates":
        page = rate_page(study, scores_by_rate(datasets, records, model=model))
    else:
        found = [
            (run.variant.name, records[run.key.text])
            for run in runs_of(study, datasets, rates, model=model)
            if run.key.text in records
        ]
        page = study_page(study, found)
    command = f"python -m benchmarks.accuracy {arguments.study} --model MODEL --mirror DIR"
    (path.parent / f"{arguments.study}.md").write_text(f"{page}\n\nMade by `{command}`.\n", encoding="utf-8")


if __name__ == "__main__":
    main()
