"""Predict how long a run takes and how much faster each strategy is, with the trainer's planner, before training.

Costs are tokens, all that the linear layers process, padding included; with a device profile they are seconds, by its
cost model.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tdbs.analysis.run_seconds import costs_for, is_far, run_seconds
from tdbs.errors import at_least
from tdbs.fields import Count
from tdbs.given import Place, checked, several
from tdbs.pipeline.dataset import AnyDataset, PreparedDataset, opened, split_info
from tdbs.pipeline.split_index import SplitIndex, index_columns, read_index
from tdbs.settings import DEFAULT_EPOCHS, TrainSettings, check_hyperparameters
from tdbs.shown import shown
from tdbs.train.feed import TRAIN
from tdbs.train.objectives.negatives import check_negatives
from tdbs.train.objectives.objective import check_objective, is_joint
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.epoch_plan import EpochPlan, run_padding, run_target_padding
from tdbs.train.planning.given_strategies import given_strategy
from tdbs.train.planning.kept_samples import subset_of
from tdbs.train.planning.memory_bound import Fitted, data_memory, fitted_plans, training_bound
from tdbs.train.planning.memory_windows import count_windows, plan_split
from tdbs.train.planning.model_choice import ModelChoice, check_frozen_layers, choose_model
from tdbs.train.planning.model_fit import check_fit
from tdbs.train.planning.peak_memory import memory_terms
from tdbs.train.planning.profile_file import Profile, opened_profile, profiled_attention
from tdbs.train.planning.runnable import strategies_for
from tdbs.train.planning.strategies import BASELINE, Strategy
from tdbs.train.planning.subsets import Subset


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyEstimate:
    """One strategy over a whole run; the fields are JSON keys of `tdbs estimate-speedup`.

    With a profile, low and high are the error range of its cost model; in tokens, the least and greatest over epochs.
    """

    strategy: str
    steps: Count
    tokens: Count
    padding_fraction: float
    seconds: float | None  # time of training the run once, planning included; None: no profile
    speedup: float  # baseline's seconds / this strategy's; without a profile in tokens, sources and targets together
    speedup_low: float
    speedup_high: float
    seconds_low: float | None = None
    seconds_high: float | None = None
    seconds_over_runs: float | None = None  # time of preparing once and training `runs` times
    speedup_over_runs: float | None = None
    extrapolated: bool = False  # calls of the model are far larger than any that the profile timed
    target_tokens: Count = 0  # seq2seq: of the targets, padding included
    target_padding_fraction: float | None = None
    unsorted_target_padding_fraction: float | None = None  # padding without sorting targets
    peak_memory_bytes: Count | None = None  # the most that training takes at once; None: sizes of the model not known
    max_tokens: Count | None = None  # of a call, as `--memory` asks; None: calls are as the strategy makes them
    is_refused: bool = False  # not even one sample a call fits in `--memory`

    def __repr__(self) -> str:
        cost = f"{self.steps:,} steps, {self.tokens:,} tokens, {self.padding_fraction:.1%} padding"
        took = "" if self.seconds is None else f", {self.seconds:,.0f} s"
        return shown(f"<StrategyEstimate {self.strategy}: {cost}{took}, speedup {self.speedup:.2f}>")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planned:
    """A strategy's plans, and the seconds that its run takes."""

    strategy: Strategy
    fitted: Fitted
    seconds: float | None
    extrapolated: bool

    @property
    def plans(self) -> list[EpochPlan]:
        """The plans of all epochs."""
        return self.fitted.plans


def plan_dataset(dataset: PreparedDataset, strategy: Strategy, *, seed: int, epochs: int) -> list[EpochPlan]:
    """Return the plans that `train` would follow, from the few columns of the shards that have lengths."""
    check_hyperparameters(epochs=epochs)
    index, windows = _read_for_plans(dataset, [strategy], memory=None)
    return plan_split(index, dataset.manifest, strategy, seed=seed, epochs=epochs, windows=windows)


def plan_within(
    dataset: PreparedDataset, strategy: Strategy, settings: TrainSettings, choice: ModelChoice, *, seed: int
) -> Fitted:
    """Return the plans that `train` would follow within `--memory`, and their peaks.

    A run that does not fit has its error there.
    """
    index, windows = _read_for_plans(dataset, [strategy], memory=settings.memory)
    subset = subset_of(settings, dataset, TRAIN)
    return _fitted(dataset, index, windows, strategy, subset, seed=seed, settings=settings, choice=choice)


