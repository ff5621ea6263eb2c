"""How long the runs of the accuracy study take: some steps of each variant, one after the other, nothing else running.

    python -m benchmarks.accuracy_times --model MODEL --mirror DIR --steps 18

Writes reports/accuracy/times.md. The baseline is `random`, padded to the longest of a batch, with the model's dropout.
Runs of the other studies stand beside each other on a machine, so their seconds are no measurement.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.accuracy import REPORTS
from benchmarks.accuracy_runs import prepared_task, variant_strategy
from benchmarks.accuracy_studies import EPOCHS, STUDIES, TASKS, Variant
from benchmarks.common import markdown_table, provenance
from tdbs.analysis.compare.compare import compare
from tdbs.cli.common import quiet_libraries
from tdbs.pipeline.dataset import PreparedDataset

PADDED = Variant(name="random, padded, dropout 0.1", strategy="random", dropout=0.1)


def timed_variants() -> list[Variant]:
    """Return the baseline and all variants of the studies on the decisive tasks, each once."""
    studies = [study for study in STUDIES.values() if set(study.tasks) <= set(TASKS)]
    return [PADDED, *{variant.name: variant for study in studies for variant in study.variants}.values()]


def seconds_of(dataset: PreparedDataset, *, model: str, steps: int) -> dict[str, float]:
    """Return the seconds of a run of each variant, projected from some of its steps."""
    with tempfile.TemporaryDirectory() as folder:
        found = compare(
            dataset,
            [variant_strategy(variant, dataset.manifest.task) for variant in timed_variants()],
            baseline=PADDED.name,
            out=Path(folder) / "comparison",
            seeds=[1],
            model=model,
            epochs=EPOCHS,
            part_steps=steps,
        )
    return {row["strategy"]: row["seconds"] for row in found["rows"]}


def time_page(seconds: dict[str, dict[str, float]], *, steps: int) -> str:
    """Return the page: seconds and speedups by variant and task."""
    rows = [
        {"": variant.name}
        | {
            task: f"{found[variant.name]:,.0f} s, {found[PADDED.name] / found[variant.name]:.2f} x"
            for task, found in seconds.items()
        }
        for variant in timed_variants()
    ]
    origin = "; ".join(f"{name} {value}" for name, value in provenance().items())
    return (
        "# Times of the accuracy study's runs\n\n"
        f"A run of {EPOCHS} epochs, projected from {steps} steps of each variant (three turns, the median counts), and "
        f"the speedup over `random`, whose batches are padded to their longest, with the model's dropout. {origin}.\n\n"
        f"{markdown_table(rows)}\n\n"
        f"Made by `python -m benchmarks.accuracy_times --model MODEL --mirror DIR --steps {steps}`.\n"
    )


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("data/accuracy"))
    parser.add_argument("--steps", type=int, default=18)
    parser.add_argument("--out", type=Path, default=REPORTS / "times.md")
    arguments = parser.parse_args()
    quiet_libraries()
    seconds = {}
    for task in TASKS:
        dataset = prepared_task(task, model=arguments.model, mirror=arguments.mirror, out=arguments.data)
        seconds[task] = seconds_of(dataset, model=arguments.model, steps=arguments.steps)
        print(task, {name: round(value, 1) for name, value in seconds[task].items()}, flush=True)
    arguments.out.write_text(time_page(seconds, steps=arguments.steps), encoding="utf-8")


if __name__ == "__main__":
    main()
