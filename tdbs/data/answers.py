"""Check the answers of question answering: each must stand in its context where `answer_start` says.

An answer at the wrong place would teach the model another text, so it is refused by its row.
"""

import pyarrow as pa

from tdbs.data.columns import SourceColumn, one_array
from tdbs.data.content import ANSWERS
from tdbs.errors import SourceError


def checked_answers(column: SourceColumn, *, contexts: SourceColumn) -> pa.Array:
    """Return the answers of all rows as {text, answer_start}; starts count characters from 0."""
    try:
        answers = one_array(column.values.cast(ANSWERS))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError) as error:  # what casts of other types raise
        raise SourceError(
            f"'{column.name}' of {column.where} holds {column.values.type}, not answers.",
            next_step='Write answers such as {"text": ["Paris"], "answer_start": [17]}.',
        ) from error
    rows = zip(answers.field("text").to_pylist(), answers.field("answer_start").to_pylist(), strict=True)
    for row, ((texts, starts), context) in enumerate(zip(rows, contexts.values.to_pylist(), strict=True)):
        problem = _problem(texts, starts, context)
        if problem is not None:
            raise SourceError(f"{column.row(row)} {problem}.", next_step="Fix the row or delete it.")
    return answers


def _problem(texts: list[str] | None, starts: list[int] | None, context: str) -> str | None:
    """Return what is wrong with the answers of one question."""
    if not texts or not starts:
        return "has no answer; questions without one are not supported"
    if len(texts) != len(starts):
        return f"has {len(texts)} answers, but {len(starts)} places"
    for text, start in zip(texts, starts, strict=True):
        if not text:
            return "has an empty answer"
        if start is None or start < 0 or not context.startswith(text, start):
            return f"has the answer '{text[:60]}', which does not stand at character {start} of its context"
    return None
