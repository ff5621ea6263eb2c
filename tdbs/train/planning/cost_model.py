"""Seconds of a training step: what each count of its work costs on a device, fitted to a profile.

Counts are tokens for the linear layers, pairs for attention, and calls of the model (`tdbs.analysis.cost` computes
them). Seconds are the sum of each count times its cost, plus two costs for dropout's masks over tokens and pairs. Least
squares on relative errors finds the costs; negative costs become 0. The error is that of points left out of the fit,
one at a time, so it estimates the error of a step that was not measured (docs/decisions.md, "Cost model").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tdbs.arrays import FloatArray
from tdbs.errors import ConfigError
from tdbs.numerics import non_negative_least_squares
from tdbs.train.planning.profile_file import MeasuredWork

# Shapes: S steps, F counts, P measured points, C costs: counts, then dropout's two.

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
