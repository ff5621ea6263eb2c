"""Which samples share an update: Algorithm 2 of the paper (2.2), then one function for each choice of `--batches`.

`bucket` and `reach` are Algorithm 2. Its three functions stand first, in the order of the listing, whose line numbers
are in the comments. They are array code: the paper appends sample by sample, these take slices.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tdbs import rng
from tdbs.arrays import IntArray, offsets_of
from tdbs.pipeline.lengths import bucket_edges, bucket_of, length_histogram, longest_lengths
from tdbs.train.planning.caps import batch_caps, hardware_caps
from tdbs.train.planning.edges import AUTO, BatchCosts, worthwhile_edges
from tdbs.train.planning.samplers import REBALANCED_PARTS, length_grouped_order, pack_rows, rebalanced_batches
from tdbs.train.planning.strata import stratified_order
from tdbs.train.planning.strategies import Batches, Strategy

# Shapes: N samples, B batches, B1 = B + 1, R rows of the model, S steps, L1 = max_length + 1.

SORTED_TARGET_PADDING = 0.2  # share of padding in the targets above which a bucket's samples are sorted by target


# Algorithm 2, BucketSampler


def epoch_caps(strategy: Strategy, *, max_length: int, epoch: int) -> IntArray:
    """Return BatchCap for each length (L1), lines 1-4: min(HWCap, EpochCap), or HWCap alone, over the micro-batches.

    HWCap is that of all devices together.
    """
    caps_L1 = strategy.devices * hardware_caps(strategy.hw_caps, max_length=max_length)
    if strategy.batch_cap:
        caps_L1 = batch_caps(
            caps_L1,
            epoch=epoch,
            base_batch_size=strategy.base_batch_size,
            scaling_factor=strategy.scaling_factor,
        )
    return np.maximum(caps_L1 // strategy.micro_batches, 1)


def strategy_edges(lengths_N: IntArray, caps_L1: IntArray, strategy: Strategy, *, by_target: bool = False) -> IntArray:
    """Return the edges of an epoch's buckets: of the strategy's width, or from the lengths (`--bucket-width auto`).

    `by_target`: samples go to lengths of the grid (`reach`), each a bucket.
    """
    max_length = len(caps_L1) - 1
    if strategy.bucket_width != AUTO:
        return bucket_edges(max_length, 1 if by_target else strategy.width)
    costs = strategy.batch_costs or BatchCosts()
    return worthwhile_edges(length_histogram(lengths_N, max_length), caps_L1, costs, rbm=strategy.rbm)


def merge_residuals(residuals: Iterable[tuple[IntArray, int]]) -> list[IntArray]:
    """Merge leftover samples of all buckets into batches, lines 5-18 (Residual Batch Merging).

    `residuals` are pairs of a residual batch and its bucket_batch_size, short buckets first, so only neighbours mix.
    A merged batch spans buckets, which adds padding. Every sample stays in exactly one batch, and no batch exceeds
    the cap of its longest sample's bucket. Several merged batches may be short: lines 8-10 close a batch early if
    the next bucket's cap is smaller.
    """
    batches: list[IntArray] = []
    new_batch = np.empty(0, dtype=np.int64)  # line 6
    for residual, bucket_batch_size in residuals:  # line 7
        if len(new_batch) >= bucket_batch_size:  # lines 8-10: full for this bucket, and for all longer ones
            batches.append(new_batch)
            new_batch = new_batch[:0]
        room = bucket_batch_size - len(new_batch)
        new_batch = np.concatenate([new_batch, residual[:room]])  # lines 11-12
        if len(new_batch) == bucket_batch_size:  # lines 13-15; a residual is smaller than this, so it fills one at most
            batches.append(new_batch)
            new_batch = residual[room:]
    if len(new_batch):  # lines 16-17
        batches.append(new_batch)
    return batches


def bucket_batches(
    lengths_N: IntArray,
    shuffled_N: IntArray,
    edges: IntArray,
    bucket_caps: IntArray,
    *,
    rbm: bool,
    sort_by_N: IntArray | None = None,
) -> list[IntArray]:
    """Return the batches, lines 19-35, short buckets first: full batches of each bucket, then the residual ones.

    `bucket_caps` are BatchCap of each bucket. `shuffled_N` is a permutation of the samples: it is the shuffle of every
    bucket at once. With `sort_by_N`, the samples of a bucket's full batches are sorted by it; which samples are
    residual stays a matter of chance.
    """
    # Lines 20-23, each sample into its bucket, and line 27, the shuffle. Small integers are sorted by their digits.
    buckets_N = bucket_of(lengths_N, edges).astype(np.min_scalar_type(len(edges)))
    in_buckets_N = shuffled_N[np.argsort(buckets_N[shuffled_N], kind="stable")]
    bounds = offsets_of(np.bincount(buckets_N, minlength=len(bucket_caps)))
    batches: list[IntArray] = []  # line 24
    residuals: list[tuple[IntArray, int]] = []  # line 25
    for bucket, bucket_batch_size in enumerate(bucket_caps.tolist()):  # lines 26 and 28
        samples = in_buckets_N[bounds[bucket] : bounds[bucket + 1]]
        full = len(samples) // bucket_batch_size * bucket_batch_size  # line 30
        in_full = samples[:full]
        if sort_by_N is not None:
            in_full = in_full[np.argsort(sort_by_N[in_full], kind="stable")]
        batches.extend(in_full.reshape(-1, bucket_batch_size))  # lines 29-32
        residuals.append((samples[full:], bucket_batch_size))  # line 33
    batches.extend(merge_residuals(residuals) if rbm else (samples for samples, _ in residuals if len(samples)))
    return batches  # lines 34-35


# Choices of --batches


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetLengths:
    """Targets that are sequences (seq2seq): their lengths, and the greatest one that the dataset may hold."""

    lengths_N: IntArray
    max_length: int

    def of(self, samples_M: IntArray) -> "TargetLengths":
        """Return the targets of some samples."""
        return replace(self, lengths_N=self.lengths_N[samples_M])


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochSamples:
    """The facts about samples from which an epoch's batches are made."""

    lengths_N: IntArray
    planned_N: IntArray  # lengths after the drop that does not depend on the batch
    targets: TargetLengths | None
    strategy: Strategy
    max_length: int
    seed: int
    epoch: int
    window: int  # 0 if the split is planned whole

    def generator(self, draw: rng.RandomPurpose) -> np.random.Generator:
        """Return the epoch's generator of one purpose."""
        return rng.stream(draw, seed=self.seed, epoch=self.epoch, part=self.window)

    def torch_seed(self) -> int:
        """Return the seed of transformers' samplers in this epoch."""
        return rng.torch_seed(rng.RandomPurpose.PEER_SAMPLER, seed=self.seed, epoch=self.epoch, step=self.window)

    def shuffled(self) -> IntArray:
        """Return a permutation of the samples (N)."""
        return self.generator(rng.RandomPurpose.SHUFFLE_SAMPLES).permutation(len(self.lengths_N))


