"""Rows of a source become samples: what each kind of task is tokenized to, which tokens must stay, and its targets.

One function a kind, all of one signature (the choice is in annotate.py). A row is one sample, but for the windows of
question answering.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tdbs.arrays import BoolArray, IntArray
from tdbs.data.tasks import Task
from tdbs.pipeline.limits import Limits
from tdbs.pipeline.schema import LABEL
from tdbs.pipeline.tokenize import TokenBlock, tokenize_block
from tdbs.pipeline.tokenizer import LoadedTokenizer

# Shapes: S samples of the block, T their tokens.


@dataclass(frozen=True, kw_only=True, slots=True)
class RowBlock:
    """Some rows of a split, in order."""

    texts: pa.ChunkedArray  # strings, or lists of words
    pairs: pa.ChunkedArray | None
    targets: pa.Array | None  # as data/targets.py says
    row_name: Callable[[int], str]  # how an error names a row of the block

    @property
    def pair_texts(self) -> list[str] | None:
        """The second texts of all rows."""
        return None if self.pairs is None else self.pairs.to_pylist()


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """Samples of a block: tokens, the texts they are from, and what is to be predicted."""

    tokens: TokenBlock
    texts: list[str]  # of each row
    pairs: list[str] | None
    rows_S: IntArray  # row of the block that each sample is from
    columns: dict[str, pa.Array]  # of targets, by name; none for a split without labels
    protected_T: BoolArray | None = None  # tokens that TokenDrop must leave


def plain_samples(block: RowBlock, _task: Task, tokenizer: LoadedTokenizer, limits: Limits) -> Samples:
    """Return one sample a row, single or pair; targets stay as they are."""
    texts, pairs = block.texts.to_pylist(), block.pair_texts
    tokenizer.backend.enable_truncation(limits.max_length, strategy="longest_first")  # of a pair, the longer text
    return Samples(
        tokens=tokenize_block(tokenizer, texts, pairs),
        texts=texts,
        pairs=pairs,
        rows_S=np.arange(len(texts)),
        columns={} if block.targets is None else {LABEL: block.targets},
    )
