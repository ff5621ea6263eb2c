"""Edges of buckets from the histogram of lengths (`--bucket-width auto`): those whose batches cost least together.

The objective is the sum over buckets of (batches x cost of a batch of that shape), and a cost for each shape:

    sum over buckets k of  full_k x batch(b_k, w_k)  +  batch(b_k, m_k) if a merged batch is filled up in k
                           +  shape if either makes a batch

Here b_k is BatchCap of the bucket and full_k = samples // b_k. A batch of b rows of w tokens costs a call, b x w tokens
and b x w^2 pairs, which cost more if the batch has padding, for its mask. w_k is the expected longest sample of the
batch: it is shorter than the bucket's longest if few samples are that long. With residual batch merging, what is left
of a bucket waits for the next one, and m_k is the expected longest of the samples with which bucket k fills the batch
up. What nothing fills up is the last batch, of a shape of its own. Without merging, so is what is left of each bucket.

Dynamic programming finds the edges: the cheapest way to bucket the samples up to some length ends in some bucket, and
those below it are bucketed in their own cheapest way. How many samples wait for the next bucket depends on the buckets
before it only if caps differ. With one cap, and without merging, the result is the minimum over all edges behind
lengths that samples have. Otherwise those wait that the cheapest way leaves. The search takes time in the square of the
lengths that there are; above `MOST_LENGTHS` of them, edges are between groups of lengths.

A bucket for each length has no padding but in merged batches. If no width costs less and the edges found save less
than 0.1 % over these, `worthwhile_edges` returns them. Lengths are those before TokenDrop, and targets do not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tdbs.arrays import FloatArray, IntArray, offsets_of
from tdbs.errors import ConfigError
from tdbs.pipeline.lengths import bucket_edges, longest_lengths
from tdbs.train.planning.caps import CALL_TOKENS, call_tokens
from tdbs.train.planning.cost_model import COSTS, fit_costs
from tdbs.train.planning.profile_file import Profile

# Shapes: L1 = max_length + 1, U lengths that samples have, U1 = U + 1, E = edges, I places where a bucket may begin,
# D lengths from a bucket's longest one down.

AUTO = "auto"  # instead of a width
MOST_LENGTHS = 512
WIDEST = 64  # of the widths that chosen edges are compared with
SHAPE_TOKENS = 64.0  # what the first call of a shape costs beyond later ones, in tokens (docs/decisions.md)
_WORTH = 0.001  # share of the cost that edges must save over a bucket for each length
_DIGITS = 18  # of a number that is read; no width is larger
_DEPTH = 8  # lengths below a bucket's longest one that a batch without longer samples may have


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchCosts:
    """What a padded batch costs, in any unit: by default in tokens of the linear layers."""

    call: float = float(CALL_TOKENS)  # of a batch, beyond its tokens
    token: float = 1.0
    pair: float = 0.0  # of tokens that attention compares
    masked_pair: float = 0.0  # beyond `pair`, in a batch with padding
    shape: float = SHAPE_TOKENS  # of each shape, by its rows and its width


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lengths:
    """The lengths that samples have, ascending, or the longest ones of groups of them."""

    lengths_U: IntArray
    below_U1: IntArray  # samples that are shorter; the last: all samples
    costs_U: FloatArray  # of a row with padding in its batch
    unmasked_U: FloatArray  # what a row costs less in a batch without padding


def width_of(given: int | str) -> int | str:
    """Return a width as a number, or AUTO; numbers are checked later. Raises ConfigError for any other text."""
    if not isinstance(given, str) or given == AUTO:
        return given
    if not (given.isascii() and given.removeprefix("-").isdigit() and len(given) <= _DIGITS):
        raise ConfigError(
            f"--bucket-width takes a number or auto, got {given[:20]}.", next_step="Pass --bucket-width 5."
        )
    return int(given)


def batch_costs(profile: Profile | None = None) -> BatchCosts:
    """Return what batches cost by a profile, in seconds; without a profile that has times, in tokens."""
    if profile is None or not profile.points:
        return BatchCosts(call=float(call_tokens(profile) or CALL_TOKENS))
    costs = dict(zip(COSTS, fit_costs(profile.points, str(profile.settings.get("attention"))).costs_C, strict=True))
    token = float(costs["tokens"] + costs["dropout_tokens"])
    return BatchCosts(
        call=float(costs["steps"] + costs["calls"]),
        token=token,
        pair=float(costs["pairs"] + costs["dropout_pairs"]),
        masked_pair=float(costs["masked"]),
        shape=SHAPE_TOKENS * token,
    )


def width_parts(parts: Mapping[str, Any], profile: Profile | None) -> dict[str, Any]:
    """Return what a given width makes of a strategy's parts: a number or AUTO, and the costs by which AUTO chooses."""
    if "bucket_width" not in parts:
        return {}
    width = width_of(parts["bucket_width"])
    is_priced = width != AUTO or "batch_costs" in parts
    return {"bucket_width": width} if is_priced else {"bucket_width": width, "batch_costs": batch_costs(profile)}


