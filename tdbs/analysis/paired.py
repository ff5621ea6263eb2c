"""Differences of scores, seed by seed: what two strategies share in a seed (new weights, say) cancels out."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """Mean of the differences, and its t interval over seeds; bounds are None with one seed."""

    seeds: int
    mean: float
    low: float | None
    high: float | None


def paired_difference(scores: Mapping[int, float], base: Mapping[int, float]) -> PairedDifference | None:
    """Return how far scores lie above the base's over the seeds that both have; None where there is none."""
    return mean_difference([scores[seed] - base[seed] for seed in sorted(scores.keys() & base.keys())])


def mean_difference(differences: Sequence[float]) -> PairedDifference | None:
    """Return the mean of differences, one for each seed, with its t interval; None where there is none."""
    if not differences:
        return None
    mean = statistics.mean(differences)
    if len(differences) == 1:
        return PairedDifference(seeds=1, mean=mean, low=None, high=None)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1))
    half = quantile * statistics.stdev(differences) / math.sqrt(len(differences))
    return PairedDifference(seeds=len(differences), mean=mean, low=mean - half, high=mean + half)


def mean_over_tasks(scores: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """Return the mean score over tasks of each seed that all of them have."""
    seeds = set.intersection(*(set(of_task) for of_task in scores.values())) if scores else set()
    return {seed: statistics.mean(of_task[seed] for of_task in scores.values()) for seed in sorted(seeds)}
