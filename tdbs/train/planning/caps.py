"""How large a batch may get: HWCap by length, EpochCap by epoch (paper, section 2.2 and Table 6).

HWCap is the largest batch that a device takes for a length; BatchCap = min(HWCap, EpochCap). Caps are an array:
entry l is the cap of sequences of l tokens. Above a table's last length its last cap holds.

`has_cuda` says whether training will run on a CUDA device, without loading torch: the default caps depend on it.
"""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from tdbs.arrays import IntArray
from tdbs.data.tasks import Task
from tdbs.errors import ConfigError
from tdbs.train.planning.profile_file import CapTable, Profile, named_profile, read_profile

# Shapes: L1 = max_length + 1.

PAPER_PROFILE = "rtx-2080-ti"  # roberta-base on 11 GB: Table 6 of the paper and the authors' script
MOST = 2**31 - 1  # largest count of a user: plans are 64-bit integers, and products of two counts must fit
CALL_TOKENS = 192  # what a call costs beyond its tokens, in tokens, on a CPU (docs/decisions.md, "Sorted")
_CUDA_CALL_TOKENS = 8192  # a GPU computes thousands of tokens while it waits for a call (docs/decisions.md, "Sorted")
_CHOICES = "Pass --caps 64, --caps paper, or --caps FILE with a profile."


def chosen_caps(caps: str, profile: Profile | None = None) -> CapTable:
    """Return the table that `--caps` names: a number for all lengths, `paper`, `memory`, `knee`, or a profile's file
    (its memory caps, or its knee caps if memory was not searched).

    `memory` (what the device holds) and `knee` (the smallest batch near its best speed) are those of `profile`.
    Raises ConfigError if the choice is none of them, or needs a profile that is not given.
    """
    if caps == "paper":
        profile, caps = named_profile(PAPER_PROFILE), "memory"
    elif caps.endswith(".json"):
        profile = read_profile(caps)
        caps = "knee" if profile.memory_caps is None else "memory"
    if caps in ("memory", "knee"):
        if profile is None:
            raise ConfigError(
                f"--caps {caps} is measured on a device.", next_step="Pass --profile FILE; tdbs profile writes one."
            )
        table = profile.memory_caps if caps == "memory" else profile.knee_caps
        if table is None:
            raise ConfigError(
                f"The profile has no {caps} caps.",
                next_step="Pass --caps with the other of memory and knee, or measure with tdbs profile (on a CPU with "
                "--memory).",
            )
        return table
    if not (caps.isascii() and caps.removeprefix("-").isdigit()):
        raise ConfigError(f"--caps takes a number, paper, memory, knee or a file, got {caps}.", next_step=_CHOICES)
    digits = caps.lstrip("0") or "0"
    number = MOST if len(digits) > len(str(MOST)) else int(digits)  # Python refuses to read thousands of digits
    if caps.startswith("-") or number < 1:
        raise ConfigError(f"--caps must be 1 or more, got {caps[:20]}.", next_step=_CHOICES)
    return CapTable(lengths=(0,), caps=(min(number, MOST),))


def refuse_several_rows(option: str, value: str, task: Task, *, next_step: str) -> None:
    """Refuse a choice by what rows of the model cost, if a sample of the task is several."""
    if task.is_grouped:
        raise ConfigError(
            f"{option} {value} takes a sample for a row of the model; samples of this task are several.",
            next_step=next_step,
        )


def hardware_caps(table: CapTable, *, max_length: int) -> IntArray:
    """Return HWCap for each length from 0 to `max_length` (L1)."""
    entries_L1 = np.searchsorted(table.lengths, np.arange(max_length + 1))
    return np.array(table.caps)[np.minimum(entries_L1, len(table.caps) - 1)]


def batch_caps(hw_caps_L1: IntArray, *, epoch: int, base_batch_size: int, scaling_factor: int) -> IntArray:
    """Return min(HWCap, EpochCap) for each length; EpochCap = scaling_factor^epoch x base_batch_size, epoch from 0."""
    epoch_cap: int = scaling_factor**epoch * base_batch_size
    return np.minimum(hw_caps_L1, min(epoch_cap, int(hw_caps_L1.max())))


def call_tokens(profile: Profile | None) -> int | None:
    """Return what a model call costs beyond its tokens, in tokens: as measured, or on CUDA a guess; None: on a CPU."""
    if profile is not None and profile.call_tokens is not None:
        return profile.call_tokens
    return _CUDA_CALL_TOKENS if has_cuda() else None


def has_cuda() -> bool:
    """Return whether an NVIDIA driver, a visible device and a torch that is not a CPU build are present."""
    try:
        cpu_build = "+cpu" in version("torch")
    except PackageNotFoundError:
        return False
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return Path("/dev/nvidiactl").exists() and not hidden and not cpu_build
