"""Time real training steps (forward, backward, update) on a learner's device.

A point of a profile is the shape of a step, the work in it, and its seconds. Timing a few steps of a profile again
shows whether the device still runs as fast: shared machines and hot laptops change their speed by a quarter or more
within minutes.

The framework's share of a step is the time in which the device computes nothing. On CUDA it is 1 - (union of kernels
and copies on the device) / (wall-clock of the same step without the profiler, which slows the host but not the
kernels), at least 0. On a CPU it is 1 - (union of torch's `aten::` operations in forward, backward and update, on any
thread) / (wall-clock of the same profiled step), because two steps on a shared machine differ by more than the profiler
adds. There, an operation's time before it computes counts as work, so the share is below the whole overhead.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import OutOfMemoryError
from torch.profiler import ProfilerActivity, profile

from tdbs.analysis.cost import batches_work
from tdbs.analysis.profile.shapes import Shape, kernel_shapes, synthetic_batch
from tdbs.arrays import FloatArray
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import Manifest
from tdbs.settings import TrainSettings
from tdbs.train.batches import Batch
from tdbs.train.learner import Learner, make_learner
from tdbs.train.loop import update
from tdbs.train.planning.cost_model import COUNTS
from tdbs.train.planning.profile_file import Profile
from tdbs.train.resolved import resolve_settings

# Shapes: I intervals.

Progress = Callable[[str], None]

ROUNDS = 5
_DRIFT_ROUNDS = 2
_PROFILED_ROUNDS = 3
_MORE = 7  # rounds of short steps
_LONG_ENOUGH = 0.5  # seconds of a step in all rounds after which its time is settled
_VARIANTS = 5  # of an unpadded step: rows of other lengths, as in training
_SAME = ("attention", "dropout", "work")  # what makes two points the same step


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTime:
    """Seconds of a step: the median of its repeats, and their range over the median."""

    seconds: float
    spread: float


def timed_step(learner: Learner, batches: Sequence[Batch]) -> float:
    """Run one step that changes no weight (its rate is 0) and return its seconds."""
    clock = time.perf_counter()
    update(learner, batches, rate=0.0)
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
    """Return the time of each step; None for a step that does not fit the device.

    A round runs every step once, and the first round does not count. A device that slows down thus slows all steps, and
    each step follows another one, as in training, whose memory layout it inherits. Short steps get more rounds.
    `progress` receives the round, from 0, and the position of the step.
    """
    seconds: list[list[float]] = [[] for _ in timings]
    held = dict(enumerate(timings))
    for turn in range(rounds + _MORE + 1):
        for place, timing in list(held.items()):
            if turn > rounds and sum(seconds[place]) >= _LONG_ENOUGH:
                continue
            progress(turn, place)
            try:
                taken = timed_step(timing.learner, timing.variants[turn % len(timing.variants)])
            except torch.OutOfMemoryError:
                timing.learner.optimizer.zero_grad()
                del held[place]
                continue
            if turn > 0:
                seconds[place].append(taken)
    return [_step_time(found) if place in held else None for place, found in enumerate(seconds)]


def timed_points(
    learners: Mapping[bool, Learner],
    manifest: Manifest,
    kernel: str,
    shapes: Sequence[Shape],
    *,
    rounds: int = ROUNDS,
    progress: Progress = lambda _message: None,
) -> list[dict[str, Any]]:
    """Return a point for each shape that the device holds; `learners`: without and with dropout."""
    steps = [_variants(manifest, shape) for shape in shapes]

    def report(turn: int, place: int) -> None:
        shape = shapes[place]
        progress(
            f"{kernel} {shape.execution} {shape.samples} x {shape.length} ({place + 1} of {len(shapes)}), round {turn}"
        )

    timings = [
        Timing(learner=learners[shape.dropout], variants=variants)
        for shape, variants in zip(shapes, steps, strict=True)
    ]
    points = []
    for shape, variants, found in zip(
        shapes, steps, time_in_rounds(timings, rounds=rounds, progress=report), strict=True
    ):
        if found is None:
            continue
        objective = learners[shape.dropout].objective
        is_joint = objective is not None and objective.is_joint
        works = [batches_work(step, target_length=shape.target_length, is_joint=is_joint) for step in variants]
        work_F = np.mean(works, axis=0)
        points.append(
            {
                "execution": shape.execution,
                "attention": kernel,
                "batch_size": shape.samples,
                "length": shape.length,
                "calls": shape.calls,
                "dropout": shape.dropout,
                "padding": shape.padding,
                "tokens": round(work_F[COUNTS.index("tokens")] / shape.calls),
                "seconds": found.seconds,
                "spread": found.spread,
                "work": dict(zip(COUNTS, work_F.tolist(), strict=True)),
            }
        )
    return points


def device_drift(dataset: PreparedDataset, profile: Profile, settings: TrainSettings) -> float | None:
    """Return the seconds of steps now / then; None if the profile does not have these steps."""
    resolved = resolve_settings(settings, dataset.manifest)
    attention = resolved.execution.attention
    learner = make_learner(dataset, resolved, seed=0, dropout=0.0)
    learner.prepared.train()
    shapes = kernel_shapes(dataset.manifest)
    now = then = 0.0
    for point in timed_points({False: learner}, dataset.manifest, attention, shapes, rounds=_DRIFT_ROUNDS):
        old = [other for other in profile.points if all(other.get(name) == point[name] for name in _SAME)]
        if old:
            now, then = now + point["seconds"], then + old[0]["seconds"]
    return now / then if then else None


def framework_overheads(
    learner: Learner, manifest: Manifest, shapes: Sequence[Shape], *, progress: Progress = lambda _message: None
) -> list[dict[str, Any]]:
    """Return batch size, length and share (0 to 1, the median of some steps) of each shape, run padded.

    Skip a shape that does not fit the device, or that the profiler cannot see (CUDA without its tracer).
    """
    found = []
    for shape in shapes:
        progress(f"framework's share of a step, {shape.samples} x {shape.length}")
        batch = synthetic_batch(
            manifest, "padded", samples=shape.samples, length=shape.length, target_length=shape.target_length
        )
        share = _share(learner, [batch])
        if share is not None:
            found.append({"batch_size": shape.samples, "length": shape.length, "share": share})
    return found


def union_length(starts_I: FloatArray, ends_I: FloatArray) -> float:
    """Return how much of the line intervals cover together: if they overlap, it counts once."""
    order_I = np.argsort(starts_I)
    starts_I, ends_I = starts_I[order_I], ends_I[order_I]
    reached_I = np.maximum.accumulate(np.append(starts_I[:1], ends_I[:-1]))  # by the intervals before
    return float(np.maximum(ends_I - np.maximum(starts_I, reached_I), 0).sum())


def _step_time(found: Sequence[float]) -> StepTime:
    median = statistics.median(found)
    return StepTime(seconds=median, spread=(max(found) - min(found)) / median)


def _variants(manifest: Manifest, shape: Shape) -> list[list[Batch]]:
    """Return the batches of a step, in as many ways as it is timed."""
    batches = [
        synthetic_batch(
            manifest,
            shape.execution,
            samples=shape.samples,
            length=shape.length,
            target_length=shape.target_length,
            padding=shape.padding,
            variant=variant,
        )
        for variant in range(_VARIANTS if shape.execution == "unpadded" else 1)
    ]
    return [[batch] * shape.calls for batch in batches]


def _share(learner: Learner, batches: Sequence[Batch]) -> float | None:
    try:
        timed_step(learner, batches)
        steps = [_wall_and_busy(learner, batches) for _ in range(_PROFILED_ROUNDS)]
    except OutOfMemoryError:
        learner.optimizer.zero_grad()
        return None
    if not all(busy for _, busy in steps):
        return None
    return statistics.median(max(1 - busy / wall, 0.0) for wall, busy in steps)


def _wall_and_busy(learner: Learner, batches: Sequence[Batch]) -> tuple[float, float]:
    """Return the seconds of a step, and those in which its device computed."""
    on_cuda = learner.accelerator.device.type == "cuda"
    unprofiled = timed_step(learner, batches) if on_cuda else None
    with profile(activities=[ProfilerActivity.CUDA if on_cuda else ProfilerActivity.CPU]) as profiled:
        wall = timed_step(learner, batches)
    events = [event for event in profiled.events() or () if _computes(event, on_cuda=on_cuda)]
    starts_I, ends_I = (
        np.array([getattr(event.time_range, end) for event in events], dtype=np.float64) for end in ("start", "end")
    )
    return wall if unprofiled is None else unprofiled, 1e-6 * union_length(starts_I, ends_I)


def _computes(event: Any, *, on_cuda: bool) -> bool:
    if on_cuda:  # annotations, such as the optimizer's, span the time between kernels too
        return event.device_type.name == "CUDA" and not event.is_user_annotation
    return event.name.startswith("aten::")
