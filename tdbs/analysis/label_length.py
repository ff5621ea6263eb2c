"""Do labels go with lengths? Then a batch of one length tells one story, and its gradient is not the epoch's.

Two numbers of a train split: how well length goes with the label, and how far the label mean of an update strays from
the epoch's, beside updates of the same sizes drawn at random.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.arrays import FloatArray, IntArray
from tdbs.pipeline.dataset import PreparedDataset, Split, Targets
from tdbs.train.batches import plan_split, words_of_split
from tdbs.train.plan import EpochPlan
from tdbs.train.strategies import Strategy

RISKY_STRAY = 1.5  # from here on `inspect` warns (docs/decisions.md, "Labels that go with lengths")

# Shapes: N samples, S steps of an epoch, C classes or targets, E pairs of a sample and a class that holds for it.


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelLength:
    """How labels go with lengths; the stray is of one strategy's epoch."""

    correlation: float | None  # 0 to 1, see `length_correlation`; None: all lengths or all labels are the same
    stray: float | None  # 1: as updates drawn at random; None: all labels are the same, or one update holds all

    @property
    def is_risky(self) -> bool:
        """Whether updates of this strategy show the model other labels than the epoch's by more than chance."""
        return self.stray is not None and self.stray >= RISKY_STRAY


def label_length(
    dataset: PreparedDataset, split: Split, strategy: Strategy, *, seed: int = 0, epoch: int = 0
) -> LabelLength | None:
    """Return how the labels of a split go with its lengths in an epoch; None where a sample has no label of its own.

    Classes, numbers and sets of classes belong to samples; labels of words, answers and target texts do not.
    """
    if split.targets is None or split.targets.kind not in ("classification", "regression", "multi_label"):
        return None
    words = words_of_split(split, strategy, dataset.manifest.tokenizer)
    plan = plan_split(split, words, dataset.manifest, strategy, seed=seed, epochs=epoch + 1)[epoch]
    return LabelLength(
        correlation=length_correlation(split.lengths_N, split.targets), stray=label_stray(split.targets, plan)
    )


def length_correlation(lengths_N: IntArray, targets: Targets) -> float | None:
    """Return how well length goes with the label, from 0 to 1.

    Of classes the correlation ratio: the root of the share of the lengths' variance that lies between classes (of two
    classes, Pearson's correlation). Of numbers and sets of classes the largest of Pearson's correlations, without sign.
    """
    deviation_N = lengths_N - lengths_N.mean()
    variance = float((deviation_N**2).mean())
    if targets.kind == "classification":
        counts_C = np.bincount(targets.values)
        means_C = np.bincount(targets.values, weights=deviation_N) / np.maximum(counts_C, 1)
        between = float((counts_C * means_C**2).sum()) / len(lengths_N)
        varies = variance > 0 and np.count_nonzero(counts_C) > 1
        return float(np.sqrt(between / variance)) if varies else None
    if targets.kind == "multi_label":
        sample_E, class_E, _ = _pairs(targets)
        share_C = np.bincount(class_E, minlength=targets.outputs) / len(lengths_N)
        covariance_C = np.bincount(class_E, weights=deviation_N[sample_E], minlength=targets.outputs) / len(lengths_N)
        variance_C = share_C * (1 - share_C)
    else:
        values_NC = targets.values.reshape(len(lengths_N), -1)
        covariance_C = deviation_N @ values_NC / len(lengths_N)
        variance_C = values_NC.var(axis=0)
    varies_C = variance_C * variance > 0
    if not varies_C.any():
        return None
    return float(np.abs(covariance_C[varies_C] / np.sqrt(variance_C[varies_C] * variance)).max())


def label_stray(targets: Targets, plan: EpochPlan) -> float | None:
    """Return how far the label means of an epoch's updates stray from the epoch's, in units of chance.

    It is the root mean square over updates of |mean of the update - mean of the epoch| over what is expected of as many
    samples drawn without replacement: sqrt(V / n x (N - n) / (N - 1)), V the labels' variance. A class counts as a
    column of zeros and ones.
    """
    sizes_S = plan.step_sizes_S
    rows = len(plan.sample_ids_N)
    step_N = np.empty(rows, dtype=np.int64)
    step_N[plan.sample_ids_N] = np.repeat(np.arange(len(sizes_S)), sizes_S)
    if targets.kind == "regression":
        squares_S, variance = _strays_of_numbers(targets.values.reshape(rows, -1), step_N, sizes_S)
    else:
        squares_S, variance = _strays_of_classes(*_pairs(targets), step_N, sizes_S)
    partial_S = sizes_S < rows
    if variance <= 0 or not partial_S.any():
        return None
    sizes_S, squares_S = sizes_S[partial_S], squares_S[partial_S]
    chance_S = variance / sizes_S * (rows - sizes_S) / (rows - 1)
    return float(np.sqrt((squares_S / chance_S).mean()))


def _pairs(targets: Targets) -> tuple[IntArray, IntArray, int]:
    """Return which class holds for which sample (E, E), and how many classes there are."""
    if targets.offsets_N1 is None:
        return np.arange(len(targets.values)), targets.values, targets.outputs
    return (
        np.repeat(np.arange(len(targets.offsets_N1) - 1), np.diff(targets.offsets_N1)),
        targets.values,
        targets.outputs,
    )


def _strays_of_numbers(values_NC: FloatArray, step_N: IntArray, sizes_S: IntArray) -> tuple[FloatArray, float]:
    """Return the squared distance of each update's mean from the epoch's, and the variance of the labels."""
    deviation_NC = values_NC - values_NC.mean(axis=0)
    squares_S = np.zeros(len(sizes_S))
    for deviation_N in deviation_NC.T:
        squares_S += (np.bincount(step_N, weights=deviation_N, minlength=len(sizes_S)) / sizes_S) ** 2
    return squares_S, float((deviation_NC**2).mean(axis=0).sum())


def _strays_of_classes(
    sample_E: IntArray, class_E: IntArray, classes: int, step_N: IntArray, sizes_S: IntArray
) -> tuple[FloatArray, float]:
    """Return the same of classes; only classes that an update holds are counted, however many there are."""
    share_C = np.bincount(class_E, minlength=classes) / len(step_N)
    keys, counts = np.unique(step_N[sample_E] * len(share_C) + class_E, return_counts=True)
    step, held = np.divmod(keys, len(share_C))
    in_step = counts / sizes_S[step]
    squares_S = np.bincount(step, weights=in_step * (in_step - 2 * share_C[held]), minlength=len(sizes_S))
    return squares_S + (share_C**2).sum(), float((share_C * (1 - share_C)).sum())
