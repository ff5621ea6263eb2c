"""The columns in a file's header: what an error says if the requested one is not there, and what may be wrong."""

import re
from collections.abc import Sequence

from tdbs.data.columns import WORD_NAMES
from tdbs.errors import SourceError
from tdbs.shown import MESSAGE, clipped, is_number

_TAG = re.compile(r"O|[BIESLU]-[^\s,;]+")  # of an entity, in the last column of CoNLL files
_SHOWN_NAME = 24  # of a column's name in a list of them
_LONG_NAME = (40, 5)  # characters and words; a longer name of a column is probably a text


def no_column(where: str, column: str, names: Sequence[str], *, option: str | None, is_table: bool) -> SourceError:
    """Return the error for a column that a file lacks; its columns are named as far as the message holds them.

    Of a table of text, the header or the delimiter may be another one.
    """
    next_step = f"Name the column with {option}."
    if option is None:
        next_step = "Write it with the columns of the task on the hub."
    elif is_table:
        next_step = _step_of_table(column, names, option) or next_step
    head = f"{clipped(where, 40)} has no column '{clipped(column, 20)}'; it has"
    if not names:
        return SourceError(f"{head} none.", next_step=next_step)
    listed = _listed(names, MESSAGE - len(head) - 3)
    return SourceError(f"{head}: {listed}{'' if listed.endswith('…') else '.'}", next_step=next_step)


def _step_of_table(column: str, names: Sequence[str], option: str) -> str | None:
    """Return the next step if the first line of a table may be no header, or not in the dialect that was found."""
    named = f"name the column with {option}"
    filled = [name for name in names if name]
    is_data = looks_like_data(names) and not _are_numbered(names)
    other = "if it is data, pass --no-header" if is_data else f"else {named}"
    steps = (
        (
            any(len(name) > 1 and name[0] == name[-1] == '"' for name in names),
            f"""If quotes enclose its fields, pass --quote '"'; else {named}.""",
        ),
        (
            filled[:1] == ["sep="] or (len(names) == 1 and names[0].startswith("sep=")),
            "Delete its first line, which says the delimiter: tdbs finds it.",
        ),
        (
            len(names) == 1 and any(mark in names[0] for mark in ",;\t|"),
            f"If its fields have another delimiter, pass --delimiter; else {named}.",
        ),
        (len(filled) == 1, f"If its first line is a title or a comment, delete it; {other}."),
        (is_data, f"If its first row is data, pass --no-header, and name columns by number: {option} 1."),
        (
            column.isdecimal() and not _are_numbered(names),
            f"If its first row is data, pass --no-header, so that columns have numbers; else {named}.",
        ),
    )
    return conll_step(names) or next((step for applies, step in steps if applies), None)


def conll_step(names: Sequence[str]) -> str | None:
    """Return the next step if names of columns are the first word of a CoNLL file that was read as a table."""
    fields = names[0].split() if len(names) == 1 else [name for name in names if name]
    is_word = len(fields) > 1 and (fields[0] == "-DOCSTART-" or _TAG.fullmatch(fields[-1]) is not None)
    return "If it is a CoNLL file, name it .conll." if is_word else None


def looks_like_data(names: Sequence[str]) -> bool:
    """Return whether the first row of a table is probably not a header: it has a text, a number, or a value twice."""
    filled = [name.strip() for name in names if name.strip()]
    characters, words = _LONG_NAME
    are_texts = (len(name) > characters or len(name.split()) > words or is_number(name) for name in filled)
    return any(are_texts) or len(set(filled)) < len(filled)


def _are_numbered(names: Sequence[str]) -> bool:
    """Return whether names are those that tdbs gives to columns without: 1, 2, …, in CoNLL files beside two more."""
    numbers = [name for name in names if name not in WORD_NAMES]
    return numbers == [str(number) for number in range(1, len(numbers) + 1)]


def _listed(names: Sequence[str], width: int) -> str:
    """Return names in quotes, as many as fit."""
    shown: list[str] = []
    for place, name in enumerate(names):
        named = f"'{clipped(name, _SHOWN_NAME)}'"
        room = width - len(", …") * (place < len(names) - 1)
        if len(", ".join([*shown, named])) > room:
            return ", ".join([*shown, "…"])
        shown.append(named)
    return ", ".join(shown)
