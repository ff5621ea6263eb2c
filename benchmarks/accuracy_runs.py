"""Runs of the accuracy study, each trained once and recorded in a file of lines that is kept with the code.

A record says all that decides a score (task, model, what the strategy is, dropout, rate, epochs, seed) and what came of
it. Tables are made of records alone. Not part of what decides are device and versions: runs of several sessions and
machines belong to one study, and only their seconds cannot be compared.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import tdbs
from benchmarks.common import provenance
from tdbs.analysis.compare import compare
from tdbs.analysis.environment import device_name
from tdbs.data.tasks import Task
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.defaults import shown_model
from tdbs.train.strategies import Strategy, resolve_strategy

SST2_ROWS = 8_000  # the first rows of its train split
_DEFAULTS = {part.name: part.default for part in fields(Strategy) if part.default is not MISSING}


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A named strategy with some parts of its own, and the dropout it is trained with."""

    name: str
    strategy: str
    dropout: float
    parts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run: the first six fields decide its score, the others are what came of it."""

    task: str
    model: str
    strategy: dict[str, Any]  # parts that are not a Strategy's defaults
    dropout: float
    rate: float
    epochs: int
    seed: int
    score: float
    seconds: float
    steps: int
    tokens: int
    padding_fraction: float
    device: str
    threads: int
    date: str
    commit: str

    @property
    def key(self) -> str:
        """What decides the score."""
        return run_key(self.task, self.model, self.strategy, self.dropout, self.rate, self.epochs, self.seed)


def run_key(
    task: str, model: str, strategy: Mapping[str, Any], dropout: float, rate: float, epochs: int, seed: int
) -> str:
    """Return all that decides a run as one text."""
    return json.dumps([task, model, dict(sorted(strategy.items())), dropout, rate, epochs, seed])


def strategy_parts(strategy: Strategy) -> dict[str, Any]:
    """Return the parts of a strategy that are not the defaults of any; its name is none of them."""
    return {
        name: value
        for name, value in asdict(strategy).items()
        if name != "name" and (name not in _DEFAULTS or value != _DEFAULTS[name])
    }


def read_records(path: Path) -> dict[str, RunRecord]:
    """Return the records of a file by key; a last line that was cut off is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    records = [RunRecord(**json.loads(line)) for line in lines if line.endswith("\n")]
    return {record.key: record for record in records}


def prepared_task(task: str, *, model: str, mirror: Path, out: Path) -> PreparedDataset:
    """Return a task of the study, prepared with the model's tokenizer; `sst2-8000` is the first rows of SST-2."""
    if task == "sst2-8000":
        mirror = _first_rows(mirror, out / "mirror")
    return tdbs.prepare(
        f"glue/{task.removesuffix('-8000')}", mirror=mirror, tokenizer=model, out=out / "data" / task
    ).dataset


def _first_rows(mirror: Path, out: Path) -> Path:
    """Make a mirror with the first rows of SST-2, where it is not made yet."""
    source, target = mirror / "glue" / "sst2", out / "glue" / "sst2"
    if not (target / "validation.parquet").exists():
        target.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_table(source / "train.parquet").slice(0, SST2_ROWS), target / "train.parquet")
        shutil.copy(source / "validation.parquet", target)
    return out


def _for_task(variant: Variant, task: Task) -> Strategy:
    """Return the strategy of a variant; where the task forbids to drop words, nothing is dropped."""
    parts = dict(variant.parts)
    if task.drop_forbidden:
        parts = {name: value for name, value in parts.items() if name not in ("drop", "drop_rate", "bucket_width")}
    return replace(resolve_strategy(variant.strategy, task, parts), name=variant.name)


def train_missing(
    dataset: PreparedDataset,
    task: str,
    variants: list[Variant],
    seeds: list[int],
    *,
    model: str,
    rate: float,
    epochs: int,
    records: Path,
    progress: Callable[[str], None] = print,
) -> None:
    """Train each variant with each seed that has no record, seed by seed, and append a record of each to the file."""
    import torch

    for seed in seeds:
        for variant in variants:
            strategy = _for_task(variant, dataset.manifest.task)
            parts = strategy_parts(strategy)
            key = run_key(task, shown_model(model), parts, variant.dropout, rate, epochs, seed)
            if key in read_records(records):
                continue
            with tempfile.TemporaryDirectory() as folder:
                row = compare(
                    dataset,
                    [strategy],
                    baseline=strategy.name,
                    out=Path(folder) / "comparison",
                    seeds=[seed],
                    model=model,
                    epochs=epochs,
                    lr=rate,
                    dropout=variant.dropout,
                )["rows"][0]
            found = provenance()
            record = RunRecord(
                task=task,
                model=shown_model(model),
                strategy=parts,
                dropout=variant.dropout,
                rate=rate,
                epochs=epochs,
                seed=seed,
                score=row["score"],
                seconds=round(row["seconds"], 1),
                steps=row["steps"],
                tokens=row["tokens"],
                padding_fraction=round(row["padding_fraction"], 4),
                device=device_name(),
                threads=torch.get_num_threads(),
                date=found["date"],
                commit=found["commit"],
            )
            with records.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(record)) + "\n")
            progress(
                f"{task}, {variant.name}, rate {rate:g}, seed {seed}: {100 * record.score:.1f} in {record.seconds:.0f} s"
            )
