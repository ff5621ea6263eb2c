"""TokenDrop: whole words, exact totals, an order that depends on nothing but (seed, epoch, split, sample)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.rng import RandomPurpose, counter_values
from tdbs.train.planning.droppable_words import can_drop, largest_total
from tdbs.train.planning.tokendrop import drop_first_words, drop_order, drop_totals, words_at_rate
from tests.examples import examples
from tests.reference.algorithm1 import token_drop, words_to_drop
from tests.reference.algorithm3 import reachable_lengths
from tests.train.ragged import Row, random_rows, rows, words_of


def totals_of(row: Row) -> set[int]:
    """Return every number of tokens that whole words of the sample make, brute force."""
    return {row.length - length for length in reachable_lengths(row.length, row.sizes, row.non_special)}


def per_sample(words, flags_W) -> list[list[int]]:
    """Return the numbers of the words that are flagged, sample by sample."""
    return [np.flatnonzero(part).tolist() for part in np.split(flags_W, words.offsets_N1[1:-1])]


def order_of(words, *, seed=0, epoch=0) -> list[list[int]]:
    """Return each sample's words in the order in which they go, numbered inside the sample."""
    order_W = drop_order(words, seed=seed, epoch=epoch)
    parts = np.split(order_W, words.offsets_N1[1:-1])
    return [(part - first).tolist() for part, first in zip(parts, words.offsets_N1[:-1], strict=True)]


def long_row(*sizes: int, stay: int = 1) -> Row:
    return Row(sizes=sizes, gaps=(stay, *([0] * len(sizes))))


# -------------------------------------------------------------------------------------------------------------- totals


@given(st.lists(rows(), min_size=1, max_size=12), st.integers(-1, 40))
@examples(150)
def test_possible_totals_are_those_of_brute_force(samples, asked):
    """The most tokens that whole words make without exceeding what is asked; one token that is not special stays."""
    words = words_of(samples)
    every = np.arange(len(samples))
    asked = max(asked, 0)
    expected = [max(total for total in totals_of(row) if total <= asked) for row in samples]
    asked_S = np.full(len(samples), asked)
    assert largest_total(words, every, asked_S).tolist() == expected
    assert can_drop(words, every, asked_S).tolist() == [asked in totals_of(row) for row in samples]
    assert words.droppable_N.tolist() == [max(totals_of(row)) for row in samples]


@given(st.lists(rows(), min_size=1, max_size=12), st.data())
@examples(150)
def test_each_sample_loses_exactly_what_is_asked(samples, data):
    """Any possible total for each sample; words go whole, and a token that is not special stays."""
    words = words_of(samples)
    asked = [data.draw(st.sampled_from(sorted(totals_of(row)))) for row in samples]
    order_W = drop_order(words, seed=data.draw(st.integers(0, 5)), epoch=1)
    dropped = per_sample(words, drop_totals(words, order_W, np.array(asked)))
    for row, numbers, tokens in zip(samples, dropped, asked, strict=True):
        assert sum(row.sizes[number] for number in numbers) == tokens
        assert tokens == 0 or row.non_special - tokens >= 1


def greedy(row: Row, order: list[int], tokens: int) -> list[int]:
    """Return the words that go: each in its order, unless it exceeds what is left or makes the rest impossible."""
    going, left = [], tokens
    for place, word in enumerate(order):
        rest = left - row.sizes[word]
        following = {0}
        for later in order[place + 1 :]:
            following |= {total + row.sizes[later] for total in following}
        if rest in following:
            going.append(word)
            left = rest
    return sorted(going)


@given(st.lists(rows(), min_size=1, max_size=8), st.data())
@examples(100)
def test_words_go_in_their_order(samples, data):
    """The first ones of the order go; one is skipped only where the total could not be met with it."""
    words = words_of(samples)
    asked = [data.draw(st.sampled_from(sorted(totals_of(row)))) for row in samples]
    order_W = drop_order(words, seed=3, epoch=0)
    dropped = per_sample(words, drop_totals(words, order_W, np.array(asked)))
    expected = [greedy(*case) for case in zip(samples, order_of(words, seed=3), asked, strict=True)]
    assert dropped == expected


