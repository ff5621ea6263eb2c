"""Largest batches by length: HWCap by doubling and bisection to a 5 % gap, and the knee of the speed.

HWCap follows this device: its memory, and the knee of its speed. The memory of a step is the peak of CUDA's allocator,
or of the whole process on a CPU.
"""

import ctypes
import gc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tdbs.analysis.cost import padded_work
from tdbs.analysis.profile.shapes import searched_lengths, synthetic_batch, target_length
from tdbs.analysis.profile.timing import Progress, timed_step
from tdbs.arrays import FloatArray
from tdbs.errors import ConfigError
from tdbs.pipeline.manifest import Manifest
from tdbs.train.learner import Learner
from tdbs.train.planning.cost_model import CostModel

GAP = 1.05  # between a batch that fits and the smallest one known not to
USABLE = 0.9  # of the memory; the rest is for what the next version of a library takes
NEAR_BEST = 0.95  # of the best tokens/s: the knee is the smallest batch that reaches it
_STEP = 4  # lengths of an entry of the table
_MOST = 1 << 20  # samples: the largest batch that is tried
_MOST_WITHOUT_MEMORY = 4096  # samples of a batch that the knee is looked for among
_MULTIPLE = {"cuda": 8, "cpu": 1}  # what batch sizes are rounded to
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # as proc(5) says


def largest_batch(fits: Callable[[int], bool], *, guess: int) -> int:
    """Return the largest batch that fits, found from a guess to a 5 % gap; 0 if not even one sample does."""
    low, high = 0, max(guess, 1)
    while high < _MOST and fits(high):
        low, high = high, high * 2
    while not low and high > 1:
        half = high // 2
        low, high = (half, high) if fits(half) else (0, half)
    while high > low * GAP and high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def knee(seconds_M: FloatArray) -> int:
    """Return the smallest batch within 5 % of the best samples per second, from the seconds of batches of 1 to M."""
    speeds_M = np.arange(1, len(seconds_M) + 1) / seconds_M
    return int(np.argmax(speeds_M >= NEAR_BEST * speeds_M.max())) + 1


def table_lengths(max_length: int) -> list[int]:
    """Return the lengths of a table of caps: every fourth, and the last one."""
    return [*range(_STEP, max_length, _STEP), max_length]


def caps_between(measured: Mapping[int, int], lengths: Sequence[int], *, multiple: int) -> list[int]:
    """Return caps of lengths from those of some measured ones, rounded down to a multiple if they reach it.

    Between two measured lengths the tokens of the longer one's batch hold: a token of a shorter sequence takes no more
    memory, since attention compares fewer pairs. No cap is above that of a shorter length, which the search may have
    found up to 5 % too small.
    """
    caps = []
    for length in lengths:
        longer = min(known for known in measured if known >= length)
        of_shorter = [cap for known, cap in measured.items() if known < length]
        caps.append(rounded(min([measured[longer] * longer // length, *of_shorter]), multiple=multiple))
    return caps


def rounded(cap: int, *, multiple: int) -> int:
    """Return a cap rounded down to a multiple, if it reaches one."""
    return cap // multiple * multiple if cap >= multiple else cap


def searched_caps(
    learner: Learner, manifest: Manifest, *, budget: int | None, progress: Progress
) -> dict[int, int] | None:
    """Return the largest batches that memory holds, by length, searched from the longest on.

    `budget` is of the process, on a CPU; without one nothing is searched there (None). Raises ConfigError if one
    sample does not fit.
    """
    available = device_memory(learner.accelerator.device) or budget
    if available is None:
        return None
    usable = int(USABLE * available)
    found: dict[int, int] = {}
    tokens = 64 * manifest.longest_input
    for length in searched_lengths(manifest.longest_input):
        fits = partial(_fits, learner, manifest, length=length, usable=usable, progress=progress)
        found[length] = largest_batch(fits, guess=tokens // length)
        if not found[length]:
            raise ConfigError(
                f"A step of one sample of {length} tokens needs more than {usable / 2**20:,.1f} MiB, which is "
                f"{USABLE:.0%} of its memory.",
                next_step="Raise --memory, or pass a smaller --model.",
            )
        tokens = found[length] * length
    return found


def caps_table(
    memory: Mapping[int, int] | None, manifest: Manifest, costs: CostModel, *, device: torch.device
) -> dict[str, list[int] | None]:
    """Return the table of caps: what memory holds, if it was searched, and the knee of the fitted speed."""
    lengths, multiple = table_lengths(manifest.longest_input), _MULTIPLE[device.type]
    caps = None if memory is None else caps_between(memory, lengths, multiple=multiple)
    knees = []
    for length, most in zip(lengths, caps or [_MOST_WITHOUT_MEMORY] * len(lengths), strict=True):
        counts = padded_work(np.arange(1, most + 1), length, target_length(manifest, length))
        found = knee(costs.step_seconds(counts, dropout=False))
        knees.append(min(-(-found // multiple) * multiple, most))  # rounded up: less would not be near the best
    return {"lengths": lengths, "memory": caps, "knee": knees}


def reset_peak(device: torch.device) -> None:
    """Reset the peak, after returning free memory to the system."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # glibc keeps what was freed, and the peak would never fall
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return  # another system: the peak is that of the process so far


def peak_bytes(device: torch.device) -> int | None:
    """Return the peak since the last reset; None if the system does not report it."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def device_memory(device: torch.device) -> int | None:
    """Return all memory of a CUDA device; None on a CPU, whose budget the user sets."""
    return int(torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else None


def _fits(learner: Learner, manifest: Manifest, size: int, *, length: int, usable: int, progress: Progress) -> bool:
    progress(f"memory of {size} x {length}")
    device = learner.accelerator.device
    reset_peak(device)
    batch = synthetic_batch(
        manifest, "padded", samples=size, length=length, target_length=target_length(manifest, length)
    )
    try:
        timed_step(learner, [batch])
    except torch.OutOfMemoryError:
        learner.optimizer.zero_grad()
        return False
    peak = peak_bytes(device)
    return peak is None or peak <= usable
