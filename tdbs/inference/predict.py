"""Predict all rows of an input: blocks in order, each batched by length, and the output in the input's order.

With batches of one sample, each row is processed as it arrives (real time, paper 3.2 and Fig. 4): its words are found
and dropped, and the model runs. p50, p95 and p99 are percentiles of the time per row.
"""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa

from tdbs.data.bad_rows import skip_named
from tdbs.data.columns import BadRows
from tdbs.data.formats.data_file import UTF8
from tdbs.errors import ConfigError
from tdbs.given import Place, checked, text_of
from tdbs.inference.batches import Dropping, Predicted, inference_strategy
from tdbs.inference.blocks import BLOCK_ROWS, Block, Input
from tdbs.inference.checkpoints import Checkpoint, droppable_pattern, open_checkpoint
from tdbs.inference.decode import prediction_schema, prediction_table
from tdbs.inference.inputs import STDIN, InputOptions, open_input
from tdbs.inference.memory import room_within, rows_of_block
from tdbs.inference.output import (
    PartRecord,
    begin_parts,
    check_output,
    join_parts,
    json_lines,
    kept_if_begun,
    output_settings,
    write_part,
)
from tdbs.inference.timed import Spent, timed_block, timed_blocks, timed_rows
from tdbs.notebook import shown_progress
from tdbs.train.planning.profile_file import Profile, opened_profile

_PERCENTILES = (50, 95, 99)

Progress = Callable[[int, int | None], None]  # rows done, and in all (None: not known)
Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictResult:
    """What was predicted; the fields are the JSON keys of `tdbs predict`."""

    model: str
    input: str
    out: str | None
    strategy: str
    batch_size: int
    drop: str
    drop_rate: float
    rows: int  # predicted
    skipped: list[int]  # bad rows that were left out, counted from 1
    tokens: int  # tokens that the linear layers processed, padding included
    padding_fraction: float
    rows_per_second: float  # rate of this call, from the first row read to the last one written
    seconds: dict[str, float]  # this call: load, texts (reading, tokenizing, finding words), model, write, total
    milliseconds: dict[str, float | None]  # times of a row: p50, p95, p99 with batches of one, else null