def test_a_word_of_two_tokens_is_skipped_where_one_is_to_go():
    """Whatever the order, one token can only be the single word."""
    samples = [long_row(2, 1, 2)] * 50
    words = words_of(samples)
    dropped = per_sample(words, drop_totals(words, drop_order(words, seed=0, epoch=0), np.full(50, 1)))
    assert dropped == [[1]] * 50


@pytest.mark.parametrize("tokens", [63, 64, 65, 100, 149, 150])
def test_more_than_63_tokens_can_go(tokens):
    """Long inputs (512 tokens) lose more than fit the 64 bits that are kept a sample."""
    rows_of_singles = long_row(*[1] * 150)
    mixed = long_row(*([1, 1, 2] * 37 + [1, 1]))  # 150 tokens, too
    words = words_of([rows_of_singles, mixed, long_row(1)])
    asked = np.array([tokens, tokens, 1])
    assert can_drop(words, np.arange(3), asked).all()
    dropped_W = drop_totals(words, drop_order(words, seed=0, epoch=0), asked)
    lost = [
        words.sizes_W[a:b][dropped_W[a:b]].sum() for a, b in zip(words.offsets_N1, words.offsets_N1[1:], strict=False)
    ]
    assert lost == [tokens, tokens, 1]


@pytest.mark.parametrize("seed", range(5))
def test_totals_above_63_are_right_or_not_offered(seed):
    """Of long samples whose words leave gaps at most 63 tokens go: what is offered is a true total, and is met."""
    generator = np.random.default_rng(seed)
    samples = [long_row(*generator.integers(2, 5, 40).tolist()) for _ in range(20)]
    samples += [long_row(*generator.integers(1, 4, 60).tolist()) for _ in range(20)]
    words = words_of(samples)
    for asked in (10, 62, 63, 64, 65, 80, 119):
        offered = largest_total(words, np.arange(40), np.full(40, asked))
        truth = [max(total for total in totals_of(row) if total <= asked) for row in samples]
        gaps = [row.sizes.count(1) < max(row.sizes) - 1 for row in samples]
        for total, true, row, gap in zip(offered.tolist(), truth, samples, gaps, strict=True):
            assert total in totals_of(row)
            assert total == (max(t for t in totals_of(row) if t <= min(asked, 63)) if gap else true)
        dropped_W = drop_totals(words, drop_order(words, seed=seed, epoch=0), offered)
        lost = np.add.reduceat(words.sizes_W * dropped_W, words.offsets_N1[:-1])
        assert lost.tolist() == offered.tolist()


def test_the_last_token_that_is_not_special_stays():
    """A sample of droppable words alone loses all but one token, or all but its smallest last word."""
    assert totals_of(Row(sizes=(1, 1, 1), gaps=(0, 0, 0, 0))) == {0, 1, 2}
    words = words_of([Row(sizes=(1, 1, 1), gaps=(0, 0, 0, 0)), Row(sizes=(3,), gaps=(0, 0)), Row(sizes=(), gaps=(0,))])
    assert words.droppable_N.tolist() == [2, 0, 0]


# --------------------------------------------------------------------------------------------------------------- order


def test_each_samples_words_are_shuffled():
    """A permutation in every sample; over many samples each word is first about equally often."""
    samples = [long_row(*[1] * 5)] * 5000
    orders = order_of(words_of(samples))
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    firsts = np.bincount([order[0] for order in orders], minlength=5)
    assert (abs(firsts - 1000) < 5 * np.sqrt(5000 * 0.2 * 0.8)).all()  # five standard deviations


@pytest.mark.parametrize("kept", [1, 7, 30, 99])
def test_an_order_does_not_depend_on_later_samples(kept):
    """One counter-based draw in sample order: without the last samples the first ones' words go as before."""
    samples = random_rows(100, 0)
    assert order_of(words_of(samples[:kept]), seed=1, epoch=2) == order_of(words_of(samples), seed=1, epoch=2)[:kept]


