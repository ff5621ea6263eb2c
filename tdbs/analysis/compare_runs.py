"""Whole runs of a comparison: each is trained, or taken from a pool of finished ones, and gives a row."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from tdbs.analysis.comparison import Row, Terms
from tdbs.analysis.environment import device_name
from tdbs.analysis.peak_memory import peak_bytes, reset_peak
from tdbs.analysis.run_pool import keep_run, run_key, take_run
from tdbs.analysis.speedup import StrategyEstimate
from tdbs.files import name_in_folder
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.train.device import default_device
from tdbs.train.feed import TRAIN
from tdbs.train.strategies import Strategy, resolve_dropout
from tdbs.train.trainer import train

Progress = Callable[[str], None]


def run_row(
    folder: Path,
    dataset: PreparedDataset,
    strategy: Strategy,
    terms: Terms,
    estimate: StrategyEstimate,
    *,
    seed: int,
    pool: Path | None,
    progress: Progress,
) -> Row:
    """Return the row of one run, which lies in the comparison's folder then."""
    if pool is None:
        return _trained_row(folder, dataset, strategy, terms, estimate, seed=seed, progress=progress)
    name = f"{name_in_folder(strategy.name)}-seed{seed}"
    dropout = resolve_dropout(terms.dropout, strategy, split_info(dataset, TRAIN).rows)
    key = run_key(dataset.manifest.key, strategy, terms, seed=seed, dropout=dropout, device=device_name())
    found = take_run(pool, key, folder / name)
    if found is None:
        row = _trained_row(folder, dataset, strategy, terms, estimate, seed=seed, progress=progress)
        keep_run(pool, key, folder / name, row)
        return row
    return replace(
        found,
        strategy=strategy.name,
        run=name,
        predicted_seconds=estimate.seconds,
        predicted_speedup=None if estimate.seconds is None else estimate.speedup,
    )


def _trained_row(
    folder: Path,
    dataset: PreparedDataset,
    strategy: Strategy,
    terms: Terms,
    estimate: StrategyEstimate,
    *,
    seed: int,
    progress: Progress,
) -> Row:
    """Train one run and return its row."""
    name = f"{name_in_folder(strategy.name)}-seed{seed}"
    progress(f"{strategy.name}, seed {seed}")
    device = torch.device(default_device())
    reset_peak(device)
    result = train(
        dataset,
        strategy=strategy,
        model=terms.model,
        epochs=terms.epochs,
        seed=seed,
        lr=terms.lr,
        dropout=terms.dropout,
        precision=terms.precision,
        attention=terms.attention,
        energy=terms.energy,
        out=folder / name,
        overwrite=True,  # a run without a row was cut off: it is made again
        checkpoints=None,
        save=False,
        progress=lambda record, steps: progress(f"{strategy.name}, seed {seed}: step {record.step + 1:,} of {steps:,}"),
    )
    used = result.energy
    return Row(
        strategy=strategy.name,
        seed=seed,
        seconds=result.seconds["train"] + result.seconds["plan"],
        predicted_seconds=estimate.seconds,
        speedup=None,
        predicted_speedup=None if estimate.seconds is None else estimate.speedup,
        padding_fraction=result.padding_fraction,
        tokens=result.tokens + result.target_tokens,
        steps=result.steps,
        score=result.score,
        evaluate_seconds=result.seconds["evaluate"],
        plan_seconds=result.seconds["plan"],
        peak_memory_bytes=peak_bytes(device),
        run=name,
        energy_kwh=None if used is None else used["kwh"],
        co2e_kg=None if used is None else used["co2e_kg"],
        power=None if used is None else used["power"],
    )
