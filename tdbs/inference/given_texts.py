"""The texts that a model in memory is called with: one or several, in the forms that its task accepts.

Anything else is refused with what the model accepts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tdbs.data.tasks import Task
from tdbs.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """The texts of a call; `second` are those of pairs, `candidates` those that are ranked."""

    first: list[str]
    second: list[str] | None
    candidates: list[list[str]] | None
    is_one: bool  # not in a list: its prediction is not in one either


@dataclass(frozen=True, kw_only=True, slots=True)
class _Taken:
    """The inputs that a model accepts, and how to pass them."""

    strings: bool
    pairs: bool
    name: str
    passed: str
    candidates: bool = False


_WORDS = _Taken(
    strings=True,
    pairs=False,
    name="one text with spaces between its words",
    passed='Pass "Ann is here", or a list of such texts.',
)
_ONE = _Taken(strings=True, pairs=False, name="one text", passed='Pass "a text", or a list of texts.')
_QUESTION = _Taken(
    strings=False,
    pairs=True,
    name="a question and its context",
    passed='Pass ("question", "context"), or a list of such tuples.',
)
_TWO = _Taken(strings=False, pairs=True, name="two texts", passed='Pass ("first", "second"), or a list of such tuples.')
_CANDIDATES = '("query", ["a text", "another"])'
_RERANKED = _Taken(
    strings=False,
    pairs=True,
    candidates=True,
    name="a query and a text, or a list of texts",
    passed=f'Pass ("query", "a text") or {_CANDIDATES}, or a list of such tuples.',
)
_EMBEDDED = _Taken(
    strings=True,
    pairs=False,
    candidates=True,
    name="one text, or a query and a list of texts",
    passed=f'Pass "a text" or {_CANDIDATES}, or a list of either.',
)
_EITHER = _Taken(
    strings=True, pairs=True, name="one text or a pair of texts", passed='Pass "a", ["a", "b"] or [("a", "b")].'
)
_ANY = _Taken(
    strings=True,
    pairs=True,
    candidates=True,
    name="one text, a pair of texts, or a query and a list of texts",
    passed=f'Pass "a text", ("a", "b") or {_CANDIDATES}, or a list of one kind.',
)


def texts_of(given: Any, task: Task, *, is_run: bool, ranks: bool = False) -> Texts:
    """Return the texts that a model is called with.

    Args:
        given: A string, a tuple of two strings or of a string and a list, or several of one kind: a list, another
            sequence, an iterator.
        task: What the model does.
        is_run: Whether the model is a run, of which it is known whether it was trained on pairs.
        ranks: Whether it may rank texts, though its task is another one.

    Raises:
        ConfigError: What is given is none of these, or not what the model takes.
    """
    taken = _ANY if ranks else _taken(task, is_run=is_run)
    plain = given.tolist() if hasattr(given, "tolist") else given  # of numpy, pandas, pyarrow
    is_one = isinstance(plain, str | tuple)
    if not is_one and (isinstance(plain, bytes | bytearray | memoryview) or not isinstance(plain, Sequence | Iterator)):
        raise _refused("The text", plain, taken)
    texts = [plain] if is_one else list(plain)
    for number, text in enumerate(texts, 1):
        place = "The text" if is_one else f"Text {number} of the list"
        if not (isinstance(text, str) or _is_pair(text) or (taken.candidates and _has_candidates(text))):
            raise _refused(place, text, taken)
        _check_characters(place, text)
    forms = {_form(text) for text in texts}
    if len(forms) > 1:
        raise ConfigError("The texts are neither all strings nor all pairs of strings.", next_step=taken.passed)
    allowed = {"string": taken.strings, "pair": taken.pairs, "candidates": taken.candidates}
    if not all(allowed[form] for form in forms):
        raise _refused("The text" if is_one else "Text 1 of the list", texts[0], taken)
    first = [text if isinstance(text, str) else text[0] for text in texts]
    second = [text[1] for text in texts] if "pair" in forms else None
    candidates = [text[1] for text in texts] if "candidates" in forms else None
    return Texts(first=first, second=second, candidates=candidates, is_one=is_one)


def _form(text: Any) -> str:
    """Return what a text is, of the forms that a model may take."""
    return "string" if isinstance(text, str) else "pair" if _is_pair(text) else "candidates"


def _taken(task: Task, *, is_run: bool) -> _Taken:
    if task.kind == "question_answering":
        return _QUESTION
    if task.kind == "token_classification":
        return _WORDS
    if task.kind == "seq2seq":
        return _ONE
    if task.is_grouped:
        return _RERANKED if task.kind == "ranking" else _EMBEDDED
    if not is_run:
        return _EITHER
    return _TWO if task.is_pair else _ONE


def _is_pair(text: Any) -> bool:
    return isinstance(text, tuple) and len(text) == 2 and all(isinstance(part, str) for part in text)


def _has_candidates(text: Any) -> bool:
    return (
        isinstance(text, tuple)
        and len(text) == 2
        and isinstance(text[0], str)
        and isinstance(text[1], list)
        and all(isinstance(part, str) for part in text[1])
    )


def _refused(place: str, value: Any, taken: _Taken) -> ConfigError:
    return ConfigError(f"{place} is {_described(value)}; this model takes {taken.name}.", next_step=taken.passed)


def _described(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, str):
        return "one string"
    if _is_pair(value):
        return "a pair of strings"
    if isinstance(value, tuple) and len(value) == 2:
        return f"a tuple of {' and '.join(type(part).__name__ for part in value)}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"of type {type(value).__name__}"


def _check_characters(place: str, text: Any) -> None:
    parts = [text[0], *text[1]] if _has_candidates(text) else text
    try:
        "".join(parts).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{place} has half of a surrogate pair at character {error.start + 1}, which is not a character.",
            next_step='Read it with errors="replace".',
        ) from error