def cheapest_edges(counts_L1: IntArray, caps_L1: IntArray, costs: BatchCosts, *, rbm: bool) -> IntArray:
    """Return the edges of the cheapest buckets (the module's objective), as `bucket_edges` does for a width.

    Args:
        counts_L1: Samples of each length, from 0 to the greatest that the dataset may have.
        caps_L1: BatchCap of each length.
        costs: What a batch costs.
        rbm: Whether residual batches are merged.

    Returns:
        Rising edges (E) from 0: bucket i is [edges[i], edges[i + 1]), and the last one includes the greatest length.
    """
    return _search(counts_L1, caps_L1, costs, rbm=rbm).edges_E


def worthwhile_edges(counts_L1: IntArray, caps_L1: IntArray, costs: BatchCosts, *, rbm: bool) -> IntArray:
    """Return edges that cost no more than those of any width up to `WIDEST`, by `predicted_cost`.

    They are the cheapest that the search finds, or those of the cheapest width where caps that differ hide these from
    it. A bucket for each length is taken if it is the cheapest width and costs less than 0.1 % more than the edges
    found: expected widths are off by some hundredths of a percent, and buckets of one length hardly depend on chance.
    Widths are compared if there are at most `MOST_LENGTHS` lengths.
    """
    found = _search(counts_L1, caps_L1, costs, rbm=rbm)
    is_near = found.single_cost * (1 - _WORTH) < found.cost
    differ = bool((caps_L1 != caps_L1[0]).any())
    if np.count_nonzero(counts_L1) > MOST_LENGTHS or not (is_near or differ):
        return found.edges_E
    of_widths = width_costs(counts_L1, caps_L1, costs, rbm=rbm)
    width, cost = min(of_widths.items(), key=lambda each: each[1])  # of several the narrowest
    is_chosen = is_near if width == 1 else cost < found.cost
    return bucket_edges(len(counts_L1) - 1, width) if is_chosen else found.edges_E


def width_costs(counts_L1: IntArray, caps_L1: IntArray, costs: BatchCosts, *, rbm: bool) -> dict[int, float]:
    """Return `predicted_cost` of the edges of each width up to `WIDEST`."""
    max_length = len(counts_L1) - 1
    return {
        width: predicted_cost(counts_L1, bucket_edges(max_length, width), caps_L1, costs, rbm=rbm)
        for width in range(1, min(WIDEST, max_length) + 1)
    }


