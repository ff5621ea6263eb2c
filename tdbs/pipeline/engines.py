"""Where the work of `prepare` is done: on the threads of this machine; on_ray.py has the engine for many machines.

An engine makes the same files whatever it runs on: a block depends on its rows alone, a shard on its blocks alone.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tdbs.data.reading import Survey, read_blocks
from tdbs.data.sources import Source
from tdbs.errors import ConfigError
from tdbs.pipeline.blocks import BlockInfo, BlockJob, BlockRows, make_block
from tdbs.pipeline.manifest import ShardInfo
from tdbs.pipeline.shards import Part, write_part

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """How blocks and shards are made: `make_blocks` yields blocks in any order, `write_parts` shards in order."""

    make_blocks: Callable[[BlockJob, Source, Survey], Iterable[BlockInfo]]
    write_parts: Callable[[Sequence[Part], Path, Path], Iterable[ShardInfo]]  # parts, blocks, where to


def engine_of(name: str, ray_address: str | None, *, workers: int) -> AbstractContextManager[Engine]:
    """Return the engine of a name, to be started."""
    if ray_address is not None and name != "ray":
        raise ConfigError("--ray-address is for --engine ray.", next_step="Pass --engine ray with it.")
    if name == "local":
        return nullcontext(local_engine(workers))
    if name == "ray":
        from tdbs.pipeline.on_ray import ray_engine

        return ray_engine(ray_address)
    raise ConfigError(f"--engine has no choice {name}.", next_step="Choose one of: local, ray.")


def local_engine(workers: int) -> Engine:
    """Return the engine of this machine, with so many threads."""
    return Engine(
        make_blocks=lambda job, source, survey: map_on_threads(
            lambda block: make_block(job, block), all_blocks(source, survey), workers=workers
        ),
        write_parts=lambda parts, blocks, target: map_on_threads(
            lambda part: write_part(part, blocks=blocks, target=target), parts, workers=workers
        ),
    )


def all_blocks(source: Source, survey: Survey) -> Iterator[BlockRows]:
    """Yield the rows of all splits, block by block."""
    return (block for split in survey.rows for block in split_blocks(source, survey, split))


def split_blocks(source: Source, survey: Survey, split: str) -> Iterator[BlockRows]:
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
        finally:  # after an error nothing more is begun
            for future in waiting:
                future.cancel()
