"""What a step makes a device do, in counts: tokens for the linear layers, pairs for attention, calls of the model.

The same counts are taken of a plan's batches and of the batches that a profile times, so that the one tells the other.
"""

from collections.abc import Sequence

import numpy as np

from tdbs.arrays import FloatArray, IntArray
from tdbs.train.batches import Batch
from tdbs.train.length_groups import longest_of_groups
from tdbs.train.plan import EpochPlan

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
    sizes_B, widths_B = plan.batch_sizes_B, plan.padded_lengths_B
    pairs_B = plan.rows_B * widths_B**2
    places_B = np.zeros_like(pairs_B)
    if plan.execution == "unpadded":
        grouped = [group_work(lengths_B) for lengths_B in np.split(plan.kept_N, plan.batch_offsets_B1[1:-1])]
        places_B, pairs_B = np.array(grouped).T
    has_padding_B = np.minimum.reduceat(plan.kept_N, plan.batch_offsets_B1[:-1]) < widths_B
    is_padded = plan.execution in ("padded", "padded_max")
    targets_B = target_pairs_B = np.zeros_like(pairs_B)
    if plan.target_widths_B is not None:
        targets_B = sizes_B * plan.target_widths_B
        target_pairs_B = targets_B * (plan.target_widths_B + widths_B)
    counts_BF = np.stack(
        [
            np.zeros_like(pairs_B),
            np.ones_like(pairs_B),
            sizes_B,
            plan.tokens_B,
            pairs_B,
            pairs_B * has_padding_B if is_padded else np.zeros_like(pairs_B),
            places_B,
            pairs_B if plan.execution == "packed" else np.zeros_like(pairs_B),
            targets_B,
            target_pairs_B,
        ],
        axis=1,
    ).astype(np.float64)
    if plan.step_offsets_S1 is not None:
        counts_BF = np.add.reduceat(counts_BF, plan.step_offsets_S1[:-1], axis=0)
    counts_BF[:, COUNTS.index("steps")] = 1
    return counts_BF


def padded_work(samples_S: IntArray, length: int, target_length: int = 0) -> FloatArray:
    """Return the counts of steps of one padded batch each, all of one length (S x F)."""
    counts_SF = np.zeros((len(samples_S), len(COUNTS)))
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
    for name, count in of_steps.items():
        counts_SF[:, COUNTS.index(name)] = count
    return counts_SF


def batches_work(batches: Sequence[Batch], *, target_length: int = 0) -> FloatArray:
    """Return the counts of one step of some batches (F); seq2seq: with targets of one length."""
    counts_BF = []
    for batch in batches:
        rows, width = batch.input_ids_RW.shape
        pairs, places = rows * width**2, 0
        if batch.execution == "unpadded":
            places, pairs = group_work(batch.lengths_B)
        counts_BF.append(
            [
                0,
                1,
                len(batch.lengths_B),
                rows * width,
                pairs,
                pairs if batch.starts_B is None and batch.lengths_B.min() < width else 0,
                places,
                pairs if batch.execution == "packed" else 0,
                rows * target_length,
                rows * target_length * (target_length + width),
            ]
        )
    counts_F: FloatArray = np.array(counts_BF, dtype=np.float64).sum(axis=0)
    counts_F[COUNTS.index("steps")] = 1
    return counts_F


def group_work(lengths_B: IntArray) -> tuple[int, int]:
    """Return the padded tokens of a batch's length groups, and the pairs that attention compares in them."""
    longest_G = longest_of_groups(lengths_B)
    longest_B = longest_G[np.searchsorted(longest_G, lengths_B)]
    return int(longest_B.sum()), int((longest_B**2).sum())
