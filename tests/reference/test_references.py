"""The oracles themselves, against cases worked out by hand; the reason for each number stands beside it."""

import itertools
import math
import random
from fractions import Fraction

import pytest

from tests.reference.algorithm1 import token_drop, words_to_drop
from tests.reference.algorithm2 import Bucket, batch_cap, bucket_of, bucket_sampler, residual_batch_merging
from tests.reference.algorithm3 import Sample, length_after, prune_batch, reachable_lengths, words_that_go
from tests.reference.lengths import (
    average_length,
    expected_longest,
    expected_padding_fraction,
    length_percentile,
    padding_fraction_est,
    simulated_longest,
    simulated_padding_fraction,
)
from tests.reference.reach import merged_target, smallest_reachable, target_length
from tests.reference.spans import PAPER_STOPWORDS, droppable_matches, droppable_spans, is_word_entry

# ---------------------------------------------------------------------------------------------------- spans: the list


def test_the_papers_list_has_128_words_and_6_marks():
    """Typed right: 134 entries, none twice, no negation and no comma."""
    words = [entry for entry in PAPER_STOPWORDS if is_word_entry(entry)]
    marks = [entry for entry in PAPER_STOPWORDS if not is_word_entry(entry)]
    assert (len(words), marks) == (128, ["-", ".", ";", "...", "(", ")"])
    assert len(set(PAPER_STOPWORDS)) == 134
    assert not {"no", "nor", "not", "don't", "isn't", "n't", ","} & set(PAPER_STOPWORDS)


# ------------------------------------------------------------------------------------------------- spans: on the text

# (text, the slices that match, in order)
MATCH_CASES = [
    ("", []),
    ("state-of-the-art", []),  # "of" and "the" touch hyphens; each "-" stands between letters
    ("state\u2010of\u2010the\u2011art", []),  # the Unicode hyphens are neighbours too, and not listed as marks
    ("the-end", []),
    ("the - end", ["the", "-"]),  # the spaced hyphen stands between spaces
    ("the- end", ["-"]),  # "the" has a hyphen just after; the mark has a letter on one side only
    ("3.5", []),  # "." between digits
    ("3 . 5", ["."]),  # the same WordPiece ids as "3.5", but spaced
    (".5", ["."]),  # nothing before: it does not stand BETWEEN two digits
    ("a.b", ["a"]),  # "." stands between letters, but does not join "a" to them: "a" goes by the letter of the rule
    ("item", []),  # "it" has a letter after, "em" is unlisted
    ("you're", ["you're"]),  # the longest wins over "you"
    ("You\u2019re", ["You\u2019re"]),  # folded, ’ read as '
    ("YOU'RE", ["YOU'RE"]),
    ("you'rely", []),  # "you're" fails (l after), the shorter "you" fails (' after)
    ("don't", []),  # "do" has n after; "don't" is unlisted
    ("he's", []),  # unlisted, and "he" has an apostrophe after
    ("it's", ["it's"]),
    ("she\u2019s", ["she\u2019s"]),
    ("it's.", ["it's", "."]),  # the mark has a letter before and nothing after
    ("'the'", []),  # quotes are apostrophes
    ("\u2019tis the", ["the"]),
    ('"the"', ["the"]),  # a double quote joins nothing
    (" The", ["The"]),
    ("THE the The", ["THE", "the", "The"]),
    ("the_end", []),
    ("_the", []),
    ("the\u0301", []),  # a combining mark makes it another letter
    ("the2", []),
    ("2 the", ["the"]),
    ("the\u00b2", []),  # superscript two is category No
    ("the\u20ac", ["the"]),  # the euro sign is Sc: no joining neighbour
    ("(it)", ["(", "it", ")"]),  # "(" has a letter on one side only
    ("f(it)s", ["it"]),  # both brackets stand between letters; "it" has brackets beside it
    ("well...no", [".", ".", "."]),  # "..." stands between letters; each "." alone has a "." on one side
    ("well ... no", ["..."]),
    ("...", ["..."]),
    ("....", ["...", "."]),  # longest first, then on behind it
    ("wait....no", ["...", "."]),  # "..." has t before but "." after; the last "." has "." before
    ("wait..no", [".", "."]),
    ("the end.", ["the", "."]),
    ("end.The", ["The"]),  # the mark stands between letters; a mark beside the word joins nothing
    ("a, b; c", ["a", ";"]),  # the comma is unlisted
    ("in-", ["-"]),
    ("\u0130t", []),  # İ folds to i + U+0307: "i̇t" is not "it"
    ("o\ufb00", ["o\ufb00"]),  # the ligature ﬀ folds to ff: two characters make "off"
    ("wa\u017f", ["wa\u017f"]),  # long s folds to s
    ("\U0001f600the\U0001f600", ["the"]),  # an emoji (So) joins nothing; positions count characters, not bytes
    ("not no nor", []),  # negations stay
    ("of\nthe", ["of", "the"]),
    ("because be", ["because", "be"]),  # "because" before "be"
]


