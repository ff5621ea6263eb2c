"""Edits of raw texts: articles and punctuation against a slow reference, and the user's own files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.errors import ConfigError
from tdbs.pipeline.edits import PUNCTUATION, edited, read_edits, removal
from tests.reference.edits import without

BOTH = ["articles", "punctuation"]
PIECES = (
    *("a", "A", "an", "the", "The", "THE", "than", "cat", "3", "5", "_"),
    *("é", "e\u0301", "\u0301", "\u0345", "-", "\u2011"),
    *PUNCTUATION,
    *(" ", "  ", "\n", "\t", "\u00a0", "\u3000", "(", ")", "中", "ß", "İ", "\U0001f642"),
)  # fmt: skip

CASES = [
    ("The film , a good one .", "film good one"),
    ("don't", "dont"),  # a missing apostrophe joins
    ("the U.S.A. and a-list, a's", "USA and a-list as"),  # neither A of U.S.A. nor a-list nor a's is an article
    ("3.5 points, 1,000 of 2.", "3.5 points 1,000 of 2"),  # marks between digits are the number's
    ("Another theatre than Anna's", "Another theatre than Annas"),
    ("“A film…”\nThe end!", "film\nend"),
    ("The a, an.", "The a, an."),  # nothing would be left
    ("no  change   here", "no  change   here"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_articles_and_punctuation_go_and_white_space_is_tidied(text, expected):
    assert edited(text, removal(BOTH)) == expected
    assert without(text, set(BOTH)) == expected


@pytest.mark.parametrize("kinds", [["articles"], ["punctuation"], BOTH])
@given(text=st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=20))
def test_removal_is_that_of_a_loop_over_characters(kinds, text):
    """On texts made of all that is near an article or a mark, and on any Unicode."""
    assert edited(text, removal(kinds)) == without(text, set(kinds))


def test_removals_are_named_in_one_order():
    assert removal(["punctuation", "articles"]) == removal(BOTH)
    assert removal(BOTH).name == "without articles, punctuation"


def test_a_page_of_spaces_costs_no_more_than_its_length():
    """Square in 300,000 would be minutes."""
    assert edited(" " * 300_000 + "x" + ", " * 100_000, removal(BOTH)) == " " * 300_000 + "x"


def test_what_is_neither_is_refused():
    with pytest.raises(ConfigError) as caught:
        removal(["articles", "verbs"])
    assert caught.value.message == "Unknown value 'verbs' for --remove."
    assert caught.value.next_step == "Pass --remove with one of: articles, punctuation."


# ------------------------------------------------------------------------------------------------------ users' files


def file_of(folder: Path, text: str) -> Path:
    (folder / "slips.tsv").write_text(text, encoding="utf-8")
    return folder / "slips.tsv"


def test_a_users_edits_are_done_in_order(tmp_path):
    """Patterns are Python's; comments and empty lines say nothing; an empty replacement deletes."""
    edit = read_edits(file_of(tmp_path, "# slips\n\n(?i)colou?r\thue\nh(u)e\t\\1\n \t\n"))
    assert edit.name == "slips.tsv"
    assert edited("a Colour , hue", edit) == "au,u"
    assert edited("hue", edit) == "u"


def test_a_mark_of_utf_8_is_not_part_of_the_first_edit(tmp_path):
    assert edited("a hue", read_edits(file_of(tmp_path, "\ufeffhue\tcolour\n"))) == "a colour"


def test_an_edit_that_leaves_nothing_leaves_the_text(tmp_path):
    assert edited("word", read_edits(file_of(tmp_path, "word\t \n"))) == "word"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", "Line 1 of {} has no tab after its pattern."),
        ("a\tb\n\tc", "Line 2 of {} has no tab after its pattern."),
        ("(\tb", "Line 1 of {} is not a regular expression: missing ), unterminated subpattern at position 0."),
        ("a\t\\1", "Line 1 of {} is not a regular expression: invalid group reference 1 at position 1."),
        ("# nothing\n\n", "{} contains no edits."),
    ],
)
def test_a_file_of_no_edits_is_refused(tmp_path, text, message):
    file = file_of(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_edits(file)
    assert caught.value.message == message.format(file)
    assert caught.value.next_step == "Write lines of a regular expression, a tab, and its replacement."


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", "bytes"):
        with pytest.raises(ConfigError) as caught:
            read_edits(tmp_path / name)
        assert caught.value.message.startswith(f"The edits {tmp_path / name} cannot be read: ")
        assert caught.value.next_step == "Pass a text file in UTF-8."
