"""The sequences of a split's samples, to be scored one by one: each distinct text of an embedding task once."""

from dataclasses import dataclass

import numpy as np

from tdbs.arrays import FloatArray, IntArray, offsets_of, ragged_positions
from tdbs.pipeline.dataset import Split
from tdbs.pipeline.duplicates.rows import same_rows

# Shapes: N samples of the split, N1 = N + 1, Q their sequences, U distinct ones, W words (none).


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceGroups:
    """Which sequences that are run make up each sample, query or positive first."""

    offsets_N1: IntArray
    which_Q: IntArray  # the sequence that is run, for each sequence of the samples
    scores_N: FloatArray  # of pairs; NaN if there are none


def sequences_to_score(split: Split, *, distinct: bool) -> tuple[Split, SequenceGroups]:
    """Return the sequences of a split as a split of one sequence a sample, and which of them each sample has.

    With `distinct`, sequences with the same tokens are there once: a paragraph of five questions is run once.
    """
    sequences, targets = split.sequences, split.targets
    if sequences is None or targets is None:
        raise ValueError("samples of this kind have sequences")
    ends_Q1 = offsets_of(sequences.lengths_Q)
    first_Q = same_rows(split.input_ids_T, ends_Q1) if distinct else np.arange(len(sequences.lengths_Q))
    chosen_U, which_Q = np.unique(first_Q, return_inverse=True)
    lengths_U = sequences.lengths_Q[chosen_U]
    samples_Q = np.repeat(np.arange(len(sequences.offsets_N1) - 1), np.diff(sequences.offsets_N1))
    starts_Q = sequences.segment_starts_Q
    nothing_W = np.zeros(0, dtype=split.word_starts_W.dtype)
    one_by_one = Split(
        name=split.name,
        input_ids_T=split.input_ids_T[ragged_positions(ends_Q1[:-1][chosen_U], lengths_U)],
        token_offsets_N1=offsets_of(lengths_U),
        word_starts_W=nothing_W,
        word_sizes_W=nothing_W,
        word_offsets_N1=np.zeros(len(chosen_U) + 1, dtype=np.int64),
        segment_starts_N=None if starts_Q is None else starts_Q[chosen_U],
        source_rows_N=split.source_rows_N[samples_Q[chosen_U]],
        targets=None,
    )
    groups = SequenceGroups(offsets_N1=sequences.offsets_N1, which_Q=which_Q, scores_N=targets.values)
    return one_by_one, groups
