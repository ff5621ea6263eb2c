"""The measurements of a comparison: whole runs, trained or taken from a pool, or some timed steps of each.

Comparisons may share a pool, since Tables 4 and 5 of the paper have rows in common: the same strategy, terms, seed and
dataset is trained once. A run is found again by a hash over all that decides it, and a comparison gets a copy. It was
measured when it was made: before the prediction that stands beside it, and perhaps under another load.

Timed steps are spread evenly over a run and taken in turns, so what slows the device slows all strategies alike. One
model serves them all, in a copy for each dropout that shares its weights; times do not depend on weights. Steps train
with rate 0.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from tdbs.analysis.compare.record import FORM, Row, Terms
from tdbs.analysis.cost import plan_work
from tdbs.analysis.environment import device_name
from tdbs.analysis.profile.caps import peak_bytes, reset_peak
from tdbs.analysis.profile.timing import timed_step
from tdbs.analysis.speedup import StrategyEstimate
from tdbs.files import copy_files, make_folder, name_in_folder, sha256_of, write_json
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.records import read_record
from tdbs.settings import options_of
from tdbs.train.batches import Batch
from tdbs.train.device import default_device
from tdbs.train.feed import TRAIN, Feed, TrainingData, make_feed, open_training_data
from tdbs.train.learner import Learner, make_learner, share_weights
from tdbs.train.objectives.objective import is_joint
from tdbs.train.planning.cost_model import COUNTS, CostModel
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.kept_samples import subset_of
from tdbs.train.planning.memory_bound import data_memory
from tdbs.train.planning.recorded import recorded_parts
from tdbs.train.planning.strategies import Strategy
from tdbs.train.resolved import resolve_settings
from tdbs.train.run_context import Progress as OfSteps
from tdbs.train.trainer import train

Progress = Callable[[str], None]

_ROW_NAME = "row.json"
_NOT_OF_A_RUN = ("seeds", "part_steps", "dropout")  # terms of a comparison; a run has its own dropout
_PACKAGES = ("tdbs", "torch", "transformers")
_TURNS = 3  # of each strategy: a device that slows down slows all of them alike
_WARM_UP = 2  # steps of a strategy at each turn before those that count: the one before left memory in other pieces


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run, by all that decides it but the device."""

    dataset: PreparedDataset
    strategy: Strategy
    terms: Terms
    seed: int

    @property
    def name(self) -> str:
        """The folder of the run in the comparison's."""
        return f"{name_in_folder(self.strategy.name)}-seed{self.seed}"


def run_row(folder: Path, run: Run, estimate: StrategyEstimate, *, pool: Path | None, progress: Progress | bool) -> Row:
    """Return the row of one run beside its prediction, and leave the run in the comparison's folder."""
    if pool is None:
        return _trained_row(folder, run, estimate, progress)
    key = run_key(run, device=device_name())
    found = take_run(pool, key, folder / run.name)
    if found is None:
        row = _trained_row(folder, run, estimate, progress)
        keep_run(pool, key, folder / run.name, row)
        return row
    return replace(
        found,
        strategy=run.strategy.name,
        run=run.name,
        predicted_seconds=estimate.seconds,
        predicted_speedup=_predicted_speedup(estimate),
        predicted_peak_memory_bytes=estimate.peak_memory_bytes,
    )


def run_key(run: Run, *, device: str) -> str:
    """Return the hash over all that decides a run; a strategy's name is none of it, nor who chose the dropout."""
    rows = split_info(run.dataset, TRAIN).rows
    kept_M = subset_of(run.terms, run.dataset, TRAIN).kept_M
    decides = {
        "dataset": run.dataset.manifest.key,
        "strategy": {name: value for name, value in recorded_parts(run.strategy).items() if name != "dropout"},
        "terms": {
            name: value
            for name, value in run.terms.on_disk().items()
            if name not in _NOT_OF_A_RUN and not (name == "energy" and value is None)  # keys of before there was energy
        },
        "dropout": resolve_dropout(run.terms.dropout, run.strategy, rows),
        "seed": run.seed,
        **({} if kept_M is None else {"samples": sha256_of(kept_M.tobytes())}),  # the file of --keep may change
        "device": device,
        "versions": {package: version(package) for package in _PACKAGES},
    }
    return sha256_of(json.dumps(decides, sort_keys=True).encode())[:16]


def take_run(pool: Path, key: str, folder: Path) -> Row | None:
    """Copy a run of the pool to a comparison's folder and return its row as it was; None if there is none."""
    place = pool / key
    if not (place / _ROW_NAME).exists():
        return None
    row = read_record(place / _ROW_NAME, Row, FORM)
    copy_files(place, folder, leave_out=_ROW_NAME)
    return row


def keep_run(pool: Path, key: str, folder: Path, row: Row) -> None:
    """Copy a finished run to the pool; its row is written last, which makes it one that can be taken."""
    make_folder(pool)
    copy_files(folder, pool / key, leave_out=_ROW_NAME)
    write_json(pool / key / _ROW_NAME, asdict(row))


@dataclass(frozen=True, kw_only=True, slots=True)
class PartTime:
    """Seconds of a strategy's whole run, projected from a part of its steps."""

    strategy: Strategy
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """The steps of a strategy that are timed, and of each the share of the run that it is."""

    strategy: Strategy
    dropout: float
    steps: list[tuple[Batch, ...]]
    shares: list[float]  # shares by predicted cost; without a prediction in tokens
    planning: float  # seconds


