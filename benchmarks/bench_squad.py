"""Fine-tune on a part of SQuAD and score it beside the untrained model: does question answering learn?

python -m benchmarks.bench_squad MIRROR --model FOLDER [--every 10] [--epochs 2] [--strategy reach] [--lr 1e-4]

Takes every n-th question of both splits (MIRROR/squad/<split>.parquet), prepares them with the model's tokenizer, and
prints one JSON object. Validation questions are scored on all their windows.
"""

import argparse
from pathlib import Path

from benchmarks.squad_part import print_measured, trained_on_part


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Return the scores before and after training, with what the run was."""
    run = trained_on_part(options, folder, name="squad_part")
    return run.facts | run.scores


if __name__ == "__main__":
    print_measured(__doc__, measure, every=10)
