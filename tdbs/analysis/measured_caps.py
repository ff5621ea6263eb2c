"""HWCap by length as this device has it: what its memory holds, and the knee of its speed."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch

from tdbs.analysis.cap_search import caps_between, knee, largest_batch, table_lengths
from tdbs.analysis.cost import CostModel
from tdbs.analysis.peak_memory import device_memory, peak_bytes, reset_peak
from tdbs.analysis.profile_shapes import searched_lengths, target_length
from tdbs.analysis.step_timer import run_step
from tdbs.analysis.synthetic import synthetic_batch
from tdbs.analysis.work import padded_work
from tdbs.errors import ConfigError
from tdbs.pipeline.manifest import Manifest
from tdbs.train.loop import Learner

USABLE = 0.9  # of the memory; the rest is for what the next version of a library takes
_MOST_WITHOUT_MEMORY = 4096  # samples of a batch that the knee is looked for among
_MULTIPLE = {"cuda": 8, "cpu": 1}  # what batch sizes are rounded to

Progress = Callable[[str], None]


def searched_caps(
    learner: Learner, manifest: Manifest, *, budget: int | None, progress: Progress
) -> dict[int, int] | None:
    """Return the largest batches that memory holds, by length, searched from the longest on.

    `budget` is of the process, on a CPU; without one nothing is searched there (None). Raises ConfigError where one
    sample does not fit.
    """
    available = device_memory(learner.accelerator.device) or budget
    if available is None:
        return None
    usable = int(USABLE * available)
    found: dict[int, int] = {}
    tokens = 64 * manifest.max_length
    for length in searched_lengths(manifest.max_length):
        fits = partial(_fits, learner, manifest, length=length, usable=usable, progress=progress)
        found[length] = largest_batch(fits, guess=tokens // length)
        if not found[length]:
            raise ConfigError(
                f"A step of one sample of {length} tokens takes the process beyond {usable >> 20:,} MiB, which is "
                f"{USABLE:.0%} of its memory.",
                next_step="Raise --memory, or pass a smaller --model.",
            )
        tokens = found[length] * length
    return found


def caps_table(
    memory: Mapping[int, int] | None, manifest: Manifest, costs: CostModel, *, device: torch.device
) -> dict[str, list[int] | None]:
    """Return the table of caps: what memory holds, where it was searched, and the knee of the fitted speed."""
    lengths, multiple = table_lengths(manifest.max_length), _MULTIPLE[device.type]
    caps = None if memory is None else caps_between(memory, lengths, multiple=multiple)
    knees = []
    for length, most in zip(lengths, caps or [_MOST_WITHOUT_MEMORY] * len(lengths), strict=True):
        counts = padded_work(np.arange(1, most + 1), length, target_length(manifest, length))
        found = knee(costs.step_seconds(counts, dropout=False))
        knees.append(min(-(-found // multiple) * multiple, most))  # rounded up: less would not be near the best
    return {"lengths": lengths, "memory": caps, "knee": knees}


def _fits(learner: Learner, manifest: Manifest, size: int, *, length: int, usable: int, progress: Progress) -> bool:
    progress(f"memory of {size} x {length}")
    device = learner.accelerator.device
    reset_peak(device)
    batch = synthetic_batch(
        manifest, "padded", samples=size, length=length, target_length=target_length(manifest, length)
    )
    try:
        run_step(learner, [batch])
    except torch.OutOfMemoryError:
        learner.optimizer.zero_grad()
        return False
    peak = peak_bytes(device)
    return peak is None or peak <= usable
