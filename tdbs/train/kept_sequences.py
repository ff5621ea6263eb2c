"""The sequences of a split's samples with the tokens that TokenDrop leaves: their lengths and second texts."""

import numpy as np

from tdbs.arrays import BoolArray, IntArray, offsets_of
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import Split
from tdbs.pipeline.sequences import SampleSequences

# Shapes: Q sequences of the split, T its tokens.


def kept_sequences(split: Split, dropped_T: BoolArray | None) -> SampleSequences | None:
    """Return the sequences of an epoch; None if samples are one each. Raises ConfigError if one lost all its tokens."""
    sequences = split.sequences
    if sequences is None:
        return None
    lengths_Q, starts_Q = sequences.lengths_Q, sequences.segment_starts_Q
    if dropped_T is not None:
        lengths_Q, starts_Q = _shortened(sequences, dropped_T)
        if not lengths_Q.all():
            raise ConfigError(
                "TokenDrop would leave a text without a token.",
                next_step="Pass --drop none, or prepare with a tokenizer that adds special tokens.",
            )
    return SampleSequences(offsets_N1=sequences.offsets_N1, lengths_Q=lengths_Q, segment_starts_Q=starts_Q)


def _shortened(sequences: SampleSequences, dropped_T: BoolArray) -> tuple[IntArray, IntArray | None]:
    """Return lengths and starts of second texts after dropped tokens are removed."""
    dropped_before_T1 = offsets_of(dropped_T)
    ends_Q1 = offsets_of(sequences.lengths_Q)
    gone_before_Q1 = dropped_before_T1[ends_Q1]
    lengths_Q: IntArray = sequences.lengths_Q - np.diff(gone_before_Q1)
    if sequences.segment_starts_Q is None:
        return lengths_Q, None
    return lengths_Q, sequences.segment_starts_Q - (
        dropped_before_T1[ends_Q1[:-1] + sequences.segment_starts_Q] - gone_before_Q1[:-1]
    )
