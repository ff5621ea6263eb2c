"""Tiles of attention: an unpadded row's samples, packed into padded rows of at most three widths for attention alone.

A CPU multiplies matrices of 64 tokens at nearly the price of one of 10, so several short samples share a tile and a
mask hides them from each other. Widths recur from update to update, and so do the products that a CPU's library has
prepared (docs/decisions.md, "Tiles of attention").

The widths of a batch are those that cost least. A tile costs the pairs that attention compares in it, and TILE_PAIRS;
each further width costs CUT_PAIRS. A width has as many tiles as its tokens fill, and enough for the samples longer than
a half of it, which are alone, than a third, of which two share one, and so on; packing by best fit comes close to that.
"""

from collections.abc import Iterator

import numpy as np

from tdbs.arrays import IntArray, ragged_positions
from tdbs.train.planning.samplers import pack_rows
from tdbs.train.rows.length_groups import GroupedLayout, GroupLayout

# Shapes: N samples, B batches or samples of one batch, B1 = B + 1, E widths to choose from, K tokens, P places of all
# tiles.

TILE_PAIRS = 2_000
CUT_PAIRS = 10_000
WIDTHS = 3  # of a batch, at most
_STEP = 16
_NARROWEST, _WIDE_ENOUGH = 48, 96  # short samples choose between these
_WIDE = 128  # from here on, steps are an eighth
_SHARES = (1, 2, 3, 4)  # samples in a tile: those longer than half of it are alone
_NEVER = 2**61
_AT_ONCE = 1 << 20  # compared cuts


def tile_layout(starts_B: IntArray, lengths_B: IntArray) -> GroupedLayout:
    """Return the tiles of one batch, width by width, ascending; its samples start at some places of the row."""
    (widths,) = _widths_of_batches(lengths_B, np.array([0, len(lengths_B)])).tolist()
    place_of_B = np.empty_like(lengths_B)
    groups, shorter, first = [], 0, 0
    for longest in widths:
        members = np.flatnonzero((lengths_B > shorter) & (lengths_B <= longest))
        shorter = longest
        if len(members):
            width = int(_narrowed(longest, lengths_B[members].max()))
            tiles, place_of_B[members] = _packed(lengths_B[members], width=width)
            place_of_B[members] += first
            places = slice(first, first + len(tiles) * width)
            groups.append(GroupLayout(places=places, length=width, lengths_G=tiles))
            first = places.stop
    place_of_K = ragged_positions(place_of_B, lengths_B)
    token_of_K = ragged_positions(starts_B, lengths_B)
    token_of_P = np.zeros(first, dtype=np.int64)
    token_of_P[place_of_K] = token_of_K
    return GroupedLayout(groups=tuple(groups), token_of_P=token_of_P, place_of_K=place_of_K, token_of_K=token_of_K)


