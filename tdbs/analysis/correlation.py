"""How strongly lengths go with labels: an estimate without what chance adds, and an interval.

The share of the lengths' variance that labels explain is estimated from pairs: each length times the mean of the other
lengths of its class. No length is multiplied by itself: small classes explain nothing by chance, however many they are,
and neither does an outlier. A class with one row has no pair: it is left out, and the interval allows for what it could
explain. A correlation is the root of a share.

The share times the rows is close to a noncentral chi-squared, whose noncentrality is the true share times the rows. The
interval inverts it, after three corrections. By the jackknife, fewer rows count if a few long texts decide. Then its
variance is uncertain too, and the normal's quantile becomes Student's. Where its values are skewed, the end on
that side moves out (Cornish and Fisher's expansion of a studentized mean). Cost: a few passes over the rows.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tdbs.arrays import BoolArray, FloatArray, IntArray
from tdbs.pipeline.dataset import Targets

# Shapes: N samples of a split, R samples that are compared, C classes or targets, E pairs of a sample and a class that
# holds for it.

MISSES = 0.001  # of the interval: share of datasets whose true correlation is outside
_SKEW = 2  # times the expansion's term: the skewness of heavy tails is seen too small
_HALVINGS = 60  # of a range: the rest is below the last digit of a float


@dataclass(frozen=True, kw_only=True, slots=True)
class Correlation:
    """Correlation of length and label, from 0 to 1, with its interval of 99.9 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """Share of the lengths' variance that labels explain."""

    share: float  # 0 on average if labels are drawn at random, so it may be negative
    influence_R: FloatArray  # of each sample: rows times what the share loses without it
    freedom: float  # degrees of freedom: what chance alone adds to the share times the rows
    unseen: float = 0.0  # largest share of the variance that the samples left out may have


def label_correlation(lengths_N: IntArray, targets: Targets) -> Correlation | None:
    """Return the correlation of length and label with its interval.

    For classes it is the correlation ratio without what chance adds. For numbers and sets of classes it is the largest
    of Pearson's correlations, without sign; its interval allows for the choice (Bonferroni).

    Args:
        lengths_N: Tokens of each sample.
        targets: Labels of samples.

    Returns:
        None if lengths or labels are all the same, or if fewer than two classes have two samples.
    """
    if targets.kind == "classification":
        found = explained_by_classes(lengths_N, targets.values)
        return None if found is None else _correlation(found, math.sqrt(max(found.share, 0.0)), MISSES)
    correlation_C = target_correlations(lengths_N, targets)
    if np.isnan(correlation_C).all():
        return None
    strongest, choices = int(np.nanargmax(correlation_C)), int(np.count_nonzero(~np.isnan(correlation_C)))
    found = explained_by_numbers(lengths_N, _column(targets, strongest))
    return _correlation(found, float(correlation_C[strongest]), MISSES / choices)


def explained_by_classes(lengths_N: IntArray, labels_N: IntArray) -> Explained | None:
    """Return what classes explain; None if that is not defined (`label_correlation`)."""
    size_C = np.bincount(labels_N)
    is_compared_N = size_C[labels_N] > 1
    class_R = (np.cumsum(size_C > 1) - 1)[labels_N[is_compared_N]]
    size_C, lengths_R = size_C[size_C > 1], lengths_N[is_compared_N]
    rows = len(lengths_R)
    if len(size_C) < 2 or lengths_R.min() == lengths_R.max():
        return None
    deviation_R = lengths_R - lengths_R.mean()
    variance = float(deviation_R @ deviation_R) / rows
    sum_C = np.bincount(class_R, weights=deviation_R)
    products_C = sum_C**2 - np.bincount(class_R, weights=deviation_R**2)  # of all ordered pairs of a class
    between = float((products_C / (size_C - 1)).sum()) / rows
    share = ((rows - 1) * between / variance + 1) / rows  # the common mean makes pairs go together by -1 / (rows - 1)
    # Without a sample that deviates by d, a class has products - 2 d (sum - d) over size - 2: a polynomial of d.
    other_C = np.where(size_C > 2, 1 / np.maximum(size_C - 2, 1), 0.0)
    influence_R = (-2 * other_C - share)[class_R] * deviation_R
    influence_R += (2 * other_C * sum_C)[class_R]
    influence_R *= deviation_R
    influence_R += (products_C * (1 / (size_C - 1) - other_C))[class_R]
    influence_R /= variance
    return Explained(
        share=share,
        influence_R=influence_R,
        freedom=float((size_C / (size_C - 1)).sum()) - 1,
        unseen=0.0 if is_compared_N.all() else _unseen(lengths_N, is_compared_N),
    )


def _unseen(lengths_N: IntArray, is_compared_N: BoolArray) -> float:
    """Return the largest share of the variance that samples without another one of their class may have."""
    squares_N = (lengths_N - lengths_N.mean()) ** 2
    total = float(squares_N.sum())
    share = float(squares_N[~is_compared_N].sum()) / total
    error = float(np.linalg.norm((~is_compared_N - share) * squares_N)) / total  # of a ratio of sums
    return min(share + NormalDist().inv_cdf(1 - MISSES / 2) * error, 1.0)


