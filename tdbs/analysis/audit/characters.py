"""Hidden characters, words of mixed scripts, and samples in another script than most: likely other languages.

What a tokenizer takes out before it makes tokens is in no shard, so it is not found here. A probe shows whether that is
so for control characters. Scripts are those of the letters of tokens; a token that is a part of a character has none.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding, severity_of
from tdbs.arrays import BoolArray, IntArray, ragged_positions
from tdbs.shown import shown

# Shapes: V ids of the vocabulary, T tokens, N samples, R some of them.

_MANY = 0.001  # share of samples
_OF_ANOTHER = 0.5  # share of a sample's tokens with letters that are of another script
_NONE = 0
_JOINED = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "HANGUL": "CJK", "BOPOMOFO": "CJK", "FULLWIDTH": "LATIN"}
_CONFUSED = ("LATIN", "CYRILLIC", "GREEK")  # letters of one look like those of another
_PROBE = "a\x07b"


def character_findings(contents: Contents) -> list[Finding]:
    """Return what is wrong with the characters of each split."""
    scripts = _Scripts(contents)
    found = []
    for split, name in enumerate(contents.names):
        again = f"Clean the texts of the source, then run: {contents.prepare_command()}"
        for kind, rows_R, what, fix in (
            ("control_characters", scripts.rows(split, scripts.hidden_V), "have hidden or control characters", again),
            ("mixed_scripts", scripts.mixed_rows(split), "have a word whose letters are of two scripts", again),
            (
                "other_scripts",
                scripts.other_rows(split),
                f"are mostly not in {scripts.main.title()} letters, the script of {scripts.main_share:.0%} of tokens",
                f"Leave them out of the source, or run: {contents.prepare_command(tokenizer='MULTILINGUAL')}",
            ),
        ):
            if len(rows_R):
                grade = severity_of(len(rows_R), contents.rows_of(split), _MANY)
                told = f"Samples of {name} that {what}: {len(rows_R):,}."
                found.append(finding(contents, kind, split, rows_R, what=told, fix=fix, severity=grade))
    return found


def removes_control_characters(contents: Contents) -> bool:
    """Return whether the tokenizer takes control characters out, so that none can be found."""
    encode = contents.tokenizer.encode
    return bool(encode(_PROBE, add_special_tokens=False).ids == encode("ab", add_special_tokens=False).ids)


@cache
def script_of(character: str) -> str:
    """Return the script of a letter, as its Unicode name begins; none of other characters."""
    if not character.isalpha():
        return ""
    first = unicodedata.name(character, "").split(" ")[0]
    return _JOINED.get(first, first)


class _Scripts:
    """What the ids of a dataset say of characters, and which samples that makes; built once for all splits."""

    def __init__(self, contents: Contents) -> None:
        size = len(contents.id_counts_V)
        names: list[str] = [""]
        self.script_V: IntArray = np.zeros(size, dtype=np.int64)  # of most of an id's letters
        self.hidden_V: BoolArray = np.zeros(size, dtype=np.bool_)
        self.mixed_V: BoolArray = np.zeros(size, dtype=np.bool_)  # an id with letters of two scripts
        for number, text in contents.pieces.texts.items():
            if text.isascii() and (text.isprintable() or text.isspace()):
                script = "LATIN" if any(map(str.isalpha, text)) else ""
            else:
                scripts = Counter(filter(None, map(script_of, text)))
                script = max(scripts, key=scripts.__getitem__, default="")
                self.mixed_V[number] = len(scripts.keys() & set(_CONFUSED)) > 1
                visible = "".join(text.split())
                self.hidden_V[number] = shown(visible) != visible
            if script not in names:
                names.append(script)
            self.script_V[number] = names.index(script)
        counts = np.bincount(self.script_V, weights=contents.id_counts_V, minlength=len(names))
        counts[_NONE] = 0
        self.main_number = int(np.argmax(counts))
        self.main = names[self.main_number]
        self.main_share = float(counts.max() / max(counts.sum(), 1))  # of the tokens with letters
        self._confused = [names.index(name) for name in _CONFUSED if name in names]
        self._contents = contents

    def rows(self, split: int, which_V: BoolArray) -> IntArray:
        """Return the samples of a split with one of some ids (R)."""
        return self._unique_rows(split, lambda block: self._tokens(block, which_V), which_V)

    def mixed_rows(self, split: int) -> IntArray:
        """Return the samples with a word of two scripts whose letters look alike (R)."""
        other_V = np.isin(self.script_V, self._confused) & (self.script_V != self.main_number)
        return self._unique_rows(split, lambda block: self._mixed_tokens(block, other_V), other_V | self.mixed_V)

    def other_rows(self, split: int) -> IntArray:
        """Return the samples most of whose tokens with letters are of another script than the main one (R)."""
        other_V = (self.script_V != _NONE) & (self.script_V != self.main_number)
        return self._unique_rows(split, lambda block: self._tokens_of_other_rows(block, other_V), other_V)

    def _unique_rows(self, split: int, tokens: Callable[[slice], IntArray], which_V: BoolArray) -> IntArray:
        """Return the samples of some tokens, which are found for some samples at a time; none if no id is of a kind."""
        found = [np.empty(0, dtype=np.int64)]
        if which_V.any():
            found += [np.unique(self._rows_of_tokens(tokens(block))) for block in self._contents.blocks(split)]
        return np.concatenate(found)

    def _mixed_tokens(self, block: slice, other_V: BoolArray) -> IntArray:
        """Return the places of tokens of some samples that end in another script than a word began."""
        contents, pieces = self._contents, self._contents.pieces
        has_letters_V = np.diff(pieces.offsets_V1) > 0
        joins_V = has_letters_V.copy()
        joins_V[has_letters_V] = ~pieces.begins_G[pieces.offsets_V1[:-1][has_letters_V]]
        bridges_V = has_letters_V & ~pieces.ends_V
        places_R = self._tokens(block, other_V)
        mixed = [self._tokens(block, self.mixed_V)]
        for after in (0, 1):  # the token before each of them, and the one behind it
            second_R = places_R + after
            second_R = second_R[(second_R > 0) & (second_R < len(contents.ids_T))]
            one_R, other_R = contents.ids_T[second_R - 1], contents.ids_T[second_R]
            is_word_R = bridges_V[one_R] & joins_V[other_R] & ~_are_among(contents.text_offsets_P1, second_R)
            of_one_R, of_other_R = self.script_V[one_R], self.script_V[other_R]
            is_word_R &= np.isin(of_one_R, self._confused) & np.isin(of_other_R, self._confused)
            mixed.append(second_R[is_word_R & (of_one_R != of_other_R)])
        return np.concatenate(mixed)

    def _tokens_of_other_rows(self, block: slice, other_V: BoolArray) -> IntArray:
        """Return the first token of each of some samples most of whose letters are of another script."""
        contents = self._contents
        rows = block.stop - block.start
        others = np.bincount(self._rows_of_tokens(self._tokens(block, other_V)) - block.start, minlength=rows)
        some_R = np.flatnonzero(others)
        firsts_R, lengths_R = (
            values_N[some_R + block.start] for values_N in (contents.token_offsets_N1, contents.lengths_N)
        )
        is_main = self.script_V[contents.ids_T[ragged_positions(firsts_R, lengths_R)]] == self.main_number
        mains_R = np.bincount(np.repeat(np.arange(len(some_R)), lengths_R)[is_main], minlength=len(some_R))
        return firsts_R[others[some_R] > _OF_ANOTHER * (others[some_R] + mains_R)]

    def _tokens(self, block: slice, which_V: BoolArray) -> IntArray:
        """Return the places of the tokens of some samples with some ids, among all tokens."""
        first, end = self._contents.token_offsets_N1[[block.start, block.stop]]
        return np.flatnonzero(which_V[self._contents.ids_T[first:end]]) + first

    def _rows_of_tokens(self, places_R: IntArray) -> IntArray:
        return np.searchsorted(self._contents.token_offsets_N1, places_R, side="right") - 1


def _are_among(ascending: IntArray, values_R: IntArray) -> BoolArray:
    """Return whether each value is one of some ascending ones, of which none is less than the last (R)."""
    return ascending[np.searchsorted(ascending, values_R)] == values_R
