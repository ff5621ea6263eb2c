"""The only place that makes random generators: streams keyed by purpose, seed and epoch.

A key always has five parts, so no two purposes, seeds or epochs share a stream (NumPy's SeedSequence pads short keys
with zeros: [1] and [1, 0] would be one stream). Nothing here is global, and nothing adds ids to a seed.
"""

from enum import IntEnum
from numbers import Integral

import numpy as np
import numpy.typing as npt

from tdbs.errors import ConfigError
from tdbs.shown import shown_number

MAX_SEED = 2**32 - 1  # one 32-bit word of the key; a larger seed would make the key longer
_AT_ONCE = 1 << 20  # values of a stream that are made to pick some of them
_VALUES_PER_COUNTER = 4  # Philox 4x64 makes four values for each step of its counter


class RandomPurpose(IntEnum):
    """What a stream is for. Never renumber: plans, the sample corpus and golden files depend on these values."""

    SAMPLE_CORPUS = 1
    SHUFFLE_SAMPLES = 2
    SHUFFLE_BATCHES = 3
    GRID_SHIFT = 4
    DROP_ORDER = 5
    MODEL_INIT = 6
    TRAIN_STEP = 7
    VALIDATION_FRACTION = 8
    SHOWN_SAMPLES = 9
    SHUFFLE_SHARDS = 10
    PEER_SAMPLER = 11
    SYNTHETIC_BATCH = 12
    GRID_LENGTH = 13
    LABEL_SHUFFLE = 14
    SWEEP_TRIAL = 15
    STRATA = 16
    DATA_DIET = 17
    TRAIN_FIT = 18


def stream(draw: RandomPurpose, *, seed: int, epoch: int = 0, part: int = 0, index: int = 0) -> np.random.Generator:
    """Return the generator of one purpose; `part` and `index` distinguish splits, steps or processes."""
    return np.random.default_rng(_seed_sequence(draw, seed=seed, epoch=epoch, part=part, index=index))


def counter_values(
    draw: RandomPurpose, *, seed: int, epoch: int, part: int, first: int, count: int
) -> npt.NDArray[np.uint64]:
    """Return values `first` .. `first + count` of a counter-based stream, without making the earlier ones.

    The value at a position is the same however the positions are cut into calls: what is dropped from a sample
    does not depend on which samples are held in memory.
    """
    bits = np.random.Philox(_seed_sequence(draw, seed=seed, epoch=epoch, part=part, index=0))
    steps, offset = divmod(first, _VALUES_PER_COUNTER)
    bits.advance(steps)
    values: npt.NDArray[np.uint64] = bits.random_raw(offset + count)
    return values[offset:]


def torch_seed(draw: RandomPurpose, *, seed: int, epoch: int = 0, step: int = 0, process: int = 0) -> int:
    """Return the number that torch's own generator is seeded with (dropout masks, new heads)."""
    sequence = _seed_sequence(draw, seed=seed, epoch=epoch, part=step, index=process)
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))  # torch takes signed 64-bit seeds


def bits_of(key: int, count: int) -> npt.NDArray[np.uint64]:
    """Return numbers of 64 random bits by a number that was drawn itself; the fastest of NumPy's generators."""
    values: npt.NDArray[np.uint64] = np.random.SFC64(key).random_raw(count)
    return values


def counter_values_at(
    draw: RandomPurpose, *, seed: int, epoch: int, part: int, places: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    """Return the values at some places of a counter-based stream. Nothing is held but some of it."""
    if (np.diff(places) < 0).any():
        ascending, which = np.unique(places, return_inverse=True)
        return counter_values_at(draw, seed=seed, epoch=epoch, part=part, places=ascending)[which]
    values = np.empty(len(places), dtype=np.uint64)
    first = 0
    while first < len(places):
        start = int(places[first])
        last = int(np.searchsorted(places, start + _AT_ONCE))
        found = counter_values(
            draw, seed=seed, epoch=epoch, part=part, first=start, count=int(places[last - 1]) - start + 1
        )
        values[first:last] = found[places[first:last] - start]
        first = last
    return values


def _seed_sequence(draw: RandomPurpose, *, seed: int, epoch: int, part: int, index: int) -> np.random.SeedSequence:
    if not isinstance(seed, Integral):
        raise ConfigError(f"--seed must be a whole number, got {seed}.", next_step="Pass another --seed.")
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(
            f"--seed must be from 0 to {MAX_SEED}, got {shown_number(seed)}.",
            next_step="Pass another --seed.",
        )
    return np.random.SeedSequence([draw, seed, epoch, part, index])
