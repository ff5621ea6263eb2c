"""How much faster training will be: each strategy's tokens against a baseline's, from the trainer's own planner.

By tokens: all tokens that the linear layers see, pad included. Seconds need a measured profile of the device, which
this version does not make.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.memory import DEFAULT_MEMORY
from tdbs.train.defaults import DEFAULT_EPOCHS, check_hyperparameters
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.plan import EpochPlan, run_padding, run_target_padding
from tdbs.train.strategies import STRATEGIES, Strategy, resolve_strategy

BASELINE = "random"


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyEstimate:
    """One strategy over a whole run; the fields are JSON keys of `tdbs estimate-speedup`."""

    strategy: str
    steps: int
    tokens: int
    padding_fraction: float
    seconds: float | None
    speedup: float  # baseline's tokens / this strategy's, over the run; sources and targets together
    speedup_low: float  # least and greatest over the run's epochs
    speedup_high: float
    seconds_low: float | None = None
    seconds_high: float | None = None
    target_tokens: int = 0  # seq2seq: of the targets, pad included
    target_padding_fraction: float | None = None
    unsorted_target_padding_fraction: float | None = None  # had targets not been sorted


def plan_dataset(
    dataset: PreparedDataset, strategy: Strategy, *, seed: int, epochs: int, memory: int | str = DEFAULT_MEMORY
) -> list[EpochPlan]:
    """Return the plans that `train` would follow."""
    check_hyperparameters(epochs=epochs)
    return make_feed(open_training_data(dataset, memory=memory), strategy, seed=seed, epochs=epochs).plans


def estimate_speedup(
    dataset: PreparedDataset,
    strategies: Sequence[Strategy | str] = tuple(STRATEGIES),
    *,
    baseline: Strategy | str = BASELINE,
    seed: int = 0,
    epochs: int = DEFAULT_EPOCHS,
    memory: int | str = DEFAULT_MEMORY,
) -> list[StrategyEstimate]:
    """Return what a run of each strategy costs, in tokens, and its speedup over the baseline.

    Strategies are names, resolved for the dataset's task, or resolved ones.
    """
    check_hyperparameters(epochs=epochs)
    data = open_training_data(dataset, memory=memory)
    task = dataset.manifest.task
    base, *resolved = [
        resolve_strategy(strategy, task) if isinstance(strategy, str) else strategy
        for strategy in (baseline, *strategies)
    ]

    def plans_of(strategy: Strategy) -> list[EpochPlan]:
        return make_feed(data, strategy, seed=seed, epochs=epochs).plans

    of_baseline = plans_of(base)  # one strategy's plans beside these are in memory at a time
    return [_estimate(strategy.name, plans_of(strategy), of_baseline) for strategy in resolved]


def _estimate(name: str, plans: Sequence[EpochPlan], baseline: Sequence[EpochPlan]) -> StrategyEstimate:
    by_epoch = [_all_tokens([other]) / _all_tokens([own]) for other, own in zip(baseline, plans, strict=True)]
    return StrategyEstimate(
        strategy=name,
        steps=sum(plan.steps for plan in plans),
        tokens=sum(plan.tokens for plan in plans),
        padding_fraction=run_padding(plans),
        target_tokens=sum(plan.target_tokens for plan in plans),
        target_padding_fraction=run_target_padding(plans),
        unsorted_target_padding_fraction=run_target_padding(plans, is_sorted=False),
        seconds=None,
        speedup=_all_tokens(baseline) / _all_tokens(plans),
        speedup_low=min(by_epoch),
        speedup_high=max(by_epoch),
    )


def _all_tokens(plans: Sequence[EpochPlan]) -> int:
    return sum(plan.tokens + plan.target_tokens for plan in plans)
