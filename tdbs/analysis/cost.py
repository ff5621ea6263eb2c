"""The work of a training step as counts: tokens for the linear layers, pairs for attention, calls of the model.

They are computed in the same way for a plan's batches and for the batches that a profile times, so that one predicts
the other (`tdbs.train.planning.cost_model`).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tdbs.arrays import FloatArray, IntArray, offsets_of
from tdbs.train.batches import Batch
from tdbs.train.planning.cost_model import COUNTS
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.strategies import Execution
from tdbs.train.rows.tiles import tiles_work

# Shapes: B batches (calls of the model), S steps, F counts.


def plan_work(plan: EpochPlan) -> FloatArray:
    """Return the counts of each step of an epoch (S x F)."""
    return _steps_work(
        plan.execution,
        *plan.attended(),
        first_batches_S=np.cumsum(plan.step_batches_S) - plan.step_batches_S,
        tokens_B=plan.tokens_B,
        widths_B=plan.padded_lengths_B,
        targets_N=_target_places(plan),
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
        offsets_of([len(row) for row in lengths]),
        first_batches_S=np.array([0]),
        tokens_B=shapes_B2.prod(axis=1),
        widths_B=shapes_B2[:, 1],
        targets_N=np.full(sum(map(len, lengths)), target_length),
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
    targets_N: IntArray | None,
) -> FloatArray:
    """Return the counts of steps of some batches each (S x F); lengths are those of the kept tokens."""
    samples_B = np.diff(offsets_B1)
    pairs_B = tokens_B * widths_B
    counts: dict[str, IntArray] = {"calls": np.ones_like(tokens_B), "samples": samples_B, "tokens": tokens_B}
    if execution == "unpadded":
        places_B, pairs_B = tiles_work(lengths_N, offsets_B1)
        counts["places"] = places_B
    elif execution == "packed":
        counts["blocks"] = pairs_B
    else:
        counts["masked"] = pairs_B * (np.add.reduceat(lengths_N, offsets_B1[:-1]) < tokens_B)
    counts["pairs"] = pairs_B
    if targets_N is not None:
        sources_N = lengths_N if execution == "unpadded" else np.repeat(widths_B, samples_B)
        counts["targets"] = np.add.reduceat(targets_N, offsets_B1[:-1])
        counts["target_pairs"] = np.add.reduceat(targets_N * (targets_N + sources_N), offsets_B1[:-1])
    counts_SF: FloatArray = np.add.reduceat(_table(counts, len(samples_B)), first_batches_S, axis=0)
    counts_SF[:, COUNTS.index("steps")] = 1
    return counts_SF


def _target_places(plan: EpochPlan) -> IntArray | None:
    """Return the tokens of each sample's target, padding included; None if targets are not sequences."""
    if plan.target_lengths_N is None or plan.target_widths_B is None:
        return None
    if plan.execution == "unpadded":
        return np.maximum(plan.target_lengths_N, 1)
    return np.repeat(plan.target_widths_B, plan.batch_sizes_B)


def _table(counts: Mapping[str, IntArray], rows: int) -> FloatArray:
    """Return counts by name as columns; those without are 0."""
    table_RF = np.zeros((rows, len(COUNTS)))
    for name, count_R in counts.items():
        table_RF[:, COUNTS.index(name)] = count_R
    return table_RF
