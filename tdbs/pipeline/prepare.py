"""Prepare a dataset once: read, tokenize, mark droppable words, write bucket shards.

All that later commands need is paid for here; training does no string work. Costs about twice the tokenizer's own
time (benchmarks/), and holds one split in memory.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray
from tdbs.data.labels import LabelType
from tdbs.data.sources import FileOptions, open_source, read_source
from tdbs.data.tasks import Task
from tdbs.errors import ConfigError, DatasetError
from tdbs.files import remember, write_text
from tdbs.pipeline import cache_key, publish, schema
from tdbs.pipeline.annotate import Stage, annotated_table
from tdbs.pipeline.buckets import bucket_edges
from tdbs.pipeline.dataset import TOKENIZER_NAME, PreparedDataset
from tdbs.pipeline.lengths import length_histogram
from tdbs.pipeline.limits import choose_limits
from tdbs.pipeline.manifest import FileInfo, Manifest, SplitInfo, TokenizerInfo, WordsInfo
from tdbs.pipeline.matches import compile_words
from tdbs.pipeline.references import write_references
from tdbs.pipeline.shards import write_shards
from tdbs.pipeline.stopwords import WordList, choose_words, negations_in, words_sha256
from tdbs.pipeline.tokenizer import LoadedTokenizer, load_tokenizer
from tdbs.pipeline.word_pieces import OUTSIDE

DEFAULT_TOKENIZER = "roberta-base"
DATA_FOLDER = Path("data")

Progress = Callable[[Stage, int, int | None], None]  # stage, rows done, rows in all (None: not known yet)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareResult:
    """What `prepare` did: the dataset, whether it was there already, and what changed since a similar one."""

    dataset: PreparedDataset
    cached: bool
    changed: tuple[str, ...]
    warnings: tuple[str, ...]  # what may harm the labels, or keep TokenDrop from helping


def prepare(
    source: str = "sample",
    *,
    mirror: str | Path | None = None,
    tokenizer: str | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    max_target_length: int | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    label_type: str = "auto",
    target: str | None = None,
    prefix: str | None = None,
    validation: str | None = None,
    stopwords: str = "paper",
    keep: Sequence[str] = (),
    forbid_drop: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
) -> PrepareResult:
    """Prepare a source for training; a dataset with the same contents that is there already is returned at once.

    `source` is `sample`, a short name such as `glue/sst2`, or a file or folder of the user's. Lengths are in tokens,
    special ones included; they default to 128 (question answering 384, sequence to sequence 512). Raises a TdbsError,
    and writes nothing, where anything is wrong with the input.
    """
    started = time.perf_counter()
    out = None if out is None else Path(out)
    found = open_source(
        source,
        mirror=None if mirror is None else Path(mirror),
        files=FileOptions(
            text=text,
            pair=pair,
            label=label,
            target=target,
            label_type=_checked_label_type(label_type),
            validation=validation,
            forbid_drop=forbid_drop,
        ),
        prefix=prefix,
    )
    loaded = load_tokenizer(tokenizer or found.default_tokenizer or DEFAULT_TOKENIZER)
    limits = choose_limits(
        found.task, loaded, max_length=max_length, stride=stride, max_target_length=max_target_length
    )
    words = choose_words(stopwords, keep=(*keep, "pronouns") if found.task.keep_pronouns else keep)
    parts = cache_key.key_parts(
        source_sha256=found.content_sha256,
        task=found.task,
        tokenizer_sha256=loaded.sha256,
        words_sha256=words_sha256(words.words),
        max_length=limits.max_length,
        stride=limits.stride,
        max_target_length=limits.max_target_length,
    )
    key = cache_key.key_of(parts)
    place = out or DATA_FOLDER / found.name / f"{loaded.name}-{limits.max_length}-{key[:8]}"
    standing = publish.check_place(place, overwrite=overwrite)
    if standing is not None:
        if standing.key != key:
            changed = cache_key.changed_parts(parts, [standing.key_parts])
            raise DatasetError(
                f"{place} holds a dataset prepared otherwise ({', '.join(changed)} changed).",
                next_step="Pass another --out, or --overwrite.",
            )
        remember(DATA_FOLDER, place)
        dataset = PreparedDataset(path=place, manifest=standing)
        return PrepareResult(dataset=dataset, cached=True, changed=(), warnings=_warnings(standing.task, words))
    changed = cache_key.changed_parts(parts, cache_key.neighbouring_parts(place)) if out is None else ()

    seconds = dict.fromkeys(("read", "tokenize", "annotate", "write"), 0.0)
    clock = time.perf_counter()
    progress("read", 0, None)
    task, tables = read_source(found)
    rows = sum(len(table.texts) for table in tables.values())
    progress("read", rows, rows)
    seconds["read"] = time.perf_counter() - clock
    edges = bucket_edges(limits.max_length)
    pattern = compile_words(words.words)
    with publish.staging_folder(place) as staging:
        splits = {}
        done = 0
        for name, table in tables.items():
            advance = partial(_advance, progress, done, rows)
            samples = annotated_table(table, task, loaded, pattern, limits, seconds=seconds, progress=advance)
            clock = time.perf_counter()
            references = write_references(table, task, staging, name)
            splits[name] = _write_split(samples, name, staging, edges, limits.max_length, references)
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
            tokenizer=_tokenizer_info(loaded, pair=task.is_pair),
            words=_words_info(words),
            max_length=limits.max_length,
            stride=limits.stride,
            max_target_length=limits.max_target_length,
            bucket_edges=tuple(int(edge) for edge in edges),
            splits=splits,
            seconds={**seconds, "total": time.perf_counter() - started},
        )
        publish.publish(staging, place, manifest)
    remember(DATA_FOLDER, place)
    dataset = PreparedDataset(path=place, manifest=manifest)
    return PrepareResult(dataset=dataset, cached=False, changed=changed, warnings=_warnings(task, words))


def _warnings(task: Task, words: WordList) -> tuple[str, ...]:
    """Return what the user should know before dropping words."""
    found = []
    negations = negations_in(words)
    if negations:
        more = ", …" if len(negations) > _SHOWN_WORDS else ""
        found.append(
            f"The droppable words of {words.source} hold negations ({', '.join(negations[:_SHOWN_WORDS])}{more}): "
            "dropping one can turn a label round. Protect them with --keep negation."
        )
    if task.kind == "token_classification" and task.classes and OUTSIDE not in task.classes:
        found.append(f"No class is named {OUTSIDE}, so every word has a label of its own and none is droppable.")
    return tuple(found)


_SHOWN_WORDS = 5


def _checked_label_type(label_type: str) -> LabelType:
    if label_type not in get_args(LabelType):
        raise ConfigError(
            f"--label-type has no choice {label_type}.",
            next_step=f"Choose one of: {', '.join(get_args(LabelType))}.",
        )
    return cast(LabelType, label_type)


def _advance(progress: Progress, before: int, rows: int, stage: Stage, done: int) -> None:
    progress(stage, before + done, rows)


def _write_split(
    table: pa.Table, name: str, folder: Path, edges: IntArray, max_length: int, references: FileInfo | None
) -> SplitInfo:
    lengths_N = table[schema.LENGTH].to_numpy()
    words = table[schema.DROPPABLE].combine_chunks()
    sizes_W = words.flatten().field("length").to_numpy()
    rows_W = np.repeat(np.arange(len(words)), words.value_lengths().to_numpy())
    droppable_N = np.bincount(rows_W, weights=sizes_W, minlength=len(words)).astype(np.int64)
    columns = table.schema.names
    target_histogram: list[int] = []
    if schema.TARGET_IDS in columns:
        target_histogram = np.bincount(pc.list_value_length(table[schema.TARGET_IDS]).to_numpy()).tolist()
    return SplitInfo(
        rows=table.num_rows,
        source_rows=len(pc.unique(table[schema.SOURCE_ROW])),
        tokens=int(lengths_N.sum()),
        droppable_words=len(sizes_W),
        droppable_tokens=int(sizes_W.sum()),
        labelled=bool({schema.LABEL, schema.ANSWER_START, schema.TARGET_IDS} & set(columns)),
        length_histogram=tuple(length_histogram(lengths_N, max_length).tolist()),
        droppable_histogram=tuple(np.bincount(droppable_N, minlength=1).tolist()),
        target_histogram=tuple(target_histogram),
        shards=write_shards(table, folder, name, edges),
        references=references,
    )


def _words_info(words: WordList) -> WordsInfo:
    return WordsInfo(source=words.source, kept=words.kept, count=len(words.words), sha256=words_sha256(words.words))


def _tokenizer_info(tokenizer: LoadedTokenizer, *, pair: bool) -> TokenizerInfo:
    return TokenizerInfo(
        name=tokenizer.name,
        source=tokenizer.source,
        sha256=tokenizer.sha256,
        vocabulary_sha256=tokenizer.vocabulary_sha256,
        vocabulary_size=tokenizer.vocabulary_size,
        pad_id=tokenizer.pad_id,
        end_id=tokenizer.end_id,
        special_ids=tokenizer.special_ids,
        special_tokens=tokenizer.backend.num_special_tokens_to_add(pair),
    )
