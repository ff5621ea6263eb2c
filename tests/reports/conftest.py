"""Factories of the report tests: a dataset, estimates and a run made of plain values, with overrides."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tdbs.analysis.speedup import StrategyEstimate
from tdbs.data.tasks import Columns, Task
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import Manifest, SplitInfo, TokenizerInfo, WordsInfo
from tdbs.reports.comparison import Comparison, read_comparison
from tdbs.reports.page import render_page
from tdbs.reports.report import Report
from tdbs.reports.report_values import facts_of
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.run_folder import Run
from tdbs.train.trainer import TrainResult

KEY = "0123456789abcdef"


def make_split(lengths: list[int], *, max_length: int = 16) -> SplitInfo:
    return SplitInfo(
        rows=len(lengths),
        source_rows=len(lengths),
        tokens=sum(lengths),
        droppable_words=len(lengths),
        droppable_tokens=len(lengths),
        labelled=True,
        length_histogram=tuple(np.bincount(lengths, minlength=max_length + 1).tolist()),
        droppable_histogram=(0, len(lengths)),
        shards=(),
    )


def make_dataset(**overrides: Any) -> PreparedDataset:
    fields: dict[str, Any] = {
        "schema_version": 2,
        "key": KEY,
        "key_parts": {"source": "aa", "max length": "16"},
        "source": "sample",
        "task": Task(name="sample", kind="classification", columns=Columns(text="text"), classes=("no", "yes")),
        "tokenizer": TokenizerInfo(
            name="words",
            source="/somewhere/words",
            sha256="bb",
            vocabulary_sha256="cc",
            vocabulary_size=10,
            pad_id=0,
            special_ids=(0, 1, 2),
            special_tokens=2,
        ),
        "words": WordsInfo(source="paper", kept=(), count=134, sha256="dd"),
        "max_length": 16,
        "bucket_edges": (0, 5, 10, 15, 16),
        "splits": {"train": make_split([4, 4, 6, 8, 8, 8, 16]), "validation": make_split([4, 6])},
        "seconds": {"total": 1.25},
    }
    return PreparedDataset(path=Path("data/sample/words-16"), manifest=Manifest(**{**fields, **overrides}))


def make_estimate(strategy: str, tokens: int, padding: float, speedup: float) -> StrategyEstimate:
    return StrategyEstimate(
        strategy=strategy,
        steps=30,
        tokens=tokens,
        padding_fraction=padding,
        seconds=None,
        speedup=speedup,
        speedup_low=speedup,
        speedup_high=speedup if speedup == 1 else speedup + 0.25,
    )


ESTIMATES = [
    make_estimate("random_max", 8000, 0.75, 0.5),
    make_estimate("random", 4000, 0.5, 1.0),
    make_estimate("reach", 1600, 0.0, 2.5),
]


def make_steps(losses: list[float | None], *, per_epoch: int = 4) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"step": step, "epoch": step // per_epoch, "batch_size": 8, "predicted": 8, "padded_length": 6, "lr": 1e-4,
         "loss": loss, "seconds": 0.1}
        for step, loss in enumerate(losses)
    )  # fmt: skip


def make_row(strategy: str, seed: int, **overrides: Any) -> dict[str, Any]:
    """Return a row of compare.json: 20 s where 25 s were predicted, twice as fast as the baseline."""
    values = {
        "strategy": strategy,
        "seed": seed,
        "seconds": 20.0,
        "predicted_seconds": 25.0,
        "speedup": 2.0,
        "predicted_speedup": 1.6,
        "padding_fraction": 0.25,
        "tokens": 1000,
        "steps": 30,
        "score": 0.875,
        "evaluate_seconds": 1.5,
        "plan_seconds": 0.5,
        "peak_memory_bytes": 3 * 2**29,
        "run": f"{strategy}-seed{seed}",
        "energy_kwh": None,
        "co2e_kg": None,
        "power": None,
        "predicted_peak_memory_bytes": 2**30,
    }
    return {**values, **overrides}


def make_summary(strategy: str, **overrides: Any) -> dict[str, Any]:
    """Return a summary of compare.json, of two seeds."""
    row = make_row(strategy, 0)
    shared = ("strategy", "seconds", "predicted_seconds", "speedup", "predicted_speedup", "padding_fraction", "tokens")
    values = {
        **{name: row[name] for name in shared},
        "seeds": 2,
        "score_mean": 0.875,
        "score_std": 0.0125,
        "peak_memory_bytes": row["peak_memory_bytes"],
        "predicted_peak_memory_bytes": row["predicted_peak_memory_bytes"],
        "score_difference": None if strategy == "random" else 0.005,
        "score_difference_low": None if strategy == "random" else -0.01,
        "score_difference_high": None if strategy == "random" else 0.02,
        "energy_kwh": None,
        "co2e_kg": None,
    }
    return {**values, **overrides}


def make_comparison(**overrides: Any) -> dict[str, Any]:
    """Return what compare.json holds: `random` in 40 s as predicted, `reach` in 20 s and a fifth too long predicted."""
    slow = {"seconds": 40.0, "predicted_seconds": 40.0, "speedup": 1.0, "predicted_speedup": 1.0}
    prediction = [
        asdict(replace(make_estimate("random", 4000, 0.5, 1.0), seconds=40.0, seconds_low=36.0, seconds_high=44.0)),
        asdict(replace(make_estimate("reach", 1600, 0.0, 1.6), seconds=25.0, seconds_low=24.0, seconds_high=26.0)),
    ]
    values = {
        "dataset": "data/sample/words-16",
        "dataset_key": KEY,
        "source": "sample",
        "model": "tiny",
        "epochs": 2,
        "part_steps": None,
        "baseline": "random",
        "attention": "eager",
        "precision": "bf16",
        "device": "two cores",
        "prepare_seconds": 1.25,
        "prediction": {"profile": None, "pace": None, "strategies": prediction},
        "rows": [
            *(make_row("random", seed, **slow) for seed in (0, 1)),
            make_row("reach", 0, seconds=19.0),
            make_row("reach", 1, seconds=21.0),
        ],
        "summary": [make_summary("random", **slow), make_summary("reach")],
        "median_error": 0.125,
        "worst_error": 0.25,
    }
    return {**values, **overrides}


def write_comparison(folder: Path, **overrides: Any) -> Path:
    """Write a finished comparison's terms and its result into a folder."""
    strategies = [asdict(STRATEGIES[name]) for name in ("random", "reach")]
    (folder / "settings.json").write_text(json.dumps({"strategies": strategies}))
    (folder / "compare.json").write_text(json.dumps(make_comparison(**overrides)))
    return folder


