"""Make the batches of a plan from a split's flat arrays: array code, a block of batches at a time.

What is dropped is gathered away once for a block; each batch is then a slice that is reshaped, or filled up with pad
tokens where its samples differ in length. NumPy alone: tensors are made by the trainer.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tdbs.arrays import BoolArray, IntArray, offsets_of, ragged_positions
from tdbs.pipeline.dataset import Split
from tdbs.pipeline.manifest import Manifest, TokenizerInfo
from tdbs.train.planning.batching import TargetLengths
from tdbs.train.planning.plan import EpochPlan, plan_run
from tdbs.train.planning.strategies import Execution, Strategy
from tdbs.train.planning.tokendrop import (
    DroppableWords,
    drop_first_words,
    drop_order,
    drop_totals,
    droppable_words_of,
    words_at_rate,
)
from tdbs.train.rows.layout import RowLayout
from tdbs.train.targets import BatchSlice, Labels, label_maker, moved_positions, padded

# Shapes: N samples, N1 = N + 1, T tokens of the split, W droppable words, B samples of a batch, L its padded length,
# R rows of W tokens, S samples of a block of batches, K the tokens that it keeps.

_BLOCK_TOKENS = 1 << 20  # tokens gathered at once: a few MB, and hundreds of batches


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What the model is given in one call: rows of one sample each, or of several (execution packed, unpadded)."""

    sample_ids_B: IntArray
    input_ids_RW: IntArray
    lengths_B: IntArray  # tokens before the padding
    segment_starts_B: IntArray | None
    labels: Labels | None  # in the shape of the kind of task (targets.py)
    execution: Execution = "padded"
    starts_B: IntArray | None = None  # places of first tokens in the flattened rows; None: each sample is a row
    layout: RowLayout | None = None  # of rows of several samples, where it was made ahead


def words_of_split(split: Split, strategy: Strategy, tokenizer: TokenizerInfo) -> DroppableWords:
    """Return the words that the strategy may drop: the prepared ones, or with `any` every token that is not special."""
    special = np.flatnonzero(~_ordinary_tokens(split, tokenizer))
    special_N = np.diff(np.searchsorted(special, split.token_offsets_N1))
    offsets_N1, sizes_W = split.word_offsets_N1, split.word_sizes_W.astype(np.int64)
    if strategy.drop == "any":
        offsets_N1 = offsets_of(split.lengths_N - special_N)
        sizes_W = np.ones(int(offsets_N1[-1]), dtype=np.int64)
    return droppable_words_of(
        split.name,
        lengths_N=split.lengths_N,
        offsets_N1=offsets_N1,
        sizes_W=sizes_W,
        special_N=special_N,
    )


def plan_split(
    split: Split, words: DroppableWords, manifest: Manifest, strategy: Strategy, *, seed: int, epochs: int
) -> list[EpochPlan]:
    """Return the plans of all epochs of a run on a split."""
    targets = None
    if split.targets is not None and split.targets.lengths_N is not None:
        targets = TargetLengths(lengths_N=split.targets.lengths_N, max_length=manifest.max_target_length or 0)
    return plan_run(
        split.lengths_N,
        words,
        strategy,
        max_length=manifest.max_length,
        seed=seed,
        epochs=epochs,
        targets=targets,
    )


def dropped_tokens(
    split: Split, words: DroppableWords, strategy: Strategy, plan: EpochPlan, tokenizer: TokenizerInfo, *, seed: int
) -> BoolArray | None:
    """Return which tokens of the split TokenDrop takes out in the plan's epoch (T), or None for none at all."""
    if strategy.drop == "none":
        return None
    order_W = drop_order(words, seed=seed, epoch=plan.epoch)
    if strategy.drops_at_rate:
        dropped_W = drop_first_words(words, order_W, words_at_rate(words, strategy.effective_rate))
    else:
        tokens_N = split.lengths_N.copy()
        tokens_N[plan.sample_ids_N] -= plan.kept_N
        dropped_W = drop_totals(words, order_W, tokens_N)
    dropped_T = np.zeros(len(split.input_ids_T), dtype=np.bool_)
    if strategy.drop == "any":
        dropped_T[np.flatnonzero(_ordinary_tokens(split, tokenizer))[dropped_W]] = True
    else:
        sample_W = np.repeat(np.arange(len(split.lengths_N)), np.diff(words.offsets_N1))
        first_W = split.token_offsets_N1[sample_W] + split.word_starts_W
        dropped_T[ragged_positions(first_W[dropped_W], words.sizes_W[dropped_W])] = True
    return dropped_T


def epoch_batches(
    split: Split, plan: EpochPlan, dropped_T: BoolArray | None, *, pad_id: int, first: int = 0
) -> Iterator[Batch]:
    """Yield the batches of an epoch in the plan's order, from batch `first` on; those before it are not made."""
    segment_starts_N = split.segment_starts_N
    if segment_starts_N is not None:
        segment_starts_N = moved_positions(split, segment_starts_N, dropped_T)
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
            lengths_B = plan.kept_N[members]
            starts_B = _starts(plan, b)
            width = int(plan.padded_lengths_B[b])
            place = BatchSlice(
                samples_B=plan.sample_ids_N[members],
                positions_K=positions_K[kept_ends_B[b] - kept_ends_B[first] : kept_ends_B[b + 1] - kept_ends_B[first]],
                lengths_B=lengths_B,
                width=width if starts_B is None else int(lengths_B.max()),  # labels have a row for each sample
                target_width=None if plan.target_widths_B is None else int(plan.target_widths_B[b]),
            )
            tokens_K = split.input_ids_T[place.positions_K]
            yield Batch(
                sample_ids_B=place.samples_B,
                input_ids_RW=padded(tokens_K, lengths_B, width, pad_id)
                if starts_B is None
                else _in_rows(tokens_K, starts_B, lengths_B, rows=int(rows_B[b]), size=int(tokens_B[b]), pad_id=pad_id),
                lengths_B=lengths_B,
                segment_starts_B=None if segment_starts_N is None else segment_starts_N[place.samples_B],
                labels=None if make_labels is None else make_labels(place),
                execution=plan.execution,
                starts_B=starts_B,
            )
        first = last


def _starts(plan: EpochPlan, b: int) -> IntArray | None:
    """Return where the samples of batch b begin in its flattened rows, or None where each sample is a row."""
    first, last = plan.batch_offsets_B1[b], plan.batch_offsets_B1[b + 1]
    lengths_B = plan.kept_N[first:last]
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
    """Return several samples a row, pad tokens where nothing stands (R x W)."""
    if len(tokens_K) == size:
        return tokens_K.reshape(rows, -1).astype(np.int64)
    flat = np.full(size, pad_id, dtype=np.int64)
    flat[ragged_positions(starts_B, lengths_B)] = tokens_K
    return flat.reshape(rows, -1)


def _ordinary_tokens(split: Split, tokenizer: TokenizerInfo) -> BoolArray:
    return ~np.isin(split.input_ids_T, tokenizer.special_ids)