@given(st.integers(0, 50), st.integers(0, 50))
def test_the_draw_is_the_same_however_it_is_cut(first, count):
    """Random access by position: any slice of the stream without the values before it, also off its steps of four."""
    key = {"seed": 1, "epoch": 2, "part": 3}
    whole = counter_values(RandomPurpose.DROP_ORDER, **key, first=0, count=100)
    assert (
        counter_values(RandomPurpose.DROP_ORDER, **key, first=first, count=count).tolist()
        == whole[first:][:count].tolist()
    )


def test_an_order_does_not_depend_on_what_is_in_the_samples_but_the_number_of_words():
    """Sizes and lengths do not enter the draw; how many go may depend on the batch, which go first does not."""
    samples = random_rows(100, 0)
    ones = [Row(sizes=(1,) * len(row.sizes), gaps=(1,) * (len(row.sizes) + 1)) for row in samples]
    assert order_of(words_of(samples)) == order_of(words_of(ones))


def test_seed_epoch_and_split_each_change_the_order():
    samples = random_rows(100, 0)
    words, validation = words_of(samples), words_of(samples, "validation")
    orders = [
        order_of(words),
        order_of(words, seed=1),
        order_of(words, epoch=1),
        order_of(validation),
        order_of(words, seed=1, epoch=2),
        order_of(words, seed=2, epoch=1),
    ]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])
    assert order_of(words) == orders[0]


def test_a_larger_drop_takes_the_smaller_one_with_it():
    """Words of one token: what goes at a smaller total goes at every larger one, as the order is one."""
    samples = [long_row(*[1] * 9)] * 20
    words = words_of(samples)
    order_W = drop_order(words, seed=0, epoch=0)
    few, many = (drop_totals(words, order_W, np.full(20, n)) for n in (3, 6))
    assert (many >= few).all()
    assert many.sum() == 2 * few.sum()


# ---------------------------------------------------------------------------------------------------------------- rate

RATES = (0.0, 0.05, 0.1, 0.29, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)


@pytest.mark.parametrize("rate", RATES)
def test_words_at_a_rate_are_the_floor_of_the_exact_product(rate):
    """0.7 x 90 is 63, though 62.999… in binary."""
    words = words_of([long_row(*[1] * count) for count in range(200)])
    assert words_at_rate(words, rate).tolist() == [words_to_drop(rate, count) for count in range(200)]


@given(st.lists(rows(), min_size=1, max_size=12), st.sampled_from(RATES), st.integers(0, 3))
@examples(150)
def test_a_global_rate_is_algorithm_1(samples, rate, seed):
    """The same words go as in the paper's loop, given the same order; the last token that is not special stays."""
    words = words_of(samples)
    order_W = drop_order(words, seed=seed, epoch=0)
    dropped = per_sample(words, drop_first_words(words, order_W, words_at_rate(words, rate)))
    orders = order_of(words, seed=seed)
    expected = [
        sorted(token_drop(row.sizes, order, rate, row.non_special)) for row, order in zip(samples, orders, strict=True)
    ]
    assert dropped == expected


@given(st.lists(rows(), min_size=1, max_size=12), st.sampled_from(RATES), st.integers(0, 3))
@examples(100)
def test_a_global_rate_is_algorithm_1_where_a_token_stays_anyway(samples, rate, seed):
    """The same, on samples that hold more than droppable words."""
    samples = [Row(sizes=row.sizes, gaps=(1, *row.gaps[1:])) for row in samples]
    words = words_of(samples)
    order_W = drop_order(words, seed=seed, epoch=0)
    dropped = per_sample(words, drop_first_words(words, order_W, words_at_rate(words, rate)))
    expected = [order[: words_to_drop(rate, len(order))] for order in order_of(words, seed=seed)]
    assert dropped == [sorted(numbers) for numbers in expected]
