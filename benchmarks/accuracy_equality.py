"""Whether `unpadded` may stand in for `random` in score: the same training, step by step, with padding and without.

    python -m benchmarks.accuracy_equality --model MODEL --mirror DIR

An epoch of each decisive task with both strategies, in fp32 and without dropout, on a seed that no run of the study has
seen. All that may differ is rounding: the losses of the first steps tell whether the same function of the same batches
is computed, the last ones and the scores how far rounding carries. With dropout the two draw other masks of one
distribution, so their runs are as two seeds of one recipe. Writes reports/accuracy/confirmation.md.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import tdbs
from benchmarks.accuracy import RECORDS, rates_of
from benchmarks.accuracy_runs import prepared_task, read_records
from benchmarks.accuracy_studies import STUDIES, TASKS
from benchmarks.common import markdown_table, provenance
from tdbs.arrays import FloatArray
from tdbs.cli.common import quiet_libraries
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.planning.model_choice import shown_model
from tdbs.train.run_folder import read_run

SEEDS = (101,)
FIRST = 10  # steps


def trained(dataset: PreparedDataset, strategy: str, *, model: str, rate: float, seed: int) -> tuple[FloatArray, float]:
    """Return the losses of an epoch, and the score after it."""
    with tempfile.TemporaryDirectory() as folder:
        result = tdbs.train(
            dataset,
            strategy=strategy,
            model=model,
            epochs=1,
            seed=seed,
            lr=rate,
            dropout=0.0,
            precision="fp32",
            out=Path(folder) / "run",
            checkpoints=None,
            save=False,
        )
        losses = np.array([step["loss"] for step in read_run(Path(folder) / "run").steps])
    return losses, float("nan") if result.score is None else result.score


def row_of(task: str, dataset: PreparedDataset, *, model: str, rate: float, seed: int) -> dict[str, str]:
    """Return a row of the page: how far the two strategies part."""
    padded, unpadded = (trained(dataset, name, model=model, rate=rate, seed=seed) for name in ("random", "unpadded"))
    apart = np.abs(padded[0] - unpadded[0])
    return {
        "task": task,
        "seed": str(seed),
        "steps": str(len(apart)),
        f"losses apart, first {FIRST} steps": f"{apart[:FIRST].max():.1e}",
        "in all steps": f"{apart.max():.1e}",
        "score, `random`": f"{100 * padded[1]:.2f}",
        "score, `unpadded`": f"{100 * unpadded[1]:.2f}",
    }


def main() -> None:
    """Train, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("data/accuracy"), help="folder of the prepared tasks")
    arguments = parser.parse_args()
    quiet_libraries()
    model = arguments.model
    datasets = {task: prepared_task(task, model=model, mirror=arguments.mirror, out=arguments.data) for task in TASKS}
    rates = rates_of(STUDIES["screening"], datasets, read_records(RECORDS), model=model)
    rows = []
    for task, dataset in datasets.items():
        for seed in SEEDS:
            rows.append(row_of(task, dataset, model=model, rate=rates[task][0], seed=seed))
            print(rows[-1], flush=True)
    where = "; ".join(provenance().values())
    page = [
        "# Confirmation: `unpadded` makes the updates of `random`",
        f"An epoch of each task with both, {shown_model(model)} (22 M parameters), fp32, no dropout, base batch 64, "
        "a seed that the study has not used. Scores: Pearson (stsb), Matthews (cola), else accuracy, x 100.",
        markdown_table(rows),
        f"{where}. Made by `python -m benchmarks.accuracy_equality --model MODEL --mirror DIR`.",
    ]
    (RECORDS.parent / "confirmation.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
