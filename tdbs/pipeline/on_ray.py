"""Prepare on many machines: Ray Data reads, tokenizes and writes, on a cluster or on the cores of this machine.

One task a split reads its rows and hands out blocks; actors, one a core, make blocks and write shards. All write into
the folder of the work, so machines must share it. The files are those of the local engine, whatever the number of
workers.
"""

import json
import logging
import os
import pickle
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from tokenizers import Tokenizer
from tokenizers.models import BPE

from tdbs.data.reading import Survey
from tdbs.data.sources import Source
from tdbs.errors import ConfigError, DatasetError, TdbsError, reason_of
from tdbs.pipeline.blocks import DATASET_FOLDER, BlockInfo, BlockJob, block_path, make_block, read_info
from tdbs.pipeline.dataset import TOKENIZER_NAME
from tdbs.pipeline.engines import Engine, split_blocks
from tdbs.pipeline.manifest import ShardInfo
from tdbs.pipeline.shards import Part, write_part

_PACKED = (
    "block"  # the one column between tasks: a block or a shard to make, as bytes that only tasks of a run exchange
)


@contextmanager
def ray_engine(address: str | None) -> Iterator[Engine]:
    """Yield the engine of a Ray cluster; without an address, of one that is started here and stopped again."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError("--engine ray needs the package ray.", next_step="Run: pip install 'tdbs[ray]'") from error
    is_ours = not ray.is_initialized()
    if is_ours:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"There is no Ray cluster at {address}: {reason_of(error)}.",
                next_step="Check --ray-address, or leave it out.",
            ) from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield Engine(make_blocks=_make_blocks, write_parts=_write_parts)
    finally:
        if is_ours:
            ray.shutdown()


def _make_blocks(job: BlockJob, source: Source, survey: Survey) -> Iterator[BlockInfo]:
    import ray.data

    # The tokenizer is megabytes: actors read it from the folder that they share.
    tokenizer = replace(job.tokenizer, backend=Tokenizer(BPE()), backend_json="")
    job = replace(job, folder=job.folder.absolute(), tokenizer=tokenizer)
    blocks = _block_source(source, survey)
    reading = ray.data.read_datasource(blocks, override_num_blocks=len(survey.rows), num_cpus=0)
    found = reading.map(_BlockMaker, fn_constructor_args=(job,), compute=_one_actor_a_core())
    for row in _rows(found):
        path = block_path(job.folder, row["split"], row["number"])
        if not path.exists():
            raise DatasetError(
                f"A worker of Ray wrote {path.name}, but not into {job.folder} of this machine.",
                next_step="Pass --out, or --work, in a folder that all machines share.",
            )
        yield read_info(path)


def _write_parts(parts: Sequence[Part], blocks: Path, target: Path) -> Iterator[ShardInfo]:
    import ray.data

    items = [{_PACKED: pickle.dumps((number, part))} for number, part in enumerate(parts)]
    folders = (blocks.absolute(), target.absolute())
    found = ray.data.from_items(items).map(_PartWriter, fn_constructor_args=folders, compute=_one_actor_a_core())
    shards = {row["number"]: ShardInfo(**json.loads(row["shard"])) for row in _rows(found)}
    return (shards[number] for number in range(len(parts)))


class _BlockMaker:
    """An actor that makes blocks; the tokenizer comes to it once."""

    def __init__(self, job: BlockJob) -> None:
        backend = Tokenizer.from_file(str(job.folder / DATASET_FOLDER / TOKENIZER_NAME))
        self.job = replace(job, tokenizer=replace(job.tokenizer, backend=backend))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        block = pickle.loads(row[_PACKED])  # noqa: S301  (from a task of this run, never from disk)
        make_block(self.job, block)
        return {"split": block.split, "number": block.number}


class _PartWriter:
    """An actor that writes shards."""

    def __init__(self, blocks: Path, target: Path) -> None:
        self.blocks, self.target = blocks, target

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        number, part = pickle.loads(row[_PACKED])  # noqa: S301  (from this process)
        shard = write_part(part, blocks=self.blocks, target=self.target)
        return {"number": number, "shard": json.dumps(asdict(shard))}


def _block_source(source: Source, survey: Survey) -> Any:
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


def _rows(dataset: Any) -> Iterable[dict[str, Any]]:
    """Yield the rows of a dataset of Ray; an error of ours comes out as itself."""
    from ray.exceptions import RayError

    try:
        yield from dataset.iter_rows()
    except RayError as error:
        cause: BaseException | None = error
        while cause is not None and (isinstance(cause, RayError) or not isinstance(cause, (TdbsError, OSError))):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is None:
            raise
        raise cause from error


def _one_actor_a_core() -> Any:
    import ray.data

    return ray.data.ActorPoolStrategy(size=max(int(ray.cluster_resources().get("CPU", 1)), 1))
