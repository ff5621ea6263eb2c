"""The queries, positives and negatives of samples as numbers, so that equal texts have equal numbers.

Texts are the same if their letters and digits are, as duplicates are; a text without any is the same as its own tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.arrays import IntArray, offsets_of
from tdbs.pipeline.duplicates.compared import compared, row_texts
from tdbs.pipeline.duplicates.mixing import blocks_of
from tdbs.spilled import AnyArray, forget, joined

# Shapes: N samples of all splits, P their texts, P1 = P + 1, M their negatives.

_TOKENS_AT_ONCE = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryTexts:
    """The texts of samples as numbers, and which of all texts they are."""

    query_N: IntArray
    positive_N: IntArray
    positive_text_N: IntArray  # its place among all texts
    negative_M: IntArray  # of all samples, in order
    negative_text_M: IntArray
    row_M: IntArray  # the sample of each
    count: int  # greater than any number

    @property
    def answer_N(self) -> IntArray:
        """Query and positive in one number."""
        return self.query_N * self.count + self.positive_N

    def part(self, part: slice) -> "QueryTexts":
        """Return the texts of some samples, whose numbers begin with 0."""
        own = slice(*np.searchsorted(self.row_M, [part.start, part.stop]).tolist())
        return QueryTexts(
            query_N=self.query_N[part],
            positive_N=self.positive_N[part],
            positive_text_N=self.positive_text_N[part],
            negative_M=self.negative_M[own],
            negative_text_M=self.negative_text_M[own],
            row_M=self.row_M[own] - part.start,
            count=self.count,
        )


def query_texts(contents: Contents) -> QueryTexts:
    """Return the texts of all samples."""
    texts, count = contents.texts, len(contents.text_offsets_P1) - 1
    each = row_texts(np.ones(count, dtype=np.int64))
    own = joined(_own_tokens(contents), spilled=contents.spilled)
    same_P = compared(own["ids"], offsets_of(own["sizes"]), contents.pieces, contents.normal, each).normal_N
    place_P = np.arange(count) - np.repeat(texts.firsts_N, texts.counts_N)
    is_negative_P = place_P > 1
    if contents.repeats_queries:  # query and positive, query and negative, and so on
        is_negative_P &= place_P % 2 == 1
    negative_text_M = np.flatnonzero(is_negative_P)
    return QueryTexts(
        query_N=same_P[texts.firsts_N],
        positive_N=same_P[texts.firsts_N + 1],
        positive_text_N=texts.firsts_N + 1,
        negative_M=same_P[negative_text_M],
        negative_text_M=negative_text_M,
        row_M=np.repeat(np.arange(len(texts.counts_N)), texts.counts_N)[negative_text_M],
        count=count,
    )


def _own_tokens(contents: Contents) -> Iterator[dict[str, AnyArray]]:
    """Yield the token ids of texts, and how many each has, without special ones.

    A query and a positive of a pair begin with other special tokens.
    """
    is_own_V = np.ones(len(contents.id_counts_V), dtype=np.bool_)
    is_own_V[contents.special_ids] = False
    for first, end in blocks_of(contents.text_offsets_P1, _TOKENS_AT_ONCE):
        offsets_P1 = contents.text_offsets_P1[first : end + 1]
        ids = contents.ids_T[offsets_P1[0] : offsets_P1[-1]]
        is_own = is_own_V[ids]
        yield {"ids": ids[is_own], "sizes": np.diff(offsets_of(is_own)[offsets_P1 - offsets_P1[0]])}
        forget(contents.ids_T)
