"""Leave out rows of train that repeat others, between the blocks and the shards of `prepare`.

The digests that blocks keep decide; near repeats need the blocks, too, one after the other. Blocks of train with rows
that go are stored again without them, under another name: finished blocks stay whole, so a killed run resumes. So all
engines leave out the same rows, and shards are made as if the rows had never been there. Memory: for exact repeats
32 bytes a row of train and of the splits that are kept out, 48 with negatives, and 50 more while they are compared.
Near repeats need the tokens of all these rows at once, and the shingles of their words: beyond `--memory`, temporary
files hold them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from tdbs.arrays import BoolArray, IntArray, TokenArray, offsets_of
from tdbs.data.tasks import Task
from tdbs.errors import ConfigError, DatasetError
from tdbs.fields import Count
from tdbs.files import sha256_of, write_text
from tdbs.pipeline import schema
from tdbs.pipeline.block_digests import keep_digests, read_digests
from tdbs.pipeline.blocks import BlockInfo, block_path, keep_block, keep_references, read_block, references_path
from tdbs.pipeline.duplicates.block_rows import RowDigests, RowTokens, joined_digests, joined_tokens, tokens_of
from tdbs.pipeline.duplicates.budget import Amount
from tdbs.pipeline.duplicates.compared import compared, row_texts
from tdbs.pipeline.duplicates.normal import normal_texts
from tdbs.pipeline.duplicates.options import TRAIN, DropRules
from tdbs.pipeline.duplicates.pieces import pieces_of
from tdbs.pipeline.duplicates.repeats import KINDS, Repeats, exact_repeats, near_repeats
from tdbs.pipeline.engines import memory_bytes
from tdbs.pipeline.manifest import DUPLICATES_NAME, DuplicatesInfo, FileInfo
from tdbs.pipeline.references import unanswered_rows
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer
from tdbs.records import Form, json_of, read_text, record_of
from tdbs.shown import json_line
from tdbs.spilled import forget

# Shapes: N rows of the splits that are kept out and then of train, D rows that go.

KEPT = "train.kept"  # name of the blocks of train without the rows that go
_COUNTED_AT_ONCE = 1 << 20
_FORM = Form(what="a list of rows of tdbs", error=DatasetError, next_step="Prepare the dataset again with --overwrite.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """A row that was left out and the row that it repeats, as the list has them: from 1."""

    split: str
    row: Count
    kind: str
    of_split: str
    of_row: Count


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptRows:
    """The blocks of train without the rows that went, and what the manifest says of them."""

    blocks: list[BlockInfo]
    info: DuplicatesInfo
    notes: tuple[str, ...]


def refuse_too_many(rules: DropRules, rows: Mapping[str, int], task: Task) -> None:
    """Refuse rows by split that do not fit in the memory while their words are compared, even if all is spilled.

    A row may have more texts than columns. Raises ConfigError.
    """
    compared_rows = sum(rows[name] for name in (*rules.keep_out, TRAIN))
    texts = len(task.columns.every) - len(task.columns.labels)
    amount = Amount(rows=compared_rows, texts=texts * compared_rows, tokens=0)
    if rules.is_near and amount.bytes_dropping > memory_bytes(rules.memory):
        raise ConfigError(
            f"--memory {rules.memory} is too little memory for --drop-duplicates near: {compared_rows:,} rows take "
            f"{amount.bytes_dropping:,} bytes.",
            next_step=f"Pass --memory {-(-amount.bytes_dropping >> 20)}MiB or more, or --drop-duplicates exact.",
        )


def drop_rows(
    rules: DropRules,
    blocks: Mapping[str, Sequence[BlockInfo]],
    task: Task,
    tokenizer: LoadedTokenizer,
    *,
    folder: Path,
    target: Path,
) -> KeptRows:
    """Store blocks of train again without the rows that the rules leave out, and list these rows.

    Args:
        rules: Which rows go.
        blocks: The blocks of all splits, in order.
        task: What the samples are of.
        tokenizer: Who made their tokens.
        folder: Where the blocks are.
        target: Folder of the dataset, which gets the list.

    Returns:
        The blocks of train that stay.

    Raises:
        ConfigError: No row of train stays, or the folder for temporary files is full.
    """
    names = (*rules.keep_out, TRAIN)
    infos = [block for name in names for block in blocks[name]]
    starts = offsets_of([sum(block.rows for block in blocks[name]) for name in names])
    train_from = int(starts[-2])
    spilled = rules.is_near and _is_spilled(infos, task, rules.memory)
    digests = joined_digests((read_digests(folder, block.split, block.number) for block in infos), spilled=spilled)
    if rules.is_near:
        tokens = joined_tokens((tokens_of(_samples(folder, block), task) for block in infos), spilled=spilled)
        pa.default_memory_pool().release_unused()  # Arrow keeps what the tables took, for tables to come
        found = _near(tokens, digests, tokenizer, train_from, spilled=spilled)
    else:
        within_train = rules.duplicates is not None
        found = exact_repeats(
            digests.texts_N2,
            digests.labels_N,
            train_from=train_from,
            within_train=within_train,
            heads_N2=digests.heads_N2,
        )
    rows = len(digests.source_rows_N) - train_from
    if len(found.rows_D) == rows:
        raise ConfigError(
            f"All {rows:,} rows of train stand in {' and '.join(rules.keep_out)}, so none is left.",
            next_step="Leave --keep-out out, or pass other rows of train.",
        )
    kept = list(blocks[TRAIN])
    if len(found.rows_D):
        gone = digests.source_rows_N[found.rows_D]
        kept = [_without(info, gone, folder) for info in kept]
    splits_D = np.searchsorted(starts, found.originals_D, side="right") - 1
    info = DuplicatesInfo(
        left_out=_counts(rules, names, splits_D, found.kinds_D),
        conflicts=found.conflicts,
        listing=_write_list(found, digests.source_rows_N, [names[split] for split in splits_D.tolist()], target),
    )
    return KeptRows(blocks=kept, info=info, notes=_notes(found, rules))


def listed_rows(folder: Path, info: DuplicatesInfo | None) -> tuple[int, ...]:
    """Return the rows of train that a dataset lists as left out, from 0. Raises DatasetError for a damaged list."""
    if info is None or info.listing is None:
        return ()
    path = folder / info.listing.path
    lines = read_text(path, _FORM, named=str(path)).splitlines()
    return tuple(
        record_of(json_of(line, _FORM, named=str(path)), _Line, _FORM, named=str(path)).row - 1 for line in lines
    )


def _samples(folder: Path, info: BlockInfo) -> pa.Table:
    return read_block(block_path(folder, info.split, info.number))


def _is_spilled(blocks: Sequence[BlockInfo], task: Task, memory: int | str) -> bool:
    """Return whether the rows of some blocks do not fit in the memory while their words are compared."""
    sequences = sum(sum(block.sequence_histogram) or block.samples for block in blocks)
    amount = Amount(
        rows=sum(block.rows for block in blocks),
        texts=2 * sequences if task.is_pair else sequences,
        tokens=sum(block.tokens for block in blocks),
    )
    return amount.bytes_in_memory > memory_bytes(memory)


def _near(
    tokens: RowTokens, digests: RowDigests, tokenizer: LoadedTokenizer, train_from: int, *, spilled: bool
) -> Repeats:
    """Return the rows that go if texts are compared by their words; the rules of `tdbs audit` decide what is near."""
    offsets_P1, texts = tokens.text_offsets_P1, row_texts(tokens.texts_N)
    pieces = pieces_of(tokenizer.backend, _distinct(tokens.ids_T), special_ids=tokenizer.special_ids)
    normal = normal_texts(tokens.ids_T, offsets_P1, pieces, spilled=spilled)
    of_texts = partial(compared, tokens.ids_T, offsets_P1, pieces, normal, spilled=spilled)
    whole, heads = of_texts(texts), None if digests.heads_N2 is None else of_texts(texts.heads)
    return near_repeats(whole, heads, normal.shingles, digests.labels_N, train_from=train_from, spilled=spilled)


def _distinct(ids_T: TokenArray) -> IntArray:
    """Return the distinct ids, some tokens at a time: they are cast to eight bytes each."""
    counts_V = np.zeros(int(ids_T.max(initial=0)) + 1, dtype=np.int64)
    for first in range(0, len(ids_T), _COUNTED_AT_ONCE):
        counts_V += np.bincount(ids_T[first : first + _COUNTED_AT_ONCE], minlength=len(counts_V))
        forget(ids_T)
    return np.flatnonzero(counts_V)


def _without(info: BlockInfo, gone: IntArray, folder: Path) -> BlockInfo:
    """Store a block of train again without some rows of the source, if it has any; samples get new numbers.

    The rows are all that go, one or more, ascending.
    """
    table = _samples(folder, info)
    rows_S = table[schema.SOURCE_ROW].to_numpy()
    stays_S = ~_are_in(rows_S, gone)
    if stays_S.all():
        return info
    ids_S = table[schema.SAMPLE_ID].to_numpy()
    by_id_S = np.empty_like(stays_S)
    by_id_S[ids_S] = stays_S
    new_ids = (np.cumsum(by_id_S) - 1)[ids_S[stays_S]]
    left = table.filter(pa.array(stays_S)).replace_schema_metadata(None)  # by length still, as a block is stored
    left = left.set_column(0, schema.SAMPLE_ID, pa.array(new_ids))
    unanswered = 0
    if info.has_references:
        references = read_block(references_path(folder, info.split, info.number))
        references = references.filter(pa.array(~_are_in(references[schema.SOURCE_ROW].to_numpy(), gone)))
        keep_references(references, folder, KEPT, info.number)
        unanswered = unanswered_rows(references)
    digests = read_digests(folder, info.split, info.number)
    keep_digests(digests.only(~_are_in(digests.source_rows_N, gone)), folder, KEPT, info.number)
    return keep_block(
        left,
        folder,
        KEPT,
        info.number,
        rows=info.rows - len(np.unique(rows_S[~stays_S])),
        seconds=info.seconds,
        skipped=info.skipped,
        unanswered=unanswered,
    )


def _are_in(rows_R: IntArray, gone: IntArray) -> BoolArray:
    """Return whether each row goes: a search for each, since a sort of all that go would be one for each block."""
    return gone[np.minimum(np.searchsorted(gone, rows_R), len(gone) - 1)] == rows_R


def _counts(rules: DropRules, names: Sequence[str], splits_D: IntArray, kinds_D: IntArray) -> dict[str, dict[str, int]]:
    """Return by the split that they repeat how many rows went, by kind; 0 for what was looked for and not found."""
    kinds = KINDS if rules.is_near else KINDS[:1]
    counts_SK = np.zeros((len(names), len(KINDS)), dtype=np.int64)
    np.add.at(counts_SK, (splits_D, kinds_D), 1)
    counts = {name: dict(zip(kinds, row, strict=False)) for name, row in zip(names, counts_SK.tolist(), strict=True)}
    return {name: counts[name] for name in ([] if rules.duplicates is None else [TRAIN]) + list(rules.keep_out)}


def _write_list(found: Repeats, source_rows_N: IntArray, splits: Sequence[str], target: Path) -> FileInfo | None:
    """Write the rows that went, one JSON object a line; rows count from 1, as errors count them."""
    if not len(found.rows_D):
        return None
    rows, originals = (source_rows_N[places] + 1 for places in (found.rows_D, found.originals_D))
    lines = (
        {"split": TRAIN, "row": row, "kind": KINDS[kind], "of_split": split, "of_row": original}
        for row, kind, split, original in zip(
            rows.tolist(), found.kinds_D.tolist(), splits, originals.tolist(), strict=True
        )
    )
    text = "".join(f"{json_line(line)}\n" for line in lines)
    write_text(target / DUPLICATES_NAME, text)
    return FileInfo(path=DUPLICATES_NAME, sha256=sha256_of(text.encode()))


def _notes(found: Repeats, rules: DropRules) -> tuple[str, ...]:
    """Return a message about the rows that stay, which says how texts were compared."""
    if not found.conflicts:
        return ()
    how = "but for case, spaces and punctuation" if rules.is_near else "token by token"
    return (f"Rows of train whose text stands there with another label stay: {found.conflicts:,}, compared {how}.",)
