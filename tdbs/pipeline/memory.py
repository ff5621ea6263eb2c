"""The memory budget of `prepare` and of training, and how many blocks at a time it allows."""

import os
import re

from tdbs.errors import ConfigError

DEFAULT_MEMORY = "2GiB"
_BASE = 512 << 20  # Python, the libraries, the tokenizer, and what they keep
_PER_WORKER = 256 << 20  # a block of rows on its way to samples, or a shard on its way to the disk
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9} | {
    "K": 1 << 10,
    "M": 1 << 20,
    "G": 1 << 30,
}
_LEAST = 1 << 10  # less is a forgotten unit


def memory_bytes(memory: int | str) -> int:
    """Return a budget in bytes: a number, or a text such as 2GiB, 512M or 1.5GB."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+) ?([A-Z]*)", str(memory).strip().upper())
    if found is None or found[2] not in _UNITS:
        raise ConfigError(f"--memory '{memory}' is no amount of memory.", next_step="Pass --memory 2GiB, say.")
    amount = int(float(found[1]) * _UNITS[found[2]])
    if amount < _LEAST:
        raise ConfigError(f"--memory '{memory}' is {amount} bytes.", next_step="Name the unit, as in --memory 2GiB.")
    return amount


def workers_within(memory: int | str) -> int:
    """Return how many blocks may be in work at once: one for each core, if the budget holds them."""
    budget = memory_bytes(memory)
    if budget < _BASE + _PER_WORKER:
        raise ConfigError(
            f"--memory {memory} is too little to prepare in.",
            next_step=f"Pass --memory {(_BASE + _PER_WORKER) >> 20}MiB or more.",
        )
    return max(min(os.cpu_count() or 1, (budget - _BASE) // _PER_WORKER), 1)