@dataclass(frozen=True, kw_only=True, slots=True)
class Batching:
    """Samples in running order, and where batches, the rows of a packed batch, and steps begin and end."""

    order_N: IntArray
    offsets_B1: IntArray  # batch b: order_N[offsets_B1[b] : offsets_B1[b + 1]]
    row_offsets_R1: IntArray | None = None  # packs: row r, in the same way; None: each sample is a row
    step_offsets_S1: IntArray | None = None  # batches of a step; None: each batch is a step
    unsorted_target_tokens: int = 0  # seq2seq: tokens of the targets without sorting; 0: not sorted


def _buckets(samples: EpochSamples, *, by_target: bool) -> Batching:
    """Return the batches of Algorithm 2, in shuffled order (App. E.1), by length before or after TokenDrop.

    If the targets were more than a fifth padding, the full batches of a bucket hold targets of similar length.
    """
    strategy, targets = samples.strategy, samples.targets
    caps_L1 = epoch_caps(strategy, max_length=samples.max_length, epoch=samples.epoch)
    edges = strategy_edges(samples.lengths_N, caps_L1, strategy, by_target=by_target)
    in_buckets = partial(
        bucket_batches,
        samples.planned_N if by_target else samples.lengths_N,
        samples.shuffled(),
        edges,
        caps_L1[longest_lengths(edges, samples.max_length)],
        rbm=strategy.rbm,
    )
    batches = in_buckets()
    unsorted_target_tokens = 0
    if targets is not None:
        unsorted_target_tokens = _target_tokens(batches, targets.lengths_N)
        padding = 1.0 - int(targets.lengths_N.sum()) / unsorted_target_tokens
        if strategy.sort_targets and padding > SORTED_TARGET_PADDING:
            batches = in_buckets(sort_by_N=targets.lengths_N)
    running = samples.generator(rng.RandomPurpose.SHUFFLE_BATCHES).permutation(len(batches))
    batches = [batches[i] for i in running]
    together = strategy.micro_batches
    return Batching(
        order_N=np.concatenate(batches),
        offsets_B1=offsets_of([len(batch) for batch in batches]),
        step_offsets_S1=None if together == 1 else np.append(np.arange(0, len(batches), together), len(batches)),
        unsorted_target_tokens=unsorted_target_tokens,
    )