@checked
@skip_named()
def predict(
    model: Place,
    source: Place,
    *,
    out: str | Path | TextIO | None = None,
    text: str | None = None,
    pair: str | None = None,
    columns: str | None = None,
    split: str | None = None,
    strategy: str | None = None,
    batch_size: int | None = None,
    drop: str | None = None,
    drop_rate: float | None = None,
    allow_drop: bool = False,
    stopwords: str | None = None,
    caps: str | None = None,
    profile: Profile | Place | None = None,
    max_length: int | None = None,
    prefix: str | None = None,
    dimensions: int | None = None,
    float16: bool = False,
    precision: str = "auto",
    attention: str = "auto",
    seed: int = 0,
    skip_bad_rows: bool = False,
    delimiter: str | None = None,
    quote: str | None = None,
    no_header: bool = False,
    encoding: str = UTF8,
    resume: bool = False,
    overwrite: bool = False,
    memory: int | str | None = None,
    progress: Progress | bool = True,
    note: Note = lambda _message: None,
) -> PredictResult:
    """Predict all rows of an input, in their order; nothing is dropped unless `drop` or `drop_rate` says so.

    Args:
        model: Folder of a run, what `train` returned, or folder or hub name of a fine-tuned model.
        source: CSV, TSV, JSONL or Parquet file, prepared dataset, or `-` for lines of stdin.
        out: JSONL or Parquet file, or an open text file, which gets JSONL. None: stdout.
        text: Column of the text, the words or the question. None: the run's.
        pair: Column of the second text, or of the context. None: the run's.
        columns: Columns of a query and of the texts to rank for it, or of lists of them: `query,candidates`
            (embeddings, rerankers, and models of one output whose problem_type is open).
        split: Split of a prepared dataset. None: its validation split.
        strategy: How batches are made: `bucket`, `unpadded`, `random`, `reach` and so on. None: `bucket`; of embeddings
            and rerankers `unpadded`, if the model supports it.
        batch_size: Samples of a batch; 1 predicts each row as it arrives. None: 64.
        drop: TokenDrop: `none`, `rate`, `any`, `all`, `batch_min` or `reach`.
        drop_rate: Share of a row's droppable words that go, from 0 to 1.
        allow_drop: Whether to drop words though the task forbids it.
        stopwords: Words that may be dropped: `paper`, `nltk:<language>` or a file. None: the run's, else `paper`.
        caps: Largest batches by length: a number, `paper`, `memory`, `knee` or a file.
        profile: Device profile (`read_profile`) or its file, for `caps` `memory` and `knee`.
        max_length: Most tokens of a sample. None: the run's, else what the model takes.
        prefix: Text put before every text (models that write). None: the run's.
        dimensions: First entries of each embedding to keep; if the model gives embeddings the length 1, so do these.
            None: all.
        float16: Whether to write embeddings with 16 bits a number (Parquet).
        precision: `auto`, `bf16` or `fp32`.
        attention: `auto`, `eager`, `sdpa` or `flash_attention_2`.
        seed: Seed of the dropped words.
        skip_bad_rows: Whether to leave out rows that cannot be read, and name them in the result.
        delimiter: Character between the fields of a table. None: found.
        quote: Character around fields of a table, or `none`. None: found.
        no_header: Whether the first row is data; columns are called 1, 2 and so on.
        encoding: Encoding of text files.
        resume: Whether to resume from the parts of `out` that are done.
        overwrite: Whether to replace `out`.
        memory: Most memory of predicting, as `2GiB` or in bytes: calls of the model and blocks are made to fit, by
            their predicted peak. On CUDA it is of the device. None: no bound.
        progress: Called with the rows done and how many there are (None: not known). True: a bar in a notebook,
            elsewhere nothing. False: nothing.
        note: Called with how the model's configuration was read, if it leaves the kind of model open, and if `memory`
            has no effect.

    Returns:
        Rows predicted and skipped, tokens with padding, rows per second, and seconds by stage.

    Raises:
        ConfigError: An option is out of range or does not fit the model, `out` is there already, or `memory` does not
            hold one text of the greatest length.
        SourceError: The input is missing, or a row cannot be read and is not skipped; parts that are done stay.
        DatasetError: The prepared dataset does not fit the model, or is damaged.
        ModelError: The model cannot be loaded.
        TokenizerError: The tokenizer is missing or has no fast implementation.
        TrainingError: The run did not finish.
    """
    clock = time.perf_counter()
    model, source = text_of(model), text_of(source)
    place = _place_of(out, source, resume=resume)
    checkpoint = open_checkpoint(
        model,
        precision=precision,
        attention=attention,
        max_length=max_length,
        prefix=prefix,
        dimensions=dimensions,
        alone=batch_size == 1,
        ranks=columns is not None,
    )
    if checkpoint.note is not None:
        note(checkpoint.note)
    chosen = inference_strategy(
        strategy,
        checkpoint.task,
        dropping=Dropping(drop=drop, drop_rate=drop_rate, allow_drop=allow_drop),
        batch_size=batch_size,
        caps=caps,
        profile=opened_profile(profile),
        in_rows=checkpoint.in_rows,
    )
    block_rows = rows_of_block(memory, checkpoint, at_most=BLOCK_ROWS)
    opened = open_input(
        source,
        checkpoint,
        InputOptions(
            text=text,
            pair=pair,
            columns=columns,
            split=split,
            skip_bad_rows=skip_bad_rows,
            delimiter=delimiter,
            quote=quote,
            no_header=no_header,
            encoding=encoding,
        ),
        stdin=sys.stdin.buffer if source == STDIN else None,
        rows_at_most=1 if batch_size == 1 and source == STDIN else block_rows,
    )
    room = room_within(memory, checkpoint, chosen, block_rows=block_rows, data=opened.held_bytes, note=note)
    schema = _schema_of(checkpoint, opened, place, half=float16)
    pattern = None if chosen.drop == "none" else droppable_pattern(checkpoint, stopwords)
    parts = None
    if place is not None:
        settings = output_settings(checkpoint, opened, chosen, stopwords=stopwords, seed=seed, float16=float16)
        settings |= {} if block_rows == BLOCK_ROWS else {"block_rows": block_rows}  # a part is a block
        parts = begin_parts(place, settings, resume=resume, overwrite=overwrite)
    stream = sys.stdout if out is None or isinstance(out, str | Path) else out
    spent = Spent()
    loaded = time.perf_counter()
    records: list[PartRecord] = []
    written = 0
    bad: BadRows | None = {} if skip_bad_rows else None
    reported: set[int] = set()
    run = timed_rows if batch_size == 1 else timed_block
    with (
        nullcontext() if parts is None else kept_if_begun(parts),
        shown_progress(progress, lambda count: partial(count, "predict")) as shown,
    ):
        for number, block in enumerate(timed_blocks(opened.blocks(bad), spent)):
            if parts is not None and number < len(parts.records):
                records.append(parts.records[number])
                reported.update(map(int, records[-1].skipped))  # else the first new part would have them too
            else:
                predicted = run(block, checkpoint, chosen, pattern, spent, seed=seed, room=room)
                records.append(_record(predicted, block, bad or {}, reported))
                begun = time.perf_counter()
                table = prediction_table(predicted.rows_R, predicted.decoded, schema)
                if parts is not None:
                    write_part(parts, number, table, records[-1])
                else:
                    stream.write(json_lines(table))
                    stream.flush()
                spent.seconds["write"] += time.perf_counter() - begun
                written += len(predicted.rows_R)
            shown(sum(each.rows + len(each.skipped) for each in records), opened.rows)
        if parts is not None:
            join_parts(parts, len(records), schema)
    ended = time.perf_counter()
    tokens = sum(record.tokens for record in records)
    skipped = {int(row) for record in records for row in record.skipped} | set(bad or {})
    of_rows = np.percentile(spent.rows, _PERCENTILES).tolist() if spent.rows else [None] * len(_PERCENTILES)
    return PredictResult(
        model=model,
        input=opened.name,
        out=None if place is None else str(place),
        strategy=chosen.name,
        batch_size=chosen.base_batch_size,
        drop=chosen.drop,
        drop_rate=chosen.effective_rate if chosen.drops_at_rate else 0.0,
        rows=sum(record.rows for record in records),
        skipped=sorted(row + 1 for row in skipped),
        tokens=tokens,
        padding_fraction=1.0 - sum(record.kept_tokens for record in records) / tokens if tokens else 0.0,
        rows_per_second=written / max(ended - loaded, 1e-9),
        seconds={"load": loaded - clock, **spent.seconds, "total": ended - clock},
        milliseconds={
            f"p{percent}": None if value is None else 1_000 * value
            for percent, value in zip(_PERCENTILES, of_rows, strict=True)
        },
    )


