"""How large a batch may get: HWCap by length, EpochCap by epoch (paper, section 2.2 and Table 6).

HWCap is the largest batch that a device takes for a length; BatchCap = min(HWCap, EpochCap). Caps are an array:
entry l is the cap of sequences of l tokens. Above the paper table's last length its last cap holds.
"""

import numpy as np

from tdbs.arrays import IntArray
from tdbs.errors import ConfigError

# Shapes: L1 = max_length + 1.

# HWCap of an RTX 2080 Ti (11 GB) and roberta-base, for buckets of width 5 from 0. The ends stand in Table 6, the
# middle in the authors' script (PAPER_NOTES).
PAPER_HWCAPS = (
    *(2525, 1250, 800, 575, 450, 350, 300, 250, 225, 175, 150, 125, 125, 125, 100, 100, 75, 75, 75),
    *(64, 64, 64, 64, 64, 64, 64),
)
_PAPER_WIDTH = 5


def hardware_caps(caps: str, *, max_length: int) -> IntArray:
    """Return HWCap for each length from 0 to `max_length`: a number for all, or `paper`."""
    if caps == "paper":
        buckets_L1 = np.minimum(np.arange(max_length + 1) // _PAPER_WIDTH, len(PAPER_HWCAPS) - 1)
        return np.array(PAPER_HWCAPS)[buckets_L1]
    if not (caps.isascii() and caps.removeprefix("-").isdigit()):
        raise ConfigError(f"--caps takes a number or paper, got {caps}.", next_step="Pass --caps 64 or --caps paper.")
    cap = int(caps)
    if cap < 1:
        raise ConfigError(f"--caps must be 1 or more, got {caps}.", next_step="Pass --caps 64 or --caps paper.")
    return np.full(max_length + 1, cap)


def batch_caps(hw_caps_L1: IntArray, *, epoch: int, base_batch_size: int, scaling_factor: int) -> IntArray:
    """Return min(HWCap, EpochCap) for each length; EpochCap = scaling_factor^epoch x base_batch_size, epoch from 0."""
    epoch_cap: int = scaling_factor**epoch * base_batch_size
    return np.minimum(hw_caps_L1, min(epoch_cap, int(hw_caps_L1.max())))
