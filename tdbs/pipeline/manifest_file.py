"""The file of a manifest: written last and whole, read with every value checked that another one contradicts.

A folder without it is not a dataset.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tdbs.data.tasks import KNOWN_METRICS, task_record
from tdbs.errors import DatasetError
from tdbs.fields import CutLengths
from tdbs.files import write_json
from tdbs.pipeline.lengths import bucket_edges
from tdbs.pipeline.manifest import Manifest, SplitInfo
from tdbs.pipeline.run_marks import refuse_run
from tdbs.pipeline.schema import SCHEMA_VERSION
from tdbs.records import Form, check_version, read_json, record_of

MANIFEST_NAME = "manifest.json"
FORM = Form(
    what="a manifest of tdbs",
    error=DatasetError,
    next_step="Prepare the dataset again with --overwrite.",
    version=SCHEMA_VERSION,
)
_SPLIT_NAME = re.compile(r"\w[\w.-]*")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` atomically."""
    write_json(folder / MANIFEST_NAME, manifest_record(manifest))


def manifest_record(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as its file has it: what only samples of several sequences have is left out of others."""
    found = {**dataclasses.asdict(manifest), "task": task_record(manifest.task)}
    if manifest.max_sequence_length is None:
        del found["max_sequence_length"]
    for info in found["splits"].values():
        if not info["sequence_histogram"]:
            del info["sequence_histogram"]
    return found


def read_manifest(folder: Path) -> Manifest:
    """Read a dataset's manifest. Raises DatasetError if the folder is not a prepared dataset."""
    path = folder / MANIFEST_NAME
    try:
        found = read_json(path, FORM)
    except DatasetError as error:
        if folder.is_file():
            raise DatasetError(
                f"{folder} is a file, not a prepared dataset.",
                next_step="Prepare it first, and pass the folder that this gives.",
            ) from error
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        refuse_run(folder)
        missing = "is not a prepared dataset: it has no manifest.json" if folder.is_dir() else "does not exist"
        raise DatasetError(
            f"{folder} {missing}.", next_step="Run tdbs prepare, or pass the folder that it printed."
        ) from error
    if not isinstance(found, dict) or FORM.version_key not in found:
        raise DatasetError(
            f"{path} is not a manifest of tdbs.",
            next_step="Pass another folder: one that tdbs prepare wrote, or a new one.",
        )
    check_version(found, replace(FORM, next_step="Prepare the dataset again."), named=str(path))
    manifest = record_of(found, Manifest, FORM, named=str(path))
    problem = next(_impossible(manifest), None)
    if problem is not None:
        raise FORM.misfit(str(path), problem)
    return manifest


def check_counts(folder: Path, manifest: Manifest, name: str) -> None:
    """Refuse a split whose counts contradict each other. Raises DatasetError, which names the field."""
    problem = contradiction(manifest, name)
    if problem is not None:
        raise FORM.misfit(str(folder / MANIFEST_NAME), problem)


def contradiction(manifest: Manifest, name: str) -> str | None:
    """Return the first count of a split that contradicts another one, as "field: reason"; None if all agree."""
    info = manifest.splits[name]
    tokens = _tokens_of(info.length_histogram)
    problem = None
    if manifest.bucket_edges != tuple(bucket_edges(manifest.max_length).tolist()):
        problem = "bucket_edges: not those of max_length"
    elif info.rows != sum(shard.rows for shard in info.shards):
        problem = f"splits.{name}.rows: {info.rows}, but {sum(shard.rows for shard in info.shards)} in its shards"
    elif info.tokens != sum(shard.tokens for shard in info.shards):
        problem = f"splits.{name}.tokens: {info.tokens}, but {sum(shard.tokens for shard in info.shards)} in its shards"
    elif (sum(info.length_histogram), tokens) != (info.rows, info.tokens):
        problem = f"splits.{name}.length_histogram: not of {info.rows} rows and {info.tokens} tokens"
    elif sum(info.droppable_histogram) != info.rows:
        problem = f"splits.{name}.droppable_histogram: not of {info.rows} rows"
    elif info.unanswered > info.source_rows:
        problem = f"splits.{name}.unanswered: {info.unanswered}, more than the {info.source_rows} rows of the source"
    elif info.repeats is not None and info.repeats.most > info.source_rows:
        problem = f"splits.{name}.repeats: {info.repeats.most}, more than the {info.source_rows} rows of the source"
    elif sum(info.target_histogram) not in (0, info.rows):
        problem = f"splits.{name}.target_histogram: not of {info.rows} rows"
    elif info.sequence_histogram and _tokens_of(info.sequence_histogram) != info.tokens:
        problem = f"splits.{name}.sequence_histogram: not of {info.tokens} tokens"
    return problem


def _tokens_of(histogram: Sequence[int]) -> int:
    return sum(length * count for length, count in enumerate(histogram))


def _impossible(manifest: Manifest) -> Iterator[str]:
    """Yield values that no dataset can have, whatever its shards contain; `verify` checks the rest."""
    edges = manifest.bucket_edges
    if len(edges) < 2 or edges[0] != 0 or any(one >= other for one, other in pairwise(edges)):
        yield "bucket_edges: expected increasing numbers from 0"
    if edges and edges[-1] > manifest.max_length + 1:
        yield f"bucket_edges: beyond max_length, {manifest.max_length}"
    task = manifest.task
    unknown = sorted(set(task.metrics) - KNOWN_METRICS[task.kind])
    if unknown:
        yield f"task.metrics: {unknown[0]!r} is not a metric of {task.kind}"
    if not (task.columns.labels or task.is_grouped):
        yield "task.columns.labels: expected one at least"
    if task.is_grouped != (manifest.max_sequence_length is not None):
        yield f"max_sequence_length: {manifest.max_sequence_length}, for {task.kind}"
    if task.is_grouped and task.columns.pair is None:
        yield f"task.columns.pair: missing for {task.kind}"
    for name, info in manifest.splits.items():
        if not _SPLIT_NAME.fullmatch(name):
            yield f"splits: {name!r} is not a name of a split"
        yield from (f"splits.{name}.{problem}" for problem in _impossible_counts(info, manifest))
        paths = Counter(shard.path for shard in info.shards)
        twice = next((path for path, times in paths.items() if times > 1), None)
        if twice is not None:
            yield f"splits.{name}.shards: {twice} is duplicated"


def _impossible_counts(info: SplitInfo, manifest: Manifest) -> Iterator[str]:
    """Yield histograms of a split that are longer than its samples can be."""
    longest_target = manifest.max_target_length or 0
    for field, longest in (
        ("length_histogram", manifest.max_length),
        ("droppable_histogram", manifest.max_length),
        ("target_histogram", longest_target),
        ("sequence_histogram", manifest.max_sequence_length or 0),
    ):
        if len(getattr(info, field)) > longest + 1:
            yield f"{field}: has entries beyond the greatest length, {longest}"
    for field, histogram, longest in (
        ("cut_lengths", info.sequence_histogram or info.length_histogram, manifest.longest_input),
        ("cut_target_lengths", info.target_histogram, longest_target),
    ):
        if not _can_be_cut(getattr(info, field) or (), histogram, longest):
            yield f"{field}: not lengths of samples that were cut at {longest} tokens"


def _can_be_cut(cut: CutLengths, histogram: Sequence[int], longest: int) -> bool:
    """Return whether sequences of these lengths, ascending, can be among those of the greatest length."""
    lengths = [longest, *(length for length, _ in cut)]
    is_ascending = all(one < other for one, other in pairwise(lengths))
    return is_ascending and sum(times for _, times in cut) <= sum(histogram[longest:])