@pytest.mark.parametrize(("text", "expected"), MATCH_CASES)
def test_matches_by_hand(text, expected):
    """The listed words of the text, as the rule has them."""
    assert [text[start:end] for start, end in droppable_matches(text, PAPER_STOPWORDS)] == expected


def test_matches_are_character_positions():
    """' The' without its space; ranges are half-open."""
    assert droppable_matches(" The", PAPER_STOPWORDS) == [(1, 4)]
    assert droppable_matches("\U0001f600 (it)", PAPER_STOPWORDS) == [(2, 3), (3, 5), (5, 6)]


def test_a_shorter_word_at_the_same_place_is_tried():
    """An entry may hold a space: "up to" fails in "up today" (d just after), so the shorter "up" is taken there."""
    assert droppable_matches("up today", ["up to", "up", "to"]) == [(0, 2)]
    assert droppable_matches("up to day", ["up to", "up", "to"]) == [(0, 5)]


def test_words_are_the_callers():
    """Pronouns kept (WNLI): leave them out of the list; listed forms may be capitalised or hold ’."""
    assert droppable_matches("it is", set(PAPER_STOPWORDS) - {"it"}) == [(3, 5)]
    assert droppable_matches("you're", ["You\u2019re"]) == [(0, 6)]
    assert droppable_matches("you're", []) == []


# ----------------------------------------------------------------------------------------------- spans: on the tokens

# (text, tokens as (string, start, end), expected spans (first, count))
SPAN_CASES = {
    "leading space aside": (
        "of the end",
        [("of", 0, 2), ("\u0120the", 2, 6), ("\u0120end", 6, 10)],
        [(0, 1), (1, 1)],
    ),
    "offsets trimmed already": (
        "of the end",
        [("of", 0, 2), ("\u0120the", 3, 6), ("\u0120end", 7, 10)],
        [(0, 1), (1, 1)],
    ),
    "a word of two tokens": ("myself", [("my", 0, 2), ("##self", 2, 6)], [(0, 2)]),
    "over the edge": (
        "(it) end.",  # "(" is a token, "it)" is one token for two matches, "end." reaches over "."
        [("(", 0, 1), ("it)", 1, 4), ("\u0120end.", 4, 9)],
        [(0, 1)],
    ),
    "one token for four dots": ("wait ....", [("wait", 0, 4), ("\u0120....", 5, 9)], []),
    "dots one by one": (  # three single dots between letters, see MATCH_CASES
        "well...no",
        [("well", 0, 4), (".", 4, 5), (".", 5, 6), (".", 6, 7), ("no", 7, 9)],
        [(1, 1), (2, 1), (3, 1)],
    ),
    "dots as one token": ("well...no", [("well", 0, 4), ("...", 4, 7), ("no", 7, 9)], []),
    "ellipsis of three tokens": (" ...", [(".", 1, 2), (".", 2, 3), (".", 3, 4)], [(0, 3)]),
    "trailing whitespace is over the edge": ("the end", [("the ", 0, 4), ("end", 4, 7)], []),
    "two tokens with the offsets of one character": (
        "You\u2019re",
        [("You", 0, 3), ("\u00e2\u0122", 3, 4), ("\u013b", 3, 4), ("re", 4, 6)],
        [(0, 4)],
    ),
    "cut by truncation": ("You\u2019re", [("You", 0, 3), ("\u00e2\u0122", 3, 4), ("\u013b", 3, 4)], []),
    "all cut by truncation": ("end of the", [("end", 0, 3)], []),
    "the cut end of a word is not a word": ("of myself", [("of", 0, 2), ("\u0120my", 3, 5)], [(0, 1)]),
    "lone prefix with the offsets of the next token": (
        "( it )",
        [("\u2581(", 0, 1), ("\u2581it", 2, 4), ("\u2581", 5, 6), (")", 5, 6)],
        [(0, 1), (1, 1), (2, 2)],
    ),
    "lone prefix with the offsets of the space": (
        "end )",
        [("\u2581end", 0, 3), ("\u2581", 3, 4), (")", 4, 5)],
        [(1, 2)],
    ),
    "lone prefix of a word that stays": (
        "the 3.5 )",  # "3.5" stays and keeps its prefix
        [("\u2581the", 0, 3), ("\u2581", 4, 5), ("3.5", 4, 7), ("\u2581", 8, 9), (")", 8, 9)],
        [(0, 1), (3, 2)],
    ),
    "lone prefix left by truncation": ("it )", [("\u2581it", 0, 2), ("\u2581", 3, 4)], [(0, 1)]),
    "whitespace tokens belong to nobody": (
        "a  the",
        [("a", 0, 1), ("\u0120", 1, 2), ("\u0120the", 2, 6)],
        [(0, 1), (2, 1)],
    ),
    "an empty whitespace token": ("a  the", [("a", 0, 1), ("\u0120", 2, 2), ("\u0120the", 3, 6)], [(0, 1), (2, 1)]),
    "several whitespace characters aside": ("a \n the", [("a", 0, 1), ("\u0120\nthe", 1, 7)], [(0, 1), (1, 1)]),
    "no tokens": ("the", [], []),
}


