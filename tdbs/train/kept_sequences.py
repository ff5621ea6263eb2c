"""The sequences of a split's samples with the tokens that TokenDrop leaves: their lengths and second texts."""

from dataclasses import dataclass

import numpy as np

from tdbs.arrays import BoolArray, IntArray, offsets_of, ragged_positions
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import Split
from tdbs.pipeline.sequences import SampleSequences

# Shapes: N1 = samples of the split + 1, Q its sequences, T its tokens, B samples of a batch.


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptSequences:
    """What an epoch keeps of the sequences; sample i has those from [i] to [i + 1]."""

    offsets_N1: IntArray
    lengths_Q: IntArray
    segment_starts_Q: IntArray | None  # of the second text in its sequence

    def of(self, samples_B: IntArray) -> tuple[IntArray, IntArray]:
        """Return how many sequences some samples have (B), and the sequences of all, in their order."""
        sizes_B = self.offsets_N1[samples_B + 1] - self.offsets_N1[samples_B]
        return sizes_B, ragged_positions(self.offsets_N1[samples_B], sizes_B)


def kept_sequences(split: Split, dropped_T: BoolArray | None) -> KeptSequences | None:
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
    return KeptSequences(offsets_N1=sequences.offsets_N1, lengths_Q=lengths_Q, segment_starts_Q=starts_Q)


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
