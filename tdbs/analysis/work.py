"""What a step makes a device do, in counts: tokens for the linear layers, pairs for attention, calls of the model.

The same counts are taken of a plan's batches and of the batches that a profile times, so that the one tells the other.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tdbs.arrays import FloatArray, IntArray
from tdbs.train.batches import Batch
from tdbs.train.length_groups import longest_of_groups
from tdbs.train.plan import EpochPlan
from tdbs.train.strategies import Execution

# Shapes: B batches (calls of the model), S steps, F counts.

COUNTS = (
    "steps",
    "calls",
    "samples",
    "tokens",  # that linear layers see, pad included
    "pairs",  # of tokens that attention compares, pad included
    "masked",  # those of padded batches with padding: a mask is added to their scores; without padding there is none
    "places",  # tokens that are regrouped for attention, pad included (unpadded)
    "blocks",  # entries of block-diagonal masks (packed)
    "targets",  # tokens of targets, pad included (seq2seq)
    "target_pairs",  # of targets with each other and with the source
)


def plan_work(plan: EpochPlan) -> FloatArray:
    """Return the counts of each step of an epoch (S x F)."""
    counts_BF = _calls_work(
        plan.execution,
        plan.kept_N,
        plan.batch_offsets_B1,
        tokens_B=plan.tokens_B,
        widths_B=plan.padded_lengths_B,
        target_widths_B=plan.target_widths_B,
    )
    counts_SF = counts_BF
    if plan.step_offsets_S1 is not None:
        counts_SF = np.add.reduceat(counts_BF, plan.step_offsets_S1[:-1], axis=0)
    counts_SF[:, COUNTS.index("steps")] = 1
    return counts_SF


def padded_work(samples_S: IntArray, length: int, target_length: int = 0) -> FloatArray:
    """Return the counts of steps of one padded batch each, all of one length (S x F)."""
    targets_S = samples_S * target_length
    of_steps = {
        "steps": np.ones_like(samples_S),
        "calls": np.ones_like(samples_S),
        "samples": samples_S,
        "tokens": samples_S * length,
        "pairs": samples_S * length**2,
        "targets": targets_S,
        "target_pairs": targets_S * (target_length + length),
    }
    return _table(of_steps, len(samples_S))


def batches_work(batches: Sequence[Batch], *, target_length: int = 0) -> FloatArray:
    """Return the counts of one step of some batches (F); seq2seq: with targets of one length."""
    lengths = [batch.lengths_B for batch in batches]
    shapes_B2 = np.array([batch.input_ids_RW.shape for batch in batches])
    counts_BF = _calls_work(
        batches[0].execution,
        np.concatenate(lengths),
        np.cumsum([0, *(len(lengths_b) for lengths_b in lengths)]),
        tokens_B=shapes_B2.prod(axis=1),
        widths_B=shapes_B2[:, 1],
        target_widths_B=np.full(len(batches), target_length),
    )
    counts_F: FloatArray = counts_BF.sum(axis=0)
    counts_F[COUNTS.index("steps")] = 1
    return counts_F


def _calls_work(
    execution: Execution,
    lengths_N: IntArray,
    offsets_B1: IntArray,
    *,
    tokens_B: IntArray,
    widths_B: IntArray,
    target_widths_B: IntArray | None,
) -> FloatArray:
    """Return the counts of each call of the model, steps left out (B x F); lengths are those of the kept tokens."""
    samples_B = np.diff(offsets_B1)
    pairs_B = tokens_B * widths_B
    nothing_B = np.zeros_like(pairs_B)
    places_B, masked_B, blocks_B, targets_B, target_pairs_B = (nothing_B,) * 5
    if execution == "unpadded":
        places_B, pairs_B = np.array([group_work(lengths_b) for lengths_b in np.split(lengths_N, offsets_B1[1:-1])]).T
    elif execution == "packed":
        blocks_B = pairs_B
    else:
        masked_B = pairs_B * (np.minimum.reduceat(lengths_N, offsets_B1[:-1]) < widths_B)
    if target_widths_B is not None:
        targets_B = samples_B * target_widths_B
        target_pairs_B = targets_B * (target_widths_B + widths_B)
    of_calls = {
        "calls": np.ones_like(pairs_B),
        "samples": samples_B,
        "tokens": tokens_B,
        "pairs": pairs_B,
        "masked": masked_B,
        "places": places_B,
        "blocks": blocks_B,
        "targets": targets_B,
        "target_pairs": target_pairs_B,
    }
    return _table(of_calls, len(samples_B))


def _table(counts: Mapping[str, IntArray], rows: int) -> FloatArray:
    """Return counts by name as columns; those without are 0."""
    table_RF = np.zeros((rows, len(COUNTS)))
    for name, count_R in counts.items():
        table_RF[:, COUNTS.index(name)] = count_R
    return table_RF


def group_work(lengths_B: IntArray) -> tuple[int, int]:
    """Return the padded tokens of a batch's length groups, and the pairs that attention compares in them."""
    longest_G = longest_of_groups(lengths_B)
    longest_B = longest_G[np.searchsorted(longest_G, lengths_B)]
    return int(longest_B.sum()), int((longest_B**2).sum())