@pytest.mark.parametrize("name", list(SPAN_CASES))
def test_spans_by_hand(name):
    """Whole tokens that cover a match exactly, and no others."""
    text, tokens, expected = SPAN_CASES[name]
    offsets = [(start, end) for _, start, end in tokens]
    strings = [string for string, _, _ in tokens]
    assert droppable_spans(text, offsets, strings, PAPER_STOPWORDS) == expected


# -------------------------------------------------------------------------------------------------------- Algorithm 1


@pytest.mark.parametrize(
    ("rate", "words", "expected"),
    [
        (0.0, 9, 0),
        (0.3, 3, 0),  # floor(0.9)
        (0.3, 10, 3),
        (0.3, 13, 3),  # floor(3.9)
        (1.0, 7, 7),
        (0.29, 100, 29),  # 0.29 * 100 is 28.999999999999996 in floating point; 29/100 of 100 is 29
        (0.7, 90, 63),  # 0.7 * 90 is 62.99999999999999 in floating point
    ],
)
def test_floor_of_rate_times_words(rate, words, expected):
    """The number of words that go is the floor of the exact product."""
    assert words_to_drop(rate, words) == expected


def test_algorithm_1_takes_the_first_words_of_the_order():
    """floor(0.5 x 5) = 2 words, not tokens: words 4 and 0, whatever their sizes."""
    assert token_drop([1, 1, 2, 1, 3], [4, 0, 2, 1, 3], 0.5, 20) == {4, 0}


def test_algorithm_1_keeps_the_last_token():
    """All three tokens are droppable and the rate is 1: the last word in the order stays."""
    assert token_drop([1, 1, 1], [2, 0, 1], 1.0, 3) == {2, 0}
    assert token_drop([1, 1, 1], [2, 0, 1], 1.0, 4) == {0, 1, 2}  # a fourth token stays, so all words may go
    assert token_drop([3], [0], 1.0, 3) == set()  # one word is all there is
    assert token_drop([], [], 1.0, 3) == set()


# -------------------------------------------------------------------------------------------------------- Algorithm 2


def keep_order(ids: list[int]) -> list[int]:
    """Leave the bucket as it is, so that batches can be worked out by hand."""
    return ids


def test_epoch_caps_are_64_128_256():
    """EpochCap = 2^epoch x 64, epoch from 0; HWCap holds where it is smaller."""
    assert [batch_cap(10**6, epoch, 2, 64) for epoch in range(3)] == [64, 128, 256]
    assert [batch_cap(100, epoch, 2, 64) for epoch in range(3)] == [64, 100, 100]