def _target_tokens(batches: Sequence[IntArray], lengths_N: IntArray) -> int:
    """Return all tokens of the targets of some batches, padding included."""
    return sum(len(batch) * max(int(lengths_N[batch].max()), 1) for batch in batches)


def _random(samples: EpochSamples) -> Batching:
    return _in_pieces(samples.shuffled(), samples.strategy.base_batch_size)


def _stratified(samples: EpochSamples) -> Batching:
    size = samples.strategy.base_batch_size
    strata = samples.generator(rng.RandomPurpose.STRATA)
    return _in_pieces(stratified_order(samples.planned_N, samples.shuffled(), size, generator=strata), size)


def _length_grouped(samples: EpochSamples) -> Batching:
    size = samples.strategy.base_batch_size
    return _in_pieces(length_grouped_order(samples.planned_N, size, seed=samples.torch_seed()), size)


def _batch_rebalance(samples: EpochSamples) -> Batching:
    size = samples.strategy.base_batch_size
    batches, step_sizes = rebalanced_batches(
        samples.planned_N, size, parts=min(REBALANCED_PARTS, size), seed=samples.torch_seed()
    )
    return Batching(
        order_N=np.concatenate(batches),
        offsets_B1=offsets_of([len(batch) for batch in batches]),
        step_offsets_S1=offsets_of(step_sizes),
    )


def _packs(samples: EpochSamples) -> Batching:
    """Pack the whole epoch and shuffle the packs; on average, the packs of a step hold one base batch."""
    shuffled_N = samples.shuffled()
    rows_N = np.empty(len(shuffled_N), dtype=np.int64)
    rows_N[shuffled_N] = pack_rows(samples.planned_N[shuffled_N], width=samples.max_length)
    rows = int(rows_N.max()) + 1
    places_R = samples.generator(rng.RandomPurpose.SHUFFLE_BATCHES).permutation(rows)
    order_N = shuffled_N[np.argsort(places_R[rows_N[shuffled_N]], kind="stable")]
    row_offsets_R1 = offsets_of(np.bincount(places_R[rows_N], minlength=rows))
    rows_a_step = max(1, round(samples.strategy.base_batch_size * rows / len(order_N)))
    return Batching(
        order_N=order_N,
        offsets_B1=np.append(row_offsets_R1[:-1:rows_a_step], len(order_N)),
        row_offsets_R1=row_offsets_R1,
    )


def _in_pieces(order_N: IntArray, size: int) -> Batching:
    return Batching(order_N=order_N, offsets_B1=np.append(np.arange(0, len(order_N), size), len(order_N)))


BATCHINGS: dict[Batches, Callable[[EpochSamples], Batching]] = {
    "random": _random,
    "stratified": _stratified,
    "length_grouped": _length_grouped,
    "batch_rebalance": _batch_rebalance,
    "packs": _packs,
    "bucket": partial(_buckets, by_target=False),
    "reach": partial(_buckets, by_target=True),
}
