"""Prepare on many machines: Ray Data reads, tokenizes and writes, on a cluster or on the cores of this machine.

One task a split reads its rows and hands out blocks; actors, one a core, make blocks and write shards. All write into
the folder of the work, so machines must share it. The files are those of the local engine, whatever the number of
workers.
"""

import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from tokenizers import Tokenizer
from tokenizers.models import BPE

from tdbs.data.reading import FirstPassResult
from tdbs.data.sources import Source
from tdbs.errors import ConfigError, DatasetError, TdbsError, reason_of, require
from tdbs.pipeline.blocks import BlockInfo, BlockJob, BlockRows, block_path, make_block, read_info
from tdbs.pipeline.dataset import TOKENIZER_NAME
from tdbs.pipeline.engines import Engine, split_blocks
from tdbs.pipeline.manifest import ShardInfo
from tdbs.pipeline.shards import ShardPlan, write_part
from tdbs.pipeline.tokens.tokenizer import backend_of
from tdbs.pipeline.work import DATASET_FOLDER

# The one column between tasks: what is to be made, or was, as bytes that only tasks of a run exchange, never from disk.
_PACKED = "block"
_SECONDS_TO_ANSWER = 10  # of a cluster's address; ray.init would try for minutes


@contextmanager
def ray_engine(address: str | None) -> Iterator[Engine]:
    """Yield the engine of a Ray cluster; without an address, start one here and stop it again."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    require("ray", "--engine ray", "tdbs[ray]")
    import ray
    import ray.data

    is_ours = not ray.is_initialized()
    try:
        _ask(address)
        if is_ours:
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"No Ray cluster answers at {address}: {reason_of(error)}.",
            next_step="Check --ray-address, or leave it out.",
        ) from error
    context, log = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, log.level
    context.enable_progress_bars = False
    log.setLevel(logging.CRITICAL)
    try:
        yield Engine(make_blocks=_make_blocks, write_parts=_write_parts)
    finally:
        context.enable_progress_bars, level = before
        log.setLevel(level)
        if is_ours:
            ray.shutdown()


def _ask(address: str | None) -> None:
    """Raise OSError if nothing answers at an address of the form [ray://]host:port."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()


def _make_blocks(job: BlockJob, source: Source, survey: FirstPassResult) -> Iterator[BlockInfo]:
    import ray.data

    # The tokenizer is megabytes: actors read it from the folder that they share.
    tokenizer = replace(job.tokenizer, backend=Tokenizer(BPE()), backend_json="")
    job = replace(job, folder=job.folder.absolute(), tokenizer=tokenizer)
    blocks = _block_source(source, survey)
    reading = ray.data.read_datasource(blocks, override_num_blocks=len(survey.rows), num_cpus=0)
    found = reading.map(_BlockMaker, fn_constructor_args=(job,), compute=_one_actor_a_core())
    for split, number in _results(found):
        path = block_path(job.folder, split, number)
        if not path.exists():
            raise _not_shared(job.folder)
        yield read_info(path)


def _write_parts(parts: Sequence[ShardPlan], blocks: Path, target: Path) -> Iterator[ShardInfo]:
    import ray.data

    items = [{_PACKED: pickle.dumps((number, part))} for number, part in enumerate(parts)]
    folders = (blocks.absolute(), target.absolute())
    found = ray.data.from_items(items).map(_PartWriter, fn_constructor_args=folders, compute=_one_actor_a_core())
    shards: dict[int, ShardInfo] = dict(_results(found))
    return (shards[number] for number in range(len(parts)))


class _BlockMaker:
    """An actor that makes blocks; the tokenizer comes to it once."""

    def __init__(self, job: BlockJob) -> None:
        self.given = job

    @cached_property
    def job(self) -> BlockJob:
        """The job with its tokenizer; read with the first block, since Ray hides the error of an actor's start."""
        path = self.given.folder / DATASET_FOLDER / TOKENIZER_NAME
        if not path.exists():
            raise _not_shared(self.given.folder)
        return replace(
            self.given, tokenizer=replace(self.given.tokenizer, backend=backend_of(path.read_text(encoding="utf-8")))
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return _packed(lambda: self._make(_unpacked(row)))

    def _make(self, block: BlockRows) -> tuple[str, int]:
        make_block(self.job, block)
        return block.split, block.number


def _not_shared(folder: Path) -> DatasetError:
    return DatasetError(
        f"{folder} is not shared by all machines of the Ray cluster.",
        next_step="Pass an --out or --work folder that all machines share.",
    )


class _PartWriter:
    """An actor that writes shards."""

    def __init__(self, blocks: Path, target: Path) -> None:
        self.blocks, self.target = blocks, target

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        number, part = _unpacked(row)
        return _packed(lambda: (number, write_part(part, blocks=self.blocks, target=self.target)))


def _block_source(source: Source, survey: FirstPassResult) -> Any:
    """Return a source of Ray Data with one task a split; each row of it is a block of rows."""
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    def read(split: str) -> Iterator[pa.Table]:
        for block in split_blocks(source, survey, split):
            yield pa.table({_PACKED: pa.array([pickle.dumps(block)], pa.large_binary())})

    class Blocks(Datasource):  # type: ignore[misc]  # mypy does not see ray
        def get_read_tasks(self, *_args: Any, **_options: Any) -> list[ReadTask]:
            unknown = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None)
            return [ReadTask(lambda split=split: read(split), unknown) for split in survey.rows]

        def estimate_inmemory_data_size(self) -> int | None:
            return None

    return Blocks()


def _packed(make: Callable[[], Any]) -> dict[str, bytes]:
    """Return the result, or the error to report: Ray reports that an actor failed, but not how."""
    result: Any
    try:
        result = make()
    except (TdbsError, OSError) as error:
        result = error
    return {_PACKED: pickle.dumps(result)}


def _unpacked(row: dict[str, Any]) -> Any:
    return pickle.loads(row[_PACKED])  # noqa: S301  (bytes of this run's own tasks, never from disk)


def _results(dataset: Any) -> Iterator[Any]:
    """Yield what actors made; an error of ours comes out as itself."""
    from ray.exceptions import RayError

    try:
        for row in dataset.iter_rows():
            result = _unpacked(row)
            if isinstance(result, Exception):
                raise result
            yield result
    except RayError as error:  # of the task that reads
        cause: BaseException | None = error
        while cause is not None and (isinstance(cause, RayError) or not isinstance(cause, (TdbsError, OSError))):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is None:
            raise
        raise cause from error


def _one_actor_a_core() -> Any:
    import ray.data

    return ray.data.ActorPoolStrategy(size=max(int(ray.cluster_resources().get("CPU", 1)), 1))
