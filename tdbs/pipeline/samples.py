"""Rows of a source become samples: what each kind of task is tokenized to, which tokens must stay, and its targets.

One function a kind, all of one signature (the choice is in annotate.py). A row is one sample, but for the windows of
question answering.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tdbs.arrays import BoolArray, IntArray
from tdbs.data.reading import RowBlock
from tdbs.data.tasks import Task
from tdbs.pipeline.limits import Limits
from tdbs.pipeline.schema import LABEL
from tdbs.pipeline.token_block import TokenBlock
from tdbs.pipeline.tokenize import tokenize_block
from tdbs.pipeline.tokenizer import LoadedTokenizer

# Shapes: S samples of the block, T their tokens.


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """Samples of a block: tokens, the texts they are from, and what is to be predicted."""

    tokens: TokenBlock
    texts: pa.Array  # strings, of each row
    pairs: pa.Array | None
    rows_S: IntArray  # row of the block that each sample is from
    columns: dict[str, pa.Array]  # of targets, by name; none for a split without labels
    protected_T: BoolArray | None = None  # tokens that TokenDrop must leave


def plain_samples(block: RowBlock, _task: Task, tokenizer: LoadedTokenizer, limits: Limits) -> Samples:
    """Return one sample a row, single or pair; targets stay as they are."""
    return Samples(
        tokens=tokenize_block(tokenizer, block.texts, block.pairs, max_length=limits.max_length),
        texts=block.texts,
        pairs=block.pairs,
        rows_S=np.arange(len(block.texts)),
        columns={} if block.targets is None else {LABEL: block.targets},
    )
