"""Rows of a block of samples as digests of token ids and labels, or as tokens, to find which are the same.

A row of question answering is all its windows. Its label is the place of the answer's characters in the context, which
no other question moves. Its texts are its question once, and the contexts of its windows. The texts of a row of several
sequences are theirs; two such rows are the same if their sequences are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tdbs.arrays import BoolArray, IntArray, TokenArray, offsets_of, ragged_positions
from tdbs.data.tasks import Task
from tdbs.pipeline import schema
from tdbs.pipeline.duplicates.mixing import GOLDEN, HashArray, mixed
from tdbs.pipeline.duplicates.rows import row_digests, wide_row_digests
from tdbs.pipeline.split_arrays import Lists, lists_of
from tdbs.spilled import joined, kept

# Shapes: S samples of a block, R rows of it, R1 = R + 1, T tokens, N rows of all blocks, P texts, Q sequences of S.

_QA = "question_answering"


@dataclass(frozen=True, kw_only=True, slots=True)
class RowDigests:
    """What is kept of a row to find the exact repeats: 24 bytes, and its number in the source."""

    source_rows_N: IntArray
    texts_N2: HashArray
    heads_N2: HashArray | None  # of query and positive, 16 bytes more; None: a row has no other texts
    labels_N: HashArray

    def only(self, chosen_N: BoolArray) -> "RowDigests":
        """Return the digests of some rows."""
        return RowDigests(
            source_rows_N=self.source_rows_N[chosen_N],
            texts_N2=self.texts_N2[chosen_N],
            heads_N2=None if self.heads_N2 is None else self.heads_N2[chosen_N],
            labels_N=self.labels_N[chosen_N],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RowTokens:
    """The tokens of the texts of rows, one row after the other; text p has tokens [p] to [p + 1]."""

    ids_T: TokenArray
    text_offsets_P1: IntArray
    texts_N: IntArray  # texts of each row


def digests_of(table: pa.Table, task: Task) -> RowDigests:
    """Return the digests of the rows of a block, in order, from its samples in order."""
    rows_S = table[schema.SOURCE_ROW].to_numpy()
    lists = lists_of(table, schema.INPUT_IDS, np.int32)
    offsets_S1 = offsets_of(lists.sizes_S)
    texts_S2 = wide_row_digests(lists.values_V, offsets_S1)
    for parts_S in _where_texts_begin(table):
        texts_S2 = mixed(texts_S2 * GOLDEN + parts_S[:, None])
    labels_S = _labels(table, lists)
    if task.kind != _QA:
        heads_S2 = _heads(table, lists, offsets_S1, task) if has_negatives(task) else None
        return RowDigests(source_rows_N=rows_S, texts_N2=texts_S2, heads_N2=heads_S2, labels_N=labels_S)
    first_R = np.flatnonzero(_is_first(rows_S))
    offsets_R1 = np.append(first_R, len(rows_S))
    return RowDigests(
        source_rows_N=rows_S[first_R],
        texts_N2=np.stack([row_digests(np.ascontiguousarray(texts_S), offsets_R1) for texts_S in texts_S2.T], axis=1),
        heads_N2=None,
        labels_N=np.maximum.reduceat(labels_S, first_R) if len(first_R) else labels_S,
    )


def tokens_of(table: pa.Table, task: Task) -> RowTokens:
    """Return the tokens of the rows of a block, in order, from its samples in any order."""
    order_S = np.argsort(table[schema.SAMPLE_ID].to_numpy())
    lists = lists_of(table, schema.INPUT_IDS, np.int32)
    sizes_S = lists.sizes_S.astype(np.int64)
    firsts_S, sizes_S = (offsets_of(sizes_S)[:-1])[order_S], sizes_S[order_S]
    if schema.SEGMENT_START not in table.schema.names:
        ids_T = lists.values_V[ragged_positions(firsts_S, sizes_S)]
        sizes_P, texts_S = _text_sizes(table, order_S, sizes_S)
        return RowTokens(ids_T=ids_T, text_offsets_P1=offsets_of(sizes_P), texts_N=texts_S)
    starts_S = table[schema.SEGMENT_START].to_numpy().astype(np.int64)[order_S]
    is_first_S = _is_first(table[schema.SOURCE_ROW].to_numpy()[order_S]) | (task.kind != _QA)
    # Two texts a sample; of later windows of a row the question is empty.
    sizes_S2 = np.stack([np.where(is_first_S, starts_S, 0), sizes_S - starts_S], axis=1)
    firsts_S2 = np.stack([firsts_S, firsts_S + starts_S], axis=1)
    row_S = np.cumsum(is_first_S) - 1
    rows = int(is_first_S.sum())
    second_R = np.bincount(row_S, weights=sizes_S2[:, 1], minlength=rows).astype(np.int64)
    sizes_R2 = np.stack([sizes_S2[is_first_S, 0], second_R], axis=1)
    return RowTokens(
        ids_T=lists.values_V[ragged_positions(firsts_S2.ravel(), sizes_S2.ravel())],
        text_offsets_P1=offsets_of(sizes_R2.ravel()),
        texts_N=np.full(rows, 2),
    )


def joined_digests(parts: Iterable[RowDigests], *, spilled: bool) -> RowDigests:
    """Return the digests of several blocks as one, in memory or in files."""
    found = joined(
        (
            {"rows": part.source_rows_N, "texts": part.texts_N2, "labels": part.labels_N}
            | ({} if part.heads_N2 is None else {"heads": part.heads_N2})
            for part in parts
        ),
        spilled=spilled,
    )
    return RowDigests(
        source_rows_N=found["rows"], texts_N2=found["texts"], heads_N2=found.get("heads"), labels_N=found["labels"]
    )


def joined_tokens(parts: Iterable[RowTokens], *, spilled: bool) -> RowTokens:
    """Return the tokens of several blocks as one, in memory or in files."""
    found = joined(
        ({"ids": part.ids_T, "sizes": np.diff(part.text_offsets_P1), "texts": part.texts_N} for part in parts),
        spilled=spilled,
    )
    return RowTokens(
        ids_T=found["ids"],
        text_offsets_P1=kept(offsets_of(found["sizes"]), spilled=spilled),
        texts_N=found["texts"],
    )


def has_negatives(task: Task) -> bool:
    """Return whether rows have texts beside query and positive, so that these alone are known across splits."""
    return task.is_grouped and bool(task.columns.negatives)


def _where_texts_begin(table: pa.Table) -> Iterator[HashArray]:
    """Yield for each sample in what its tokens are cut: sequences, and the two texts of each."""
    names = table.schema.names
    for column in (schema.SEQUENCE_LENGTHS, schema.SEGMENT_STARTS):
        if column in names:
            lists = lists_of(table, column, np.int64)
            yield row_digests(lists.values_V, offsets_of(lists.sizes_S))
    if schema.SEGMENT_START in names:
        yield table[schema.SEGMENT_START].to_numpy().astype(np.uint64)


def _heads(table: pa.Table, tokens: Lists, offsets_S1: IntArray, task: Task) -> HashArray:
    """Return the digests of query and positive of each sample, which are its first tokens."""
    sequences = lists_of(table, schema.SEQUENCE_LENGTHS, np.int64)
    firsts_S = offsets_of(sequences.sizes_S)[:-1]
    kept_S = np.minimum(sequences.sizes_S, 1 if task.is_pair else 2)
    lengths_Q = sequences.values_V[ragged_positions(firsts_S, kept_S)]
    kept_S1 = offsets_of(kept_S)
    tokens_S = np.diff(offsets_of(lengths_Q)[kept_S1])
    places = ragged_positions(offsets_S1[:-1], tokens_S)
    cuts_S = row_digests(lengths_Q, kept_S1)
    if schema.SEGMENT_STARTS in table.schema.names:
        starts_Q = lists_of(table, schema.SEGMENT_STARTS, np.int64).values_V
        cuts_S = mixed(cuts_S * GOLDEN + starts_Q[firsts_S].astype(np.uint64))
    heads_S2: HashArray = mixed(
        wide_row_digests(tokens.values_V[places], offsets_of(tokens_S)) * GOLDEN + cuts_S[:, None]
    )
    return heads_S2


def _text_sizes(table: pa.Table, order_S: IntArray, sizes_S: IntArray) -> tuple[IntArray, IntArray]:
    """Return the tokens of each text of some samples (P), and how many texts each has (S): those of its sequences."""
    if schema.SEQUENCE_LENGTHS not in table.schema.names:
        return sizes_S, np.ones(len(sizes_S), dtype=np.int64)
    lengths = lists_of(table, schema.SEQUENCE_LENGTHS, np.int64)
    firsts_S, counts_S = offsets_of(lengths.sizes_S)[:-1][order_S], lengths.sizes_S[order_S].astype(np.int64)
    places_Q = ragged_positions(firsts_S, counts_S)
    sizes_Q = lengths.values_V[places_Q]
    if schema.SEGMENT_STARTS not in table.schema.names:
        return sizes_Q, counts_S
    starts_Q = lists_of(table, schema.SEGMENT_STARTS, np.int64).values_V[places_Q]
    return np.stack([starts_Q, sizes_Q - starts_Q], axis=1).ravel(), 2 * counts_S


def _is_first(rows_S: IntArray) -> BoolArray:
    """Return whether each sample is the first of its row."""
    return np.append(True, rows_S[1:] != rows_S[:-1])[: len(rows_S)]


def _labels(table: pa.Table, tokens: Lists) -> HashArray:
    """Return a digest of each sample's label; 0 without labels or answer."""
    names = table.schema.names
    if schema.ANSWER_START in names:
        return _answers(table, offsets_of(tokens.sizes_S))
    column = next((name for name in (schema.LABEL, schema.TARGET_IDS) if name in names), None)
    if column is None:
        return np.zeros(table.num_rows, dtype=np.uint64)
    kind = table.schema.field(column).type
    is_list = pa.types.is_list(kind)
    number = np.float64 if pa.types.is_floating(kind.value_type if is_list else kind) else np.int64
    if not is_list:
        return mixed(_bits(table[column].to_numpy().astype(number)))
    lists = lists_of(table, column, number)
    return row_digests(_bits(lists.values_V), offsets_of(lists.sizes_S))


def _answers(table: pa.Table, offsets_S1: IntArray) -> HashArray:
    """Return the places of the first and the last character of each window's answer, in one number."""
    found = np.zeros(table.num_rows, dtype=np.uint64)
    for place, characters in ((schema.ANSWER_START, schema.CHAR_STARTS), (schema.ANSWER_END, schema.CHAR_ENDS)):
        token_S = table[place].to_numpy().astype(np.int64)
        character_S = lists_of(table, characters, np.int64).values_V[offsets_S1[:-1] + token_S]
        found = (found << np.uint64(32)) | character_S.astype(np.uint64)
    return found


def _bits(values_V: npt.NDArray[Any]) -> HashArray:
    """Return numbers as their 64 bits; a negative zero is the zero that it equals."""
    return np.ascontiguousarray(values_V + 0).view(np.uint64)
