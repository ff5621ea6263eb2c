"""What a step makes a device do, in counts: tokens for the linear layers, pairs for attention, calls of the model.

The same counts are taken of a plan's batches and of the batches that a profile times, so that the one tells the other.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tdbs.arrays import FloatArray, IntArray
from tdbs.train.batches import Batch
from tdbs.train.length_groups import longest_of_groups
from tdbs.train.plan import EpochPlan
from tdbs.train.profile_file import MeasuredWork
from tdbs.train.strategies import Execution

# Shapes: B batches (calls of the model), S steps, F counts.

COUNTS = tuple(MeasuredWork.__annotations__)


def plan_work(plan: EpochPlan) -> FloatArray:
    """Return the counts of each step of an epoch (S x F)."""
    return _steps_work(
        plan.execution,
        plan.kept_N,
        plan.batch_offsets_B1,
        first_batches_S=np.cumsum(plan.step_batches_S) - plan.step_batches_S,
        tokens_B=plan.tokens_B,
        widths_B=plan.padded_lengths_B,
        target_widths_B=plan.target_widths_B,
    )


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
    counts_1F = _steps_work(
        batches[0].execution,
        np.concatenate(lengths),
        np.cumsum([0, *map(len, lengths)]),
        first_batches_S=np.array([0]),
        tokens_B=shapes_B2.prod(axis=1),
        widths_B=shapes_B2[:, 1],
        target_widths_B=np.full(len(batches), target_length),
    )
    counts_F: FloatArray = counts_1F[0]
    return counts_F


def _steps_work(
    execution: Execution,
    lengths_N: IntArray,
    offsets_B1: IntArray,
    *,
    first_batches_S: IntArray,
    tokens_B: IntArray,
    widths_B: IntArray,
    target_widths_B: IntArray | None,
) -> FloatArray:
    """Return the counts of steps of some batches each (S x F); lengths are those of the kept tokens."""
    samples_B = np.diff(offsets_B1)
    pairs_B = tokens_B * widths_B
    counts: dict[str, IntArray] = {"calls": np.ones_like(tokens_B), "samples": samples_B, "tokens": tokens_B}
    if execution == "unpadded":
        places_B, pairs_B = np.array([group_work(lengths_b) for lengths_b in np.split(lengths_N, offsets_B1[1:-1])]).T
        counts["places"] = places_B
    elif execution == "packed":
        counts["blocks"] = pairs_B
    else:
        counts["masked"] = pairs_B * (np.minimum.reduceat(lengths_N, offsets_B1[:-1]) < widths_B)
    counts["pairs"] = pairs_B
    if target_widths_B is not None:
        counts["targets"] = samples_B * target_widths_B
        counts["target_pairs"] = counts["targets"] * (target_widths_B + widths_B)
    counts_SF: FloatArray = np.add.reduceat(_table(counts, len(samples_B)), first_batches_S, axis=0)
    counts_SF[:, COUNTS.index("steps")] = 1
    return counts_SF


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
