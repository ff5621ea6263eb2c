"""Make the batches of a plan from a split's flat arrays: array code, a block of batches at a time.

Dropped tokens are left out once per block; each batch is then a slice that is reshaped, or filled up with pad tokens
if its samples differ in length. All is NumPy: the trainer makes tensors.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tdbs.arrays import BoolArray, IntArray, offsets_of, ragged_positions
from tdbs.pipeline.dataset import Split
from tdbs.train.kept_sequences import kept_sequences
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.strategies import Execution
from tdbs.train.rows.layout import RowLayout
from tdbs.train.targets import BatchSlice, Labels, label_maker, moved_positions, padded

# Shapes: N samples, N1 = N + 1, T tokens of the split, B samples of a batch (or their sequences, if they have several),
# L its padded length, R rows of W tokens, S samples of a block of batches, K the tokens that it keeps, Q sequences.

_BLOCK_TOKENS = 1 << 20  # tokens gathered at once: a few MB, and hundreds of batches


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The samples of one call of the model: rows of one sample each, or of several (execution packed, unpadded).

    Samples of several sequences (embeddings, rerankers) are called sequence by sequence: lengths, starts, second texts
    and padded rows are of sequences then, and `sequences_B` says how many each sample has.
    """

    sample_ids_B: IntArray
    input_ids_RW: IntArray
    lengths_B: IntArray  # tokens before the padding
    segment_starts_B: IntArray | None
    labels: Labels | None  # in the shape of the kind of task (targets.py)
    execution: Execution = "padded"
    starts_B: IntArray | None = None  # places of first tokens in the flattened rows; None: each sample is a row
    layout: RowLayout | None = None  # of rows of several samples, if made in advance
    sequences_B: IntArray | None = None  # sequences of each sample; None: a sample is one

    @property
    def sample_lengths_B(self) -> IntArray:
        """Tokens of each sample."""
        if self.sequences_B is None:
            return self.lengths_B
        return np.add.reduceat(self.lengths_B, np.cumsum(self.sequences_B) - self.sequences_B)


def epoch_batches(
    split: Split, plan: EpochPlan, dropped_T: BoolArray | None, *, pad_id: int, first: int = 0
) -> Iterator[Batch]:
    """Yield the batches of an epoch in the plan's order, from batch `first`; earlier ones are not made."""
    segment_starts_N = split.segment_starts_N
    if segment_starts_N is not None:
        segment_starts_N = moved_positions(split, segment_starts_N, dropped_T)
    sequences = kept_sequences(split, dropped_T)
    make_labels = label_maker(split, dropped_T)
    kept_ends_B = offsets_of(plan.kept_N)[plan.batch_offsets_B1]
    block_of_B = kept_ends_B[:-1] // _BLOCK_TOKENS
    rows_B, tokens_B = plan.rows_B, plan.tokens_B
    ends = np.append(np.flatnonzero(np.diff(block_of_B)) + 1, len(block_of_B))
    for last in ends[ends > first].tolist():
        samples_S = plan.sample_ids_N[plan.batch_offsets_B1[first] : plan.batch_offsets_B1[last]]
        positions_K = ragged_positions(split.token_offsets_N1[samples_S], split.lengths_N[samples_S])
        if dropped_T is not None:
            positions_K = positions_K[~dropped_T[positions_K]]
        for b in range(first, last):
            members = slice(plan.batch_offsets_B1[b], plan.batch_offsets_B1[b + 1])
            samples_B, lengths_B = plan.sample_ids_N[members], plan.kept_N[members]
            sizes_B = None
            own_starts_B = None if segment_starts_N is None else segment_starts_N[samples_B]
            if sequences is not None:
                sizes_B, which_Q = sequences.of(samples_B)
                lengths_B = sequences.lengths_Q[which_Q]
                own_starts_B = None if sequences.segment_starts_Q is None else sequences.segment_starts_Q[which_Q]
            starts_B = _starts(plan, b, lengths_B)
            width = int(plan.padded_lengths_B[b])
            place = BatchSlice(
                samples_B=samples_B,
                positions_K=positions_K[kept_ends_B[b] - kept_ends_B[first] : kept_ends_B[b + 1] - kept_ends_B[first]],
                lengths_B=lengths_B,
                width=width if starts_B is None else int(lengths_B.max()),  # labels have a row for each sample
                target_width=None if plan.target_widths_B is None else int(plan.target_widths_B[b]),
            )
            tokens_K = split.input_ids_T[place.positions_K]
            yield Batch(
                sample_ids_B=samples_B,
                input_ids_RW=padded(tokens_K, lengths_B, width, pad_id)
                if starts_B is None
                else _in_rows(tokens_K, starts_B, lengths_B, rows=int(rows_B[b]), size=int(tokens_B[b]), pad_id=pad_id),
                lengths_B=lengths_B,
                segment_starts_B=own_starts_B,
                labels=None if make_labels is None else make_labels(place),
                execution=plan.execution,
                starts_B=starts_B,
                sequences_B=sizes_B,
            )
        first = last


def _starts(plan: EpochPlan, b: int, lengths_B: IntArray) -> IntArray | None:
    """Return where the samples of batch b begin in its flattened rows, or None if each has a row."""
    first, last = plan.batch_offsets_B1[b], plan.batch_offsets_B1[b + 1]
    starts_B = np.cumsum(lengths_B) - lengths_B
    if plan.execution == "unpadded":
        return starts_B
    if plan.row_offsets_R1 is None:
        return None
    rows = slice(*np.searchsorted(plan.row_offsets_R1, [first, last]))
    firsts_R = plan.row_offsets_R1[rows] - first
    row_of_B = np.repeat(np.arange(len(firsts_R)), np.diff(np.append(firsts_R, last - first)))
    return row_of_B * int(plan.padded_lengths_B[b]) + starts_B - starts_B[firsts_R][row_of_B]


def _in_rows(
    tokens_K: npt.NDArray[np.integer], starts_B: IntArray, lengths_B: IntArray, *, rows: int, size: int, pad_id: int
) -> IntArray:
    """Return rows of several samples, with pad tokens in empty places (R x W)."""
    if len(tokens_K) == size:
        return tokens_K.reshape(rows, -1).astype(np.int64)
    flat = np.full(size, pad_id, dtype=np.int64)
    flat[ragged_positions(starts_B, lengths_B)] = tokens_K
    return flat.reshape(rows, -1)
