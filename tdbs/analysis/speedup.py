"""How much faster training will be: each strategy's tokens against a baseline's, from the trainer's own planner.

By tokens: all tokens that the linear layers see, pad included. Seconds need a measured profile of the device, which
this version does not make.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset, read_split
from tdbs.train.batches import words_of_split
from tdbs.train.plan import EpochPlan, plan_run
from tdbs.train.strategies import STRATEGIES, Strategy

BASELINE = "random"


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyEstimate:
    """One strategy over a whole run; the fields are JSON keys of `tdbs estimate-speedup`."""

    strategy: str
    steps: int
    tokens: int
    padding_fraction: float
    seconds: float | None
    speedup: float  # baseline's tokens / this strategy's, over the run
    speedup_low: float  # least and greatest over the run's epochs
    speedup_high: float


def plan_dataset(dataset: PreparedDataset, strategy: Strategy, *, seed: int, epochs: int) -> list[EpochPlan]:
    """Return the plans that `train` would follow."""
    if epochs < 1:
        raise ConfigError(f"--epochs must be 1 or more, got {epochs}.", next_step="Pass --epochs 3.")
    manifest = dataset.manifest
    split = read_split(dataset, "train")
    words = words_of_split(split, strategy, manifest.tokenizer)
    return plan_run(split.lengths_N, words, strategy, max_length=manifest.max_length, seed=seed, epochs=epochs)


def estimate_speedup(
    dataset: PreparedDataset,
    strategies: Sequence[Strategy],
    *,
    baseline: Strategy = STRATEGIES[BASELINE],
    seed: int = 0,
    epochs: int = 3,
) -> list[StrategyEstimate]:
    """Return what a run of each strategy costs, in tokens, and its speedup over the baseline."""
    baseline_plans = plan_dataset(dataset, baseline, seed=seed, epochs=epochs)
    baseline_tokens = [plan.tokens for plan in baseline_plans]
    estimates = []
    for strategy in strategies:
        plans = plan_dataset(dataset, strategy, seed=seed, epochs=epochs)
        tokens = [plan.tokens for plan in plans]
        by_epoch = [other / own for other, own in zip(baseline_tokens, tokens, strict=True)]
        estimates.append(
            StrategyEstimate(
                strategy=strategy.name,
                steps=sum(len(plan.padded_lengths_B) for plan in plans),
                tokens=sum(tokens),
                padding_fraction=1 - sum(int(plan.kept_N.sum()) for plan in plans) / sum(tokens),
                seconds=None,
                speedup=sum(baseline_tokens) / sum(tokens),
                speedup_low=min(by_epoch),
                speedup_high=max(by_epoch),
            )
        )
    return estimates