def timed_parts(
    dataset: PreparedDataset, strategies: Sequence[Strategy], terms: Terms, *, seed: int, costs: CostModel | None
) -> Iterator[PartTime]:
    """Yield the projected time of each strategy's run: the median over its turns, so one that was disturbed is lost."""
    data = open_training_data(dataset, memory=data_memory(terms.memory))
    parts = [_part(data, strategy, terms, seed=seed, costs=costs) for strategy in strategies]
    in_rows = any(part.strategy.in_rows for part in parts)
    resolved = resolve_settings(terms, dataset.manifest)
    learners: dict[float, Learner] = {}
    for rate in {part.dropout for part in parts}:
        learner = make_learner(dataset, resolved, seed=seed, dropout=rate, in_rows=in_rows)
        learner.prepared.train()
        learners[rate] = share_weights(next(iter(learners.values())), learner) if learners else learner
    projected: list[list[float]] = [[] for _ in parts]
    for turn in range(_TURNS):
        for place, part in enumerate(parts):
            steps = part.steps[turn::_TURNS]
            if not steps:
                continue
            for batches in part.steps[:_WARM_UP]:
                timed_step(learners[part.dropout], batches)
            seconds = sum(timed_step(learners[part.dropout], batches) for batches in steps)
            projected[place].append(seconds / sum(part.shares[turn::_TURNS]))
    for part, found in zip(parts, projected, strict=True):
        yield PartTime(strategy=part.strategy, seconds=part.planning + statistics.median(found))


def _trained_row(folder: Path, run: Run, estimate: StrategyEstimate, progress: Progress | bool) -> Row:
    """Train one run and return its row."""
    device = torch.device(default_device())
    reset_peak(device)
    result = train(
        run.dataset,
        strategy=run.strategy,
        **options_of(run.terms),
        seed=run.seed,
        out=folder / run.name,
        overwrite=True,  # a run without a row was cut off: it is made again
        checkpoints=None,
        save=False,
        progress=_of_steps(progress, f"{run.strategy.name}, seed {run.seed}"),
    )
    used = result.energy
    return Row(
        strategy=run.strategy.name,
        seed=run.seed,
        seconds=result.seconds["train"] + result.seconds["plan"],
        predicted_seconds=estimate.seconds,
        speedup=None,
        predicted_speedup=_predicted_speedup(estimate),
        padding_fraction=result.padding_fraction,
        tokens=result.tokens + result.target_tokens,
        steps=result.steps,
        score=result.score,
        evaluate_seconds=result.seconds["evaluate"],
        plan_seconds=result.seconds["plan"],
        peak_memory_bytes=peak_bytes(device),
        run=run.name,
        energy_kwh=None if used is None else used["kwh"],
        co2e_kg=None if used is None else used["co2e_kg"],
        power=None if used is None else used["power"],
        predicted_peak_memory_bytes=estimate.peak_memory_bytes,
    )


def _predicted_speedup(estimate: StrategyEstimate) -> float | None:
    """Return the speedup in time, which is known with a profile alone."""
    return None if estimate.seconds is None else estimate.speedup


def _part(data: TrainingData, strategy: Strategy, terms: Terms, *, seed: int, costs: CostModel | None) -> _Part:
    clock = time.perf_counter()
    subset = subset_of(terms, data.dataset, TRAIN)
    feed = make_feed(data, strategy, seed=seed, epochs=terms.epochs, subset=subset)
    planning = time.perf_counter() - clock
    rows = split_info(data.dataset, TRAIN).rows
    dropout = resolve_dropout(terms.dropout, strategy, rows)
    steps = sum(plan.steps for plan in feed.plans)
    chosen = np.unique(np.linspace(0, steps - 1, min(terms.part_steps or steps, steps)).round().astype(np.int64))
    joint = is_joint(terms.loss, data.dataset.manifest.task)
    counts_SF = np.concatenate([plan_work(plan, is_joint=joint) for plan in feed.plans])
    if costs is None:
        tokens_S = counts_SF @ np.isin(COUNTS, ("tokens", "targets"))
        shares_S = tokens_S / tokens_S.sum()
    else:
        seconds_S = costs.step_seconds(counts_SF, dropout=dropout > 0)
        shares_S = seconds_S / seconds_S.sum()
    timed = list(_chosen_steps(feed, set(chosen.tolist())))
    return _Part(strategy=strategy, dropout=dropout, steps=timed, shares=shares_S[chosen].tolist(), planning=planning)


def _chosen_steps(feed: Feed, chosen: set[int]) -> Iterator[tuple[Batch, ...]]:
    number = 0
    for plan in feed.plans:
        for batches in feed.steps(plan):
            if number in chosen:
                yield batches
            number += 1


def _of_steps(progress: Progress | bool, title: str) -> OfSteps | bool:
    """Return what `train` calls after each step: a line with the step. A bar in a notebook is `train`'s own."""
    if not callable(progress):
        return progress
    progress(title)
    return lambda record, steps: progress(f"{title}: step {record.step + 1:,} of {steps:,}")
