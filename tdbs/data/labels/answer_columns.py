"""Answers in two columns, such as `--label answer_text,answer_start` of a CSV file.

Two label columns beside a `--pair` are answers by what the first 8,192 rows of train contain:

1. the second column contains whole numbers (17, or 17.0 as pandas writes them), and
2. the text of the first is in the context at that character, counted from 0.

Both hold in each row; or, if any text of the first is neither a number nor true or false, 1 in half of the rows and
both in one. Whole numbers of which none is the place of its text are an error; other columns are several labels. With
`--label-type` nothing is looked at. Every row is checked again when it is read. A row with both fields empty has no
label; an empty text at -1 means that the context has no answer.
"""

import re
from collections.abc import Iterator

import pyarrow as pa

from tdbs.data.answers import NO_PLACE
from tdbs.data.columns import REASON, SourceColumn, one_array, row_name
from tdbs.data.content import ANSWERS, ROWS_AT_ONCE, is_text, plain_values
from tdbs.data.stores import Store, store_tables
from tdbs.data.tasks import Columns
from tdbs.errors import RowError, SourceError
from tdbs.shown import fitted

_WHOLE = re.compile(r"\s*(-?[0-9]{1,15})(?:\.0)?\s*")
_NUMBER_OR_FLAG = re.compile(r"\s*(?:[-+]?[0-9.]+(?:e[-+]?[0-9]+)?|true|false|nan)\s*", re.IGNORECASE)


def are_answer_columns(store: Store, columns: Columns, *, where: str) -> bool:
    """Return whether two label columns are answers: a text, and its first character in the context.

    Raises SourceError if they have the form of answers, and no answer is at its place.
    """
    if columns.pair is None or len(columns.labels) != 2:
        return False
    misplaced: tuple[int, str, int] | None = None
    placed = whole = others = 0  # places that are those of their texts, whole numbers, and other places
    other_texts = False
    for row, (context, text, start) in enumerate(_first_rows(store, columns.pair, columns.labels), start=1):
        if context is None or start is None or not start.strip():
            continue
        place = _WHOLE.fullmatch(start)
        if place is None:
            others += 1
            continue
        whole += 1
        if not text:
            continue
        other_texts |= _NUMBER_OR_FLAG.fullmatch(text) is None
        if _is_at(context, text, int(place[1])):
            placed += 1
        elif misplaced is None:
            misplaced = row, text, int(place[1])
    if placed and other_texts:
        return whole >= others
    if others or misplaced is None:
        return placed > 0 and not others
    if not other_texts:
        return False
    row, text, at = misplaced
    raise SourceError(
        fitted(
            "{row} has the answer '{text}', which is not at character {at} of its context.",
            row=row_name(row - 1, where),
            text=text,
            at=at,
        ),
        next_step="Count characters from 0. If the columns are classes, write 0 and 1 in them.",
    )


def joined_answers(texts: SourceColumn, starts: SourceColumn) -> SourceColumn:
    """Return two columns as one of answers. Raises RowError for places that are not whole numbers."""
    answers: list[dict[str, object] | None] = []
    wrong: dict[int, str] = {}
    pairs = zip(_strings(texts.values), _strings(starts.values), strict=True)
    for index, (text, written) in enumerate(pairs):
        start = (written or "").strip()
        place = _WHOLE.fullmatch(start)
        if start and place is None:
            wrong[index] = start
        at = None if place is None else int(place[1])
        if not text and at is None:
            answers.append(None)
        elif not text and at == NO_PLACE:
            answers.append({"text": [], "answer_start": []})
        else:
            answers.append({"text": [text], "answer_start": [at]})
    if wrong:
        index, start = next(iter(wrong.items()))
        problem = "is '{value}', not a whole number"
        raise RowError(
            fitted(
                "'{name}' in row {number} of {where} " + problem + ".",
                name=starts.name,
                number=starts.number(index),
                where=starts.where,
                value=start,
            ),
            next_step="Write the answer's first character, counted from 0.",
            reasons={
                int(starts.rows_N[place]): fitted("'{name}' " + problem, width=REASON, name=starts.name, value=value)
                for place, value in wrong.items()
            },
        )
    return SourceColumn(
        name=f"{texts.name},{starts.name}",
        where=texts.where,
        values=pa.chunked_array([pa.array(answers, ANSWERS)]),
        rows_N=texts.rows_N,
    )


def _first_rows(
    store: Store, context: str, labels: tuple[str, ...]
) -> Iterator[tuple[str | None, str | None, str | None]]:
    """Yield context, text and start of the first rows; rows that cannot be read are nulls, and refused later."""
    asked = 0
    columns = (context, *labels)
    for table in store_tables(store, {context: "text", **dict.fromkeys(labels, "label")}, {}):
        yield from zip(*(_strings(table[name]) for name in columns), strict=True)
        asked += table.num_rows
        if asked >= ROWS_AT_ONCE:
            return


def _strings(values: pa.ChunkedArray) -> list[str | None]:
    """Return texts and whole numbers as texts; values of other types as Python prints them."""
    plain = plain_values(values)
    if is_text(plain.type) or pa.types.is_integer(plain.type):
        found: list[str | None] = one_array(plain).cast(pa.string()).to_pylist()
        return found
    return [None if value is None else str(value) for value in values.to_pylist()]


def _is_at(context: str, text: str, start: int) -> bool:
    return start >= 0 and context.startswith(text, start)
