"""Inputs to predict: a file, a prepared split, or lines of stdin, in blocks of bounded size.

As in `prepare`, an empty text is a bad row, of files and of stdin. A text to embed or rank may not be blank either.

Blocks depend on the contents alone, so a resumed run makes the same ones. If a file's format does not record its number
of rows, the file is read twice, once to count them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from tdbs.data.columns import UNSEEN, BadRows, plain_name, refuse_or_note
from tdbs.data.content import is_list
from tdbs.data.formats import ReadOptions, count_rows, data_file, read_schema, refuse_options
from tdbs.data.formats.data_file import DataFile, undecodable_line
from tdbs.data.grouped_columns import listed_columns, refuse_repeated
from tdbs.data.header import no_column
from tdbs.data.labels.list_texts import refuse_words_as_texts
from tdbs.data.reading import FirstPassResult, read_blocks
from tdbs.data.sources import Source, Split
from tdbs.data.tables import SplitRows
from tdbs.data.tasks import Columns, Task, TaskKind
from tdbs.digests import file_sha256
from tdbs.errors import ConfigError, SourceError
from tdbs.files import stamp_of
from tdbs.inference.blocks import BLOCK_ROWS, Block, Input, block_of, text_rows
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.prepared import prepared_input
from tdbs.pipeline.manifest_file import MANIFEST_NAME
from tdbs.pipeline.run_marks import refuse_run
from tdbs.settings import changed_fields
from tdbs.shown import fitted

STDIN = "-"
BLOCK_BYTES = 1 << 20  # of text: some seconds to minutes of a model's work
_TEXT_NAMES = ("text", "sentence", "tokens", "question", "document", "article")
_PAIR_NAMES = ("context",)


@dataclass(frozen=True, kw_only=True, slots=True)
class InputOptions(ReadOptions):
    """What the user says of an input: how a file is written, its columns, the split of a dataset."""

    text: str | None = None
    pair: str | None = None
    columns: str | None = None  # a query and its candidates
    split: str | None = None
    skip_bad_rows: bool = False


def open_input(
    spec: str,
    checkpoint: Checkpoint,
    options: InputOptions,
    *,
    stdin: BinaryIO | None = None,
    rows_at_most: int = BLOCK_ROWS,
) -> Input:
    """Return what `spec` names: `-`, the folder of a prepared dataset, or a file. Raises a TdbsError if it does not
    fit the model.
    """
    path = Path(spec).expanduser()
    is_dataset = "://" in spec or (path / MANIFEST_NAME).is_file()
    if options.split is not None and not is_dataset:
        raise ConfigError("--split only applies to prepared datasets.", next_step="Leave it out.")
    if is_dataset or spec == STDIN:
        refuse_options(options, "only applies to files")
        if options.columns is not None:
            raise ConfigError("--columns only applies to files.", next_step="Leave it out.")
        what = f"{spec} is a prepared dataset" if is_dataset else "each line of stdin is a text"
        for option, value in (("--text", options.text), ("--pair", options.pair)):
            if value is not None:
                raise ConfigError(f"{option} only applies to files; {what}.", next_step="Leave it out.")
    if is_dataset:
        return prepared_input(spec, checkpoint, options.split, rows_at_most=rows_at_most)
    if spec == STDIN:
        return _lines(checkpoint, stdin, rows_at_most)
    if path.is_dir():
        refuse_run(path)
        raise SourceError(
            f"{spec} is a folder, but not a prepared dataset.",
            next_step="Pass one of its files; or run tdbs prepare on it, and pass the dataset.",
        )
    if not path.is_file():
        raise SourceError(
            f"{spec} is not a file." if path.exists() else f"File {spec} does not exist.",
            next_step="Pass a CSV, TSV, JSONL or Parquet file, a prepared dataset, or - to read lines from stdin.",
        )
    return _file(path, checkpoint, options, rows_at_most=rows_at_most)


def _file(path: Path, checkpoint: Checkpoint, options: InputOptions, *, rows_at_most: int) -> Input:
    file = data_file(path, options)
    schema = read_schema(file)
    if options.columns is None:
        columns = _columns(file, schema.names, checkpoint, text=options.text, pair=options.pair)
    else:
        columns = _candidate_columns(file, schema.names, checkpoint, options, given=options.columns)
    kind = checkpoint.task.kind
    has_words = kind == "token_classification" and is_list(schema.field(columns.text).type)
    # Words that are written as a text are read as one, and split at white space.
    read_as: TaskKind = (
        "token_classification" if has_words else "embedding" if checkpoint.task.is_grouped else "classification"
    )
    task = Task(name=path.name, kind=read_as, columns=columns)
    content = Split(name="predict", where=file.name, content=file, has_labels=False, stamps=(stamp_of(path),))
    source = Source(
        name=path.name,
        task=task,
        content_sha256="",
        default_tokenizer=None,
        splits=(content,),
        label_type="auto",  # as files to prepare are read: an empty text is missing
    )
    survey = FirstPassResult(
        task=task,
        encode=lambda _rows: pa.nulls(0),
        splits={content.name: SplitRows(split=content, wanted_N=None)},
        rows={},
        labelled=frozenset(),
    )

    def blocks(bad: BadRows | None) -> Iterator[Block]:
        found = read_blocks(source, survey, content.name, rows_at_most=rows_at_most, bytes_at_most=BLOCK_BYTES, bad=bad)
        for rows in found:
            if kind == "token_classification" and not has_words:
                refuse_words_as_texts(rows.texts, column=columns.text, where=file.name)
            yield block_of(rows, bad)

    return Input(
        name=str(path),
        identity={
            "input": file_sha256(path),
            "text": columns.text,
            "pair": columns.pair or "",
            **({"candidates": list(columns.negatives)} if columns.negatives else {}),
            **changed_fields(options, ReadOptions),
        },
        rows=count_rows(file, columns.text, {} if options.skip_bad_rows else None),
        blocks=blocks,
        is_pair=columns.pair is not None,
        has_candidates=bool(columns.negatives),
    )


def _columns(
    file: DataFile, names: list[str], checkpoint: Checkpoint, *, text: str | None, pair: str | None
) -> Columns:
    """Return the columns that are named, or those of the run's dataset, or well-known ones."""
    task = checkpoint.task
    text, pair = (None if name is None else plain_name(name) for name in (text, pair))
    if text is None:
        text = next((name for name in (task.columns.text, *_TEXT_NAMES) if name in names), task.columns.text)
    if pair is None and task.is_pair:
        pair = next((name for name in (task.columns.pair, *_PAIR_NAMES) if name in names), task.columns.pair)
    for option, column in (("--text", text), ("--pair", pair)):
        if column is not None and column not in names:
            raise no_column(file.name, column, names, option=option, is_table=file.dialect is not None)
    if pair is not None and not _takes_pairs(checkpoint):
        raise ConfigError("--pair does not apply: this model takes one text.", next_step="Leave it out.")
    if text == pair:
        raise ConfigError(fitted("--pair names '{pair}', as --text does.", pair=pair), next_step="Name another column.")
    return Columns(text=text, pair=pair)