def explained_by_numbers(lengths_N: IntArray, values_N: FloatArray) -> Explained:
    """Return what a number for each sample explains; both vary, and there are more than two samples."""
    rows = len(lengths_N)
    first_N = (lengths_N - lengths_N.mean()) / lengths_N.std()
    second_N = (values_N - values_N.mean()) / values_N.std()
    correlation = float(first_N @ second_N) / rows
    return Explained(
        share=((rows - 1) * correlation**2 - 1) / max(rows - 2, 1),
        influence_R=2 * correlation * first_N * second_N - correlation**2 * (first_N**2 + second_N**2),
        freedom=1.0,
    )


def _correlation(found: Explained, value: float, misses: float) -> Correlation:
    """Return the value with the ends of its interval, of which each misses half as often."""
    rows = len(found.influence_R)
    expected = 4 * (max(found.share, 0.0) * rows + found.freedom)  # the sum of squares, if lengths were normal
    squares, below, above = _deviates(found.influence_R, NormalDist().inv_cdf(1 - misses / 2))
    counted = rows / max(squares / expected, 1.0)  # rows
    seen = counted * found.share + found.freedom
    low = _noncentrality(seen, found.freedom, below) / counted
    high = _noncentrality(seen, found.freedom, -above) / counted
    return Correlation(
        value=value,
        low=math.sqrt(min(low, 1.0) * (1 - found.unseen)),
        high=math.sqrt(min(high, 1.0) * (1 - found.unseen) + found.unseen),
    )


def _deviates(influence_R: FloatArray, deviate: float) -> tuple[float, float, float]:
    """Return the sum of squares of the influences, and how many standard errors the ends are below and above."""
    centred_R = influence_R - influence_R.mean()
    squares_R = centred_R**2
    squares = float(squares_R.sum())
    if squares == 0:
        return squares, deviate, deviate
    spread = float(squares_R @ squares_R) / squares**2 - 1 / len(squares_R)  # 2 / degrees of freedom of the variance
    students = deviate + (deviate**3 + deviate) / 8 * spread
    skewed = _SKEW * (2 * students**2 + 1) / 6 * float(squares_R @ centred_R) / squares**1.5
    return squares, students + max(-skewed, 0.0), students + max(skewed, 0.0)


def _noncentrality(seen: float, freedom: float, quantile: float) -> float:
    """Return the noncentrality of which what is seen is this quantile of the normal; 0 if that is below 0."""
    seen = max(seen, 0.0)
    low, high = 0.0, 2 * seen + 8 * quantile**2 + freedom
    if normal_of(seen, freedom, low) <= quantile:
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if normal_of(seen, freedom, middle) > quantile else (low, middle)
    return high


def normal_of(seen: float, freedom: float, noncentrality: float) -> float:
    """Return the normal deviate of a noncentral chi-squared value (Sankaran, 1963: Biometrika 50, 199)."""
    mean, spread = freedom + noncentrality, freedom + 2 * noncentrality
    power = 1 - 2 / 3 * mean * (freedom + 3 * noncentrality) / spread**2
    ratio = spread / mean**2
    bend = (power - 1) * (1 - 3 * power)
    centre = 1 + power * ratio * (power - 1 - (2 - power) * bend * ratio / 2)
    return ((seen / mean) ** power - centre) / (power * math.sqrt(2 * ratio) * (1 + bend * ratio / 2))


def _column(targets: Targets, number: int) -> FloatArray:
    """Return a target of each sample (N): a number, or whether a class holds."""
    if targets.kind == "multi_label":
        sample_E, class_E, _ = label_pairs(targets)
        samples = 0 if targets.offsets_N1 is None else len(targets.offsets_N1) - 1
        return np.bincount(sample_E[class_E == number], minlength=samples).astype(np.float64)
    return targets.values.reshape(len(targets.values), -1)[:, number].astype(np.float64)


def target_correlations(lengths_N: IntArray, targets: Targets) -> FloatArray:
    """Return Pearson's correlation of length and each number or class of a set (C), without sign; NaN: no variance."""
    deviation_N = lengths_N - lengths_N.mean()
    if targets.kind == "multi_label":
        sample_E, class_E, _ = label_pairs(targets)
        share_C = np.bincount(class_E, minlength=targets.outputs) / len(lengths_N)
        covariance_C = np.bincount(class_E, weights=deviation_N[sample_E], minlength=targets.outputs) / len(lengths_N)
        variance_C = share_C * (1 - share_C)
    else:
        values_NC = targets.values.reshape(len(lengths_N), -1)
        covariance_C = deviation_N @ values_NC / len(lengths_N)
        variance_C = values_NC.var(axis=0)
    product_C = variance_C * float((deviation_N**2).mean())
    varies_C = product_C > 0
    return np.where(varies_C, np.abs(covariance_C) / np.sqrt(np.where(varies_C, product_C, 1.0)), np.nan)


def label_pairs(targets: Targets) -> tuple[IntArray, IntArray, int]:
    """Return which class holds for which sample (E, E), and how many classes there are."""
    if targets.offsets_N1 is None:
        return np.arange(len(targets.values)), targets.values, targets.outputs
    return (
        np.repeat(np.arange(len(targets.offsets_N1) - 1), np.diff(targets.offsets_N1)),
        targets.values,
        targets.outputs,
    )
