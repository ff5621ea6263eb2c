"""Columns of negatives whose cells are lists written as texts, `["a text", "another"]`: read as JSON, as lists.

Tables of text have no lists, so a cell is the only place for some texts. The first filled cell of a column says whether
the column has lists or texts; a cell of the other kind is an error that names both rows, so no list becomes a text.
Lists that are written in another way, as Python prints them, are refused: what they mean is not certain.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray
from tdbs.data.columns import UNSEEN, SourceColumn, one_array, refuse_other_bytes
from tdbs.data.content import Content, is_text
from tdbs.data.sources import Source, Split
from tdbs.data.tables import SplitRows, source_column, tables_of, text_contents
from tdbs.errors import SourceError, TdbsError
from tdbs.shown import fitted

# Shapes: N rows.

# Texts in quotes, as JSON, Python and NumPy write them, or none. Text that only begins with a quote is not a list.
_ENTRY = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|null|None|nan)"""
_WRITTEN = rf"(?s)^\[\s*(?:{_ENTRY}(?:\s*,?\s*{_ENTRY})*\s*,?\s*)?\]$"
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # of surrogates: one character
_HALF = r"\\u[dD][89a-fA-F]"
_ONE_KIND = 'Write a text in every row, or a list in every row, such as ["a text"]: [] has none.'
_AS_JSON = 'Write lists as JSON: ["a text", "another"]. In Python, json.dumps does.'


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstCell:
    """The first filled cell of a column of texts, which says what the others are."""

    row: str  # its row, as errors name it
    is_list: bool


def first_cells(split: Split, source: Source) -> dict[str, FirstCell]:
    """Return the first filled cell of each column of negatives that is of texts; columns without one are left out."""
    contents = text_contents(split, source)
    missing: dict[str, Content] = {
        name: "text" for name in source.task.columns.negatives if contents.get(name) == "text"
    }
    found: dict[str, FirstCell] = {}
    try:
        for table in tables_of(SplitRows(split=split, wanted_N=None), dict(missing), {}) if missing else ():
            for name in [name for name in missing if is_text(table[name].type)]:
                column = source_column(name, split, table)
                refuse_other_bytes(column)
                texts = _trimmed(column)
                filled = np.flatnonzero(pc.not_equal(texts, "").to_numpy(zero_copy_only=False))
                if filled.size:
                    first = int(filled[0])
                    found[name] = FirstCell(
                        row=column.row(first), is_list=bool(_are_lists(texts[first : first + 1])[0])
                    )
                    del missing[name]
            if not missing:
                break
    except (TdbsError, OSError, UnicodeError):  # whoever reads the rows says it
        return found
    return found


def with_lists(tables: Iterator[pa.Table], split: Split, cells: Mapping[str, FirstCell]) -> Iterator[pa.Table]:
    """Yield tables in which columns of written lists are lists. Raises SourceError for a cell of the other kind."""
    for table in tables:
        read = table
        for name, first in cells.items():
            if name in table.column_names:
                values = _as_first(source_column(name, split, table), first)
                read = read.set_column(table.column_names.index(name), name, values)
        yield read


def _as_first(column: SourceColumn, first: FirstCell) -> pa.ChunkedArray:
    """Return a column of texts as it is, or as lists if its first filled cell is one."""
    refuse_other_bytes(column)
    texts = _trimmed(column)
    is_filled_N = pc.not_equal(texts, "").to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(is_filled_N & (_are_lists(texts) != first.is_list))
    if odd.size:
        raise _other_kind(column, int(odd[0]), first)
    if not first.is_list:
        return column.values
    return pa.chunked_array([_decoded(column, pc.if_else(pa.array(is_filled_N), texts, "[]"))])


def _decoded(column: SourceColumn, texts: pa.Array) -> pa.ListArray:
    """Return lists of texts from JSON. Raises SourceError for a list that is written in another way."""
    import polars as pl

    whole = pc.replace_substring_regex(pc.replace_substring(texts, r"\\", ""), _PAIR, "")
    halves = np.flatnonzero(pc.match_substring_regex(whole, _HALF).to_numpy(zero_copy_only=False))
    if halves.size:
        raise _not_json(column, int(halves[0]))
    try:
        lists = pl.Series(texts).str.json_decode(pl.List(pl.String))
    except pl.exceptions.ComputeError as error:
        wrong = (place for place, text in enumerate(texts.to_pylist()) if not _is_json(text))
        raise _not_json(column, next(wrong, 0)) from error
    return lists.to_arrow().cast(pa.list_(pa.string()))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _trimmed(column: SourceColumn) -> pa.Array:
    """Return texts without what cannot be seen around them; a missing one is empty."""
    return pc.utf8_trim(one_array(column.values).cast(pa.string()).fill_null(""), characters=UNSEEN)


def _are_lists(texts: pa.Array) -> BoolArray:
    found: BoolArray = pc.match_substring_regex(texts, _WRITTEN).to_numpy(zero_copy_only=False)
    return found


def _other_kind(column: SourceColumn, index: int, first: FirstCell) -> SourceError:
    """Return the error for a list among texts, or a text among lists."""
    kind = "a list, but {other} has a text" if not first.is_list else "not a list of texts as {other} has"
    return SourceError(
        fitted(
            f"{{row}} has {{value}} in '{{name}}', {kind}.",
            row=column.row(index),
            value=column.values[index].as_py(),
            name=column.name,
            other=first.row[:1].lower() + first.row[1:],
        ),
        next_step=_ONE_KIND,
    )


def _not_json(column: SourceColumn, index: int) -> SourceError:
    return SourceError(
        fitted(
            "{row} has {value} in '{name}', a list that is not JSON.",
            row=column.row(index),
            value=column.values[index].as_py(),
            name=column.name,
        ),
        next_step=_AS_JSON,
    )