def test_buckets_are_half_open_and_the_last_includes_its_maximum():
    """5 is in [5, 10); 10 is in the last bucket; 11 is nowhere."""
    buckets: list[Bucket] = [(0, 5, 9), (5, 10, 9)]
    assert [bucket_of(length, buckets) for length in (0, 4, 5, 9, 10)] == [0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="no bucket takes a sample of length 11"):
        bucket_of(11, buckets)


def test_full_batches_then_merged_residuals():
    """Bucket A (cap 4) has ids 0-5, B (cap 3) has 6-9.

    Full: A 0123, B 678. Residuals: A 45, B 9. Merging: A's two wait; 2 < 3, B adds 9, 3 % 3 = 0 closes 4 5 9.
    """
    lengths = [1] * 6 + [6] * 4
    buckets: list[Bucket] = [(0, 5, 4), (5, 10, 3)]
    assert bucket_sampler(range(10), lengths, buckets, 0, keep_order) == [[0, 1, 2, 3], [6, 7, 8], [4, 5, 9]]


def test_without_merging_residuals_stay_alone():
    """The same without RBM: 45 and 9 are batches of their own; no empty batch appears."""
    lengths = [1] * 6 + [6] * 4
    buckets: list[Bucket] = [(0, 5, 4), (5, 10, 3), (10, 15, 2)]
    batches = bucket_sampler(range(10), lengths, buckets, 0, keep_order, merge_residuals=False)
    assert batches == [[0, 1, 2, 3], [6, 7, 8], [4, 5], [9]]


def test_exact_multiples_leave_no_residual():
    """8 = 2 x 4: the loop bound of line 30 is floor(8 / 4) x 4 = 8, so nothing is left over."""
    assert bucket_sampler(range(8), [1] * 8, [(0, 5, 4)], 0, keep_order) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_batch_cap_reaches_the_batches():
    """Base 2, factor 2: caps 2, 4 in epochs 0, 1; HWCap 3 holds in epoch 1."""
    args = (range(6), [1] * 6, [(0, 5, 3)])
    small = {"scaling_factor": 2, "base_batch_size": 2}
    assert bucket_sampler(*args, 0, keep_order, **small) == [[0, 1], [2, 3], [4, 5]]
    assert bucket_sampler(*args, 1, keep_order, **small) == [[0, 1, 2], [3, 4, 5]]


def test_shuffle_is_asked_once_a_bucket_in_order():
    """Line 27, with an empty bucket in the middle; the batches follow the shuffled order."""
    seen = []

    def reverse(ids):
        seen.append(ids)
        return ids[::-1]

    batches = bucket_sampler(range(4), [1, 11, 1, 1], [(0, 5, 2), (5, 10, 2), (10, 15, 2)], 0, reverse)
    assert seen == [[0, 2, 3], [], [1]]
    assert batches == [[3, 2], [0, 1]]  # residuals 0 and 1 make the merged batch


def test_lines_8_to_10_close_a_batch_early():
    """Five wait under cap 8, the next cap is 3: 5 >= 3, so they go as a batch of 5, within cap 8 of their own bucket.

    Then 20, 21 stay as the last batch. Two batches are short: the text's claim that only the last can be is wrong.
    """
    residuals = [([10, 11, 12, 13, 14], 8), ([20, 21], 3)]
    assert residual_batch_merging([], residuals) == [[10, 11, 12, 13, 14], [20, 21]]


def test_an_empty_residual_still_closes_a_batch():
    """As printed, line 8 looks at every bucket, also at one whose residual batch is empty: 4 >= 4 closes 1-4."""
    assert residual_batch_merging([], [([1, 2, 3, 4], 9), ([], 4), ([5], 4)]) == [[1, 2, 3, 4], [5]]


def test_merging_spans_several_buckets():
    """1 + 1 + 1 of cap 5 wait, the fourth bucket brings three: five fill a batch, one is left."""
    residuals = [([1], 5), ([2], 5), ([3], 5), ([4, 5, 6], 5)]
    assert residual_batch_merging([[0]], residuals) == [[0], [1, 2, 3, 4, 5], [6]]


