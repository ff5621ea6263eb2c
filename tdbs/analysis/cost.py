"""Cost of a training step: counts of its work, and seconds fitted to a profile.

Counts are tokens for the linear layers, pairs for attention, and calls of the model. They are computed in the same way
for a plan's batches and for the batches that a profile times, so one predicts the other. Seconds are the sum of each
count times its cost, plus two costs for dropout's masks over tokens and pairs. Least squares on relative errors finds
the costs; negative costs become 0. The error is that of points left out of the fit, one at a time, so it estimates the
error of a step that was not measured (docs/decisions.md, "Cost model").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tdbs.analysis.numerics import non_negative_least_squares
from tdbs.arrays import FloatArray, IntArray, offsets_of
from tdbs.errors import ConfigError
from tdbs.train.batches import Batch
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.profile_file import MeasuredWork
from tdbs.train.planning.strategies import Execution
from tdbs.train.rows.tiles import tiles_work

# Shapes: B batches (calls of the model), S steps, F counts, P measured points, C costs: counts, then dropout's two.

COUNTS = tuple(MeasuredWork.__annotations__)
COSTS = (*COUNTS, "dropout_tokens", "dropout_pairs")
FAR = 2.0  # times the largest measured call: beyond it a prediction is an extrapolation


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """What each count costs on a device, in seconds."""

    costs_C: FloatArray
    error: float  # relative: root mean square over points left out of the fit
    most_tokens: int  # largest measured call
    longest: int  # measured row
    longest_target: int  # longest targets of a measured call

    def step_seconds(self, counts_SF: FloatArray, *, dropout: bool) -> FloatArray:
        """Return the seconds of each step (S)."""
        return _with_dropout(counts_SF, np.full(len(counts_SF), dropout)) @ self.costs_C

    @property
    def call_tokens(self) -> int | None:
        """What a call costs beyond its tokens, in tokens; None: tokens cost nothing by this fit."""
        a_call, a_token = (float(self.costs_C[COSTS.index(name)]) for name in ("calls", "tokens"))
        return round(a_call / a_token) if a_token else None

    def is_beyond(self, tokens: int, longest: int, target: int = 0) -> bool:
        """Return whether a call is far outside the measured range."""
        return tokens > FAR * self.most_tokens or longest > FAR * self.longest or target > FAR * self.longest_target


def plan_work(plan: EpochPlan) -> FloatArray:
    """Return the counts of each step of an epoch (S x F)."""
    return _steps_work(
        plan.execution,
        plan.kept_N,
        plan.batch_offsets_B1,
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


def fit_costs(points: Sequence[Mapping[str, Any]], attention: str) -> CostModel:
    """Fit the points that were measured with an attention kernel.

    Raises ConfigError if the profile has none, or too few, of that kernel.
    """
    if not points:
        raise ConfigError("The profile has caps but no times.", next_step="Run tdbs profile --out FILE.")
    own = [point for point in points if point["attention"] == attention]
    if len(own) < len(COSTS):
        raise ConfigError(
            f"The profile has too few times of --attention {attention}: {len(own)} steps, at least {len(COSTS)} are "
            f"needed; most are of {_most(points)}.",
            next_step=f"Pass --attention {_most(points)}, or run tdbs profile --attention {attention}.",
        )
    counts_PF = np.array([[point["work"][name] for name in COUNTS] for point in own], dtype=np.float64)
    work_PC = _with_dropout(counts_PF, np.array([bool(point["dropout"]) for point in own]))
    seconds_P = np.array([point["seconds"] for point in own])
    relative_PC = work_PC / seconds_P[:, None]
    costs_C = _least_squares(relative_PC)
    left_out_P = [relative_PC[p] @ _least_squares(np.delete(relative_PC, p, axis=0)) - 1 for p in range(len(seconds_P))]
    return CostModel(
        costs_C=costs_C,
        error=float(np.sqrt(np.mean(np.square(left_out_P)))),
        most_tokens=int(max(point["tokens"] for point in own)),
        longest=int(max(point["length"] for point in own)),
        longest_target=int(max(point["work"]["targets"] / point["work"]["samples"] for point in own)),
    )


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
        counts["masked"] = pairs_B * (np.minimum.reduceat(lengths_N, offsets_B1[:-1]) < widths_B)
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


def _with_dropout(counts_SF: FloatArray, dropout_S: FloatArray) -> FloatArray:
    tokens_S = counts_SF[:, COUNTS.index("tokens")] + counts_SF[:, COUNTS.index("targets")]
    pairs_S = counts_SF[:, COUNTS.index("pairs")] + counts_SF[:, COUNTS.index("target_pairs")]
    return np.column_stack([counts_SF, dropout_S * tokens_S, dropout_S * pairs_S])


def _least_squares(relative_PC: FloatArray) -> FloatArray:
    """Return costs that make each row sum to 1 as nearly as can be, none of them negative."""
    scale_C = np.where(relative_PC.any(axis=0), relative_PC.max(axis=0), 1.0)  # counts differ by powers of ten
    return non_negative_least_squares(relative_PC / scale_C, np.ones(len(relative_PC))) / scale_C


def _most(points: Sequence[Mapping[str, Any]]) -> str:
    kernels = [str(point["attention"]) for point in points]
    return max(kernels, key=kernels.count)
