"""Turn rows of a source into samples: the tokens of each kind of task, its protected tokens, its targets.

There is one function per kind, all with one signature (annotate.py chooses). A row is one sample, except for the
windows of question answering. Sequence to sequence: a prefix and the text are the source, and the target is tokenized
beside it. Bucketing and TokenDrop use the source alone (paper, Table 2); the prefix is protected, and targets never
lose tokens. Token classification: words are joined with spaces and tokenized as a text, so that pieces are those the
model was trained on. Pieces find their words by characters, and each word's first piece gets its label. A word whose
label is not "O" is protected from TokenDrop completely.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, IntArray, offsets_of
from tdbs.data.row_block import RowBlock
from tdbs.data.tasks import Task
from tdbs.pipeline.lengths import Limits
from tdbs.pipeline.schema import IGNORED, LABEL, TARGET_IDS
from tdbs.pipeline.tokens.block import NO_SEGMENT, TokenBlock
from tdbs.pipeline.tokens.tokenize import tokenize_block
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer

# Shapes: S samples of the block, T their tokens, W its words, K tokens that belong to a word.

OUTSIDE = "O"  # the label of words that belong to no entity


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """Samples of a block: tokens, their texts, and their targets."""

    tokens: TokenBlock
    texts: pa.Array  # strings, of each row; or of each sequence
    pairs: pa.Array | None
    rows_S: IntArray  # row of the block that each sample is from
    columns: dict[str, pa.Array]  # columns of targets, by name; none for a split without labels
    protected_T: BoolArray | None = None  # tokens that TokenDrop must leave
    sequences_S: IntArray | None = None  # how many sequences make each sample, if `tokens` are of sequences
    whole_targets_S: IntArray | None = None  # tokens of each target before the cut


def plain_samples(block: RowBlock, _task: Task, tokenizer: LoadedTokenizer, limits: Limits) -> Samples:
    """Return one sample a row, single or pair; targets stay as they are."""
    return Samples(
        tokens=tokenize_block(tokenizer, block.texts, block.pairs, max_length=limits.max_length),
        texts=block.texts,
        pairs=block.pairs,
        rows_S=np.arange(len(block.texts)),
        columns={} if block.targets is None else {LABEL: block.targets},
    )


def seq2seq_samples(block: RowBlock, task: Task, tokenizer: LoadedTokenizer, limits: Limits) -> Samples:
    """Return one sample a row: tokens of prefix and text, and of the target."""
    texts = pc.binary_join_element_wise(task.prefix, block.texts, "")
    tokens = tokenize_block(tokenizer, texts, None, max_length=limits.max_length)
    columns: dict[str, pa.Array] = {}
    whole_targets_S = None
    if block.targets is not None:
        most = limits.max_target_length or limits.max_length
        targets = tokenize_block(tokenizer, block.targets, None, max_length=most)
        offsets = targets.token_offsets_N1.astype(np.int32)
        columns = {TARGET_IDS: pa.ListArray.from_arrays(offsets, targets.input_ids_T)}
        whole_targets_S = targets.whole_lengths_N
    # the space at the end of a prefix may be part of the first token of the text
    prefix_T = (tokens.segments_T != NO_SEGMENT) & (tokens.starts_T < len(task.prefix.rstrip()))
    return Samples(
        tokens=tokens,
        texts=texts,
        pairs=None,
        rows_S=np.arange(len(texts)),
        columns=columns,
        protected_T=prefix_T,
        whole_targets_S=whole_targets_S,
    )


def word_samples(block: RowBlock, task: Task, tokenizer: LoadedTokenizer, limits: Limits) -> Samples:
    """Return one sample a row, with a label for each of its tokens."""
    words = block.texts.to_pylist()
    texts = pc.binary_join(block.texts, " ")
    tokens = tokenize_block(tokenizer, texts, None, max_length=limits.max_length)
    first_T, last_T = words_of_tokens(words, tokens)
    columns = {}
    protected_T = last_T >= 0
    if block.targets is not None:
        labels_W = block.targets.flatten().to_numpy()
        labels_T = np.full(len(last_T), IGNORED, dtype=np.int64)
        kept_K = np.flatnonzero(last_T >= 0)
        pieces = first_pieces(last_T)
        labels_T[pieces] = labels_W[last_T[pieces]]
        columns[LABEL] = pa.ListArray.from_arrays(tokens.token_offsets_N1.astype(np.int32), labels_T)
        if OUTSIDE in task.classes:
            inside_before_W1 = offsets_of(labels_W != task.classes.index(OUTSIDE))
            protected_T[kept_K] = inside_before_W1[last_T[kept_K] + 1] > inside_before_W1[first_T[kept_K]]
    return Samples(
        tokens=tokens,
        texts=texts,
        pairs=None,
        rows_S=np.arange(len(texts)),
        columns=columns,
        protected_T=protected_T,
    )


def first_pieces(last_T: IntArray) -> IntArray:
    """Return the first token of each word that has one, given the last word that each token touches."""
    kept_K = np.flatnonzero(last_T >= 0)
    _, piece_K = np.unique(last_T[kept_K], return_index=True)
    return kept_K[piece_K]


def words_of_tokens(words: Sequence[Sequence[str]], tokens: TokenBlock) -> tuple[IntArray, IntArray]:
    """Return the first and the last word that each token touches, counted through all rows; -1 where it touches none.

    Nearly always they are one; a token that reaches over the space between two words is a piece of the last.

    Characters count through all rows as well: a row's words are followed by a space each, an empty row is one space.
    """
    words_of_row = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    lengths_W = np.fromiter(map(len, chain.from_iterable(words)), dtype=np.int64)
    row_of_word = np.repeat(np.arange(len(words)), words_of_row)
    empty_before = np.cumsum(words_of_row == 0)
    starts_W = np.cumsum(lengths_W + 1) - (lengths_W + 1) + empty_before[row_of_word]
    row_lengths = np.bincount(row_of_word, weights=lengths_W + 1, minlength=len(words)).astype(np.int64)
    row_starts = np.cumsum(np.maximum(row_lengths, 1)) - np.maximum(row_lengths, 1)

    rows_T = np.repeat(np.arange(len(words)), np.diff(tokens.token_offsets_N1))
    # An empty word is not a token's: it lies on the space before the next one, which may be a token of its own.
    written_W = lengths_W > 0
    starts, ends = starts_W[written_W], (starts_W + lengths_W)[written_W]
    first_T = np.searchsorted(ends, row_starts[rows_T] + tokens.starts_T, side="right")
    last_T = np.searchsorted(starts, row_starts[rows_T] + tokens.ends_T, side="left") - 1
    of_a_word_T = (tokens.segments_T != NO_SEGMENT) & (tokens.ends_T > tokens.starts_T) & (first_T <= last_T)
    number = np.append(np.flatnonzero(written_W), -1)  # of the written words, among all; the last stands for none
    return number[np.where(of_a_word_T, first_T, -1)], number[np.where(of_a_word_T, last_T, -1)]
