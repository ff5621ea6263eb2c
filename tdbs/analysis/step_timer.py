"""Time real training steps, forward, backward and update, on a learner's device."""

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tdbs.train.batches import Batch
from tdbs.train.loop import Learner
from tdbs.train.step import train_step

_LONG_ENOUGH = 0.5  # seconds of repeats after which a time is settled
_MOST_REPEATS = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTime:
    """Seconds of a step: the median of its repeats, and their range over the median."""

    seconds: float
    spread: float


def run_step(learner: Learner, batches: Sequence[Batch]) -> float:
    """Run one step that changes no weight (its rate is 0) and return its seconds."""
    clock = time.perf_counter()
    train_step(
        learner.accelerator,
        learner.prepared,
        learner.optimizer,
        batches,
        learner.kind,
        rate=0.0,
        segment_ids=learner.segment_ids,
    )
    if learner.accelerator.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - clock


def time_step(learner: Learner, variants: Sequence[Sequence[Batch]]) -> StepTime:
    """Return the time of a step: after one that is left out, at least two repeats, more of short ones.

    Repeats go through the variants in turn: where training meets a new shape in each step, as unpadded rows do, a
    repeated shape would find kernels and memory ready that training has to get first.
    """
    turns = itertools.cycle(variants)
    run_step(learner, next(turns))
    found: list[float] = []
    while len(found) < 2 or (sum(found) < _LONG_ENOUGH and len(found) < _MOST_REPEATS):
        found.append(run_step(learner, next(turns)))
    median = statistics.median(found)
    return StepTime(seconds=median, spread=(max(found) - min(found)) / median)
