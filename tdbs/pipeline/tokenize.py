"""Turn blocks of texts into tokens, on all cores.

Where the tokenizer allows it, each distinct chunk of the texts is tokenized once and samples are put together from
chunks: faster than the tokenizer on whole texts (benchmarks/), and the same tokens. Other tokenizers get whole texts.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer

from tdbs.pipeline.assemble import put_together
from tdbs.pipeline.chunks import cut_texts
from tdbs.pipeline.token_block import TokenBlock, flat_block, joined_blocks
from tdbs.pipeline.tokenizer import LoadedTokenizer

Text = str | tuple[str, str]  # or a pair
Made = TypeVar("Made")

_CHARACTERS_AT_ONCE = 1 << 20  # what the library makes of a text takes a hundred times its memory
_TRUNCATION = threading.Lock()  # truncation is a state of the library's tokenizer, which threads share


def tokenize_block(
    tokenizer: LoadedTokenizer, texts: pa.Array, pairs: pa.Array | None, *, max_length: int
) -> TokenBlock:
    """Tokenize a block of strings on all cores, cut to `max_length` tokens; of a pair, the longer text first."""
    layout = tokenizer.layout
    template = None if layout is None else layout.single if pairs is None else layout.pair
    if layout is None or template is None:
        inputs = texts.to_pylist() if pairs is None else list(zip(texts.to_pylist(), pairs.to_pylist(), strict=True))
        blocks = encode_in_parts(
            tokenizer.backend,
            inputs,
            truncate=lambda backend: backend.enable_truncation(max_length, strategy="longest_first"),
            make=lambda encodings: flat_block(encodings, is_pair=pairs is not None),
        )
        return joined_blocks(blocks)
    chunks = cut_texts(texts if pairs is None else _alternating(texts, pairs), at_spaces=layout.cuts_at_spaces)
    return put_together(chunks, _tokens_of_texts(tokenizer, chunks.distinct), template, max_length)


def _alternating(texts: pa.Array, pairs: pa.Array) -> pa.Array:
    """Return the texts of all pairs in a row: text, pair, text, pair."""
    order = np.arange(2 * len(texts)).reshape(2, -1).T.ravel()
    return pa.concat_arrays([texts, pairs]).take(pa.array(order))


def _tokens_of_texts(tokenizer: LoadedTokenizer, texts: list[str]) -> TokenBlock:
    """Return the tokens of texts, without special tokens and whole."""
    blocks = encode_in_parts(
        tokenizer.backend,
        texts,
        truncate=Tokenizer.no_truncation,
        make=lambda encodings: flat_block(encodings, is_pair=False),
        special_tokens=False,
    )
    return joined_blocks(blocks)


def encode_in_parts(
    backend: Tokenizer,
    texts: Sequence[Text],
    *,
    truncate: Callable[[Tokenizer], None],
    make: Callable[[list[Encoding]], Made],
    special_tokens: bool = True,
) -> list[Made]:
    """Return what is made of the library's encodings of texts or pairs, some at a time: few are in memory at once."""
    found = []
    for part in _parts(texts):
        with _TRUNCATION:
            truncate(backend)
            found.append(make(backend.encode_batch(part, add_special_tokens=special_tokens)))
    return found


def _parts(texts: Sequence[Text]) -> Iterator[Sequence[Text]]:
    """Cut a list so that each part has about as many characters as the library is given at once."""
    if len(texts) == 1:
        return iter((texts,))
    sizes = (len(text) if isinstance(text, str) else len(text[0]) + len(text[1]) for text in texts)
    ends = np.cumsum(np.fromiter(sizes, dtype=np.int64, count=len(texts)))
    bounds = [0, *np.flatnonzero(np.diff(ends // _CHARACTERS_AT_ONCE)) + 1, len(texts)]
    return (texts[first:last] for first, last in pairwise(bounds) if first < last)
