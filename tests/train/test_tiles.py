"""Tiles of attention: each token has one place, samples stay together, and no other choice of widths costs less."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.arrays import offsets_of
from tdbs.train.rows.tiles import CUT_PAIRS, TILE_PAIRS, WIDTHS, tile_layout, tiles_work
from tests.examples import examples

LENGTHS = st.lists(st.integers(1, 60) | st.integers(1, 700), min_size=1, max_size=40)


def choice(longest: int) -> list[int]:
    """Return the widths that a batch may have, by hand: steps of 16 to 144, then an eighth in whole steps of 16."""
    widths = [48]
    while widths[-1] < max(longest, 96):
        widths.append(widths[-1] + (16 if widths[-1] < 128 else widths[-1] // 128 * 16))
    return widths


def fewest_tiles(lengths: list[int], width: int) -> int:
    """Return how many tiles some samples need at least: by their tokens, and by how many may share one."""
    needed = [-(-sum(lengths) // width)]
    for share in (1, 2, 3, 4):
        longer = sum(length > width // (share + 1) for length in lengths)
        needed.append(-(-longer // share))
    return max(needed)


def narrowed(width: int, lengths: list[int]) -> int:
    return max(-(-max(lengths) // 16) * 16, 128) if width > 128 else width


def groups_of(lengths: list[int], widths: tuple[int, ...]) -> list[tuple[int, list[int]]]:
    """Return the samples of each width that has some."""
    bounds = [0, *widths]
    found = [(high, [x for x in lengths if low < x <= high]) for low, high in zip(bounds, widths, strict=False)]
    return [(width, own) for width, own in found if own]


def cost_of(lengths: list[int], widths: tuple[int, ...]) -> int:
    return sum(
        fewest_tiles(own, width) * (TILE_PAIRS + width**2) + CUT_PAIRS for width, own in groups_of(lengths, widths)
    )


def cuts_of(lengths: list[int]) -> list[tuple[int, ...]]:
    """Return all choices of up to three widths that take all samples."""
    widths = choice(max(lengths))
    tried = [cut for count in range(1, WIDTHS + 1) for cut in combinations(widths, count)]
    return [cut for cut in tried if cut[-1] >= max(lengths)]


def work_of(lengths: list[int], widths: tuple[int, ...]) -> tuple[int, int]:
    """Return the padded tokens and the pairs of a choice of widths."""
    groups = [(narrowed(width, own), own) for width, own in groups_of(lengths, widths)]
    tiles = [(width, fewest_tiles(own, width)) for width, own in groups]
    return sum(count * width for width, count in tiles), sum(count * width**2 for width, count in tiles)


@given(LENGTHS)
@examples(200)
def test_every_token_has_one_place_and_samples_stay_together(lengths):
    lengths_B = np.array(lengths)
    starts_B = 3 + np.cumsum(lengths_B) - lengths_B  # a row that begins later
    layout = tile_layout(starts_B, lengths_B)
    assert len(set(layout.place_of_K.tolist())) == sum(lengths)
    assert (layout.token_of_P[layout.place_of_K] == layout.token_of_K).all()
    assert sorted(layout.token_of_K.tolist()) == list(range(3, 3 + sum(lengths)))
    ends = 0
    for group in layout.groups:
        assert group.places.start == ends
        ends = group.places.stop
        assert ends - group.places.start == len(group.lengths_G) * group.length
        assert (group.lengths_G > 0).all()
        assert (group.lengths_G <= group.length).all()
    assert ends == len(layout.token_of_P)
    assert len(layout.groups) <= WIDTHS
    first = 0
    for length in lengths:
        places = layout.place_of_K[first : first + length]
        first += length
        assert (np.diff(places) == 1).all()
        (group,) = [g for g in layout.groups if g.places.start <= places[0] < g.places.stop]
        tile = (places - group.places.start) // group.length
        assert tile[0] == tile[-1]


@given(st.lists(LENGTHS, min_size=1, max_size=4))
@examples(60)
def test_the_work_is_that_of_the_cheapest_widths(batches):
    places_B, pairs_B = tiles_work(np.concatenate(batches), offsets_of([len(batch) for batch in batches]))
    for lengths, places, pairs in zip(batches, places_B.tolist(), pairs_B.tolist(), strict=True):
        least = min(cost_of(lengths, cut) for cut in cuts_of(lengths))
        works = [work_of(lengths, cut) for cut in cuts_of(lengths) if cost_of(lengths, cut) == least]
        assert (places, pairs) in works  # several may cost the same
        layout = tile_layout(np.cumsum(lengths) - lengths, np.array(lengths))
        assert pairs <= sum(len(group.lengths_G) * group.length**2 for group in layout.groups)


def test_widths_of_short_samples_recur():
    """Updates of 64 samples of SST-2's lengths have few shapes."""
    rng = np.random.default_rng(0)
    shapes = set()
    for _ in range(200):
        lengths_B = np.clip(rng.gamma(1.7, 6, 64).astype(np.int64) + 4, 4, 64)
        layout = tile_layout(np.cumsum(lengths_B) - lengths_B, lengths_B)
        shapes |= {(group.length, len(group.lengths_G)) for group in layout.groups}
    assert len(shapes) <= 40


@pytest.mark.parametrize("length", [1, 16, 48, 49, 96, 100, 512, 8_192])
def test_one_sample_is_one_tile(length):
    layout = tile_layout(np.array([0]), np.array([length]))
    assert [(len(group.lengths_G), group.length >= length) for group in layout.groups] == [(1, True)]


def test_long_and_short_samples_have_their_own_tiles():
    """One document among short texts does not make all tiles as wide."""
    lengths_B = np.array([512] + [12] * 200)
    layout = tile_layout(np.cumsum(lengths_B) - lengths_B, lengths_B)
    assert [group.length for group in layout.groups][-1] == 512
    assert layout.groups[0].length <= 96
    assert len(layout.groups[-1].lengths_G) == 1
