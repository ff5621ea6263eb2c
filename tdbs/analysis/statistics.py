"""Statistics of a split's lengths before training, and whether labels depend on them.

The first part computes the statistics of App. E.2 and the exact random padding. The second part asks whether labels
depend on lengths: if they do, a batch of one length shows a skewed label mix, and its gradient differs from the
epoch's. It computes three numbers of a train split: the correlation of length and label, how far the label means of
updates stray from the epoch's compared with random updates of the same sizes, and how often chance alone strays as far.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tdbs import rng
from tdbs.arrays import FloatArray, IntArray
from tdbs.data.tasks import SAMPLE_KINDS
from tdbs.pipeline.dataset import PreparedDataset, Split, Targets
from tdbs.pipeline.lengths import average_length, expected_random_padding, padding_fraction_estimate, percentile_length
from tdbs.pipeline.manifest import SplitInfo
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
class SplitStatistics:
    """Lengths in tokens, special ones included, after truncation."""

    rows: int
    tokens: int
    average_length: float  # L_avg
    percentile_length: int  # L_K
    padding_fraction_estimate: float  # (L_K - L_avg) / L_K: conservative
    expected_random_padding: float  # exact, of random batches of `batch_size`
    droppable_fraction: float  # droppable tokens / tokens
    source_rows: int  # fewer than rows if a question has several windows
    target_tokens: int = 0  # seq2seq
    expected_target_padding: float | None = None  # exact, of the targets of random batches; None: no sequences
    skipped: int = 0  # rows of the source that were left out
    sequences: int | None = None  # of all samples, if a sample has several: then lengths and padding are theirs

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON values; sequences only if a sample has several."""
        found = asdict(self)
        if self.sequences is None:
            del found["sequences"]
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelLength:
    """How labels go with lengths; stray and p value are of one strategy's epoch."""

    correlation: float | None  # 0 to 1, see `length_correlation`; None: all lengths or all labels are the same
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


def split_statistics(info: SplitInfo, *, percent: float = 87.5, batch_size: int = 64) -> SplitStatistics:
    """Return the statistics of a split from its histograms alone: those of what the model reads at once.

    The padding of random batches is exact if samples are one sequence. If they are several, it is that of batches with
    the mean number of sequences.
    """
    lengths_L1 = info.sequences_L1
    sequences = int(lengths_L1.sum())
    targets_L1 = np.array(info.target_histogram, dtype=np.int64)
    return SplitStatistics(
        rows=info.rows,
        tokens=info.tokens,
        average_length=average_length(lengths_L1),
        percentile_length=percentile_length(lengths_L1, percent),
        padding_fraction_estimate=padding_fraction_estimate(lengths_L1, percent),
        expected_random_padding=expected_random_padding(lengths_L1, batch_size * info.sequences_a_sample),
        droppable_fraction=info.droppable_tokens / info.tokens if info.tokens else 0.0,
        source_rows=info.source_rows,
        skipped=info.skipped,
        target_tokens=int(targets_L1 @ np.arange(len(targets_L1))),
        expected_target_padding=expected_random_padding(targets_L1, batch_size) if len(targets_L1) else None,
        sequences=sequences if info.sequence_histogram else None,
    )


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
    at_random = strategy.batches == "random"
    return LabelLength(
        correlation=length_correlation(split.lengths_N, split.targets),
        stray=label_stray(split.targets, plan),
        at_random=at_random,
        p_value=None if at_random else chance_of_stray(split.targets, plan, seed=seed, epoch=epoch),
    )


def length_correlation(lengths_N: IntArray, targets: Targets) -> float | None:
    """Return the correlation of length and label, from 0 to 1.

    For classes it is the correlation ratio: the root of the share of the lengths' variance that is between classes (for
    two classes, Pearson's correlation). For numbers and sets of classes it is the largest of Pearson's correlations,
    without sign.
    """
    deviation_N = lengths_N - lengths_N.mean()
    variance = float((deviation_N**2).mean())
    if targets.kind == "classification":
        counts_C = np.bincount(targets.values)
        means_C = np.bincount(targets.values, weights=deviation_N) / np.maximum(counts_C, 1)
        between = float((counts_C * means_C**2).sum()) / len(lengths_N)
        varies = variance > 0 and np.count_nonzero(counts_C) > 1
        return float(np.sqrt(between / variance)) if varies else None
    correlation_C = target_correlations(lengths_N, targets)
    return None if np.isnan(correlation_C).all() else float(np.nanmax(correlation_C))


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


def label_pairs(targets: Targets) -> tuple[IntArray, IntArray, int]:
    """Return which class holds for which sample (E, E), and how many classes there are."""
    if targets.offsets_N1 is None:
        return np.arange(len(targets.values)), targets.values, targets.outputs
    return (
        np.repeat(np.arange(len(targets.offsets_N1) - 1), np.diff(targets.offsets_N1)),
        targets.values,
        targets.outputs,
    )
