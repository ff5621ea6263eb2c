"""A block of tokenized samples as flat arrays, with the characters that each token stands for."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from tokenizers import Encoding

from tdbs.arrays import BoolArray, IntArray, TokenArray, offsets_of

# Shapes: N samples of the block, N1 = N + 1, T their tokens, special ones too, C chunks of their texts.

TEXT_SEGMENT, PAIR_SEGMENT, NO_SEGMENT = 0, 1, -1


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenBlock:
    """A block of tokenized samples, one flat row, with the characters that each token stands for."""

    input_ids_T: TokenArray
    token_offsets_N1: IntArray  # sample i holds tokens [i] to [i + 1]
    segments_T: IntArray  # 0 text, 1 pair, -1 special
    starts_T: IntArray  # characters in the text of its segment
    ends_T: IntArray
    segment_starts_N: IntArray | None = None  # pairs: first token of the second text
    whole_lengths_N: IntArray | None = None  # tokens before the cut; None: nothing is ever cut
    chunks: "ChunkedTokens | None" = None  # chunks that the samples were joined from


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkedTokens:
    """The distinct chunks of a block, tokenized, and the positions of each chunk."""

    texts: list[str]
    tokens: TokenBlock  # tokens of the distinct chunks, without special tokens
    which_C: IntArray
    sample_C: IntArray
    first_C: IntArray  # position of the chunk's first token in its sample
    kept_C: IntArray  # tokens of the chunk before the truncation


def flat_block(encodings: Sequence[Encoding], *, is_pair: bool) -> TokenBlock:
    """Return what the tokenizers library made of a block as flat arrays."""
    lengths_N = np.fromiter(map(len, encodings), dtype=np.int64, count=len(encodings))
    token_offsets_N1 = offsets_of(lengths_N)
    total = int(token_offsets_N1[-1])
    input_ids_T = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), dtype=np.int32, count=total)
    characters = np.fromiter(
        chain.from_iterable(chain.from_iterable(encoding.offsets for encoding in encodings)),
        dtype=np.int64,
        count=2 * total,
    ).reshape(-1, 2)
    segment_starts_N = None
    if not is_pair:
        special_T = np.fromiter(
            chain.from_iterable(encoding.special_tokens_mask for encoding in encodings), dtype=np.int64, count=total
        )
        segments_T = np.where(special_T == 1, NO_SEGMENT, TEXT_SEGMENT)
    else:
        sequence_T = np.array(list(chain.from_iterable(e.sequence_ids for e in encodings)), dtype=np.float64)
        segments_T = np.where(np.isnan(sequence_T), NO_SEGMENT, sequence_T).astype(np.int64)
        type_T = np.fromiter(chain.from_iterable(e.type_ids for e in encodings), dtype=np.int64, count=total)
        segment_starts_N = segment_starts(type_T, segments_T, token_offsets_N1)
    return TokenBlock(
        input_ids_T=input_ids_T,
        token_offsets_N1=token_offsets_N1,
        segments_T=segments_T,
        starts_T=characters[:, 0],
        ends_T=characters[:, 1],
        segment_starts_N=segment_starts_N,
    )


def joined_blocks(blocks: Sequence[TokenBlock]) -> TokenBlock:
    """Return the samples of some blocks, one after the other, as one block."""
    if len(blocks) == 1:
        return blocks[0]
    lengths_N = np.concatenate([np.empty(0, np.int64), *(np.diff(block.token_offsets_N1) for block in blocks)])
    starts = [block.segment_starts_N for block in blocks if block.segment_starts_N is not None]
    return TokenBlock(
        input_ids_T=np.concatenate([np.empty(0, np.int32), *(block.input_ids_T for block in blocks)]),
        token_offsets_N1=offsets_of(lengths_N),
        segments_T=np.concatenate([np.empty(0, np.int64), *(block.segments_T for block in blocks)]),
        starts_T=np.concatenate([np.empty(0, np.int64), *(block.starts_T for block in blocks)]),
        ends_T=np.concatenate([np.empty(0, np.int64), *(block.ends_T for block in blocks)]),
        segment_starts_N=np.concatenate(starts) if starts else None,
    )


def first_true(flags_T: BoolArray, token_offsets_N1: IntArray) -> IntArray:
    """Return, for each sample, the number of tokens before its first flag; its length if it has none."""
    flagged = np.append(np.flatnonzero(flags_T), len(flags_T))
    first = flagged[np.searchsorted(flagged, token_offsets_N1[:-1])]
    return np.minimum(first, token_offsets_N1[1:]) - token_offsets_N1[:-1]


def last_true(flags_T: BoolArray, token_offsets_N1: IntArray) -> IntArray:
    """Return, for each sample, the position of its last flag; -1 if it has none."""
    flagged = np.append(-1, np.flatnonzero(flags_T))
    last = flagged[np.searchsorted(flagged, token_offsets_N1[1:]) - 1]
    return np.maximum(last - token_offsets_N1[:-1], -1)


def segment_starts(type_T: IntArray, segments_T: IntArray, token_offsets_N1: IntArray) -> IntArray:
    """Return where the second text of each pair begins; if nothing is left of it, where segment ids change."""
    starts_N = first_true(segments_T == PAIR_SEGMENT, token_offsets_N1)
    if not type_T.any():
        return starts_N
    lengths_N = np.diff(token_offsets_N1)
    return np.where(starts_N < lengths_N, starts_N, first_true(type_T == 1, token_offsets_N1))