def tiles_work(lengths_N: IntArray, offsets_B1: IntArray) -> tuple[IntArray, IntArray]:
    """Return the padded tokens of each batch's tiles, and the pairs that attention compares in them (B, B)."""
    widths_B3 = _widths_of_batches(lengths_N, offsets_B1)
    batch_N = np.repeat(np.arange(len(offsets_B1) - 1), np.diff(offsets_B1))
    places_B, pairs_B = np.zeros((2, len(widths_B3)), dtype=np.int64)
    shorter_B = np.zeros_like(places_B)
    for upto_B in widths_B3.T:
        own_N = np.where((lengths_N > shorter_B[batch_N]) & (lengths_N <= upto_B[batch_N]), lengths_N, 0)
        shorter_B = upto_B
        width_B = np.maximum(_narrowed(upto_B, np.maximum.reduceat(own_N, offsets_B1[:-1])), 1)  # 0: none
        tiles_B = -(-np.add.reduceat(own_N, offsets_B1[:-1]) // width_B)
        for share in _SHARES:
            is_longer_N = own_N > width_B[batch_N] // (share + 1)
            longer_B = np.add.reduceat(is_longer_N, offsets_B1[:-1], dtype=np.int64)
            tiles_B = np.maximum(tiles_B, -(-longer_B // share))
        places_B += tiles_B * width_B
        pairs_B += tiles_B * width_B**2
    return places_B, pairs_B


def _packed(lengths_B: IntArray, *, width: int) -> tuple[IntArray, IntArray]:
    """Return the tokens in each tile of a width, and the place of each sample's first token among their places."""
    tile_B = pack_rows(lengths_B, width=width)
    order_B = np.argsort(tile_B, kind="stable")
    before_B = np.cumsum(lengths_B[order_B]) - lengths_B[order_B]
    is_first_B = np.append(True, np.diff(tile_B[order_B]) > 0)
    in_tile_B = before_B - before_B[is_first_B][tile_B[order_B]]
    place_B = np.empty_like(lengths_B)
    place_B[order_B] = tile_B[order_B] * width + in_tile_B
    return np.bincount(tile_B, weights=lengths_B).astype(np.int64), place_B


def _narrowed(width_B: IntArray | int, longest_B: IntArray) -> IntArray:
    """Return wide tiles no wider than their longest sample; their widths seldom recur."""
    narrow_B: IntArray = np.where(width_B > _WIDE, np.maximum(-(-longest_B // _STEP) * _STEP, _WIDE), width_B)
    return narrow_B


def _widths_of_batches(lengths_N: IntArray, offsets_B1: IntArray) -> IntArray:
    """Return the widths of each batch, ascending (B x 3); one of several may have no samples, or be the next one."""
    longest_B = np.maximum.reduceat(lengths_N, offsets_B1[:-1])
    widths_E = _choice(int(longest_B.max()))
    found_B3 = np.empty((len(longest_B), WIDTHS), dtype=np.int64)
    at_once = max(_AT_ONCE // len(widths_E) ** 2, 1)
    for first in range(0, len(longest_B), at_once):
        part = offsets_B1[first : first + at_once + 1]
        found_B3[first : first + at_once] = _cheapest(lengths_N[part[0] : part[-1]], part - part[0], widths_E)
    return found_B3


def _choice(longest: int) -> IntArray:
    """Return the widths to choose from, after 0 for none: the last one takes the longest sample."""
    return np.array([0, *_growing(max(longest, _WIDE_ENOUGH))])


def _growing(longest: int) -> Iterator[int]:
    width = _NARROWEST
    yield width
    while width < longest:
        width += _STEP if width < _WIDE else width // (8 * _STEP) * _STEP
        yield width


def _cheapest(lengths_N: IntArray, offsets_B1: IntArray, widths_E: IntArray) -> IntArray:
    """Return the widths that cost least (B x 3): each takes the samples above the one before it."""
    cost_BEE = _costs(lengths_N, offsets_B1, widths_E)
    best_BE = np.where(widths_E == 0, 0, np.full(cost_BEE.shape[:2], _NEVER))  # of samples up to a width
    cuts = []
    for _ in range(WIDTHS):
        through_BEE = best_BE[:, :, None] + cost_BEE
        cuts.append(through_BEE.argmin(axis=1))
        best_BE = through_BEE.min(axis=1)
    longest_B = np.maximum.reduceat(lengths_N, offsets_B1[:-1])
    first_B = np.searchsorted(widths_E, longest_B)
    last_B = np.maximum(first_B, np.searchsorted(widths_E, _WIDE_ENOUGH))
    place_E = np.arange(len(widths_E))
    takes_all_BE = (place_E >= first_B[:, None]) & (place_E <= last_B[:, None])
    found = [np.where(takes_all_BE, best_BE, _NEVER).argmin(axis=1)]
    for cut_BE in cuts[:0:-1]:
        found.append(cut_BE[np.arange(len(cut_BE)), found[-1]])
    return widths_E[np.stack(found[::-1], axis=1)]


def _costs(lengths_N: IntArray, offsets_B1: IntArray, widths_E: IntArray) -> IntArray:
    """Return what samples above one width cost in tiles of another (B x E x E), in pairs."""
    count, choices = len(offsets_B1) - 1, len(widths_E)
    batch_N = np.repeat(np.arange(count), np.diff(offsets_B1))

    def upto(bounds_E: IntArray, weights_N: IntArray | None = None) -> IntArray:
        """Add up what each batch has in samples that are no longer than some bounds (B x E)."""
        cell_N = batch_N * (choices + 1) + np.searchsorted(bounds_E, lengths_N)
        found = np.bincount(cell_N, weights=weights_N, minlength=count * (choices + 1))
        return found.reshape(count, -1)[:, :-1].cumsum(axis=1).astype(np.int64)

    samples_BE, tokens_BE = upto(widths_E), upto(widths_E, lengths_N)
    tiles_BEE = -(-(tokens_BE[:, None, :] - tokens_BE[:, :, None]) // np.maximum(widths_E, 1))
    for share in _SHARES:
        sharing_BE = upto(widths_E // (share + 1))  # they may share a tile with more others
        longer_BEE = samples_BE[:, None, :] - np.maximum(sharing_BE[:, None, :], samples_BE[:, :, None])
        tiles_BEE = np.maximum(tiles_BEE, -(-longer_BEE // share))
    cost_BEE = tiles_BEE * (TILE_PAIRS + widths_E**2) + CUT_PAIRS * (tiles_BEE > 0)
    cost_BEE[:, widths_E[:, None] > widths_E] = _NEVER
    return cost_BEE
