"""Whether labels depend on lengths: then a batch of one length shows a skewed label mix, and another gradient.

Three numbers of a train split: the correlation of length and label, how far the label means of updates stray from the
epoch's compared with random updates of the same sizes, and how often chance alone strays as far.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tdbs import rng
from tdbs.analysis.correlation import label_correlation, label_pairs
from tdbs.arrays import FloatArray, IntArray
from tdbs.data.tasks import SAMPLE_KINDS
from tdbs.pipeline.dataset import PreparedDataset, Split, Targets
from tdbs.pipeline.split_index import index_of
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.memory_windows import plan_split
from tdbs.train.planning.strategies import Strategy

# Shapes: N samples, S steps of an epoch, C classes or targets, E pairs of a sample and a class that holds for it.

RISKY_STRAY = 1.5  # from here on `inspect` warns (docs/decisions.md, "Labels that go with lengths")
ERROR_RATE = 0.01  # of the test that a warning passes: labels shuffled at random raise it no oftener
_FEW_ROWS = 10_000
_SHUFFLES, _SHUFFLES_OF_MANY = 999, 99  # both make the error rate exact; with many rows a stray of 1.5 is never chance
_DENSE = 4  # counts of a table of steps and classes that are worth making, per pair of a sample and its class


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelLength:
    """How labels go with lengths; stray and p value are of one strategy's epoch."""

    correlation: float | None  # 0 to 1, without chance; None: see `label_correlation`
    stray: float | None  # 1: as updates drawn at random; None: all labels are the same, or one update holds all
    at_random: bool = False  # whether the strategy draws its batches at random: then any stray is chance
    p_value: float | None = None  # share of shuffled labels that stray as far; None: no stray, or `at_random`

    @property
    def is_certain(self) -> bool:
        """Whether chance alone strays so far at most as often as the test's error rate."""
        return self.p_value is not None and self.p_value <= ERROR_RATE

    @property
    def is_risky(self) -> bool:
        """Whether updates of this strategy show the model other labels than the epoch's: far, and not by chance."""
        return self.is_certain and self.stray is not None and self.stray >= RISKY_STRAY


def label_length(
    dataset: PreparedDataset, split: Split, strategy: Strategy, *, seed: int = 0, epoch: int = 0
) -> LabelLength | None:
    """Return how the labels of a split go with its lengths in an epoch; None if a sample has no label of its own.

    Classes, numbers and sets of classes belong to samples; labels of words, answers and target texts do not.
    """
    if split.targets is None or split.targets.kind not in SAMPLE_KINDS:
        return None
    index = index_of(split, dataset.manifest.tokenizer.special_ids)
    plan = plan_split(index, dataset.manifest, strategy, seed=seed, epochs=epoch + 1)[epoch]
    found = label_correlation(split.lengths_N, split.targets)
    at_random = strategy.batches == "random"
    return LabelLength(
        correlation=None if found is None else found.value,
        stray=label_stray(split.targets, plan),
        at_random=at_random,
        p_value=None if at_random else chance_of_stray(split.targets, plan, seed=seed, epoch=epoch),
    )


def label_stray(targets: Targets, plan: EpochPlan) -> float | None:
    """Return how far the label means of an epoch's updates stray from the epoch's, in units of chance.

    It is the root mean square over updates of |mean of the update - mean of the epoch| over what is expected of as many
    samples drawn without replacement: sqrt(V / n x (N - n) / (N - 1)), V the labels' variance. A class counts as a
    column of zeros and ones.
    """
    stray_of = _stray_measure(targets, plan.step_sizes_S)
    return None if stray_of is None else stray_of(_steps_of_samples(plan))


def chance_of_stray(targets: Targets, plan: EpochPlan, *, seed: int, epoch: int = 0) -> float | None:
    """Return the p value of a permutation test: how often labels that are shuffled stray as far as these do.

    The plan does not depend on labels, so shuffled ones are as likely as these where labels do not go with lengths:
    the test is exact, whatever the labels' kind or spread (Phipson and Smyth, 2010: the given labels count as one
    shuffle). None if there is no stray.
    """
    stray_of = _stray_measure(targets, plan.step_sizes_S)
    if stray_of is None:
        return None
    step_N = _steps_of_samples(plan)
    least = stray_of(step_N) * (1 - 1e-9)  # equal but for rounding counts as equal
    stream = rng.stream(rng.RandomPurpose.LABEL_SHUFFLE, seed=seed, epoch=epoch)
    shuffles = _SHUFFLES if len(step_N) <= _FEW_ROWS else _SHUFFLES_OF_MANY
    as_far = sum(stray_of(stream.permutation(step_N)) >= least for _ in range(shuffles))
    return (1 + as_far) / (1 + shuffles)


def _steps_of_samples(plan: EpochPlan) -> IntArray:
    """Return the step of each sample (N), by sample_id."""
    step_N = np.empty(len(plan.sample_ids_N), dtype=np.int64)
    step_N[plan.sample_ids_N] = np.repeat(np.arange(len(plan.step_sizes_S)), plan.step_sizes_S)
    return step_N


def _stray_measure(targets: Targets, sizes_S: IntArray) -> Callable[[IntArray], float] | None:
    """Return the stray as a function of each sample's step; None if no labels can stray."""
    rows = int(sizes_S.sum())
    measured = _numbers_measure if targets.kind == "regression" else _classes_measure
    squares_of, variance = measured(targets, rows, sizes_S)
    partial_S = sizes_S < rows
    if variance <= 0 or not partial_S.any():
        return None
    chance_S = variance / sizes_S[partial_S] * (rows - sizes_S[partial_S]) / (rows - 1)
    return lambda step_N: float(np.sqrt((squares_of(step_N)[partial_S] / chance_S).mean()))


def _numbers_measure(targets: Targets, rows: int, sizes_S: IntArray) -> tuple[Callable[[IntArray], FloatArray], float]:
    """Return what gives the squared distance of each update's mean from the epoch's, and the variance of the labels."""
    values_NC = targets.values.reshape(rows, -1)
    deviation_NC = values_NC - values_NC.mean(axis=0)

    def squares_of(step_N: IntArray) -> FloatArray:
        sums = (np.bincount(step_N, weights=deviation_N, minlength=len(sizes_S)) for deviation_N in deviation_NC.T)
        return np.sum([(sums_S / sizes_S) ** 2 for sums_S in sums], axis=0)

    return squares_of, float((deviation_NC**2).mean(axis=0).sum())


def _classes_measure(targets: Targets, rows: int, sizes_S: IntArray) -> tuple[Callable[[IntArray], FloatArray], float]:
    """Return the same of classes: of few in a table, of many only those that an update holds are counted."""
    sample_E, class_E, classes = label_pairs(targets)
    share_C = np.bincount(class_E, minlength=classes) / rows
    classes, steps = len(share_C), len(sizes_S)
    is_dense = steps * classes <= _DENSE * len(class_E)

    def squares_of(step_N: IntArray) -> FloatArray:
        key_E = step_N[sample_E] * classes + class_E
        if is_dense:
            in_step_SC = np.bincount(key_E, minlength=steps * classes).reshape(steps, classes) / sizes_S[:, None]
            squares_S: FloatArray = ((in_step_SC - share_C) ** 2).sum(axis=1)
            return squares_S
        keys, counts = np.unique(key_E, return_counts=True)
        step, held = np.divmod(keys, classes)
        in_step = counts / sizes_S[step]
        off_S = np.bincount(step, weights=in_step * (in_step - 2 * share_C[held]), minlength=steps)
        return off_S + (share_C**2).sum()

    return squares_of, float((share_C * (1 - share_C)).sum())