def _candidate_columns(
    file: DataFile, names: list[str], checkpoint: Checkpoint, options: InputOptions, *, given: str
) -> Columns:
    """Return the columns that --columns names: a query, then texts or lists of texts that are ranked for it."""
    if not checkpoint.task.is_grouped:
        raise ConfigError(
            f"--columns is for embeddings and rerankers; this model is for {checkpoint.task.kind.replace('_', ' ')}.",
            next_step="Leave it out.",
        )
    for option, value in (("--text", options.text), ("--pair", options.pair)):
        if value is not None:
            raise ConfigError(f"--columns and {option} exclude each other.", next_step="Leave one of them out.")
    query, *candidates = listed_columns(given, names, second="CANDIDATES")
    refuse_repeated([query, *candidates])
    for column in (query, *candidates):
        if column not in names:
            raise no_column(file.name, column, names, option="--columns", is_table=file.dialect is not None)
    return Columns(text=query, negatives=tuple(candidates), labels=())


def _takes_pairs(checkpoint: Checkpoint) -> bool:
    """Return whether a model may get two texts; a run knows what it was trained on, another checkpoint does not."""
    if checkpoint.words is not None:
        return checkpoint.task.is_pair
    return checkpoint.task.kind not in ("token_classification", "seq2seq", "embedding")


def _lines(checkpoint: Checkpoint, stdin: BinaryIO | None, rows_at_most: int) -> Input:
    if checkpoint.task.is_pair:
        raise ConfigError(
            "A line of stdin is one text; this model takes two.", next_step="Pass a file, with --text and --pair."
        )
    if stdin is None:
        raise ConfigError("Standard input is not available.", next_step="Pass a file.")

    def blocks(bad: BadRows | None) -> Iterator[Block]:
        numbers, texts, size = [], [], 0
        for number, line in enumerate(stdin):
            try:
                text = line.decode("utf-8" if number else "utf-8-sig").rstrip("\r\n")
            except UnicodeDecodeError as error:
                if bad is None:
                    raise undecodable_line("stdin", number + 1, error) from error
                bad[number] = "is not UTF-8"
                continue
            if not (text.strip(UNSEEN) if checkpoint.task.is_grouped else text):  # as in a file
                refuse_or_note(bad, number, "stdin", "has no text", next_step="Leave the line out.")
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
