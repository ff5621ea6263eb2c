"""The sequences of samples that have several: what the model reads, one after the other in a sample's tokens."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tdbs.arrays import IntArray, ragged_positions
from tdbs.pipeline.split_arrays import JoinedLists, Lists

# Shapes: N samples, N1 = N + 1, Q their sequences, S samples of a shard, B some samples.


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSequences:
    """The sequences of some samples, in order: query, positive, negatives; or the query with each of the others."""

    lengths_Q: IntArray  # tokens of each one, special ones included
    offsets_N1: IntArray  # sample i has sequences [i] to [i + 1]
    segment_starts_Q: IntArray | None  # pairs of texts: position of the second one, from the sequence's first token

    def of(self, samples_B: IntArray) -> tuple[IntArray, IntArray]:
        """Return how many sequences some samples have (B), and the sequences of all, in their order."""
        sizes_B = self.offsets_N1[samples_B + 1] - self.offsets_N1[samples_B]
        return sizes_B, ragged_positions(self.offsets_N1[samples_B], sizes_B)


def sample_sequences(lengths: JoinedLists, segment_starts: JoinedLists | None) -> SampleSequences:
    """Return the sequences of a split from the columns of its shards."""
    return SampleSequences(
        lengths_Q=lengths.values_V,
        offsets_N1=lengths.offsets_N1,
        segment_starts_Q=None if segment_starts is None else segment_starts.values_V,
    )


def longest_of(sequences: Lists) -> npt.NDArray[np.integer]:
    """Return the tokens of each sample's longest sequence (S); every sample has one at least."""
    firsts_S = np.cumsum(sequences.sizes_S) - sequences.sizes_S
    return np.maximum.reduceat(sequences.values_V, firsts_S) if len(firsts_S) else sequences.values_V
