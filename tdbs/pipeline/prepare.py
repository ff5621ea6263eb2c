"""Prepare a dataset once: read, tokenize, mark droppable words, write bucket shards.

All that later commands need is paid for here; training does no string work. Costs about twice the tokenizer's own
time (benchmarks/), and holds one split in memory.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.data.labels import LabelType
from tdbs.data.sources import SplitTable, open_source, read_source
from tdbs.data.tasks import Task
from tdbs.errors import ConfigError, DatasetError
from tdbs.files import remember, write_text
from tdbs.pipeline import cache_key, publish, schema
from tdbs.pipeline.buckets import bucket_edges
from tdbs.pipeline.dataset import TOKENIZER_NAME, PreparedDataset
from tdbs.pipeline.lengths import length_histogram
from tdbs.pipeline.manifest import Manifest, SplitInfo, TokenizerInfo
from tdbs.pipeline.matches import WordPattern, compile_words
from tdbs.pipeline.shards import write_shards
from tdbs.pipeline.spans import DroppableSpans, find_spans
from tdbs.pipeline.stopwords import droppable_words, words_sha256
from tdbs.pipeline.tokenize import TokenBlock, tokenize_block
from tdbs.pipeline.tokenizer import LoadedTokenizer, load_tokenizer, set_truncation

DEFAULT_TOKENIZER = "roberta-base"
DEFAULT_MAX_LENGTH = 128
DATA_FOLDER = Path("data")
_BLOCK_ROWS = 8192  # large enough for all cores, small enough for a moving progress bar

Stage = Literal["read", "tokenize", "annotate", "write"]
Progress = Callable[[Stage, int, int | None], None]  # stage, rows done, rows in all (None: not known yet)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareResult:
    """What `prepare` did: the dataset, whether it was there already, and what changed since a similar one."""

    dataset: PreparedDataset
    cached: bool
    changed: tuple[str, ...]


def prepare(
    source: str = "sample",
    *,
    mirror: str | Path | None = None,
    tokenizer: str | None = None,
    max_length: int = DEFAULT_MAX_LENGTH,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    label_type: str = "auto",
    validation: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
) -> PrepareResult:
    """Prepare a source for training; a dataset with the same contents that is there already is returned at once.

    `source` is `sample`, a short name such as `glue/sst2`, or a file or folder of the user's. Lengths are in tokens,
    special ones included. Raises a TdbsError, and writes nothing, where anything is wrong with the input.
    """
    started = time.perf_counter()
    out = None if out is None else Path(out)
    if max_length < 1:
        raise ConfigError(f"--max-length must be 1 or more, got {max_length}.", next_step="Pass --max-length 128.")
    found = open_source(
        source,
        mirror=None if mirror is None else Path(mirror),
        text=text,
        pair=pair,
        label=label,
        label_type=_checked_label_type(label_type),
        validation=validation,
    )
    loaded = load_tokenizer(tokenizer or found.default_tokenizer or DEFAULT_TOKENIZER)
    is_pair = found.task.columns.pair is not None
    set_truncation(loaded, max_length, pair=is_pair)
    words = droppable_words(keep_pronouns=found.task.keep_pronouns)
    parts = cache_key.key_parts(
        source_sha256=found.content_sha256,
        task=found.task,
        tokenizer_sha256=loaded.sha256,
        words_sha256=words_sha256(words),
        max_length=max_length,
    )
    key = cache_key.key_of(parts)
    place = out or DATA_FOLDER / found.name / f"{loaded.name}-{max_length}-{key[:8]}"
    standing = publish.check_place(place, overwrite=overwrite)
    if standing is not None:
        if standing.key != key:
            changed = cache_key.changed_parts(parts, [standing.key_parts])
            raise DatasetError(
                f"{place} holds a dataset prepared otherwise ({', '.join(changed)} changed).",
                next_step="Pass another --out, or --overwrite.",
            )
        remember(DATA_FOLDER, place)
        return PrepareResult(dataset=PreparedDataset(path=place, manifest=standing), cached=True, changed=())
    changed = cache_key.changed_parts(parts, cache_key.neighbouring_parts(place)) if out is None else ()

    seconds = dict.fromkeys(("read", "tokenize", "annotate", "write"), 0.0)
    clock = time.perf_counter()
    progress("read", 0, None)
    task, tables = read_source(found)
    rows = sum(len(table.texts) for table in tables.values())
    progress("read", rows, rows)
    seconds["read"] = time.perf_counter() - clock
    edges = bucket_edges(max_length)
    pattern = compile_words(words)
    with publish.staging_folder(place) as staging:
        splits = {}
        done = 0
        for name, table in tables.items():
            prepared = _annotated_table(table, task, loaded, pattern, seconds, partial(_advance, progress, done, rows))
            clock = time.perf_counter()
            splits[name] = _write_split(prepared, name, staging, edges, max_length)
            done += len(table.texts)
            seconds["write"] += time.perf_counter() - clock
            progress("write", done, rows)
        write_text(staging / TOKENIZER_NAME, loaded.backend_json)
        manifest = Manifest(
            schema_version=schema.SCHEMA_VERSION,
            key=key,
            key_parts=parts,
            source=found.name,
            task=task,
            tokenizer=_tokenizer_info(loaded, is_pair),
            max_length=max_length,
            bucket_edges=tuple(int(edge) for edge in edges),
            splits=splits,
            seconds={**seconds, "total": time.perf_counter() - started},
        )
        publish.publish(staging, place, manifest)
    remember(DATA_FOLDER, place)
    return PrepareResult(dataset=PreparedDataset(path=place, manifest=manifest), cached=False, changed=changed)


def _checked_label_type(label_type: str) -> LabelType:
    if label_type not in get_args(LabelType):
        raise ConfigError(
            f"--label-type has no choice {label_type}.",
            next_step=f"Choose one of: {', '.join(get_args(LabelType))}.",
        )
    return cast(LabelType, label_type)


def _annotated_table(
    table: SplitTable,
    task: Task,
    tokenizer: LoadedTokenizer,
    pattern: WordPattern,
    seconds: dict[str, float],
    progress: Callable[[Stage, int], None],
) -> pa.Table:
    """Tokenize and annotate a split, block by block; adds the time of both stages to `seconds`."""
    lone_space_id = tokenizer.backend.token_to_id("▁")
    blocks = []
    for first in range(0, len(table.texts), _BLOCK_ROWS):
        clock = time.perf_counter()
        texts = table.texts.slice(first, _BLOCK_ROWS).to_pylist()
        pairs = None if table.pairs is None else table.pairs.slice(first, _BLOCK_ROWS).to_pylist()
        tokens = tokenize_block(tokenizer, texts, pairs)
        seconds["tokenize"] += time.perf_counter() - clock
        progress("tokenize", first + len(texts))

        clock = time.perf_counter()
        spans = find_spans(tokens, texts, pairs, pattern, lone_space_id=lone_space_id)
        blocks.append(_block_table(tokens, spans, table, first, task))
        seconds["annotate"] += time.perf_counter() - clock
        progress("annotate", first + len(texts))
    return pa.concat_tables(blocks)


def _advance(progress: Progress, before: int, rows: int, stage: Stage, done: int) -> None:
    progress(stage, before + done, rows)


def _block_table(tokens: TokenBlock, spans: DroppableSpans, table: SplitTable, first_row: int, task: Task) -> pa.Table:
    """Return the shard columns of one block, which begins at `first_row` of its split."""
    arrow_schema = schema.arrow_schema(task, labelled=table.labels is not None)
    lengths_N = np.diff(tokens.token_offsets_N1)
    rows_N = np.arange(first_row, first_row + len(lengths_N))
    words = pa.StructArray.from_arrays(
        [spans.starts_W.astype(np.int32), spans.sizes_W.astype(np.int32)], fields=list(schema.DROPPABLE_TYPE.value_type)
    )
    found = {
        schema.SAMPLE_ID: rows_N,
        schema.SOURCE_ROW: rows_N if table.source_rows is None else table.source_rows[rows_N],
        schema.INPUT_IDS: pa.ListArray.from_arrays(tokens.token_offsets_N1.astype(np.int32), tokens.input_ids_T),
        schema.LENGTH: lengths_N.astype(np.int32),
        schema.SEGMENT_START: tokens.segment_starts_N,
        schema.DROPPABLE: pa.ListArray.from_arrays(
            spans.span_offsets_N1.astype(np.int32), words, type=schema.DROPPABLE_TYPE
        ),
        schema.LABEL: None if table.labels is None else table.labels[rows_N],
    }
    return pa.table([pa.array(found[field.name], type=field.type) for field in arrow_schema], schema=arrow_schema)


def _write_split(table: pa.Table, name: str, folder: Path, edges: IntArray, max_length: int) -> SplitInfo:
    lengths_N = table[schema.LENGTH].to_numpy()
    words = table[schema.DROPPABLE].combine_chunks()
    sizes_W = words.flatten().field("length").to_numpy()
    rows_W = np.repeat(np.arange(len(words)), words.value_lengths().to_numpy())
    droppable_N = np.bincount(rows_W, weights=sizes_W, minlength=len(words)).astype(np.int64)
    return SplitInfo(
        rows=table.num_rows,
        tokens=int(lengths_N.sum()),
        droppable_words=len(sizes_W),
        droppable_tokens=int(sizes_W.sum()),
        labelled=schema.LABEL in table.schema.names,
        length_histogram=tuple(length_histogram(lengths_N, max_length).tolist()),
        droppable_histogram=tuple(np.bincount(droppable_N, minlength=1).tolist()),
        shards=write_shards(table, folder, name, edges),
    )


def _tokenizer_info(tokenizer: LoadedTokenizer, pair: bool) -> TokenizerInfo:
    return TokenizerInfo(
        name=tokenizer.name,
        source=tokenizer.source,
        sha256=tokenizer.sha256,
        vocabulary_sha256=tokenizer.vocabulary_sha256,
        vocabulary_size=tokenizer.vocabulary_size,
        pad_id=tokenizer.pad_id,
        special_ids=tokenizer.special_ids,
        special_tokens=tokenizer.backend.num_special_tokens_to_add(pair),
    )
