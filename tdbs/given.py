"""What callers of the Python functions pass: a value of another type is refused, and the error says what to pass.

Only types are looked at here; ranges and names are checked where they are used. Numbers of numpy are numbers. Whatever
has a path (`os.PathLike`) is one: datasets and results of runs stand for their folders.
"""

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    ParamSpec,
    TextIO,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from tdbs.errors import ConfigError

Place = str | os.PathLike[str]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_NUMBERS: dict[Any, Any] = {int: Integral, float: Real, bool: (bool, Integral)}
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "True or False",
    "str": "a text",
    "Path": "a path",
    "PathLike": "a path",
    "NoneType": "None",
    "Literal": "a text",
    "Callable": "a function",
    "TextIO": "an open file",
    "ndarray": "an array of numpy",
    "PreparedDataset": "what tdbs.prepare returns",
    "Profile": "what tdbs.read_profile returns",
}


def checked(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a function refuse arguments of other types than it has in its annotations. A path is taken for a text."""
    signature = inspect.signature(function)

    @functools.cache
    def hints() -> dict[str, Any]:
        return get_type_hints(function)

    @functools.wraps(function)
    def call(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        bound = signature.bind(*arguments, **named)
        given = bound.arguments.items()
        bound.arguments.update({name: fitting(name, hints().get(name, Any), value) for name, value in given})
        return function(*bound.args, **bound.kwargs)

    return call


def fitting(name: str, hint: Any, value: Any) -> Any:
    """Return a value whose type is one of an annotation; a path, where only a text is meant, as a text.

    Raises ConfigError, which says what the argument `name` takes.
    """
    kinds = _kinds(hint)
    if any(_fits(value, kind) for kind in kinds):
        return value
    if str in kinds and _is_path(value):
        return text_of(value)
    items = [item for kind in kinds if _is_list_kind(kind) for item in get_args(kind)]
    wrong = next((item for item in value if not _fits_any(item, items)), value) if items and is_list(value) else value
    has = "is" if wrong is value else "has an item"
    raise ConfigError(f"'{name}' {has} of type {type(wrong).__name__}.", next_step=f"Pass {_said(kinds)}.")


def several(given: Any) -> Sequence[Any]:
    """Return what is in a list, and a list of one of any other value; a text is one value."""
    return given if is_list(given) else [given]


def is_list(value: object) -> bool:
    """Return whether a value has items: a list, a tuple, an array; neither a text nor a table of names."""
    return hasattr(value, "__len__") and hasattr(value, "__iter__") and not isinstance(value, str | bytes | Mapping)


def text_of(place: Place) -> str:
    """Return a path, or a name, as a text."""
    return os.fspath(place) if isinstance(place, str | os.PathLike) else str(place)  # of an object store: its URL


def _kinds(hint: Any) -> list[Any]:
    """Return the types of which a value has one."""
    if get_origin(hint) is Annotated:
        return _kinds(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [kind for each in get_args(hint) for kind in _kinds(each)]
    return [hint]


def _fits(value: object, kind: Any) -> bool:
    plain = get_origin(kind) or kind
    if plain in _NUMBERS:
        return isinstance(value, _NUMBERS[plain])
    if plain in (Path, os.PathLike):
        return _is_path(value)
    if _is_list_kind(kind):
        return is_list(value) and all(_fits_any(item, get_args(kind)) for item in cast(Sequence[Any], value))
    if plain is Literal:
        return isinstance(value, str)
    if plain is TextIO:
        return hasattr(value, "write")
    is_class = isinstance(plain, type) and plain is not Any and not getattr(plain, "_is_protocol", False)
    return not is_class or isinstance(value, plain)


def _fits_any(value: object, hints: Sequence[Any]) -> bool:
    return any(_fits(value, kind) for hint in hints for kind in _kinds(hint))


def _is_list_kind(kind: Any) -> bool:
    return get_origin(kind) is Sequence


def _is_path(value: object) -> bool:
    return isinstance(value, os.PathLike) or hasattr(value, "joinpath")  # of an object store


def _said(kinds: Sequence[Any]) -> str:
    """Return types in words: lists after what they hold, and None last."""
    names = [getattr(get_origin(kind) or kind, "__name__", str(kind)) for kind in kinds if not _is_list_kind(kind)]
    if "PathLike" in names:
        names.remove("str")
    words = list(dict.fromkeys(_WORDS.get(name, f"a {name}") for name in names if name != "NoneType"))
    if any(map(_is_list_kind, kinds)):
        words.append("a list of them" if words else "a list")
    if "NoneType" in names:
        words.append("None")
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
