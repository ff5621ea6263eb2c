"""Rows of a column of lists that say what all rows do: which values there are, and whether lists are multi-hot.

A list of ids repeats none, and multi-hot lists are 0 and 1 of one length. If some rows do not fit what the others are,
the reading of most rows stands, and whoever reads the odd ones refuses or skips them. If none is certain, that is an
error. Memory: a list for each value and each length.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, IntArray
from tdbs.data.columns import SourceColumn, bad_values
from tdbs.errors import RowError, SourceError
from tdbs.shown import fitted

# Shapes: N rows, E entries of their lists.

ONE, ZERO = ("1", "1.0", "true"), ("0", "0.0", "false")
ROW_STEP = "Give each row one 0 or 1 a class, or the names of its classes."
HOT_STEP = f"{ROW_STEP[:-1]}; or pass columns: --label joy,anger."
_ID = re.compile(r"[+-]?([0-9]{1,300})(?:\.0*)?")
_MIXED = "'{name}' of {where} contains lists of 0 and 1 "
_Form = tuple[int, bool, bool]  # of a list: its length, whether it is of 0 and 1 alone, whether it repeats an id
_Found = tuple[int, list[str]]  # a row and its list


class ListRows:
    """The telling rows of a column of lists, collected block by block."""

    def __init__(self, *, are_sets: bool) -> None:
        """Begin with none; lists of classes are sets, those of the labels of words are not."""
        self._are_sets = are_sets
        self._known: set[str] = set()
        self._new: dict[int, list[str]] = {}  # rows with a value that those before lack
        self._first: dict[_Form, _Found] = {}
        self._counts: Counter[_Form] = Counter()
        self._first_of_pairs: set[str] = set()  # of lists of two different flags

    def add(self, lists: pa.ListArray, rows_N: IntArray) -> None:
        """Add a block of lists of texts, none missing."""
        if not len(lists):
            return
        is_flags_N, lengths_N = are_flags(lists), pc.list_value_length(lists).to_numpy().astype(np.int64)
        repeats_N = repeats(lists) if self._are_sets else np.zeros(len(lists), dtype=np.bool_)
        codes, places, counts = np.unique(
            lengths_N * 4 + is_flags_N * 2 + repeats_N, return_index=True, return_counts=True
        )
        for code, place, count in zip(codes.tolist(), places.tolist(), counts.tolist(), strict=True):
            form = (code // 4, bool(code & 2), bool(code & 1))
            self._counts[form] += count
            self._first.setdefault(form, (int(rows_N[place]), lists[place].as_py()))
        pairs = lists.filter(pa.array(is_flags_N & (lengths_N == 2) & ~repeats_N))
        self._first_of_pairs |= {
            "1" if text.lower() in ONE else "0" for text in pc.unique(pc.list_element(pairs, 0)).to_pylist()
        }
        encoded, parents_E = lists.flatten().dictionary_encode(), pc.list_parent_indices(lists).to_numpy()
        texts, of_ids_E = encoded.dictionary.to_pylist(), np.flatnonzero(~repeats_N[parents_E])
        values, firsts = np.unique(encoded.indices.to_numpy()[of_ids_E], return_index=True)
        for value, entry in zip(values.tolist(), of_ids_E[firsts].tolist(), strict=True):
            if texts[value] not in self._known:
                self._known.add(texts[value])
                row = int(parents_E[entry])
                self._new[int(rows_N[row])] = lists[row].as_py()

    def column(self, last: SourceColumn) -> SourceColumn:
        """Return the rows that are kept, in order: those of one reading. `last` is a block of the column."""
        width = self._hot_width(last)
        if width is not None:
            kept = dict(found for form, found in self._first.items() if form[:2] == (width, True))
        else:
            kept = dict(found for form, found in self._first.items() if not form[2]) | self._new
        if not kept:
            raise repeating(_column(last, dict(self._first.values())), range(1))
        return _column(last, kept)

    def _hot_width(self, last: SourceColumn) -> int | None:
        """Return the length of the lists of 0 and 1, if some lists are certainly no ids; None if they may be."""
        if not self._are_sets:
            return None
        rows = sum(self._counts.values())
        repeating_ = sum(count for form, count in self._counts.items() if form[2])
        by_width: Counter[int] = Counter()
        for (width, is_flags, _), count in self._counts.items():
            if is_flags and width > 1:
                by_width[width] += count
        width, flags = by_width.most_common(1)[0] if by_width else (0, 0)
        odd = rows - flags
        if not repeating_:
            both_ways = len(self._first_of_pairs) == 2 and len(last.names) in (0, 2)
            if odd and 2 * odd < rows and both_ways:  # as ids, most rows would name both classes
                raise self._mixed(last, (width, True, False))
            return None
        if odd < repeating_ and 2 * odd < rows:
            return width
        hot = [form for form in self._first if form[1] and form[2]]
        if hot and not 2 * repeating_ < rows <= 2 * odd:
            raise self._mixed(last, min(hot, key=lambda form: self._first[form][0]))
        return None

    def _mixed(self, last: SourceColumn, hot: _Form) -> SourceError:
        """Return the error for lists that are neither certainly ids nor certainly 0 and 1; it names two rows."""
        others = [form for form in self._first if form[:2] != hot[:2]]
        other = min(others, key=lambda form: self._first[form][0])
        (row, entries), (other_row, other_entries) = self._first[hot], self._first[other]
        lengths = "of different lengths: row {row} has {entries} entries, row {other_row} has {other_entries}."
        values = "and others: row {row} has {entries}, row {other_row} has {other_entries}."
        return SourceError(
            fitted(
                _MIXED + (lengths if other[1] else values),
                name=last.name,
                where=last.where,
                row=row + 1,
                entries=len(entries) if other[1] else str(entries),
                other_row=other_row + 1,
                other_entries=len(other_entries) if other[1] else str(other_entries),
            ),
            next_step=HOT_STEP,
        )


def are_flags(lists: pa.ListArray) -> BoolArray:
    """Return which lists contain 0 and 1 alone; an empty one does not."""
    is_other = pc.invert(pc.is_in(pc.utf8_lower(lists.flatten()), pa.array([*ZERO, *ONE])))
    found_N = pc.list_value_length(lists).to_numpy() > 0
    found_N[pc.list_parent_indices(lists).filter(is_other).to_numpy()] = False
    return found_N


def repeats(lists: pa.ListArray) -> BoolArray:
    """Return which lists have a number, or true or false, twice; a name may come twice."""
    encoded = lists.flatten().dictionary_encode()
    plain = [_id(text) for text in encoded.dictionary.to_pylist()]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(plain))}
    codes_E = np.array([numbers[text] for text in plain], dtype=np.int64)[encoded.indices.to_numpy()]
    is_id_E = np.array([text is not None for text in plain], dtype=np.bool_)[encoded.indices.to_numpy()]
    codes_E, parents_E = codes_E[is_id_E], pc.list_parent_indices(lists).to_numpy()[is_id_E]
    order = np.lexsort((codes_E, parents_E))
    same = (np.diff(codes_E[order]) == 0) & (np.diff(parents_E[order]) == 0)
    found_N = np.zeros(len(lists), dtype=np.bool_)
    found_N[parents_E[order][1:][same]] = True
    return found_N


def repeating(column: SourceColumn, places: Iterable[int]) -> RowError:
    """Return the error for lists of ids that repeat one, by their places in a column of lists."""
    found = {place: str(column.values[place].as_py()) for place in places}
    return bad_values(column, found, "has {value} in '{name}', which has a class twice", next_step=ROW_STEP)


def _id(text: str) -> str | None:
    """Return what is the same for a number, or true or false, however it is written; None for a name."""
    found = _ID.fullmatch(text)
    if found is not None:
        return ("-" if text[0] == "-" else "") + (found[1].lstrip("0") or "0")
    return text if text.lower() in ("true", "false") else None


def _column(last: SourceColumn, rows: Mapping[int, list[str]]) -> SourceColumn:
    numbers = sorted(rows)
    lists = pa.array([rows[row] for row in numbers], pa.list_(pa.string()))
    return replace(last, values=pa.chunked_array([lists]), rows_N=np.array(numbers, dtype=np.int64))
