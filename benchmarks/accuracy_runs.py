"""Runs of the accuracy study, each trained once and recorded as a line of a file that is kept with the code.

A record says all that decides a score (task, model, what the strategy is, dropout, rate, epochs, seed) and what came of
it. Tables are made of records alone, so they grow over sessions and machines; device and commit are told, they decide
nothing. Seconds of records are no measurement: runs were made side by side, one thread each.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

import tdbs
from benchmarks.accuracy_studies import Variant
from benchmarks.common import provenance
from tdbs.analysis.compare.compare import compare
from tdbs.analysis.environment import device_name
from tdbs.data.tasks import Task
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.records import Form, whole_lines
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.model_choice import shown_model
from tdbs.train.planning.strategies import Strategy, parts_without_drop, resolve_strategy

SST2_ROWS = 8_000  # the first rows of its train split
_FORM = Form(what="a log of runs", error=ConfigError, next_step="Name another file.")
_DEFAULTS = {part.name: part.default for part in fields(Strategy) if part.default is not MISSING}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunKey:
    """All that decides a run."""

    task: str
    model: str
    strategy: Mapping[str, Any]  # the parts that are not a Strategy's defaults
    dropout: float
    rate: float
    epochs: int
    seed: int

    @property
    def text(self) -> str:
        """The key as a text, the same for equal keys."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """A run and what came of it."""

    key: RunKey
    score: float
    seconds: float
    steps: int
    tokens: int
    padding_fraction: float
    device: str
    threads: int
    date: str
    commit: str

    def line(self, variant: str) -> str:
        """Return the run in one line."""
        of = f"{self.key.task}, {variant}, rate {self.key.rate:g}, seed {self.key.seed}"
        return f"{of}: {100 * self.score:.1f} in {self.seconds:.0f} s"


def variant_strategy(variant: Variant, task: Task) -> Strategy:
    """Return the strategy of a variant; where the task forbids to drop words, nothing is dropped."""
    parts = parts_without_drop(variant.parts, task)
    return replace(resolve_strategy(variant.strategy, task, parts), name=variant.name, dropout=variant.dropout)


def run_key(
    dataset: PreparedDataset, task: str, variant: Variant, *, model: str, rate: float, epochs: int, seed: int
) -> RunKey:
    """Return what decides a run of a variant."""
    strategy = variant_strategy(variant, dataset.manifest.task)
    parts = {
        name: value
        for name, value in asdict(strategy).items()
        if name not in ("name", "dropout") and (name not in _DEFAULTS or value != _DEFAULTS[name])
    }
    return RunKey(
        task=task,
        model=shown_model(model),
        strategy=json.loads(json.dumps(parts)),
        dropout=resolve_dropout(None, strategy, split_info(dataset, "train").rows),
        rate=rate,
        epochs=epochs,
        seed=seed,
    )


def read_records(path: Path) -> dict[str, RunRecord]:
    """Return the records of a file by the text of their key; a last line that was cut off is left out."""
    found = [json.loads(line) for line in whole_lines(path, _FORM)]
    decides = [part.name for part in fields(RunKey)]
    records = [RunRecord(key=RunKey(**{name: record.pop(name) for name in decides}), **record) for record in found]
    return {record.key.text: record for record in records}


def prepared_task(task: str, *, model: str, mirror: Path, out: Path) -> PreparedDataset:
    """Return a task, prepared with the model's tokenizer; `sst2-8000` is the first rows of SST-2."""
    name = task.removesuffix(f"-{SST2_ROWS}")
    if name != task:
        mirror = first_rows(mirror / "glue" / name, out / "mirror")
    return tdbs.prepare(f"glue/{name}", mirror=mirror, tokenizer=model, out=out / "data" / task).dataset


def first_rows(source: Path, mirror: Path) -> Path:
    """Return a mirror with the first rows of a task's train split and its whole validation split."""
    target = mirror / "glue" / source.name
    if not (target / "validation.parquet").exists():
        target.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_table(source / "train.parquet").slice(0, SST2_ROWS), target / "train.parquet")
        shutil.copy(source / "validation.parquet", target)
    return mirror


def train_run(dataset: PreparedDataset, key: RunKey, variant: Variant, *, model: str) -> RunRecord:
    """Train one run, as a comparison of one strategy, and return its record."""
    strategy = variant_strategy(variant, dataset.manifest.task)
    with tempfile.TemporaryDirectory() as folder:
        result = compare(
            dataset,
            [strategy],
            baseline=strategy.name,
            out=Path(folder) / "comparison",
            seeds=[key.seed],
            model=model,
            epochs=key.epochs,
            lr=key.rate,
        )
    row, origin = result["rows"][0], provenance()
    return RunRecord(
        key=key,
        score=row["score"],
        seconds=round(row["seconds"], 1),
        steps=row["steps"],
        tokens=row["tokens"],
        padding_fraction=round(row["padding_fraction"], 4),
        device=device_name(),
        threads=torch.get_num_threads(),
        date=origin["date"],
        commit=origin["commit"],
    )


def append_record(path: Path, record: RunRecord) -> None:
    """Add a record to a file, as one write: several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = asdict(record)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**values.pop("key"), **values}) + "\n")
