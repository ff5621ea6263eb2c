"""Turn a source into the splits of a dataset in a folder: rows to blocks, then blocks to shards.

Reading, tokenizing and writing overlap: rows are read while workers process earlier blocks (engines.py).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.data.reading import survey_source
from tdbs.data.sources import Source
from tdbs.data.tasks import Task
from tdbs.fields import CutLengths
from tdbs.files import sha256_of, write_text
from tdbs.pipeline.blocks import BlockInfo, BlockJob, read_block, references_path
from tdbs.pipeline.drop_rows import drop_rows, refuse_too_many
from tdbs.pipeline.duplicates.counted import count_repeats
from tdbs.pipeline.duplicates.options import TRAIN, DropRules
from tdbs.pipeline.engines import Engine
from tdbs.pipeline.lengths import Limits, bucket_edges
from tdbs.pipeline.manifest import SKIPPED_NAME, DuplicatesInfo, FileInfo, ShardInfo, SplitInfo
from tdbs.pipeline.negative_counts import negatives_notes
from tdbs.pipeline.references import write_references
from tdbs.pipeline.shards import plan_parts
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer
from tdbs.pipeline.words.matches import WordPattern
from tdbs.pipeline.work import DATASET_FOLDER
from tdbs.shown import json_line

Stage = Literal["read", "tokenize", "write"]
Progress = Callable[[Stage, int, int | None], None]  # stage, rows or samples done, and in all (None: not known yet)


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeSplits:
    """What was made: the task with its classes, the splits, and the seconds of each stage (stages overlap)."""

    task: Task
    max_length: int  # most tokens of a sample
    splits: dict[str, SplitInfo]
    seconds: dict[str, float]
    notes: tuple[str, ...]  # messages about rows
    skipped: FileInfo | None = None  # list of the rows that were left out
    duplicates: DuplicatesInfo | None = None


def make_splits(
    source: Source,
    tokenizer: LoadedTokenizer,
    pattern: WordPattern,
    limits: Limits,
    folder: Path,
    *,
    engine: Engine,
    progress: Progress,
    rules: DropRules | None = None,
) -> MadeSplits:
    """Write the shards of all splits below `folder`; blocks that are there already are not made again.

    With rules, rows of train that repeat others are left out. Raises ConfigError if none is left, and SourceError if
    a reranker has nothing to learn.
    """
    clock = time.perf_counter()
    progress("read", 0, None)
    survey = survey_source(source)
    if rules is not None:
        refuse_too_many(rules, survey.rows, survey.task)
    rows = sum(survey.rows.values())
    seconds = {"read": time.perf_counter() - clock, "tokenize": 0.0, "annotate": 0.0, "write": 0.0}
    job = BlockJob(task=survey.task, tokenizer=tokenizer, pattern=pattern, limits=limits, folder=folder)
    job = replace(job, skips_bad_rows=source.skips_bad_rows)
    blocks: dict[str, list[BlockInfo]] = {name: [] for name in survey.rows}
    done = 0
    for info in engine.make_blocks(job, source, survey):
        blocks[info.split].append(info)
        for stage, spent in info.seconds.items():
            seconds[stage] += spent
        done += info.rows + len(info.skipped)
        progress("tokenize", done, rows)
    progress("read", rows, rows)
    for infos in blocks.values():
        infos.sort(key=lambda info: info.number)

    clock = time.perf_counter()
    target = folder / DATASET_FOLDER
    kept = None
    if rules is not None:
        kept = drop_rows(rules, blocks, survey.task, tokenizer, folder=folder, target=target)
        blocks[TRAIN] = kept.blocks
        seconds["left_out"] = time.perf_counter() - clock
        clock = time.perf_counter()
    repeats = count_repeats(blocks, survey.task, folder)
    max_length = _longest(blocks) if survey.task.is_grouped else limits.max_length
    edges = bucket_edges(max_length)
    parts = [part for name, infos in blocks.items() for part in plan_parts(name, infos, edges, tokenizer.special_ids)]
    shards: dict[str, list[ShardInfo]] = {name: [] for name in blocks}
    samples, done = sum(part.rows for part in parts), 0
    for part, shard in zip(parts, engine.write_parts(parts, folder, target), strict=True):
        shards[part.split].append(shard)
        done += part.rows
        progress("write", done, samples)
    references = {name: _references(folder, target, name, infos) for name, infos in blocks.items()}
    seconds["write"] += time.perf_counter() - clock
    splits = {
        name: replace(
            _split_info(infos, shards[name], references[name], survey.task, max_length), repeats=repeats[name]
        )
        for name, infos in blocks.items()
    }
    unranked = negatives_notes(splits, survey.task, where=survey.splits[TRAIN].split.where)
    return MadeSplits(
        task=survey.task,
        max_length=max_length,
        splits=splits,
        seconds=seconds,
        notes=survey.notes + _unanswered_notes(splits) + unranked + (() if kept is None else kept.notes),
        skipped=_write_skipped(blocks, target),
        duplicates=None if kept is None else kept.info,
    )


def _unanswered_notes(splits: Mapping[str, SplitInfo]) -> tuple[str, ...]:
    """Return a note if questions have no answer: their lists may be empty because the answers are hidden."""
    counts = [
        f"{info.unanswered:,} of {info.source_rows:,} in {name}" for name, info in splits.items() if info.unanswered
    ]
    if not counts:
        return ()
    return (f"Questions without an answer: {', '.join(counts)}. A model learns to answer them with an empty text.",)


def _references(folder: Path, target: Path, split: str, blocks: Sequence[BlockInfo]) -> FileInfo | None:
    """Write the references of a split, block by block; None if it has none."""
    if not any(block.has_references for block in blocks):
        return None

    def tables() -> Iterator[pa.Table]:
        for block in blocks:
            yield read_block(references_path(folder, block.split, block.number))

    return write_references(tables(), target, split)


def _write_skipped(blocks: Mapping[str, Sequence[BlockInfo]], target: Path) -> FileInfo | None:
    """Write the rows that were left out, one JSON object a line; rows count from 1, as errors count them."""
    lines = [
        json_line({"split": name, "row": row + 1, "reason": reason})
        for name, infos in blocks.items()
        for row, reason in sorted(skipped for info in infos for skipped in info.skipped)
    ]
    if not lines:
        return None
    text = "".join(f"{line}\n" for line in lines)
    write_text(target / SKIPPED_NAME, text)
    return FileInfo(path=SKIPPED_NAME, sha256=sha256_of(text.encode()))


def _split_info(
    blocks: Sequence[BlockInfo], shards: Sequence[ShardInfo], references: FileInfo | None, task: Task, max_length: int
) -> SplitInfo:
    lengths = _sum_of([block.length_histogram for block in blocks])
    return SplitInfo(
        rows=sum(block.samples for block in blocks),
        source_rows=sum(block.rows for block in blocks),
        tokens=sum(block.tokens for block in blocks),
        droppable_words=sum(block.droppable_words for block in blocks),
        droppable_tokens=sum(block.droppable_tokens for block in blocks),
        labelled=any(block.labelled for block in blocks) or not task.columns.labels,
        length_histogram=tuple(np.pad(lengths, (0, max_length + 1 - len(lengths))).tolist()),
        droppable_histogram=tuple(_sum_of([block.droppable_histogram for block in blocks]).tolist()),
        target_histogram=tuple(_sum_of([block.target_histogram for block in blocks]).tolist()),
        shards=tuple(shards),
        references=references,
        skipped=sum(len(block.skipped) for block in blocks),
        unanswered=sum(block.unanswered for block in blocks),
        sequence_histogram=tuple(_sum_of([block.sequence_histogram for block in blocks]).tolist()),
        cut_lengths=_joined([block.cut_lengths for block in blocks]),
        cut_target_lengths=_joined([block.cut_target_lengths for block in blocks]),
    )


def _longest(blocks: Mapping[str, Sequence[BlockInfo]]) -> int:
    """Return the tokens of the longest sample of all splits."""
    return max(len(info.length_histogram) - 1 for infos in blocks.values() for info in infos)


def _sum_of(histograms: Sequence[Sequence[int]]) -> IntArray:
    """Return the sum of histograms of several lengths."""
    total = np.zeros(max(map(len, histograms), default=0), dtype=np.int64)
    for histogram in histograms:
        total[: len(histogram)] += np.array(histogram, dtype=np.int64)
    return total


def _joined(counts: Sequence[CutLengths]) -> CutLengths:
    """Return the lengths of several blocks, ascending, and how often each comes in all of them."""
    total: Counter[int] = Counter()
    for of_block in counts:
        total.update(dict(of_block))
    return tuple(sorted(total.items()))
