"""Droppable words of raw text: the same as the slow oracle finds, character by character."""

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.pipeline.words.matches import compile_words, find_droppable
from tdbs.pipeline.words.stopwords import PAPER_STOPWORDS
from tests.examples import examples
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


def test_marks_of_a_list_may_be_any_characters():
    """Those with a meaning in a class of characters too."""
    marks = ["^", "]", "[", "\\", "-", "&", "~", "|", "…", "é", "->"]
    text = " ^ ] [ \\ - & ~ | … é -> ^^ x"
    assert found(text, marks) == reference.droppable_matches(text, marks)
    assert len(found(text, marks)) == 13


@given(trap_texts)
@examples(1500)
def test_matches_equal_the_oracle_on_texts_full_of_traps(text):
    """Stopwords glued to apostrophes, hyphens, marks, ligatures, digits: the same matches as plain loops find."""
    assert found(text) == reference.droppable_matches(text, PAPER_STOPWORDS)


@given(any_texts)
def test_matches_equal_the_oracle_on_any_text(text):
    """The same on whatever Unicode holds."""
    assert found(text) == reference.droppable_matches(text, PAPER_STOPWORDS)


@given(st.sampled_from(sorted(PAPER_STOPWORDS)), st.characters(exclude_categories=["Cs"]), st.booleans())
@examples(1000)
def test_one_neighbour_decides_as_the_oracle_says(word, neighbour, before):
    """Every listed word beside any one character of Unicode."""
    text = neighbour + word if before else word + neighbour
    assert found(text) == reference.droppable_matches(text, PAPER_STOPWORDS)


@given(st.sets(st.sampled_from(sorted(PAPER_STOPWORDS))), trap_texts)
def test_a_part_of_the_list_matches_as_the_oracle_says(words, text):
    """Any sublist, the empty one too: what is not listed any more may uncover a shorter match."""
    assert found(text, words) == reference.droppable_matches(text, words)


ABBREVIATED = [*PAPER_STOPWORDS, "etc.", "e.g.", "u.s.", ".net", "c++", "+", "..", "(it)", "’tis", "'", "x-"]


@given(
    st.sets(st.sampled_from(ABBREVIATED)),
    st.lists(st.sampled_from([*ABBREVIATED, " ", "  ", "a", "ß", "́", "-"]), max_size=12).map("".join),
)
@examples(1500)
def test_a_mark_in_a_word_of_the_list_is_part_of_it(words, text):
    """As the oracle says: "etc." and "." do not overlap, nor do any others."""
    assert found(text, words) == reference.droppable_matches(text, words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cats etc. and", [(5, 9)]),
        ("cats etc.. and", [(5, 9), (9, 10)]),
        ("etc", []),
        ("a . etc.", [(2, 3), (4, 8)]),
        ("e.g. x.", [(0, 4), (6, 7)]),
    ],
)
def test_abbreviations_by_hand(text, expected):
    assert found(text, ["etc.", "e.g.", "."]) == expected


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


NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize("listed", [NFC, NFD, NFC.upper()])
@pytest.mark.parametrize("text", [NFC, NFD, NFC.upper(), NFD.upper()])
def test_an_accent_is_one_letter_however_it_is_written(listed, text):
    assert found(f"un {text} noir", {listed}) == [(3, 3 + len(text))]
    assert found(f"un {text} noir", {"cafe"}) == []
    assert found("un cafe noir", {listed}) == []


def test_two_marks_on_a_letter_may_come_in_either_order():
    """Dot below and accent above: Unicode calls both orders the same text."""
    for text in ("a\u0323\u0301", "a\u0301\u0323", "\u1ea1\u0301"):
        assert found(f"x {text} the", {"a\u0301\u0323"}) == [(2, 2 + len(text))]


@pytest.mark.parametrize("text", ["daß", "dass", "DASS", "DA\u1e9e"])
def test_sharp_s_is_two_s(text):
    assert found(f"er, {text} ja", {"daß"}) == [(4, 4 + len(text))]


TURKISH = {"için", "nasıl", "ile"}


@pytest.mark.parametrize("text", ["için", "İÇİN", "I\u0307C\u0327I\u0307N", "İle", "NASIL", "nasıl"])
def test_turkish_has_two_letters_i(text):
    """İ is the capital of i and I that of ı, also where the dot is a character of its own."""
    assert found(f"bu {text} ev", TURKISH) == [(3, 3 + len(text))]


@pytest.mark.parametrize("text", ["ILE", "nasil", "NASİL"])
def test_turkish_letters_i_are_not_mixed_up(text):
    assert found(f"bu {text} ev", TURKISH) == []


def test_english_knows_one_letter_i():
    assert found("IT İt it", {"it"}) == [(0, 2), (6, 8)]


@given(st.text(alphabet="aeiİıIßẞéÉ\u0301\u0307\u0323ﬀ ' .-", max_size=30), st.booleans())
@examples(1000)
def test_folding_of_other_languages_equals_the_oracle(text, is_turkish):
    words = {"é", "ai", "ss", "iß", "a\u0323\u0301", "ff", *(["ı", "ai\u0307"] if is_turkish else [])}
    assert found(text, words) == reference.droppable_matches(text, words)
