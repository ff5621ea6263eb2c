"""Cut the updates of an epoch into calls of the model: of similar length (`sorted`), and within caps of a call.

An update stays what it was: its samples are the same, and each call is weighted by what the loss averages over.

`sorted` runs the samples of an update from short to long in a few padded calls. Where to cut is a shortest path: the
cheapest way to run the first samples ends in some call, and the samples before that call are run in their own cheapest
way. The search is over the positions of an update, for all updates of an epoch at once.

A batch above a cap (`--max-tokens`, `--max-pairs`) is sorted by length, too; each call takes as many samples as fit, so
there are as few calls as can be. One sample above the cap is a call of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from tdbs.arrays import BoolArray, IntArray
from tdbs.train.planning.caps import CALL_TOKENS
from tdbs.train.planning.epoch_plan import row_width
from tdbs.train.planning.sequences import SequenceSizes
from tdbs.train.planning.strategies import BUCKETED, Strategy

# Shapes: N samples in running order, S updates, S1 = S + 1, B calls, B1 = B + 1. G groups of samples that are cut (an
# update, or one batch of it), G1 = G + 1, P positions of the largest one, E = P + 1 places where calls may end, F of
# them where the call that ends at one place may begin. L1 = max_length + 1.

_MOST_SAMPLES = 1024  # of a call of `sorted`: the time of the search grows with it in larger updates
_NEVER = 2**61


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls:
    """The calls of an epoch in running order."""

    places_N: IntArray  # of their samples in the order that was cut
    offsets_B1: IntArray
    step_offsets_S1: IntArray  # calls of each update


@dataclass(frozen=True, kw_only=True, slots=True)
class _Groups:
    """Samples of groups by position, from short to long; behind the last one of a group it is repeated."""

    widths_PG: IntArray  # tokens in a row
    targets_PG: IntArray | None  # seq2seq: tokens of targets
    rows_PG: IntArray | None  # rows of the model, if a sample may be several
    compared_PG: IntArray | None  # pairs of tokens that attention compares at most, if not all with all
    sizes_G: IntArray


def are_cut(strategy: Strategy) -> bool:
    """Return whether the batches of a strategy may be cut into calls."""
    return strategy.execution == "sorted" or strategy.max_tokens is not None or strategy.max_pairs is not None


def calls_of(
    widths_N: IntArray,
    targets_N: IntArray | None,
    strategy: Strategy,
    *,
    offsets_B1: IntArray,
    step_offsets_S1: IntArray | None,
    sequences: SequenceSizes | None = None,
) -> Calls:
    """Return the calls of an epoch, from the batches of each update and the tokens of each sample's row.

    `targets_N` are the tokens of targets (seq2seq). Of samples of several `sequences`, each of these is a padded row,
    and attention compares no more tokens than if all were as long as the longest.
    """
    rows_N = compared_N = None
    if sequences is not None and strategy.execution == "unpadded":
        compared_N = widths_N * np.minimum(sequences.longest_N, widths_N)
    elif sequences is not None:
        rows_N, widths_N = sequences.counts_N, sequences.widths(strategy)
    step_firsts_S1 = offsets_B1 if step_offsets_S1 is None else offsets_B1[step_offsets_S1]
    cut = _cheapest if strategy.execution == "sorted" else _fewest
    # a bucket's batch has its own cap
    are_together = strategy.execution == "sorted" and strategy.batches not in BUCKETED
    bounds_G1 = step_firsts_S1 if are_together else offsets_B1
    sizes_G = np.diff(bounds_G1)
    group_N = np.repeat(np.arange(len(sizes_G)), sizes_G)
    places_N = np.lexsort((widths_N, group_N) if targets_N is None else (targets_N, widths_N, group_N))
    ends_N = np.zeros(len(widths_N), dtype=np.bool_)  # whether a call ends there
    for members_G in _alike(sizes_G):
        firsts_G = bounds_G1[:-1][members_G]
        by_position = partial(_by_position, places_N=places_N, firsts_G=firsts_G, sizes_G=sizes_G[members_G])
        groups = _Groups(
            widths_PG=by_position(widths_N),
            targets_PG=None if targets_N is None else by_position(targets_N),
            rows_PG=None if rows_N is None else by_position(rows_N),
            compared_PG=None if compared_N is None else by_position(compared_N),
            sizes_G=sizes_G[members_G],
        )
        position, group = np.nonzero(cut(groups, strategy))
        ends_N[firsts_G[group] + position] = True
    if strategy.execution != "sorted":
        is_cut_G = np.add.reduceat(ends_N, bounds_G1[:-1], dtype=np.int64) > 1
        places_N = np.where(np.repeat(is_cut_G, sizes_G), places_N, np.arange(len(places_N)))  # others stay as they are
    call_offsets_B1 = np.append(0, np.flatnonzero(ends_N) + 1)
    return Calls(
        places_N=places_N,
        offsets_B1=call_offsets_B1,
        step_offsets_S1=np.searchsorted(call_offsets_B1, step_firsts_S1),
    )


def count_above_caps(lengths_L1: IntArray, strategy: Strategy, *, max_length: int) -> int:
    """Return how many samples are above a cap of a call alone, from the number of samples of each length."""
    widths_L1 = np.arange(len(lengths_L1))
    if strategy.execution == "padded_max":
        widths_L1 = np.full_like(widths_L1, max_length)
    tokens_L1 = row_width(widths_L1) if strategy.execution == "unpadded" else widths_L1
    return int(lengths_L1[_exceeds(tokens_L1, widths_L1**2, strategy)].sum())


def _alike(sizes_G: IntArray) -> Iterator[IntArray]:
    """Yield groups of similar size together, so that a table of their positions is at least half full."""
    digits_G = np.frexp(sizes_G)[1]
    for digits in np.unique(digits_G):
        yield np.flatnonzero(digits_G == digits)


def _by_position(values_N: IntArray, *, places_N: IntArray, firsts_G: IntArray, sizes_G: IntArray) -> IntArray:
    """Return the values of some groups by position (P x G)."""
    return values_N[places_N[firsts_G + np.minimum(np.arange(int(sizes_G.max()))[:, None], sizes_G - 1)]]


def _cheapest(groups: _Groups, strategy: Strategy) -> BoolArray:
    """Return where the calls end (P x G) that cost least together, each its padded tokens and CALL_TOKENS."""
    positions, count = groups.widths_PG.shape
    call_tokens = CALL_TOKENS if strategy.call_tokens is None else strategy.call_tokens
    cost_EG = np.zeros((positions + 1, count), dtype=np.int64)  # of the samples before a place
    begins_EG = np.zeros((positions + 1, count), dtype=np.int64)  # the call that ends at a place
    longest_PG = None if groups.targets_PG is None else groups.targets_PG.copy()  # from a position to the place
    rows_EG = np.arange(positions + 1)[:, None]  # rows of the samples before a place
    if groups.rows_PG is not None:
        rows_EG = np.concatenate([np.zeros((1, count), dtype=np.int64), np.cumsum(groups.rows_PG, axis=0)])
    first = 0
    for end in range(1, positions + 1):
        if longest_PG is None:  # a call that ends later begins no earlier: its longest sample is longer
            first = int(begins_EG[end - 1].min())
        first = max(first, end - _MOST_SAMPLES)
        samples_F1 = np.arange(end - first, 0, -1)[:, None]
        longest_FG = None
        if longest_PG is not None:
            longest_FG = np.maximum(longest_PG[first:end], longest_PG[end - 1], out=longest_PG[first:end])
        tokens_FG, pairs_FG = _padded_size(rows_EG[end] - rows_EG[first:end], groups.widths_PG[end - 1], longest_FG)
        through_FG = cost_EG[first:end] + tokens_FG
        through_FG[(samples_F1 > 1) & _exceeds(tokens_FG, pairs_FG, strategy)] = _NEVER
        best_G = np.argmin(through_FG, axis=0)
        cost_EG[end] = through_FG[best_G, np.arange(count)] + call_tokens
        begins_EG[end] = first + best_G
    return _ends(begins_EG, groups.sizes_G)


def _ends(begins_EG: IntArray, sizes_G: IntArray) -> BoolArray:
    """Return where calls end (P x G), from the last call of each group back to its first."""
    ends_PG = np.zeros((len(begins_EG) - 1, len(sizes_G)), dtype=np.bool_)
    group_G, end_G = np.arange(len(sizes_G)), sizes_G
    while len(group_G):
        ends_PG[end_G - 1, group_G] = True
        end_G = begins_EG[end_G, group_G]
        group_G, end_G = group_G[end_G > 0], end_G[end_G > 0]
    return ends_PG


def _fewest(groups: _Groups, strategy: Strategy) -> BoolArray:
    """Return where the calls end (P x G) if each takes as many samples as its caps allow."""
    ends_PG = np.zeros(groups.widths_PG.shape, dtype=np.bool_)
    # of the call being filled
    samples_G = rows_G = row_G = target_row_G = pairs_G = longest_G = np.zeros_like(groups.sizes_G)
    for position, width_G in enumerate(groups.widths_PG):
        target_G = np.zeros_like(width_G) if groups.targets_PG is None else groups.targets_PG[position]
        own_rows_G = np.ones_like(width_G) if groups.rows_PG is None else groups.rows_PG[position]
        own_pairs_G = width_G**2 + target_G * (target_G + width_G)
        if groups.compared_PG is not None:
            own_pairs_G = groups.compared_PG[position]
        if strategy.execution == "unpadded":
            size_G = row_width(row_G + width_G) + row_width(target_row_G + target_G), pairs_G + own_pairs_G
        else:
            size_G = _padded_size(rows_G + own_rows_G, width_G, np.maximum(longest_G, target_G))
        is_new_G = (samples_G > 0) & (position < groups.sizes_G) & _exceeds(*size_G, strategy)
        ends_PG[position - 1] |= is_new_G
        samples_G = np.where(is_new_G, 0, samples_G) + 1
        rows_G = np.where(is_new_G, 0, rows_G) + own_rows_G
        row_G = np.where(is_new_G, 0, row_G) + width_G
        target_row_G = np.where(is_new_G, 0, target_row_G) + target_G
        pairs_G = np.where(is_new_G, 0, pairs_G) + own_pairs_G
        longest_G = np.maximum(np.where(is_new_G, 0, longest_G), target_G)
    ends_PG[groups.sizes_G - 1, np.arange(len(groups.sizes_G))] = True
    return ends_PG


def _padded_size(rows: IntArray, width: IntArray, target: IntArray | None) -> tuple[IntArray, IntArray]:
    """Return the tokens of padded calls, and the pairs that attention compares in them."""
    if target is None:
        return rows * width, rows * width**2
    return rows * (width + target), rows * (width**2 + target * (target + width))


def _exceeds(tokens: IntArray, pairs: IntArray, strategy: Strategy) -> BoolArray:
    """Return which calls are above a cap."""
    over = np.zeros(tokens.shape, dtype=np.bool_)
    for amount, most in ((tokens, strategy.max_tokens), (pairs, strategy.max_pairs)):
        if most is not None:
            over |= amount > most
    return over
