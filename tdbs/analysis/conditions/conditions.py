"""Conditions that a model is scored under: the whole texts, words dropped, texts edited, batches of a strategy.

Dropping is TokenDrop, whatever a run was trained with: at a global rate (paper, Algorithm 1 and Fig. 4), or to the
shortest of a batch (Algorithm 3 and Table 3). A draw is an epoch of its order of words: all runs lose the same words.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tdbs.analysis.conditions.asked import WHOLE, Condition
from tdbs.data.tasks import Task
from tdbs.errors import ConfigError, choose
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.edits import edited_split, read_edits, removal
from tdbs.train.evaluate import length_order_plan
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.strategies import BUCKETED, STRATEGIES, Strategy, resolve_strategy
from tdbs.train.planning.tokendrop import dropped_tokens, words_of_split
from tdbs.train.scores.scoring import ScoredSplit, drop_tokens, read_scored_split

BATCHINGS = tuple(name for name, strategy in STRATEGIES.items() if not strategy.in_rows)
# BatchCap = HWCap (paper, section 3.2). No update is made, so small batches harm nothing and none are merged. The width
# is 5 with TokenDrop and without: of width 1 there would be none of the 9.3 % padding of Table 3.
_IN_BUCKETS = {"batch_cap": False, "caps": "paper", "rbm": False, "bucket_width": 5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """Input of a model: a split under a condition, and its batches (None: sorted from short to long)."""

    held_out: ScoredSplit
    plan: EpochPlan | None = None


def choose_conditions(
    drop_rates: Sequence[float] = (), removals: Sequence[str] = (), edits: Sequence[str | Path] = ()
) -> list[Condition]:
    """Return the conditions that a user requests, whole texts first.

    `removals` are kinds such as `articles,punctuation`; `edits` are files. Raises ConfigError if a rate is not a share,
    if a removal or file does not exist, or if one is given twice.
    """
    found = [WHOLE]
    for rate in drop_rates:
        if not 0 <= rate <= 1:
            raise ConfigError(
                f"--drop-rate must be from 0 to 1, got {rate}.", next_step="Pass a share such as --drop-rate 0.3."
            )
        if rate > 0:
            found.append(Condition(name=f"drop {rate:g}", drop_rate=rate))
    for kinds in removals:
        edit = removal([kind.strip() for kind in kinds.split(",")])
        found.append(Condition(name=edit.name, edit=edit, is_removal=True))
    for file in edits:
        edit = read_edits(Path(file))
        found.append(Condition(name=edit.name, edit=edit))
    return _each_once(found)


def choose_batches(strategies: Sequence[str]) -> list[Condition]:
    """Return a condition for each strategy that is to make the batches. Raises ConfigError if one cannot."""
    for name in strategies:
        choose("--batches", name, BATCHINGS)
    return _each_once([Condition(name=name, batches=name) for name in strategies])


def check_conditions(
    conditions: Sequence[Condition], task: Task, *, next_step: str = "Leave --drop-rate and --remove out."
) -> None:
    """Refuse to drop or remove words if the task judges grammar (the paper leaves CoLA out too)."""
    if task.drop_forbidden and any(condition.drop_rate or condition.is_removal for condition in conditions):
        raise ConfigError(f"Task '{task.name}' {task.drop_forbidden}.", next_step=next_step)


def give(
    dataset: PreparedDataset, split: str, condition: Condition, *, draws: int, seed: int, mirror: Path | None = None
) -> list[Given]:
    """Return a split under a condition, once for each draw, or once if nothing is random.

    `mirror` replaces the mirror folder that edited texts were prepared from.
    """
    if condition.edit is not None:
        with tempfile.TemporaryDirectory() as folder:
            edited = edited_split(dataset, split, condition.edit, folder=Path(folder), mirror=mirror)
            return [Given(held_out=read_scored_split(edited, split))]
    held_out, task = read_scored_split(dataset, split), dataset.manifest.task
    if condition.batches is not None:
        in_buckets = STRATEGIES[condition.batches].batches in BUCKETED
        strategy = resolve_strategy(condition.batches, task, _IN_BUCKETS if in_buckets else None, in_rows=False)
        times = 1 if strategy.drop == "none" else draws
        return [_in_batches(held_out, dataset, strategy, draw=draw, seed=seed) for draw in range(times)]
    if not condition.drop_rate:
        return [Given(held_out=held_out)]
    strategy = resolve_strategy("random", task, {"drop": "rate", "drop_rate": condition.drop_rate}, in_rows=False)
    times = 1 if condition.drop_rate == 1 else draws
    return [_shortened(held_out, dataset, strategy, draw=draw, seed=seed) for draw in range(times)]


def _shortened(held_out: ScoredSplit, dataset: PreparedDataset, strategy: Strategy, *, draw: int, seed: int) -> Given:
    """Return a split after TokenDrop at a rate."""
    tokenizer = dataset.manifest.tokenizer
    words = words_of_split(held_out.split, strategy, tokenizer)
    whole = replace(length_order_plan(held_out.split.lengths_N), epoch=draw)
    dropped_T = dropped_tokens(held_out.split, words, strategy, whole, tokenizer, seed=seed)
    return Given(held_out=drop_tokens(held_out, dropped_T))


def _in_batches(held_out: ScoredSplit, dataset: PreparedDataset, strategy: Strategy, *, draw: int, seed: int) -> Given:
    """Return a split in the batches of a strategy, without what it drops."""
    manifest, split = dataset.manifest, held_out.split
    words = words_of_split(split, strategy, manifest.tokenizer)
    plan = plan_epoch(split.lengths_N, words, strategy, max_length=manifest.longest_input, seed=seed, epoch=draw)
    dropped_T = dropped_tokens(split, words, strategy, plan, manifest.tokenizer, seed=seed)
    return Given(held_out=drop_tokens(held_out, dropped_T), plan=plan)


def _each_once(conditions: Sequence[Condition]) -> list[Condition]:
    names = [condition.name for condition in conditions]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"'{name}' is given twice.", next_step="Name each rate, removal and file once.")
    return list(conditions)
