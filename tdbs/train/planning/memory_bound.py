"""Keep training within `--memory`: cut updates into calls that fit, by the predicted peak (docs/decisions.md).

Only a bound that the user gives holds for training. Half of it at most is for the data; training has what the data
leaves. On CUDA the data is not in the device's memory, so each has the whole.

A plan above the bound is made again with the largest `max_tokens` that fits. Its updates stay the same. Where not even
one sample a call fits, training is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from tdbs.errors import ConfigError
from tdbs.pipeline.engines import memory_bytes
from tdbs.pipeline.manifest import Manifest, SplitInfo
from tdbs.settings import DEFAULT_MEMORY
from tdbs.train.planning.caps import has_cuda
from tdbs.train.planning.epoch_plan import ROW_STEP, EpochPlan
from tdbs.train.planning.memory_windows import shard_bytes
from tdbs.train.planning.model_choice import ModelChoice, shown_model
from tdbs.train.planning.peak_memory import MemoryTerms, epoch_peak, highest
from tdbs.train.planning.plan import plan_one_by_one
from tdbs.train.planning.strategies import Strategy

Planned = Callable[[Strategy], list[EpochPlan]]  # the plans of all epochs with a strategy
Cut = TypeVar("Cut")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """What `--memory` leaves for training."""

    given: str
    training: int  # bytes
    data: int  # bytes that all data would take beside it


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A run's plans within a bound, or as they are if they cannot be brought below it."""

    strategy: Strategy
    plans: list[EpochPlan]
    peaks: Sequence[int | None]  # bytes, of each epoch; None: not known
    is_cut: bool = False  # `max_tokens` was chosen here
    error: ConfigError | None = None  # why it does not fit

    @property
    def peak(self) -> int | None:
        """The most bytes that the run takes at once."""
        return highest(self.peaks)


def data_memory(memory: int | str | None) -> int:
    """Return the bytes that the train split may take at once; a larger one is read in windows."""
    if memory is None:
        return memory_bytes(DEFAULT_MEMORY)
    return memory_bytes(memory) if has_cuda() else memory_bytes(memory) // 2


def training_bound(memory: int | str | None, info: SplitInfo, manifest: Manifest) -> Bound | None:
    """Return what `--memory` leaves for training beside the split; None if it was not given."""
    if memory is None:
        return None
    sizes = shard_bytes(info, manifest)
    most = max(data_memory(memory), *sizes)  # a window has a shard at least
    data = 0 if has_cuda() else sum(sizes)
    return Bound(given=str(memory), training=memory_bytes(memory) - min(data, most), data=data)


def fitted_plans(planned: Planned, strategy: Strategy, terms: MemoryTerms, bound: Bound | None) -> Fitted:
    """Return a run's plans within the bound, their updates cut into calls if need be.

    Never raises: a run that does not fit has its `error`.
    """

    def made(strategy: Strategy, *, is_cut: bool = False) -> Fitted:
        plans = planned(strategy)
        return Fitted(strategy=strategy, plans=plans, peaks=[epoch_peak(p, terms) for p in plans], is_cut=is_cut)

    def cut(max_tokens: int) -> Fitted:
        return made(replace(strategy, max_tokens=max_tokens), is_cut=True)

    first = made(strategy)
    if bound is None or first.peak is None or first.peak <= bound.training:
        return first
    if strategy.execution == "packed":
        return replace(first, error=_packed_error(first.peak, bound))

    least = cut(1)  # each sample is a call of its own
    if not _fits(least, bound):
        return replace(first, error=_error(least, terms, bound))
    if strategy.max_tokens is not None:
        return replace(first, error=_given_error(strategy.max_tokens, first.peak, bound))
    best = cut(_largest_call(least.plans))  # not smaller than a call that there is in any case
    if not _fits(best, bound):
        best = least
    return widest(
        cut, lambda found: _fits(found, bound), best, best.strategy.max_tokens or 0, _largest_call(first.plans)
    )


