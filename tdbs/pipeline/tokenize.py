"""Turn blocks of texts into tokens, on all cores.

Where the tokenizer allows it, each distinct chunk of the texts is tokenized once and samples are put together from
chunks: faster than the tokenizer on whole texts (benchmarks/), and the same tokens. Other tokenizers get whole texts.
"""

import threading
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa

from tdbs.pipeline.assemble import put_together
from tdbs.pipeline.chunks import cut_texts
from tdbs.pipeline.token_block import TokenBlock, flat_block
from tdbs.pipeline.tokenizer import LoadedTokenizer

_CHARACTERS_AT_ONCE = 1 << 20  # what the library makes of a text takes a hundred times its memory
TRUNCATION = threading.Lock()  # truncation is a state of the library's tokenizer, which threads share


def tokenize_block(
    tokenizer: LoadedTokenizer, texts: pa.Array, pairs: pa.Array | None, *, max_length: int
) -> TokenBlock:
    """Tokenize a block of strings on all cores, cut to `max_length` tokens; of a pair, the longer text first."""
    layout = tokenizer.layout
    template = None if layout is None else layout.single if pairs is None else layout.pair
    if layout is None or template is None:
        inputs = texts.to_pylist() if pairs is None else list(zip(texts.to_pylist(), pairs.to_pylist(), strict=True))
        with TRUNCATION:
            tokenizer.backend.enable_truncation(max_length, strategy="longest_first")
            encodings = tokenizer.backend.encode_batch(inputs)
        return flat_block(encodings, is_pair=pairs is not None)
    chunks = cut_texts(texts if pairs is None else _alternating(texts, pairs), at_spaces=layout.cuts_at_spaces)
    return put_together(chunks, _tokens_of_texts(tokenizer, chunks.distinct), template, max_length)


def _alternating(texts: pa.Array, pairs: pa.Array) -> pa.Array:
    """Return the texts of all pairs in a row: text, pair, text, pair."""
    order = np.arange(2 * len(texts)).reshape(2, -1).T.ravel()
    return pa.concat_arrays([texts, pairs]).take(pa.array(order))


def _tokens_of_texts(tokenizer: LoadedTokenizer, texts: list[str]) -> TokenBlock:
    """Return the tokens of texts, without special tokens and whole."""
    with TRUNCATION:
        tokenizer.backend.no_truncation()
        blocks = [
            flat_block(tokenizer.backend.encode_batch(part, add_special_tokens=False), is_pair=False)
            for part in _parts(texts)
        ]
    lengths = np.concatenate([[0], *(np.diff(block.token_offsets_N1) for block in blocks)])
    return TokenBlock(
        input_ids_T=np.concatenate([np.empty(0, np.int32), *(block.input_ids_T for block in blocks)]),
        token_offsets_N1=np.cumsum(lengths),
        segments_T=np.zeros(int(lengths.sum()), dtype=np.int64),
        starts_T=np.concatenate([np.empty(0, np.int64), *(block.starts_T for block in blocks)]),
        ends_T=np.concatenate([np.empty(0, np.int64), *(block.ends_T for block in blocks)]),
    )


def _parts(texts: list[str]) -> Iterator[list[str]]:
    """Cut a list so that each part has about as many characters as the library is given at once."""
    ends = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)))
    bounds = [0, *np.flatnonzero(np.diff(ends // _CHARACTERS_AT_ONCE)) + 1, len(texts)]
    return (texts[first:last] for first, last in pairwise(bounds) if first < last)