def predicted_cost(counts_L1: IntArray, edges_E: IntArray, caps_L1: IntArray, costs: BatchCosts, *, rbm: bool) -> float:
    """Return the cost of an epoch's batches in buckets of these edges (the module's objective).

    Args:
        counts_L1: Samples of each length, from 0 to the greatest that the dataset may have.
        edges_E: Edges of the buckets.
        caps_L1: BatchCap of each length.
        costs: What a batch costs.
        rbm: Whether residual batches are merged.

    Returns:
        The cost, in the unit of `costs`.
    """
    known = _lengths(counts_L1, costs)
    ends = np.searchsorted(known.lengths_U, np.append(edges_E[1:-1], len(counts_L1)))
    total, begin = 0.0, 0
    waiting_1 = np.zeros(1, dtype=np.int64)
    for end, longest in zip(ends.tolist(), longest_lengths(edges_E, len(counts_L1) - 1).tolist(), strict=True):
        if end == begin:
            continue
        cap = int(caps_L1[longest])
        cost_1, waiting_1 = _bucket_costs(known, np.array([begin]), end, cap, waiting_1, costs, rbm=rbm)
        total += float(cost_1[0])
        begin = end
    return total + float(_last_batch(known, waiting_1, costs)[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """The cheapest edges, their cost, and that of a bucket for each length."""

    edges_E: IntArray
    cost: float
    single_cost: float


def _search(counts_L1: IntArray, caps_L1: IntArray, costs: BatchCosts, *, rbm: bool) -> _Found:
    """Return the cheapest edges, by the lengths in which the cheapest way to each length has its last bucket."""
    known = _lengths(_grouped(counts_L1), costs)
    count = len(known.lengths_U)
    # the cheapest way to each length: its cost, the samples that wait behind it, and where its last bucket begins
    least_U1, waiting_U1 = np.zeros(count + 1), np.zeros(count + 1, dtype=np.int64)
    begins_U1 = np.zeros(count + 1, dtype=np.int64)
    single, single_waiting, to_pay_I = 0.0, 0, np.zeros(1)
    for end in range(1, count + 1):
        begins_I = np.append(np.arange(end), end - 1)  # the last one follows buckets of one length each
        cap = int(caps_L1[known.lengths_U[end - 1]])
        before_I = np.append(waiting_U1[:end], single_waiting)
        cost_I, waiting_I = _bucket_costs(known, begins_I, end, cap, before_I, costs, rbm=rbm)
        through_I = np.append(least_U1[:end], single) + cost_I
        # ways that leave others waiting are compared as if these were in full batches of this length
        to_pay_I = waiting_I * (costs.call / cap + known.costs_U[end - 1])
        if end == count:
            to_pay_I = _last_batch(known, waiting_I, costs)
        best = int(np.argmin((through_I + to_pay_I)[:-1]))
        least_U1[end], waiting_U1[end], begins_U1[end] = through_I[best], waiting_I[best], best
        single, single_waiting = float(through_I[-1]), int(waiting_I[-1])
    return _Found(
        edges_E=_edges_at(known, begins_U1, len(counts_L1) - 1),
        cost=float(least_U1[-1] + _last_batch(known, waiting_U1[-1:], costs)[0]),
        single_cost=single + float(to_pay_I[-1]),
    )


def _edges_at(known: _Lengths, begins_U1: IntArray, max_length: int) -> IntArray:
    """Return the edges (E) of the buckets that begin where the cheapest way has them; each ends behind its longest."""
    inner = []
    end = len(known.lengths_U)
    while end > 0:
        inner.append(int(known.lengths_U[end - 1]) + 1)
        end = int(begins_U1[end])
    inner = [edge for edge in reversed(inner) if edge <= max_length]
    last = max_length + (1 if inner and inner[-1] == max_length else 0)
    return np.array([0, *inner, last])


def _grouped(counts_L1: IntArray) -> IntArray:
    """Return the samples of at most MOST_LENGTHS lengths: each sample counts as one of its group's longest length."""
    lengths_U = np.flatnonzero(counts_L1)
    if len(lengths_U) <= MOST_LENGTHS:
        return counts_L1
    longest = lengths_U[np.linspace(0, len(lengths_U) - 1, MOST_LENGTHS).astype(np.int64)]
    grouped_L1 = np.zeros_like(counts_L1)
    np.add.at(grouped_L1, longest[np.searchsorted(longest, lengths_U)], counts_L1[lengths_U])
    return grouped_L1


def _lengths(counts_L1: IntArray, costs: BatchCosts) -> _Lengths:
    lengths_U = np.flatnonzero(counts_L1)
    widths_U = np.maximum(lengths_U, 1).astype(np.float64)  # a model needs one column at least
    return _Lengths(
        lengths_U=lengths_U,
        below_U1=offsets_of(counts_L1[lengths_U]),
        costs_U=costs.token * widths_U + (costs.pair + costs.masked_pair) * widths_U**2,
        unmasked_U=costs.masked_pair * widths_U**2,
    )


def _bucket_costs(
    known: _Lengths, begins_I: IntArray, end: int, cap: int, waiting_I: IntArray, costs: BatchCosts, *, rbm: bool
) -> tuple[FloatArray, IntArray]:
    """Return what buckets cost that begin at some lengths and end before one, and what waits after them.

    `waiting_I` are the samples that wait before them.
    """
    samples_I = known.below_U1[end] - known.below_U1[begins_I]
    full_I, rest_I = np.divmod(samples_I, cap)
    row_I = _expected_row(known, begins_I, end, samples_I, np.minimum(cap, samples_I))
    row_I = row_I - np.where(begins_I == end - 1, known.unmasked_U[end - 1], 0.0)
    cost_I = full_I * (costs.call + cap * row_I)
    if not rbm:
        rest_row_I = _expected_row(known, begins_I, end, samples_I, rest_I)
        rest_row_I -= np.where(begins_I == end - 1, known.unmasked_U[end - 1], 0.0)
        cost_I += np.where(rest_I > 0, costs.call + rest_I * rest_row_I, 0.0)
        return cost_I + costs.shape * (1.0 * (full_I > 0) + (rest_I > 0)), np.zeros_like(rest_I)
    is_early_I = waiting_I >= cap  # a batch that is full for this bucket goes before it
    early_row_I = known.costs_U[np.maximum(begins_I - 1, 0)]
    cost_I += np.where(is_early_I, costs.shape + costs.call + waiting_I * early_row_I, 0.0)
    waiting_I = np.where(is_early_I, 0, waiting_I)
    closes_I = waiting_I + rest_I >= cap
    merged_row_I = _expected_row(known, begins_I, end, samples_I, np.minimum(cap - waiting_I, samples_I))
    cost_I += np.where(closes_I, costs.call + cap * merged_row_I, 0.0)
    cost_I += np.where((full_I > 0) | closes_I, costs.shape, 0.0)
    return cost_I, waiting_I + rest_I - np.where(closes_I, cap, 0)


def _last_batch(known: _Lengths, waiting_I: IntArray, costs: BatchCosts) -> FloatArray:
    """Return what the samples cost that no bucket filled up: a row is as wide as the longest of all."""
    if not len(known.costs_U):
        return np.zeros(len(waiting_I))
    return np.where(waiting_I > 0, costs.shape + costs.call + waiting_I * known.costs_U[-1], 0.0)


def _expected_row(known: _Lengths, begins_I: IntArray, end: int, samples_I: IntArray, drawn_I: IntArray) -> FloatArray:
    """Return the expected cost of a row as wide as the longest of `drawn_I` random samples of a bucket, each of I.

    Whether none of the k longest is drawn is a matter of the smaller of k and `drawn`, each time with one less to draw
    from: here with the mean of what is left, so (1 - larger / (samples - (smaller - 1) / 2))^smaller.
    """
    depth_D = np.arange(1, min(_DEPTH, end - int(begins_I.min()) - 1) + 1)
    row_I = np.full(len(begins_I), known.costs_U[end - 1])
    if not len(depth_D):
        return row_I
    longer_D = known.below_U1[end] - known.below_U1[end - depth_D]
    saved_D = known.costs_U[end - depth_D] - known.costs_U[end - depth_D - 1]
    fewer_DI, more_DI = np.minimum(longer_D[:, None], drawn_I), np.maximum(longer_D[:, None], drawn_I)
    left_DI = np.maximum(samples_I - (fewer_DI - 1) / 2, 1.0)  # to draw from, on average over so few draws
    is_inside_DI = depth_D[:, None] < end - begins_I  # the bucket has a length below
    with np.errstate(divide="ignore", invalid="ignore"):  # the logarithm of 0, and 0 times it: nothing is drawn
        none_DI = np.exp(fewer_DI * np.log(np.where(is_inside_DI, np.maximum(1 - more_DI / left_DI, 0.0), 0.0)))
    row_I -= saved_D @ none_DI
    return row_I