@pytest.mark.parametrize("seed", range(20))
def test_every_sample_once_and_no_batch_over_the_cap_of_its_longest(seed):
    """The invariants, on random lengths and falling caps."""
    generator = random.Random(seed)  # noqa: S311
    lengths = [generator.randint(0, 20) for _ in range(generator.randint(0, 200))]
    caps = sorted((generator.randint(1, 30) for _ in range(4)), reverse=True)
    buckets = [(5 * number, 5 * number + 5, cap) for number, cap in enumerate(caps)]
    batches = bucket_sampler(
        range(len(lengths)), lengths, buckets, seed % 3, lambda ids: generator.sample(ids, len(ids)), base_batch_size=8
    )
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[sample] for sample in batch)
        assert len(batch) <= batch_cap(caps[bucket_of(longest, buckets)], seed % 3, 2, 8)


# -------------------------------------------------------------------------------------------------------- Algorithm 3


def make_sample(length: int, *word_sizes: int, non_special: int | None = None) -> Sample:
    """Return a sample with two special tokens unless told otherwise."""
    tokens = length - 2 if non_special is None else non_special
    return Sample(length=length, word_sizes=word_sizes, non_special=tokens)


def test_batch_comes_down_to_its_shortest():
    """Shortest 10. 12 drops its first two single tokens; 13 has one word only and stays at 12; 10 drops nothing."""
    batch = [make_sample(12, 1, 1, 1), make_sample(13, 1), make_sample(10, 1, 1)]
    going = prune_batch(batch)
    assert going == [[0, 1], [0], []]
    assert [length_after(sample, places) for sample, places in zip(batch, going, strict=True)] == [10, 12, 10]


def test_a_word_that_would_exceed_is_skipped():
    """3 to drop: 2 goes (1 left), the next 2 is skipped, the 1 behind it goes."""
    assert words_that_go(make_sample(20, 2, 2, 1, 1), 17) == [0, 2]
    # 2 to drop: 1 goes, both 2s are skipped: one short, though {2} alone would have met it. No search, as printed.
    assert words_that_go(make_sample(20, 1, 2, 2), 18) == [0]


def test_one_token_that_is_not_special_stays():
    """Two special tokens and three droppable ones, target 2: only two words go."""
    assert words_that_go(make_sample(5, 1, 1, 1), 2) == [0, 1]


@pytest.mark.parametrize(
    ("n", "sizes", "non_special", "expected"),
    [
        (10, [], 8, {10}),
        (10, [1, 1], 8, {10, 9, 8}),
        (10, [2, 3], 8, {10, 8, 7, 5}),  # 9 and 6 need half a word
        (4, [1, 1], 2, {4, 3}),  # 2 would leave special tokens alone
        (4, [2], 2, {4}),
        (2, [], 0, {2}),  # an empty text is left as it is
    ],
)
def test_reachable_lengths_by_hand(n, sizes, non_special, expected):
    """All subset sums of whole words that leave a token."""
    assert reachable_lengths(n, sizes, non_special) == expected


@pytest.mark.parametrize("seed", range(10))
def test_reachable_lengths_are_those_of_every_subset(seed):
    """The sums against each of the 2^k subsets one by one."""
    generator = random.Random(seed)  # noqa: S311
    sizes = [generator.randint(1, 4) for _ in range(seed)]
    non_special = sum(sizes) + generator.randint(0, 2)
    expected = set()
    for count in range(len(sizes) + 1):
        for subset in itertools.combinations(sizes, count):
            if count == 0 or sum(subset) < non_special:
                expected.add(non_special + 2 - sum(subset))
    assert reachable_lengths(non_special + 2, sizes, non_special) == expected


# -------------------------------------------------------------------------------------------------------------- reach