def widest(cut: Callable[[int], Cut], fits: Callable[[Cut], bool], best: Cut, max_tokens: int, too_many: int) -> Cut:
    """Return the widest cut that fits, in steps of a row's width: no cut fits more tokens than calls that did not fit.

    Args:
        cut: Returns what comes of calls with a number of tokens at most.
        fits: Whether that is within the bound.
        best: A cut that fits, or the least there is.
        max_tokens: Its most tokens.
        too_many: Tokens of a call that did not fit.
    """
    low, high = max_tokens // ROW_STEP, -(-too_many // ROW_STEP)
    while high - low > 1:
        middle = (low + high) // 2
        found = cut(middle * ROW_STEP)
        low, high, best = (middle, high, found) if fits(found) else (low, middle, best)
    return best


def unbounded_note(memory: int | str | None, choice: ModelChoice) -> str | None:
    """Return a note if the memory of the model is not known, so that `--memory` bounds the data alone."""
    if memory is None or choice.size is not None:
        return None
    kind = "" if choice.model_type is None else f" ({choice.model_type})"
    return (
        f"--memory {memory} bounds the data alone: how much training takes is not known for "
        f"{shown_model(choice.name)}{kind}."
    )


def bound_note(fitted: Fitted, memory: int | str | None, choice: ModelChoice) -> str | None:
    """Return a note on what `--memory` does to a run; None if it does nothing."""
    if not fitted.is_cut:
        return unbounded_note(memory, choice)
    return cut_note(str(memory), fitted.strategy.name, fitted.strategy.max_tokens or 1)


def cut_note(memory: str, name: str, max_tokens: int) -> str:
    """Return a note on the calls that `--memory` lets a strategy's updates run in."""
    calls = "one sample each" if max_tokens == 1 else f"at most {max_tokens:,} tokens"
    return f"--memory {memory}: {name} runs updates in calls of {calls}."


def gibibytes(size: int) -> str:
    """Return bytes as notes show them."""
    return f"{size / 2**30:.2f} GiB"


def rounded_up(size: int) -> str:
    """Return the least `--memory` of two decimals that has these bytes."""
    return f"{-(-size * 100 // 2**30) / 100:.2f}GiB"


def _fits(fitted: Fitted, bound: Bound) -> bool:
    return fitted.peak is not None and fitted.peak <= bound.training


def _largest_call(plans: Sequence[EpochPlan]) -> int:
    return max(int((plan.tokens_B + plan.target_tokens_B).max()) for plan in plans)


def _error(least: Fitted, terms: MemoryTerms, bound: Bound) -> ConfigError:
    """Return the refusal of a run whose samples do not fit one by one, with what would help."""
    needed = least.peak or 0
    again = highest([epoch_peak(plan, replace(terms, checkpoints=True)) for plan in least.plans]) or 0
    shortest = epoch_peak(plan_one_by_one(np.array([0]), np.array([1])), terms) or 0
    steps = []
    if again <= bound.training:
        steps.append(f"--checkpoint-activations ({gibibytes(again)})")
    enough = needed + min(bound.data, needed)  # windows have half of it at most
    steps.append(f"--memory {rounded_up(enough)} or more")
    if shortest <= bound.training:
        steps.append("a dataset prepared with a smaller --max-length")
    else:
        steps.append("a smaller --model")
    return ConfigError(
        f"Training takes {gibibytes(needed)} with one sample in each call of the model, and {_left(bound)}.",
        next_step=f"Pass {', '.join(steps[:-1])}, or {steps[-1]}.",
    )


def _given_error(max_tokens: int, peak: int, bound: Bound) -> ConfigError:
    return ConfigError(
        f"With --max-tokens {max_tokens} training takes {gibibytes(peak)}, and {_left(bound)}.",
        next_step="Leave --max-tokens out: it is chosen to fit then.",
    )


def _packed_error(peak: int, bound: Bound) -> ConfigError:
    return ConfigError(
        f"Training takes {gibibytes(peak)}, {_left(bound)}, and calls of packed rows cannot be cut.",
        next_step="Pass --strategy unpadded, a smaller --base-batch-size, or a larger --memory.",
    )


def _left(bound: Bound) -> str:
    beside = f" leaves {gibibytes(bound.training)} beside the data" if bound.data >= 5 << 20 else " is less"
    return f"--memory {bound.given}{beside}"