def _place_of(out: str | Path | TextIO | None, source: str, *, resume: bool) -> Path | None:
    """Return the file of the output, if it is one. Raises ConfigError if it cannot be that, or cannot be resumed."""
    place = Path(out) if isinstance(out, str | Path) else None
    if place is not None:
        check_output(place)
    if resume and (place is None or source == STDIN):
        raise ConfigError("--resume needs --out: it continues the predictions of a file.", next_step="Leave it out.")
    return place


def _schema_of(checkpoint: Checkpoint, opened: Input, out: Path | None, *, half: bool) -> pa.Schema:
    """Return the columns of the output. Raises ConfigError for 16 bits without embeddings, or in JSON."""
    ranks = opened.has_candidates
    if half and (checkpoint.task.kind != "embedding" or ranks):
        raise ConfigError(f"--float16 only applies to embeddings{', not to ranks' * ranks}.", next_step="Leave it out.")
    if half and (out is None or out.suffix != ".parquet"):
        raise ConfigError(
            "--float16 needs a Parquet file: JSON has no such numbers.", next_step="Pass --out NAME.parquet."
        )
    return prediction_schema(checkpoint, ranks=ranks, half=half)


def _record(predicted: Predicted, block: Block, bad: BadRows, reported: set[int]) -> PartRecord:
    """Return the record of a part; it includes the bad rows before it that no part has reported."""
    last = int(block.rows_R[-1]) if len(block.rows_R) else -1
    own = {row: reason for row, reason in sorted(bad.items()) if row <= last and row not in reported}
    reported.update(own)
    return PartRecord(
        rows=len(predicted.rows_R),
        samples=predicted.samples,
        tokens=predicted.tokens,
        kept_tokens=predicted.kept_tokens,
        skipped={str(row): reason for row, reason in own.items()},
    )