@checked
def estimate_speedup(
    dataset: AnyDataset,
    strategies: Sequence[Strategy | str] | Strategy | str | None = None,
    *,
    baseline: Strategy | str = BASELINE,
    model: str | None = None,
    seed: int = 0,
    epochs: int = DEFAULT_EPOCHS,
    memory: int | str | None = None,
    profile: Profile | Place | None = None,
    attention: str | None = None,
    dropout: float | None = None,
    precision: str = "auto",
    checkpoint_activations: bool = False,
    lora: int | None = None,
    freeze_layers: int | None = None,
    batch_size: int | None = None,
    keep_samples: str | None = None,
    data_diet: float | None = None,
    loss: str | None = None,
    runs: int = 1,
) -> list[StrategyEstimate]:
    """Return what a run of each strategy costs, and its speedup over the baseline, from the trainer's own plans.

    Args:
        dataset: A prepared dataset, or its folder.
        strategies: A name, resolved for the dataset's task and the model, a resolved strategy, or a list of them.
            None: all that both can run.
        baseline: Strategy that speedups are over.
        model: Hub name or folder, or `tiny`. None: the one that `train` takes by default.
        seed: Seed of the run.
        epochs: Epochs of the run.
        memory: Most memory of training, as for `train`: bytes, or a text such as `2GiB`. A strategy that does not fit
            is estimated as it is, and its estimate says so. None: no bound.
        profile: Device profile (`read_profile`), or its file. With one, costs are seconds; without, tokens.
        attention: Attention kernel of the profile. None: its fastest.
        dropout: Dropout of the model. None: the one that goes with each strategy.
        precision: Precision of the run, for its memory: auto, fp32 or bf16.
        checkpoint_activations: As for `train`: less memory.
        lora: As for `train`: adapters of this rank.
        freeze_layers: As for `train`: this many lowest layers stay.
        batch_size: Samples of an update in epoch 0, for strategies given by name. None: 64.
        keep_samples: As for `train`: the samples to train on.
        data_diet: As for `train`: the share of later epochs. It is predicted on random samples.
        loss: As for `train`: a loss over all samples of an update runs several calls forward twice.
        runs: Runs of training that one prepared dataset serves.

    Returns:
        An estimate for each strategy, in the order given: steps, tokens with padding, padding as a share of tokens,
        speedup with its range, peak memory, and with a profile the seconds.

    Raises:
        ConfigError: An option is out of range, the profile or the loss does not fit, or the model cannot run a
            strategy, or has fewer layers than are frozen.
        DatasetError: The dataset has no train split, or a shard is damaged.
        ModelError: The model cannot train on the dataset.
    """
    dataset, profile = opened(dataset), opened_profile(profile)
    check_hyperparameters(epochs=epochs, dropout=dropout)
    at_least("--runs", runs, 1)
    task = dataset.manifest.task
    costs = None if profile is None else costs_for(dataset, profile, attention)
    rows = split_info(dataset, TRAIN).rows

    choice = choose_model(model, dataset.manifest)
    check_fit(choice, dataset.manifest)
    in_rows = choice.in_rows
    settings = TrainSettings(
        precision=precision,
        attention=profiled_attention(profile, attention or "auto"),
        checkpoint_activations=checkpoint_activations,
        lora=lora,
        freeze_layers=freeze_layers,
        epochs=epochs,
        dropout=dropout,
        memory=memory,
        keep_samples=keep_samples,
        data_diet=data_diet,
        loss=loss,
    )
    check_objective(settings, task)
    check_negatives(settings, dataset.manifest)
    subset = subset_of(settings, dataset, TRAIN)
    base, *chosen = (
        given_strategy(given, task, profile=profile, in_rows=in_rows, batch_size=batch_size)
        for given in (baseline, *several(strategies_for(task, in_rows=in_rows) if strategies is None else strategies))
    )

    index, windows = _read_for_plans(dataset, (base, *chosen), memory=memory)

    def planned(strategy: Strategy) -> _Planned:
        clock = time.perf_counter()
        fitted = _fitted(dataset, index, windows, strategy, subset, seed=seed, settings=settings, choice=choice)
        planning = time.perf_counter() - clock
        if costs is None:
            return _Planned(strategy=strategy, fitted=fitted, seconds=None, extrapolated=False)
        drops_out = resolve_dropout(dropout, strategy, rows) > 0
        seconds = planning + run_seconds(costs, fitted.plans, dropout=drops_out, is_joint=is_joint(loss, task))
        return _Planned(strategy=strategy, fitted=fitted, seconds=seconds, extrapolated=is_far(costs, fitted.plans))

    prepare = dataset.manifest.seconds.get("total", 0.0)
    of_baseline = planned(base)  # one strategy's plans beside these are in memory at a time
    return [
        _estimate(
            of_baseline if strategy == base else planned(strategy),
            of_baseline,
            error=costs.error if costs else 0.0,
            prepare=prepare,
            runs=runs,
        )
        for strategy in chosen
    ]


