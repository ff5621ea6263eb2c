"""The framework's share of a training step: the time in which the device computes nothing.

CUDA: 1 - union of what runs on the device (kernels, copies) / wall-clock of the same step without the profiler, which
slows the host and not the kernels; 0 where rounding makes it less. CPU: 1 - union of torch's operations (`aten::`), of
forward, backward and update, on whichever thread / wall-clock of the same profiled step: on a shared machine two steps
differ by more than the profiler adds. What an operation spends before it computes counts as work there, so on a CPU
this is less than all overhead.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import OutOfMemoryError
from torch.profiler import ProfilerActivity, profile

from tdbs.analysis.profile_shapes import Shape
from tdbs.analysis.step_timer import run_step
from tdbs.analysis.synthetic import synthetic_batch
from tdbs.arrays import FloatArray
from tdbs.pipeline.manifest import Manifest
from tdbs.train.batches import Batch
from tdbs.train.loop import Learner

# Shapes: I intervals.

_ROUNDS = 3

Progress = Callable[[str], None]


def framework_overheads(
    learner: Learner, manifest: Manifest, shapes: Sequence[Shape], *, progress: Progress = lambda _message: None
) -> list[dict[str, Any]]:
    """Return batch size, length and share (0 to 1, the median of some steps) of each shape, run padded.

    A shape is left out that the device does not hold, or of which the profiler saw nothing (CUDA without its tracer).
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
    """Return how much of the line intervals cover together: where they overlap, it counts once."""
    order_I = np.argsort(starts_I)
    starts_I, ends_I = starts_I[order_I], ends_I[order_I]
    reached_I = np.maximum.accumulate(np.append(starts_I[:1], ends_I[:-1]))  # by the intervals before
    return float(np.maximum(ends_I - np.maximum(starts_I, reached_I), 0).sum())


def _share(learner: Learner, batches: Sequence[Batch]) -> float | None:
    try:
        run_step(learner, batches)
        steps = [_wall_and_busy(learner, batches) for _ in range(_ROUNDS)]
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
