"""What hides or steers is shown escaped, all else stays; and one module prints."""

import ast
import json
import unicodedata
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.errors import reason_of
from tdbs.shown import clipped, fitted, json_line, seen, shown

PACKAGE = Path(__file__).parents[1] / "tdbs"
# Format characters with a glyph: signs above or around numbers, and joiners of hieroglyphs.
VISIBLE = (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b]0;pwned\x07", "\\x1b]0;pwned\\x07"),
        ("\x9b31m", "\\x9b31m"),  # one byte that terminals take for ESC [
        ("a\nb\r\tc\x7f", "a\\nb\\r\\tc\\x7f"),
        ("\u202egpj.exe\u2066", "\\u202egpj.exe\\u2066"),
        ("a\u200bb\ufeffc\xadd\u2028e", "a\\u200bb\\ufeffc\\xadd\\u2028e"),
        ("\ud800 \udcff", "\\ud800 \\udcff"),
        ("\U000e0041", "\\U000e0041"),
        ("pass\u200dword \u200c", "pass\\u200dword \\u200c"),  # joiners with nothing to join
        ("[red]x[/red] C:\\n", "[red]x[/red] C:\\n"),
        ("naïve 中文 שלום مرحبا \xa0 ½", "naïve 中文 שלום مرحبا \xa0 ½"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        ("\u2764\ufe0f\u200d\U0001f525", "\u2764\ufe0f\u200d\U0001f525"),
        ("1\ufe0f\u20e3 #\ufe0f\u20e3", "1\ufe0f\u20e3 #\ufe0f\u20e3"),
        ("\ufe0f a\ufe00b", "\\ufe0f a\\ufe00b"),  # selectors of the form of nothing
        ("می\u200cخواهم क्\u200dष", "می\u200cخواهم क्\u200dष"),
    ],
)  # fmt: skip
def test_what_hides_or_steers_is_escaped_and_nothing_else(text, expected):
    assert shown(text) == expected


def test_every_control_format_and_separator_of_unicode_is_escaped():
    hiding = ("Cc", "Cf", "Cs", "Zl", "Zp")
    codes = (code for code in range(0x110000) if unicodedata.category(chr(code)) in hiding and code not in VISIBLE)
    assert [hex(code) for code in codes if shown(chr(code)) == chr(code)] == []


def test_nothing_is_seen_as_two_quotes():
    """Where a person looks for a text, an empty one would look like a mistake."""
    assert [seen(text) for text in ("", "a", "\u200b")] == ['""', "a", "\\u200b"]


def test_lines_of_our_own_keep_their_feeds_and_nothing_else():
    assert shown("a\n\tb\r\x1b\u2028", lines=True) == "a\n\tb\\r\\x1b\\u2028"


@given(st.text(st.characters()))
def test_shown_twice_is_shown_once(text):
    assert shown(shown(text)) == shown(text)
    assert shown(shown(text, lines=True), lines=True) == shown(text, lines=True)


@given(st.text(st.characters() | st.characters(categories=["Cs", "Cc", "Cf"])))
def test_json_keeps_every_value_and_has_nothing_to_escape(text):
    line = json_line({text: [text]})
    assert json.loads(line) == {text: [text]}
    assert shown(line) == line


def test_a_library_is_quoted_as_it_is_shown():
    assert reason_of(ValueError("no \x1b[31m\n  file '\u202ea'.")) == "no \\x1b[31m file '\\u202ea'"


# ---------------------------------------------------------------------------------------------------- one place prints


def printing(source: str) -> set[str]:
    """Return the calls and names in a source by which text reaches a terminal."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in ("print", "Console", "Progress", "Live", "echo", "secho", "from_markup", "input"):
                found.add(name)
        elif isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr", "__stdout__", "__stderr__"):
            found.add(node.attr)
    return found


def test_one_module_prints():
    """predict writes JSON to stdout too: lines of `json_line`."""
    places = {
        str(path.relative_to(PACKAGE)): printing(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")
    }
    assert {place: found for place, found in places.items() if found} == {
        "cli/progress.py": {"Progress"},
        "cli/screen.py": {"print", "stdout"},
        "inference/predict.py": {"stdout"},
    }  # fmt: skip


def test_a_sentence_keeps_its_short_values_and_cuts_its_long_ones():
    assert fitted("{a} and {b}.", width=20, a="short", b="x" * 50) == "short and xxxxxxxx…."
    assert fitted("'{a}'", a="one\ntwo") == "'one\\ntwo'"
    assert len(fitted("{a}{b}", width=10, a="x" * 50, b="y" * 50)) == 10


def test_a_text_is_cut_as_it_is_shown_and_a_path_keeps_its_end():
    assert clipped("\x1b" * 9, 9) == "\\x1b\\x1b…"
    assert clipped(PurePath("a/long/folder/a.csv"), 10) == "…der/a.csv"
    assert fitted("{path}, {name}", width=20, path=PurePath("folder/folder/a.csv"), name="b") == "…der/folder/a.csv, b"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("print(name)", {"print"}),
        ("typer.echo(name)", {"echo"}),
        ("rich.console.Console().print(name)", {"Console", "print"}),
        ("import sys\nsys.stderr.write(name)", {"stderr"}),
        ("Text.from_markup(name)", {"from_markup"}),
        ("printed = name", set()),
    ],
)
def test_meta_the_check_for_printing_can_fail(source, found):
    assert printing(source) == found
