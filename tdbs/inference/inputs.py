"""Where texts to predict come from: a file, a prepared split, or lines of stdin; in blocks of bounded size.

Blocks depend on the contents alone, so a run that is taken up again makes the same ones. A file is read twice where its
format does not say how many rows it has: once to count them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.data.bad_rows import BadRows
from tdbs.data.content import is_list
from tdbs.data.digests import file_sha256
from tdbs.data.formats import count_rows, read_schema
from tdbs.data.reading import RowBlock, SplitRows, Survey, read_blocks
from tdbs.data.sources import Source, Split
from tdbs.data.tasks import Columns, Task
from tdbs.data.undecodable import undecodable_line
from tdbs.errors import ConfigError, DatasetError, SourceError
from tdbs.files import stamp_of
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.encode import NAME, Encoded, encode_rows, part_of
from tdbs.pipeline.dataset import load, read_char_places, read_split, split_info
from tdbs.pipeline.manifest import MANIFEST_NAME
from tdbs.pipeline.matches import WordPattern
from tdbs.pipeline.references import read_references
from tdbs.pipeline.schema import IGNORED

STDIN = "-"
BLOCK_ROWS = 8192
BLOCK_BYTES = 1 << 20  # of text: some seconds to minutes of a model's work
_TEXT_NAMES = ("text", "sentence", "tokens", "question", "document", "article")
_PAIR_NAMES = ("context",)

# Shapes: N samples, T tokens, R rows.


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Some rows of the input, in order; `encode` turns them into samples, `one_by_one` yields each row as a block."""

    rows_R: IntArray
    encode: Callable[[Checkpoint, WordPattern | None], Encoded]
    one_by_one: Callable[[], Iterator["Block"]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """What is to be predicted."""

    name: str
    identity: Mapping[str, object]  # what a run that is taken up again must find unchanged; empty: it cannot be
    rows: int | None  # None: not known before the end
    blocks: Callable[[BadRows | None], Iterator[Block]]  # bad rows are noted there and left out; None: an error
    is_pair: bool


def open_input(
    spec: str,
    checkpoint: Checkpoint,
    *,
    text: str | None = None,
    pair: str | None = None,
    split: str | None = None,
    skip_bad_rows: bool = False,
    stdin: BinaryIO | None = None,
    rows_at_most: int = BLOCK_ROWS,
) -> Input:
    """Return what `spec` names: `-`, the folder of a prepared dataset, or a file. Raises a TdbsError where it does not
    fit the model.
    """
    path = Path(spec).expanduser()
    is_dataset = "://" in spec or (path / MANIFEST_NAME).is_file()
    if split is not None and not is_dataset:
        raise ConfigError("--split is for prepared datasets.", next_step="Leave it out.")
    if is_dataset:
        for option, value in (("--text", text), ("--pair", pair)):
            if value is not None:
                raise ConfigError(f"{option} is for files; {spec} is prepared.", next_step="Leave it out.")
        return _prepared(spec, checkpoint, split, rows_at_most)
    if spec == STDIN:
        return _lines(checkpoint, stdin, rows_at_most)
    if not path.is_file():
        raise SourceError(
            f"There is no file {spec}.",
            next_step="Pass a CSV, TSV, JSONL or Parquet file, a prepared dataset, or - for lines of stdin.",
        )
    return _file(path, checkpoint, text=text, pair=pair, skip_bad_rows=skip_bad_rows, rows_at_most=rows_at_most)


def _file(
    path: Path,
    checkpoint: Checkpoint,
    *,
    text: str | None,
    pair: str | None,
    skip_bad_rows: bool,
    rows_at_most: int,
) -> Input:
    schema = read_schema(path)
    columns = _columns(path, schema.names, checkpoint.task, text=text, pair=pair)
    kind = checkpoint.task.kind
    has_words = kind == "token_classification" and is_list(schema.field(columns.text).type)
    # Words that are written as a text are read as one, and split at white space.
    task = Task(name=path.name, kind="token_classification" if has_words else "classification", columns=columns)
    content = Split(name="predict", where=path.name, content=path.absolute(), has_labels=False, stamp=stamp_of(path))
    source = Source(name=path.name, task=task, content_sha256="", default_tokenizer=None, splits=(content,))
    survey = Survey(
        task=task,
        encode=lambda _rows: pa.nulls(0),
        splits={content.name: SplitRows(split=content, wanted_N=None)},
        rows={},
        labelled=frozenset(),
    )

    def blocks(bad: BadRows | None) -> Iterator[Block]:
        found = read_blocks(source, survey, content.name, rows_at_most=rows_at_most, bytes_at_most=BLOCK_BYTES, bad=bad)
        return (block_of(rows, bad) for rows in found)

    return Input(
        name=str(path),
        identity={"input": file_sha256(path), "text": columns.text, "pair": columns.pair or ""},
        rows=count_rows(path, columns.text, {} if skip_bad_rows else None),
        blocks=blocks,
        is_pair=columns.pair is not None,
    )


def _columns(path: Path, names: list[str], task: Task, *, text: str | None, pair: str | None) -> Columns:
    """Return the columns that are named, or those of the run's dataset, or well-known ones."""
    if text is None:
        text = next((name for name in (task.columns.text, *_TEXT_NAMES) if name in names), task.columns.text)
    if pair is None and task.is_pair:
        pair = next((name for name in (task.columns.pair, *_PAIR_NAMES) if name in names), task.columns.pair)
    for option, column in (("--text", text), ("--pair", pair)):
        if column is not None and column not in names:
            raise SourceError(
                f"{path.name} has no column '{column}'; it has: {', '.join(names)}.",
                next_step=f"Name the column with {option}.",
            )
    if pair is not None and task.kind in ("token_classification", "seq2seq"):
        raise ConfigError("--pair: this model takes one text.", next_step="Leave it out.")
    if text == pair:
        raise ConfigError(f"--pair names '{pair}', as --text does.", next_step="Name another column.")
    return Columns(text=text, pair=pair)


def _lines(checkpoint: Checkpoint, stdin: BinaryIO | None, rows_at_most: int) -> Input:
    if checkpoint.task.is_pair:
        raise ConfigError(
            "A line of stdin is one text; this model takes two.", next_step="Pass a file, with --text and --pair."
        )
    if stdin is None:
        raise ConfigError("There is no stdin to read.", next_step="Pass a file.")

    def blocks(bad: BadRows | None) -> Iterator[Block]:
        numbers, texts, size = [], [], 0
        for number, line in enumerate(stdin):
            try:
                text = line.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                if bad is None:
                    raise undecodable_line("stdin", number + 1, error) from error
                bad[number] = "is not UTF-8"
                continue
            numbers.append(number)
            texts.append(text)
            size += len(line)
            if len(texts) >= rows_at_most or size >= BLOCK_BYTES:
                yield block_of(text_rows(texts, rows=numbers, where="stdin"), bad)
                numbers, texts, size = [], [], 0
        if texts:
            yield block_of(text_rows(texts, rows=numbers, where="stdin"), bad)

    return Input(name=STDIN, identity={}, rows=None, blocks=blocks, is_pair=False)


def text_rows(
    texts: list[str], pairs: list[str] | None = None, *, rows: list[int] | None = None, where: str = "the texts"
) -> RowBlock:
    """Return texts that are in memory as rows, numbered from 0 unless `rows` says otherwise."""
    return RowBlock(
        where=where,
        rows_N=np.arange(len(texts)) if rows is None else np.array(rows, dtype=np.int64),
        texts=pa.array(texts, pa.string()),
        pairs=None if pairs is None else pa.array(pairs, pa.string()),
        targets=None,
    )


def as_words(rows: RowBlock, checkpoint: Checkpoint) -> RowBlock:
    """Return rows whose texts are split into words, where the model tells a class for each word."""
    if checkpoint.task.kind != "token_classification" or is_list(rows.texts.type):
        return rows
    words = pa.array([text.split() for text in rows.texts.to_pylist()], pa.list_(pa.string()))
    return RowBlock(where=rows.where, rows_N=rows.rows_N, texts=words, pairs=None, targets=None)


def block_of(rows: RowBlock, bad: BadRows | None = None) -> Block:
    """Return rows as a block of the input."""
    return Block(
        rows_R=rows.rows_N,
        encode=lambda checkpoint, pattern: encode_rows(as_words(rows, checkpoint), checkpoint, pattern, bad),
        one_by_one=lambda: (block_of(_row(rows, place), bad) for place in range(len(rows.rows_N))),
    )


def _row(rows: RowBlock, place: int) -> RowBlock:
    return replace(
        rows,
        rows_N=rows.rows_N[place : place + 1],
        texts=rows.texts.slice(place, 1),
        pairs=None if rows.pairs is None else rows.pairs.slice(place, 1),
    )


def _prepared(spec: str, checkpoint: Checkpoint, split: str | None, rows_at_most: int) -> Input:
    dataset = load(spec)
    manifest, task = dataset.manifest, checkpoint.task
    name = split or manifest.task.scored_split
    info = split_info(dataset, name)
    if manifest.task.kind != task.kind:
        raise DatasetError(
            f"{spec} was prepared for {_spoken(manifest.task.kind)}; the model does {_spoken(task.kind)}.",
            next_step="Pass the texts themselves, or another model.",
        )
    if manifest.tokenizer.vocabulary_sha256 != checkpoint.tokenizer.vocabulary_sha256:
        raise DatasetError(
            f"{spec} was prepared with {manifest.tokenizer.name}, whose token ids mean other words to this model.",
            next_step="Pass the texts themselves.",
        )
    if manifest.max_length > checkpoint.limits.max_length:
        raise DatasetError(
            f"{spec} was prepared with --max-length {manifest.max_length}; the model takes "
            f"{checkpoint.limits.max_length} tokens.",
            next_step="Pass the texts themselves.",
        )
    if task.kind == "token_classification" and not info.labelled:
        raise DatasetError(
            f"The split {name} has no labels, so nothing tells where its words begin.",
            next_step="Pass the texts themselves.",
        )

    def blocks(_bad: BadRows | None) -> Iterator[Block]:
        whole = _encoded_split(spec, name)
        rows = len(whole.rows_R)
        for first in range(0, rows, rows_at_most):
            yield _encoded_block(part_of(whole, first, min(first + rows_at_most, rows)))

    return Input(
        name=f"{spec} {name}",
        identity={"input": manifest.key, "split": name},
        rows=info.source_rows,
        blocks=blocks,
        is_pair=manifest.task.is_pair,
    )


def _encoded_block(encoded: Encoded) -> Block:
    return Block(
        rows_R=encoded.rows_R,
        encode=lambda _checkpoint, _pattern: encoded,
        one_by_one=lambda: (_encoded_block(part_of(encoded, place, place + 1)) for place in range(len(encoded.rows_R))),
    )


def _encoded_split(spec: str, name: str) -> Encoded:
    """Return a prepared split as samples without targets; it is held in memory, as flat arrays."""
    dataset = load(spec)
    split = read_split(dataset, name)
    rows_R = np.unique(split.source_rows_N)
    contexts = places = word_of_T = offsets_R1 = None
    info = dataset.manifest.splits[name].references
    if dataset.manifest.task.kind == "question_answering":
        places = read_char_places(dataset, name)
        contexts = None if info is None else read_references(dataset.path, info).contexts
        if contexts is None:
            raise DatasetError(
                f"The split {name} has no contexts beside it.", next_step="Pass the questions and contexts themselves."
            )
    if dataset.manifest.task.kind == "token_classification" and split.targets is not None:
        begins_T = split.targets.values != IGNORED
        word_of_T = np.where(begins_T, np.cumsum(begins_T) - 1, -1)
        offsets_R1 = np.concatenate([[0], np.cumsum(begins_T)])[split.token_offsets_N1]
    return Encoded(
        split=replace(split, name=NAME, targets=None),
        rows_R=rows_R,
        contexts=contexts,
        char_places_T=places,
        word_of_T=word_of_T,
        word_offsets_R1=offsets_R1,
    )


def _spoken(kind: str) -> str:
    return kind.replace("_", " ")
