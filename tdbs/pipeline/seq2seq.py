"""Sequence to sequence: a prefix and the text are the source, the target is tokenized beside it.

Bucketing and TokenDrop see the source alone (paper, Table 2); the prefix is protected, targets are never dropped from.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.data.reading import RowBlock
from tdbs.data.tasks import Task
from tdbs.pipeline.limits import Limits
from tdbs.pipeline.samples import Samples
from tdbs.pipeline.schema import TARGET_IDS
from tdbs.pipeline.token_block import NO_SEGMENT
from tdbs.pipeline.tokenize import tokenize_block
from tdbs.pipeline.tokenizer import LoadedTokenizer


def seq2seq_samples(block: RowBlock, task: Task, tokenizer: LoadedTokenizer, limits: Limits) -> Samples:
    """Return one sample a row: tokens of prefix and text, and of the target."""
    texts = pc.binary_join_element_wise(task.prefix, block.texts, "")
    tokens = tokenize_block(tokenizer, texts, None, max_length=limits.max_length)
    columns: dict[str, pa.Array] = {}
    if block.targets is not None:
        most = limits.max_target_length or limits.max_length
        targets = tokenize_block(tokenizer, block.targets, None, max_length=most)
        offsets = targets.token_offsets_N1.astype(np.int32)
        columns = {TARGET_IDS: pa.ListArray.from_arrays(offsets, targets.input_ids_T)}
    # the space at the end of a prefix may be part of the first token of the text
    prefix_T = (tokens.segments_T != NO_SEGMENT) & (tokens.starts_T < len(task.prefix.rstrip()))
    return Samples(
        tokens=tokens,
        texts=texts,
        pairs=None,
        rows_S=np.arange(len(texts)),
        columns=columns,
        protected_T=prefix_T,
    )
