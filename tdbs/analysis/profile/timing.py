"""Time real training steps, forward, backward and update, on a learner's device.

Points of a profile: shapes of steps, each with what is in it and the seconds that it takes.

Whether a device runs as fast as when it was profiled: a few of the profile's steps, timed again.

Shared machines and hot laptops change their speed by a quarter and more within minutes; a prediction cannot know.

The framework's share of a training step: the time in which the device computes nothing.

CUDA: 1 - union of what runs on the device (kernels, copies) / wall-clock of the same step without the profiler, which
slows the host and not the kernels; 0 if rounding makes it less. CPU: 1 - union of torch's operations (`aten::`), of
forward, backward and update, on whichever thread / wall-clock of the same profiled step: on a shared machine two steps
differ by more than the profiler adds. What an operation spends before it computes counts as work there, so on a CPU
this is less than all overhead.
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

from tdbs.analysis.cost import COUNTS, batches_work
from tdbs.analysis.profile.shapes import Shape, kernel_shapes, synthetic_batch
from tdbs.arrays import FloatArray
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import Manifest
from tdbs.train.batches import Batch
from tdbs.train.device import resolve_execution
from tdbs.train.loop import Learner, make_learner
from tdbs.train.planning.profile_file import Profile
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

    A round runs every step once, and the first round is skipped. So a device that slows down does it for all steps
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


_VARIANTS = 5  # of an unpadded step: rows of other lengths, as in training

Progress = Callable[[str], None]


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

    def tell(turn: int, place: int) -> None:
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
        shapes, steps, time_in_rounds(timings, rounds=rounds, progress=tell), strict=True
    ):
        if found is None:
            continue
        work_F = np.mean([batches_work(step, target_length=shape.target_length) for step in variants], axis=0)
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


_ROUNDS = 2
_SAME = ("attention", "dropout", "work")  # what makes two points the same step


def device_drift(
    dataset: PreparedDataset, profile: Profile, *, model: str, precision: str, attention: str
) -> float | None:
    """Return the seconds of steps now / then; None if the profile does not have these steps."""
    execution = resolve_execution(precision=precision, attention=attention)
    learner = make_learner(dataset, model, seed=0, dropout=0.0, execution=execution)
    learner.prepared.train()
    shapes = kernel_shapes(dataset.manifest)
    now = then = 0.0
    for point in timed_points({False: learner}, dataset.manifest, attention, shapes, rounds=_ROUNDS):
        old = [other for other in profile.points if all(other.get(name) == point[name] for name in _SAME)]
        if old:
            now, then = now + point["seconds"], then + old[0]["seconds"]
    return now / then if then else None


# Shapes: I intervals.

_PROFILED_ROUNDS = 3


def framework_overheads(
    learner: Learner, manifest: Manifest, shapes: Sequence[Shape], *, progress: Progress = lambda _message: None
) -> list[dict[str, Any]]:
    """Return batch size, length and share (0 to 1, the median of some steps) of each shape, run padded.

    A shape is skipped that the device does not hold, or of which the profiler saw nothing (CUDA without its tracer).
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


def _share(learner: Learner, batches: Sequence[Batch]) -> float | None:
    try:
        run_step(learner, batches)
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
    unprofiled = run_step(learner, batches) if on_cuda else None
    with profile(activities=[ProfilerActivity.CUDA if on_cuda else ProfilerActivity.CPU]) as profiled:
        wall = run_step(learner, batches)
    events = [event for event in profiled.events() or () if _computes(event, on_cuda=on_cuda)]
    starts_I, ends_I = (
        np.array([getattr(event.time_range, end) for event in events], dtype=np.float64) for end in ("start", "end")
    )
    return wall if unprofiled is None else unprofiled, 1e-6 * union_length(starts_I, ends_I)


def _computes(event: Any, *, on_cuda: bool) -> bool:
    if on_cuda:  # annotations, such as the optimizer's, span the time between kernels too
        return event.device_type.name == "CUDA" and not event.is_user_annotation
    return event.name.startswith("aten::")