def _fitted(
    dataset: PreparedDataset,
    index: SplitIndex,
    windows: int,
    strategy: Strategy,
    subset: Subset,
    *,
    seed: int,
    settings: TrainSettings,
    choice: ModelChoice,
) -> Fitted:
    """Return the plans of a run within its `--memory`, as `train` makes them."""
    manifest, info = dataset.manifest, split_info(dataset, TRAIN)
    check_frozen_layers(choice, settings.freeze_layers)

    def planned(strategy: Strategy) -> list[EpochPlan]:
        epochs = settings.epochs
        return plan_split(index, manifest, strategy, seed=seed, epochs=epochs, windows=windows, subset=subset)

    dropout = resolve_dropout(settings.dropout, strategy, info.rows)
    terms = memory_terms(choice, manifest.task.kind, settings, dropout=dropout)
    return fitted_plans(planned, strategy, terms, training_bound(settings.memory, info, manifest))


def _read_for_plans(
    dataset: PreparedDataset, strategies: Sequence[Strategy], *, memory: int | str | None
) -> tuple[SplitIndex, int]:
    """Return what planning needs of the train split, and in how many windows training would go through it."""
    windows = count_windows(split_info(dataset, TRAIN), dataset.manifest, memory=data_memory(memory))
    drops = any(strategy.drop != "none" for strategy in strategies)
    return read_index(dataset, TRAIN, columns=index_columns(dataset, TRAIN, drops=drops)), windows


def _estimate(own: _Planned, base: _Planned, *, error: float, prepare: float, runs: int) -> StrategyEstimate:
    if own.seconds is None or base.seconds is None:
        speedup = _all_tokens(base.plans) / _all_tokens(own.plans)
        by_epoch = [_all_tokens([b]) / _all_tokens([o]) for b, o in zip(base.plans, own.plans, strict=True)]
        low, high = min(by_epoch), max(by_epoch)
        in_seconds = {}
    else:
        speedup = base.seconds / own.seconds
        off = 1 + math.sqrt(2) * error  # both may be off
        low, high = (1.0, 1.0) if own.strategy == base.strategy else (speedup / off, speedup * off)
        over_runs, base_over_runs = (prepare + runs * seconds for seconds in (own.seconds, base.seconds))
        in_seconds = {
            "seconds_low": own.seconds / (1 + error),
            "seconds_high": own.seconds * (1 + error),
            "seconds_over_runs": over_runs,
            "speedup_over_runs": base_over_runs / over_runs,
        }
    return StrategyEstimate(
        strategy=own.strategy.name,
        steps=sum(plan.steps for plan in own.plans),
        tokens=sum(plan.tokens for plan in own.plans),
        padding_fraction=run_padding(own.plans),
        target_tokens=sum(plan.target_tokens for plan in own.plans),
        target_padding_fraction=run_target_padding(own.plans),
        unsorted_target_padding_fraction=run_target_padding(own.plans, is_sorted=False),
        seconds=own.seconds,
        speedup=speedup,
        speedup_low=low,
        speedup_high=high,
        extrapolated=own.extrapolated,
        peak_memory_bytes=own.fitted.peak,
        max_tokens=own.fitted.strategy.max_tokens if own.fitted.is_cut else None,
        is_refused=own.fitted.error is not None,
        **in_seconds,
    )


def _all_tokens(plans: Sequence[EpochPlan]) -> int:
    return sum(plan.tokens + plan.target_tokens for plan in plans)
