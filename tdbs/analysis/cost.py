"""Seconds of a step as a function of what is in it, fitted to a profile, with its own error and range.

seconds = sum over counts (work.py) of a cost each, and two more for dropout's masks over tokens and pairs. Costs are
found by least squares on relative errors; a cost that would be negative is 0. The error is that of points left out of
the fit, one at a time: what a step that was not measured may be off by (docs/decisions.md, "Cost model").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tdbs.analysis.work import COUNTS
from tdbs.arrays import FloatArray
from tdbs.errors import ConfigError

# Shapes: P measured points, S steps, F counts, C costs: counts, then dropout's two.

COSTS = (*COUNTS, "dropout_tokens", "dropout_pairs")
FAR = 2.0  # times the largest measured call: beyond it a prediction is an extrapolation


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """What each count costs on a device, in seconds."""

    costs_C: FloatArray
    error: float  # relative: root mean square over points left out of the fit
    most_tokens: int  # of a measured call
    longest: int  # measured row
    longest_target: int  # of a measured call

    def step_seconds(self, counts_SF: FloatArray, *, dropout: bool) -> FloatArray:
        """Return the seconds of each step (S)."""
        return _with_dropout(counts_SF, np.full(len(counts_SF), dropout)) @ self.costs_C

    def is_beyond(self, tokens: int, longest: int, target: int = 0) -> bool:
        """Tell whether a call is far outside of what was measured."""
        return tokens > FAR * self.most_tokens or longest > FAR * self.longest or target > FAR * self.longest_target


def fit_costs(points: Sequence[Mapping[str, Any]], attention: str) -> CostModel:
    """Fit the points that were measured with an attention kernel.

    Raises ConfigError where the profile has none, or too few, of that kernel.
    """
    if not points:
        raise ConfigError(
            "The profile has caps alone, no times.", next_step="Measure one with tdbs profile --out FILE."
        )
    own = [point for point in points if point["attention"] == attention]
    if len(own) < len(COSTS):
        raise ConfigError(
            f"The profile has too few times of --attention {attention}: {len(own)} steps, at least {len(COSTS)} are "
            f"needed; most are of {_most(points)}.",
            next_step=f"Pass --attention {_most(points)}, or measure: tdbs profile --attention {attention}.",
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
    from scipy.optimize import nnls

    scale_C = np.where(relative_PC.any(axis=0), relative_PC.max(axis=0), 1.0)  # counts differ by powers of ten
    found_C, _ = nnls(relative_PC / scale_C, np.ones(len(relative_PC)))
    return found_C / scale_C


def _most(points: Sequence[Mapping[str, Any]]) -> str:
    kernels = [str(point["attention"]) for point in points]
    return max(kernels, key=kernels.count)
