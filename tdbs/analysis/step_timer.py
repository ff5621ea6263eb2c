"""Time real training steps, forward, backward and update, on a learner's device."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tdbs.train.batches import Batch
from tdbs.train.loop import Learner
from tdbs.train.step import train_step

ROUNDS = 5
_MORE = 7  # rounds of short steps
_LONG_ENOUGH = 0.5  # seconds of a step in all rounds after which its time is settled


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
        rules=learner.rules,
    )
    if learner.accelerator.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """A step to time: its rounds go through the variants in turn, as unpadded training has a new shape in each step."""

    learner: Learner
    variants: Sequence[Sequence[Batch]]


def time_in_rounds(
    timings: Sequence[Timing], *, rounds: int = ROUNDS, progress: Callable[[int, int], None]
) -> list[StepTime | None]:
    """Return the time of each step; None of one that the device does not hold.

    A round runs every step once, and the first round is left out. So a device that slows down does it for all steps
    alike, and a step follows another one, as in training, which left memory in other pieces. Short steps have more
    rounds. `progress` is told the round, from 0, and the step's place.
    """
    seconds: list[list[float]] = [[] for _ in timings]
    held = dict(enumerate(timings))
    for turn in range(rounds + _MORE + 1):
        for place, timing in list(held.items()):
            if turn > rounds and sum(seconds[place]) >= _LONG_ENOUGH:
                continue
            progress(turn, place)
            try:
                taken = run_step(timing.learner, timing.variants[turn % len(timing.variants)])
            except torch.OutOfMemoryError:
                timing.learner.optimizer.zero_grad()
                del held[place]
                continue
            if turn > 0:
                seconds[place].append(taken)
    return [_step_time(found) if place in held else None for place, found in enumerate(seconds)]


def _step_time(found: Sequence[float]) -> StepTime:
    median = statistics.median(found)
    return StepTime(seconds=median, spread=(max(found) - min(found)) / median)
