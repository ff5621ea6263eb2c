"""Token classification: words with labels become a text, and each word's first piece gets its label.

The words are joined with spaces and tokenized as a text, so that pieces are those the model was trained on; pieces find
their words by characters. A word whose label is not "O" is protected from TokenDrop, whole.
"""

from itertools import chain

import numpy as np
import pyarrow as pa

from tdbs.data.tasks import Task
from tdbs.pipeline.limits import Limits
from tdbs.pipeline.samples import RowBlock, Samples
from tdbs.pipeline.schema import IGNORED, LABEL
from tdbs.pipeline.tokenize import NO_SEGMENT, tokenize_block
from tdbs.pipeline.tokenizer import LoadedTokenizer

# Shapes: S samples, T their tokens, W words of the block, K tokens that belong to a word.

OUTSIDE = "O"  # the label of words that belong to no entity


def word_samples(block: RowBlock, task: Task, tokenizer: LoadedTokenizer, limits: Limits) -> Samples:
    """Return one sample a row, with a label for each of its tokens."""
    words = block.texts.to_pylist()
    texts = [" ".join(row) for row in words]
    tokenizer.backend.enable_truncation(limits.max_length)
    tokens = tokenize_block(tokenizer, texts, None)

    word_lengths_W = np.fromiter(map(len, chain.from_iterable(words)), dtype=np.int64)
    words_of_row = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    # Characters count through all texts of the block, each word and each empty text followed by one space.
    text_lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    text_starts = np.concatenate([[0], np.cumsum(text_lengths + 1)[:-1]])
    in_row_W = np.cumsum(word_lengths_W + 1) - (word_lengths_W + 1)
    first_words = np.minimum(np.cumsum(words_of_row) - words_of_row, max(len(in_row_W) - 1, 0))
    before_row = in_row_W[first_words] if len(in_row_W) else np.zeros(len(words), dtype=np.int64)
    row_of_word = np.repeat(np.arange(len(words)), words_of_row)
    word_starts_W = text_starts[row_of_word] + in_row_W - before_row[row_of_word]

    rows_T = np.repeat(np.arange(len(words)), np.diff(tokens.token_offsets_N1))
    lasts_T = text_starts[rows_T] + tokens.ends_T - 1
    word_T = np.searchsorted(word_starts_W, lasts_T, side="right") - 1
    inside_T = (tokens.segments_T != NO_SEGMENT) & (tokens.ends_T > tokens.starts_T) & (word_T >= 0)
    inside_T &= lasts_T < (word_starts_W + word_lengths_W)[word_T] if len(word_starts_W) else False
    if block.targets is None:
        return Samples(
            tokens=tokens, texts=texts, pairs=None, rows_S=np.arange(len(texts)), columns={}, protected_T=inside_T
        )

    labels_W = block.targets.flatten().to_numpy()
    kept_K = np.flatnonzero(inside_T)
    _, first_K = np.unique(word_T[kept_K], return_index=True)
    pieces = kept_K[first_K]
    labels_T = np.full(len(rows_T), IGNORED, dtype=np.int64)
    labels_T[pieces] = labels_W[word_T[pieces]]
    outside = task.classes.index(OUTSIDE) if OUTSIDE in task.classes else IGNORED
    protected_T = inside_T.copy()
    protected_T[kept_K] = labels_W[word_T[kept_K]] != outside
    offsets = tokens.token_offsets_N1.astype(np.int32)
    return Samples(
        tokens=tokens,
        texts=texts,
        pairs=None,
        rows_S=np.arange(len(texts)),
        columns={LABEL: pa.ListArray.from_arrays(offsets, labels_T)},
        protected_T=protected_T,
    )