@pytest.fixture
def compared(tmp_path: Path) -> Callable[..., Comparison]:
    """Return a function that writes a comparison with overrides, and reads it."""

    def read(**overrides: Any) -> Comparison:
        return read_comparison(write_comparison(tmp_path, **overrides))

    return read


def page_of(**parts: Any) -> str:
    """Return the page of a report made of these parts."""
    return render_page(facts_of(Report(**parts)))


@pytest.fixture
def run_of() -> Callable[..., Run]:
    """Return a factory of runs: finished ones, with a score, unless overridden."""

    def make(**overrides: Any) -> Run:
        result = TrainResult(
            run="runs/one",
            strategy="reach",
            seed=7,
            steps=8,
            samples=64,
            tokens=1600,
            padding_fraction=0.0,
            seconds={"train": 31.4, "evaluate": 0.8, "total": 3725.0},
            metrics={"accuracy": 0.875, "f1": 0.8125},
            score=0.875,
            epochs=[{"epoch": 0, "loss": 0.5, "score": 0.75}, {"epoch": 1, "loss": 0.25, "score": 0.875}],
        )
        fields: dict[str, Any] = {
            "path": Path("runs/one"),
            "config": {
                "dataset": {"path": "data/sample/words-16", "key": KEY, "source": "sample"},
                "model": "tiny",
                "seed": 7,
                "epochs": 2,
                "strategy": {"name": "reach", "rbm": True},
            },
            "steps": make_steps([0.9, 0.7, 0.5, 0.4, 0.3, 0.3, 0.2, 0.2]),
            "result": asdict(result),
        }
        return Run(**{**fields, **overrides})

    return make
