"""Time some steps of each strategy, spread evenly over its run, in turns: whatever slows the device slows all alike.

One model, in a copy for each dropout that shares its weights, serves all strategies, since times do not depend on
weights. Steps train with rate 0.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tdbs.analysis.comparison import Terms
from tdbs.analysis.cost import CostModel
from tdbs.analysis.step_timer import run_step
from tdbs.analysis.work import COUNTS, plan_work
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.train.batches import Batch
from tdbs.train.device import resolve_execution
from tdbs.train.feed import TRAIN, Feed, TrainingData, make_feed, open_training_data
from tdbs.train.loop import Learner, make_learner, share_weights
from tdbs.train.strategies import Strategy, resolve_dropout

_TURNS = 3  # of each strategy: a device that slows down slows all of them alike
_WARM_UP = 2  # steps of a strategy at each turn before those that count: the one before left memory in other pieces


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
    shares: list[float]  # by predicted cost; without a prediction by tokens
    planning: float  # seconds


def timed_parts(
    dataset: PreparedDataset, strategies: Sequence[Strategy], terms: Terms, *, seed: int, costs: CostModel | None
) -> Iterator[PartTime]:
    """Yield the projected time of each strategy's run: the median over its turns, so one that was disturbed is lost."""
    data = open_training_data(dataset)
    parts = [_part(data, strategy, terms, seed=seed, costs=costs) for strategy in strategies]
    in_rows = any(part.strategy.in_rows for part in parts)
    execution = resolve_execution(precision=terms.precision, attention=terms.attention)
    learners: dict[float, Learner] = {}
    for rate in {part.dropout for part in parts}:
        learner = make_learner(dataset, terms.model, seed=seed, dropout=rate, execution=execution, in_rows=in_rows)
        learner.prepared.train()
        learners[rate] = share_weights(next(iter(learners.values())), learner) if learners else learner
    projected: list[list[float]] = [[] for _ in parts]
    for turn in range(_TURNS):
        for place, part in enumerate(parts):
            steps = part.steps[turn::_TURNS]
            if not steps:
                continue
            for batches in part.steps[:_WARM_UP]:
                run_step(learners[part.dropout], batches)
            seconds = sum(run_step(learners[part.dropout], batches) for batches in steps)
            projected[place].append(seconds / sum(part.shares[turn::_TURNS]))
    for part, found in zip(parts, projected, strict=True):
        yield PartTime(strategy=part.strategy, seconds=part.planning + statistics.median(found))


def _part(data: TrainingData, strategy: Strategy, terms: Terms, *, seed: int, costs: CostModel | None) -> _Part:
    clock = time.perf_counter()
    feed = make_feed(data, strategy, seed=seed, epochs=terms.epochs)
    planning = time.perf_counter() - clock
    rows = split_info(data.dataset, TRAIN).rows
    dropout = resolve_dropout(terms.dropout, strategy, rows)
    steps = sum(plan.steps for plan in feed.plans)
    chosen = np.unique(np.linspace(0, steps - 1, min(terms.part_steps or steps, steps)).round().astype(np.int64))
    counts_SF = np.concatenate([plan_work(plan) for plan in feed.plans])
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
