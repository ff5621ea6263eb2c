"""Where `prepare` does its work: on the threads of this machine. on_ray.py has the engine for many machines.

All engines make the same files: a block depends on its rows alone, a shard on its blocks alone. This file also has the
memory budget of `prepare` and training, and the number of concurrent blocks that it allows.
"""

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tdbs.data.reading import FirstPassResult, read_blocks
from tdbs.data.sources import Source
from tdbs.errors import ConfigError
from tdbs.pipeline.blocks import BlockInfo, BlockJob, BlockRows, make_block
from tdbs.pipeline.manifest import ShardInfo
from tdbs.pipeline.shards import ShardPlan, write_part

Item = TypeVar("Item")
Result = TypeVar("Result")
_BASE = 512 << 20  # Python, the libraries, the tokenizer, and what they keep
_PER_WORKER = 256 << 20  # a block of rows on its way to samples, or a shard on its way to the disk
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9} | {
    "K": 1 << 10,
    "M": 1 << 20,
    "G": 1 << 30,
}
_LEAST = 1 << 10  # of --memory: less is a forgotten unit


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """Makes blocks and shards: `make_blocks` yields blocks in any order, `write_parts` shards in order."""

    make_blocks: Callable[[BlockJob, Source, FirstPassResult], Iterable[BlockInfo]]
    write_parts: Callable[[Sequence[ShardPlan], Path, Path], Iterable[ShardInfo]]  # parts, blocks, where to


def local_engine(workers: int) -> Engine:
    """Return the engine of this machine, with this many threads."""
    return Engine(
        make_blocks=lambda job, source, survey: map_on_threads(
            lambda block: make_block(job, block), all_blocks(source, survey), workers=workers
        ),
        write_parts=lambda parts, blocks, target: map_on_threads(
            lambda part: write_part(part, blocks=blocks, target=target), parts, workers=workers
        ),
    )


def all_blocks(source: Source, survey: FirstPassResult) -> Iterator[BlockRows]:
    """Yield the rows of all splits, block by block."""
    return (block for split in survey.rows for block in split_blocks(source, survey, split))


def split_blocks(source: Source, survey: FirstPassResult, split: str) -> Iterator[BlockRows]:
    """Yield the rows of a split, block by block."""
    clock = time.perf_counter()
    for number, rows in enumerate(read_blocks(source, survey, split)):
        yield BlockRows(split=split, number=number, rows=rows, seconds=time.perf_counter() - clock)
        clock = time.perf_counter()


def map_on_threads(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Yield the results in order. Items are taken only as workers come free, so that few are in memory at once.

    Threads suffice: the tokenizer, NumPy and Arrow let go of Python's lock.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an error nothing more starts
            for future in waiting:
                future.cancel()


def memory_bytes(memory: int | str) -> int:
    """Return a budget in bytes: a number, or a text such as 2GiB, 512M or 1.5GB."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+) ?([A-Z]*)", str(memory).strip().upper())
    if found is None or found[2] not in _UNITS:
        raise ConfigError(
            f"--memory '{memory}' is not an amount of memory.", next_step="Pass an amount such as --memory 2GiB."
        )
    amount = int(float(found[1]) * _UNITS[found[2]])
    if amount < _LEAST:
        raise ConfigError(f"--memory '{memory}' is {amount} bytes.", next_step="Add a unit, as in --memory 2GiB.")
    return amount


def workers_within(memory: int | str) -> int:
    """Return how many blocks may be in work at once: one for each core, if the budget holds them."""
    budget = memory_bytes(memory)
    if budget < _BASE + _PER_WORKER:
        raise ConfigError(
            f"--memory {memory} is too little memory for tdbs prepare.",
            next_step=f"Pass --memory {(_BASE + _PER_WORKER) >> 20}MiB or more.",
        )
    return max(min(os.cpu_count() or 1, (budget - _BASE) // _PER_WORKER), 1)
