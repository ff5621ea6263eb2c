"""Labels that are numbers: all the same, one far from all others, or of another scale than those of train."""

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding, hold_out
from tdbs.arrays import FloatArray

# Shapes: N samples of a split, K numbers of a sample, R samples of a finding.

_KINDS = ("regression", "embedding")
_MOST = 0.99  # share of the samples whose distance from the median is usual
_TIMES = 10.0  # times the greatest usual distance: an outlier
_FAR = 0.5  # standard deviations between the means of two splits
_WIDER = 2.0  # times the standard deviation of the other split
_CERTAIN = 4.5  # standard errors
_FEWEST = 30  # samples of a split whose scale is compared


def number_findings(contents: Contents) -> list[Finding]:
    """Return what is wrong with the numbers that are labels of each split."""
    found = []
    train_NK = label_numbers(contents, 0) if contents.has_train else None
    for split in range(len(contents.names)):
        values_NK = label_numbers(contents, split)
        if values_NK is None:
            continue
        found += _constant(contents, split, values_NK)
        found += _outliers(contents, split, values_NK)
        if split > 0 and train_NK is not None:
            found += _shift(contents, split, train_NK, values_NK)
    return found


def label_numbers(contents: Contents, split: int) -> FloatArray | None:
    """Return the numbers that are labels of a split's samples (N, K); None if it has none."""
    targets = contents.targets[split]
    if targets is None or targets.kind not in _KINDS:
        return None
    values_NK = targets.values.reshape(contents.rows_of(split), -1).astype(np.float64)
    return None if np.isnan(values_NK).any() else values_NK  # NaN: texts teach, not scores


def outlying(values_N: FloatArray) -> tuple[FloatArray, float]:
    """Return the distance of each number from the median (N), and the distance beyond which it is an outlier.

    That is ten times the greatest distance of 99 % of the numbers; infinite if they all are the median.
    """
    distance_N = np.abs(values_N - np.median(values_N))
    usual = float(np.quantile(distance_N, _MOST, method="lower"))
    return distance_N, _TIMES * usual if usual else np.inf


def _constant(contents: Contents, split: int, values_NK: FloatArray) -> list[Finding]:
    """Return whether a column of labels has one number alone."""
    constant = np.flatnonzero((values_NK == values_NK[0]).all(axis=0)) if len(values_NK) > 1 else np.empty(0, np.int64)
    if not len(constant):
        return []
    name, part = contents.names[split], contents.slice_of(split)
    named = ", ".join(f"{contents.manifest.task.columns.labels[k]} is {values_NK[0, k]:g}" for k in constant.tolist())
    return [
        finding(
            contents,
            "constant_labels",
            split,
            np.arange(part.start, part.stop),
            what=f"All samples of {name} have one label: {named}.",
            fix=f"Look at the column in the source, then run: {contents.prepare_command()}",
        )
    ]


def _outliers(contents: Contents, split: int, values_NK: FloatArray) -> list[Finding]:
    """Return the samples with a number far from all others."""
    is_one_N = np.zeros(len(values_NK), dtype=np.bool_)
    for values_N in values_NK.T:
        distance_N, most = outlying(values_N)
        is_one_N |= distance_N > most
    rows_R = np.flatnonzero(is_one_N)
    if not len(rows_R):
        return []
    name = contents.names[split]
    return [
        finding(
            contents,
            "label_outliers",
            split,
            rows_R + contents.slice_of(split).start,
            what=f"Samples of {name} whose label is more than {_TIMES:g} times as far from the median as those of "
            f"{_MOST:.0%}: {len(rows_R):,}.",
            fix=f"Leave them out of the source, then run: {contents.prepare_command()}",
        )
    ]


def _shift(contents: Contents, split: int, train_NK: FloatArray, own_NK: FloatArray) -> list[Finding]:
    """Return whether the labels of a split have another mean or another scale than those of train."""
    if min(len(train_NK), len(own_NK)) < _FEWEST:
        return []
    means_2K, deviations_2K = (
        np.stack([measure(train_NK, axis=0), measure(own_NK, axis=0)]) for measure in (np.mean, np.std)
    )
    rows_21 = np.array([[len(train_NK)], [len(own_NK)]])
    spread_K = np.sqrt((deviations_2K**2).mean(axis=0))
    error_K = np.sqrt((deviations_2K**2 / rows_21).sum(axis=0))
    apart_K = np.abs(means_2K[1] - means_2K[0])
    is_far_K = apart_K > np.maximum(_FAR * spread_K, _CERTAIN * error_K)
    is_wider_K = (deviations_2K.min(axis=0) > 0) & (deviations_2K.max(axis=0) > _WIDER * deviations_2K.min(axis=0))
    shifted = np.flatnonzero(is_far_K | is_wider_K)
    if not len(shifted):
        return []
    worst = int(shifted[np.argmax(apart_K[shifted] / np.maximum(spread_K[shifted], 1e-300))])
    name, part = contents.names[split], contents.slice_of(split)
    (of_train, own), (wide_train, wide) = means_2K[:, worst].tolist(), deviations_2K[:, worst].tolist()
    return [
        finding(
            contents,
            "label_shift",
            split,
            np.argsort(-np.abs(own_NK[:, worst] - of_train), kind="stable") + part.start,
            what=f"Labels of {name} are {own:.4g} ± {wide:.4g}, those of train {of_train:.4g} ± {wide_train:.4g}.",
            fix=f"Bring both to one scale in the source. Or: {hold_out(contents)}",
        )
    ]
