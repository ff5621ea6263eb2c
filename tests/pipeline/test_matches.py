"""Droppable words of raw text: the same as the slow oracle finds, character by character."""

import re
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdbs.pipeline.matches import compile_words, find_droppable
from tdbs.pipeline.stopwords import PAPER_STOPWORDS, PRONOUNS, droppable_words, words_sha256
from tests.pipeline.trap_texts import any_texts, trap_texts
from tests.reference import spans as reference

PATTERN = compile_words(PAPER_STOPWORDS)


def found(text: str, words=None) -> list[tuple[int, int]]:
    pattern = PATTERN if words is None else compile_words(words)
    starts, ends = find_droppable(text, pattern)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in found(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("the end of it", ["the", "of", "it"]),
        ("THE End Of iT", ["THE", "Of", "iT"]),  # case-folded
        ("an item", ["an"]),  # "it" in "item" is no word
        ("state-of-the-art", []),  # hyphens on a side; the hyphens stand between letters
        ("state - of - the - art", ["-", "of", "-", "the", "-"]),
        ("state\u2010of\u2011the-art", []),  # other hyphens join words too
        ("3.5", []),  # a mark between digits
        ("3 . 5", ["."]),
        ("v1. 5", ["."]),  # a digit on one side only
        ("you're", ["you're"]),  # longest match first
        ("You’re", ["You’re"]),  # ’ read as '
        ("you'really", []),  # the longest fails its neighbour; "you" then has an apostrophe beside it
        ("you'", []),
        ("'you'", []),
        ("_it_", []),
        ("don't", []),  # no negation, and "don" is not listed
        ("not no nor", []),
        ("well...no", [".", ".", "."]),  # "..." fails between letters; each "." has another beside it
        ("well... no", ["..."]),
        ("....", ["...", "."]),
        ("(it)", ["(", "it", ")"]),
        ("f(x)", [")"]),  # "(" stands between two letters
        ("the,of", ["the", "of"]),  # a comma is no neighbour that counts, and is not droppable
        ("the\u0301", []),  # a combining mark belongs to its letter
        ("\u0301the", []),
        ("oﬀ", ["oﬀ"]),  # folds to "off"
        ("oﬀoﬀ", []),
        ("ﬀ of ß the", ["of", "the"]),  # places after characters that fold to two
        ("İ it", ["it"]),  # İ folds to i and a combining dot
        ("ŉ a", ["a"]),
        ("\U0001f600it\U0001f600", ["it"]),  # an emoji is no letter
        ("the\nof", ["the", "of"]),
        ("iſ aſ", ["iſ", "aſ"]),  # long s folds to s
    ],
)
def test_matches_by_hand(text, expected):
    """Which words of a text stand alone; an expectation that needs a reason has it beside it."""
    assert pieces(text) == expected


@given(trap_texts)
@settings(max_examples=1500)
def test_matches_equal_the_oracle_on_texts_full_of_traps(text):
    """Stopwords glued to apostrophes, hyphens, marks, ligatures, digits: the same matches as plain loops find."""
    assert found(text) == reference.droppable_matches(text, PAPER_STOPWORDS)


@given(any_texts)
def test_matches_equal_the_oracle_on_any_text(text):
    """The same on whatever Unicode holds."""
    assert found(text) == reference.droppable_matches(text, PAPER_STOPWORDS)


@given(st.sampled_from(sorted(PAPER_STOPWORDS)), st.characters(exclude_categories=["Cs"]), st.booleans())
@settings(max_examples=1000)
def test_one_neighbour_decides_as_the_oracle_says(word, neighbour, before):
    """Every listed word beside any one character of Unicode."""
    text = neighbour + word if before else word + neighbour
    assert found(text) == reference.droppable_matches(text, PAPER_STOPWORDS)


@given(st.sets(st.sampled_from(sorted(PAPER_STOPWORDS))), trap_texts)
def test_a_part_of_the_list_matches_as_the_oracle_says(words, text):
    """Any sublist, the empty one too: what is not listed any more may uncover a shorter match."""
    assert found(text, words) == reference.droppable_matches(text, words)


def test_case_and_apostrophe_of_the_list_do_not_matter():
    assert found("It’s", {"IT’S"}) == found("IT'S", {"it's"}) == [(0, 4)]


def test_letter_or_digit_is_unicode_l_or_n_for_every_code_point():
    """Python's `[^\\W_]` is the pattern's letter or digit; the rule says categories L and N."""
    letter_or_digit = re.compile(r"[^\W_]")
    wrong = [
        hex(c)
        for c in range(sys.maxunicode + 1)
        if bool(letter_or_digit.match(chr(c))) != (unicodedata.category(chr(c))[0] in "LN")
    ]
    assert wrong == []


def test_the_list_is_the_papers():
    """The product's list, typed on its own, is the oracle's: 128 words and 6 marks."""
    assert sorted(PAPER_STOPWORDS) == sorted(reference.PAPER_STOPWORDS)
    assert len(PAPER_STOPWORDS) == 134
    assert len([word for word in PAPER_STOPWORDS if not any(c.isalpha() for c in word)]) == 6


def test_without_pronouns_no_pronoun_is_droppable():
    """WNLI asks what a pronoun stands for (App. A)."""
    assert droppable_words(keep_pronouns=False) == PAPER_STOPWORDS
    assert droppable_words(keep_pronouns=True) == PAPER_STOPWORDS - PRONOUNS
    assert {"i", "it", "they", "whom", "this", "you're"} <= PRONOUNS < PAPER_STOPWORDS
    assert not {"the", "of", "is", "."} & PRONOUNS


def test_the_hash_of_a_list_does_not_depend_on_its_order():
    assert words_sha256(["a", "b"]) == words_sha256(["b", "a"]) != words_sha256(["a"])