@pytest.mark.parametrize(
    ("n", "sizes", "shift", "expected"),
    [
        (12, [1, 1, 1], 0, 10),  # 10 is the grid length within [9, 12]
        (12, [1], 0, 12),  # 10 is out of reach: left whole
        (10, [1, 1, 1], 0, 10),  # on the grid already
        (10, [1, 1, 1], 3, 8),  # the shift makes it lose two words
        (17, [1] * 12, 0, 15),  # the largest of 15, 10, 5
        (12, [3], 0, 12),  # whole words only: 9 is reachable, 10 is not
        (12, [3, 4], 0, 5),  # 12, 9, 8, 5: 10 is passed over, 5 is on the grid
        (10, [2, 1], 4, 9),  # 10, 9, 8, 7: 9 = 4 modulo 5
    ],
)
def test_target_length_by_hand(n, sizes, shift, expected):
    """The largest grid length that whole words reach, else n."""
    assert target_length(n, sizes, n - 2, shift, 5) == expected


def test_target_leaves_one_token():
    """n 7, five tokens, all droppable: length 2 is on the grid of shift 2, but so is 7; with shift 3 it is 3."""
    assert target_length(7, [1] * 5, 5, 2, 5) == 7
    assert target_length(7, [1] * 5, 5, 3, 5) == 3  # one token left
    assert target_length(6, [1] * 4, 4, 2, 5) == 6  # 2 would leave none
    assert smallest_reachable(6, [1] * 4, 4) == 3


def test_width_one_drops_nothing():
    """Every length is on a grid of width 1."""
    assert target_length(12, [1, 1, 1], 10, 0, 1) == 12


def test_merged_target_by_hand():
    """Targets 10, 15 and 15: down to 10 if all can; the sample that only gets to 12 holds the batch at 12."""
    assert merged_target([10, 15, 15], [8, 9, 10]) == 10
    assert merged_target([10, 15, 15], [8, 12, 10]) == 12


# ------------------------------------------------------------------------------------------------------------ lengths


def test_percentile_counts_and_does_not_interpolate():
    """Of eight, 87.5 % are seven, and seven are no longer than 7. Of four it is 3.5, so three are not enough."""
    assert length_percentile([1, 2, 3, 4, 5, 6, 7, 100]) == 7
    assert length_percentile([1, 1, 1, 9]) == 9
    assert length_percentile([5]) == 5
    assert length_percentile([3, 1, 2], 100) == 3


def test_padding_fraction_est_by_hand():
    """Seven of eight have 8: L_87.5 = 8, L_avg = (7 x 8 + 16) / 8 = 9, so (8 - 9) / 8: it can be negative."""
    assert padding_fraction_est([8] * 7 + [16]) == -0.125
    lengths = [2, 2, 10, 10]  # 87.5 % of four is 3.5: L_87.5 = 10; L_avg = 6
    assert average_length(lengths) == 6
    assert padding_fraction_est(lengths) == 0.4


def test_expected_longest_by_hand():
    """Two lengths 1 and 3, batches of 2: longest is 1 with chance 1/4, else 3 -> 1/4 + 9/4 = 2.5. Padding 1 - 2/2.5."""
    assert expected_longest([1, 3], 2) == 2.5
    assert expected_padding_fraction([1, 3], 2) == pytest.approx(0.2)
    assert expected_longest([1, 3], 1) == 2.0  # a batch of one is its own longest
    assert expected_longest([7, 7], 64) == 7.0


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4])
def test_expected_longest_is_the_mean_over_every_batch(batch_size):
    """The closed form against all 5^B ordered batches drawn with replacement."""
    lengths = [2, 3, 3, 7, 11]
    batches = list(itertools.product(lengths, repeat=batch_size))
    assert expected_longest(lengths, batch_size) == float(Fraction(sum(map(max, batches)), len(batches)))


def test_monte_carlo_agrees_with_the_closed_form():
    """4,000 batches of 16: the standard error of the mean is below 0.4 for a spread of at most 45; allow 5 of them."""
    generator = random.Random(1)  # noqa: S311
    lengths = [5 + int(generator.expovariate(0.1)) % 45 for _ in range(300)]
    exact = expected_longest(lengths, 16)
    tolerance = 5 * 45 / 2 / math.sqrt(4000)
    assert simulated_longest(lengths, 16, 4000, seed=2) == pytest.approx(exact, abs=tolerance)
    assert simulated_padding_fraction(lengths, 16, 4000, seed=3) == pytest.approx(
        expected_padding_fraction(lengths, 16), abs=0.02
    )
