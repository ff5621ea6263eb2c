"""An epoch of SST-2: tdbs's strategies against a script of transformers' Trainer, whose own defaults choose kernel,
optimizer and collator.

    python -m benchmarks.bench_trainer --model MODEL --mirror DIR --whole random,unpadded,tdbs --steps 30

Same model, batch size, rate and precision (bf16). `--whole` strategies train an epoch and are scored. Of the others
some steps are timed, in three turns; the epoch is projected from them, and the median of the turns counts.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
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
from benchmarks.common import markdown_table, provenance
from tdbs.analysis.compare.compare import compare
from tdbs.cli.common import quiet_libraries
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.strategies import resolve_strategy

BATCH, RATE, SEED, WARMUP_STEPS, TURNS = 64, 1e-4, 1, 3, 3
PARTS = ("random_max", "random", "length_grouped", "unpadded", "reach")


class StepClock(TrainerCallback):
    """Notes when each step of a Trainer ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_arguments: Any, **_named: Any) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


def trainer_seconds(model: str, mirror: Path, *, steps: int) -> float:
    """Return the seconds of an epoch of a Trainer with padding collator, projected from some of its steps."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    table = pq.read_table(mirror / "glue" / "sst2" / "train.parquet", columns=["sentence", "label"])
    rows = Dataset(table).map(
        lambda batch: tokenizer(batch["sentence"], truncation=True, max_length=128),
        batched=True,
        remove_columns=["sentence"],
        keep_in_memory=True,
    )
    seconds = []
    for turn in range(TURNS):
        clock = StepClock()
        with tempfile.TemporaryDirectory() as folder:
            Trainer(
                model=AutoModelForSequenceClassification.from_pretrained(model, num_labels=2),
                args=TrainingArguments(
                    output_dir=folder,
                    per_device_train_batch_size=BATCH,
                    learning_rate=RATE,
                    bf16=True,
                    use_cpu=not torch.cuda.is_available(),
                    max_steps=WARMUP_STEPS + steps,
                    seed=SEED + turn,
                    save_strategy="no",
                    report_to=[],
                    disable_tqdm=True,
                ),
                train_dataset=rows,
                data_collator=DataCollatorWithPadding(tokenizer),
                callbacks=[clock],
            ).train()
        seconds.append((clock.ends[-1] - clock.ends[WARMUP_STEPS - 1]) / steps)
    return statistics.median(seconds) * -(-len(rows) // BATCH)


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for the Trainer and for each strategy."""
    dataset: PreparedDataset = tdbs.prepare(
        "glue/sst2", mirror=arguments.mirror, tokenizer=arguments.model, out=arguments.data / "sst2"
    ).dataset
    whole = list(filter(None, arguments.whole.split(",")))
    rows: list[dict[str, Any]] = []
    for names, part_steps in (([name for name in PARTS if name not in whole], arguments.steps), (whole, None)):
        if not names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = compare(
                dataset,
                names,
                baseline=names[0],
                out=Path(folder) / "comparison",
                seeds=[SEED],
                model=arguments.model,
                epochs=1,
                lr=RATE,
                precision="bf16",
                part_steps=part_steps,
            )
        for row in found["rows"]:
            strategy = resolve_strategy(row["strategy"], dataset.manifest.task)
            dropout = resolve_dropout(None, strategy, split_info(dataset, "train").rows)
            rows.append({**row, "attention": found["attention"], "dropout": dropout, "whole": part_steps is None})
    seconds = trainer_seconds(arguments.model, arguments.mirror, steps=arguments.steps)
    own = {"strategy": "Trainer", "seconds": seconds, "attention": "sdpa (its default)", "dropout": 0.1, "whole": False}
    rows.append(own)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("data/trainer"))
    parser.add_argument("--whole", default="random,unpadded,reach")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    quiet_libraries()
    rows = sorted(measure(arguments), key=lambda row: row["seconds"])
    if arguments.json:
        print(json.dumps({**provenance(), "rows": rows}))
        return
    print("\n".join(f"{name}: {value}" for name, value in provenance().items()) + "\n")
    seconds = {row["strategy"]: row["seconds"] for row in rows}
    ours = [name for name in ("reach", "unpadded") if name in seconds]
    print(
        markdown_table(
            [
                {
                    "": row["strategy"],
                    "s / epoch": f"{row['seconds']:.0f}{'' if row['whole'] else ' (from steps)'}",
                    "padding": f"{row['padding_fraction']:.1%}" if "padding_fraction" in row else "",
                    "attention": row["attention"],
                    "dropout": f"{row['dropout']:g}",
                    "score": f"{row['score']:.4f}" if row.get("score") is not None else "",
                    **{f"{name} is faster": f"{row['seconds'] / seconds[name]:.2f} x" for name in ours},
                }
                for row in rows
            ]
        )
    )


if __name__ == "__main__":
    main()
