"""Samples of several sequences, as a plan sees them: how many rows of the model they are, and how wide."""

from dataclasses import dataclass

import numpy as np

from tdbs.arrays import IntArray
from tdbs.train.planning.strategies import Strategy

# Shapes: N samples, in any order, B batches, B1 = B + 1.


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceSizes:
    """The sequences of samples: how many each has, and the tokens of its longest one before TokenDrop."""

    counts_N: IntArray
    longest_N: IntArray
    max_length: int  # most tokens of a sequence

    def of(self, samples_M: IntArray) -> "SequenceSizes":
        """Return the sequences of some samples, in their order."""
        return SequenceSizes(
            counts_N=self.counts_N[samples_M], longest_N=self.longest_N[samples_M], max_length=self.max_length
        )

    def widths(self, strategy: Strategy) -> IntArray:
        """Return the width of a row that holds each sample's longest sequence (N)."""
        is_full = strategy.execution == "padded_max"
        return np.full_like(self.longest_N, self.max_length) if is_full else self.longest_N


def pad_sequences(sequences: SequenceSizes, strategy: Strategy, offsets_B1: IntArray) -> tuple[IntArray, IntArray]:
    """Return the rows of each batch, its sequences, and the tokens of its longest one (B each).

    `sequences` are those of the samples in running order. Words that a batch drops do not make its rows narrower.
    """
    firsts_B = offsets_B1[:-1]
    rows_B = np.add.reduceat(sequences.counts_N, firsts_B)
    return rows_B, np.maximum.reduceat(sequences.widths(strategy), firsts_B)
