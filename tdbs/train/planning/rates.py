"""The learning rate of every step of a run: warm-up, decay, and Learning Rate Modulation (paper, 2.2).

lr(step) = schedule(progress) x sqrt(samples of the step / base_batch_size). Progress is samples seen / samples of the
whole run, so the decay does not depend on how many steps the batches make. Rates are set absolutely for each step,
never multiplied into the current one.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tdbs.arrays import FloatArray, IntArray
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.strategies import Strategy

# Shapes: S steps of the whole run.


def _linear(progress_S: FloatArray, warmup: float) -> FloatArray:
    return (1 - progress_S) / (1 - warmup)


def _cosine(progress_S: FloatArray, warmup: float) -> FloatArray:
    """Half a wave from the end of the warm-up, as transformers has it; before that, 1."""
    return (1 + np.cos(np.pi * np.maximum(progress_S - warmup, 0) / (1 - warmup))) / 2


def _constant(progress_S: FloatArray, warmup: float) -> FloatArray:  # noqa: ARG001  (one signature for all)
    return np.ones_like(progress_S)


# What the rate falls by after the warm-up, from progress and the warm-up's share of it.
_DECAYS: dict[str, Callable[[FloatArray, float], FloatArray]] = {
    "linear": _linear,
    "cosine": _cosine,
    "constant": _constant,
}


def learning_rates(
    plans: Sequence[EpochPlan], strategy: Strategy, *, base_lr: float, warmup: float, scheduler: str = "linear"
) -> FloatArray:
    """Return the rate of every step of a run (S)."""
    return rates_of_sizes(
        np.concatenate([plan.step_sizes_S for plan in plans]),
        base_lr=base_lr,
        warmup=warmup,
        scheduler=scheduler,
        lrm=strategy.lrm,
        base_batch_size=strategy.base_batch_size,
    )


def rates_of_sizes(
    step_sizes_S: IntArray,
    *,
    base_lr: float,
    warmup: float,
    lrm: bool,
    base_batch_size: int,
    scheduler: str = "linear",
) -> FloatArray:
    """Return the rate of each step (S).

    `warmup` is the share of the run's samples over which the rate grows from 0; `scheduler` (linear, cosine or
    constant) is how it falls after that.
    """
    seen_S = np.cumsum(step_sizes_S) - step_sizes_S
    progress_S = seen_S / step_sizes_S.sum()
    rising_S = progress_S / warmup if warmup > 0 else np.ones_like(progress_S)
    falling_S = _DECAYS[scheduler](progress_S, warmup)
    rates_S = base_lr * np.minimum(rising_S, falling_S)
    return rates_S * np.sqrt(step_sizes_S / base_batch_size) if lrm else rates_S


def idle_note(rates_S: FloatArray) -> str | None:
    """Return a note if every update of a run has the rate 0: it trains nothing."""
    if rates_S.any():
        return None
    updates = "The only update of the run has" if len(rates_S) == 1 else f"All {len(rates_S):,} updates of the run have"
    return (
        f"{updates} the learning rate 0, with which a warm-up begins: the model stays as it is. Pass --warmup-ratio 0, "
        "more --epochs or a smaller --batch-size."
    )
