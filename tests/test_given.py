"""Arguments of Python functions: what has a right type passes as it is, anything else is refused in full sentences."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TextIO

import numpy as np
import numpy.typing as npt
import pytest

from tdbs.errors import ConfigError
from tdbs.given import Place, checked, fitting, several, text_of
from tdbs.train.planning.strategies import STRATEGIES, Strategy

REACH = STRATEGIES["reach"]
NAMES = Sequence[Strategy | str] | Strategy | str | None


class Folder:
    """A path of another library: it has `__fspath__`, and no more."""

    def __fspath__(self) -> str:
        return "data/other"


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 3),
        (int, np.int64(3)),
        (float, 3),
        (float, np.float32(0.5)),
        (bool, False),
        (str | None, None),
        (Literal["auto", "fp32"], "no choice of it"),  # choices are checked where they are used
        (Annotated[int | None, "what help says"], 3),
        (NAMES, "reach"),
        (NAMES, REACH),
        (NAMES, ["random", REACH]),
        (NAMES, ()),
        (Sequence[int], np.arange(3)),
        (Sequence[int], range(3)),
        (Place, Path("data")),
        (Place, Folder()),
        (str | Path | TextIO | None, io.StringIO()),
        (Callable[[int], None], print),
        (npt.NDArray[np.int64], np.arange(3)),
    ],
)
def test_what_fits_is_returned_as_it_is(hint, value):
    assert fitting("given", hint, value) is value


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, "2", "'given' is of type str. Pass a whole number."),
        (int, 2.0, "'given' is of type float. Pass a whole number."),
        (float | None, "0.1", "'given' is of type str. Pass a number or None."),
        (bool, "yes", "'given' is of type str. Pass True or False."),
        (int | str | None, 1.5, "'given' is of type float. Pass a whole number, a text or None."),
        (Literal["auto"], 3, "'given' is of type int. Pass a text."),
        (NAMES, 3, "'given' is of type int. Pass a Strategy, a text, a list of them or None."),
        (NAMES, ["reach", 3], "'given' has an item of type int. Pass a Strategy, a text, a list of them or None."),
        (Sequence[int] | int, "1", "'given' is of type str. Pass a whole number or a list of them."),
        (Sequence[str], {"a": 1}, "'given' is of type dict. Pass a list."),
        (Place, 3, "'given' is of type int. Pass a path."),
        (Callable[[int], None], 3, "'given' is of type int. Pass a function."),
        (npt.NDArray[np.int64], [1, 2], "'given' is of type list. Pass an array of numpy."),
        (Strategy, "reach", "'given' is of type str. Pass a Strategy."),
    ],
)
def test_what_does_not_fit_is_refused(hint, value, expected):
    with pytest.raises(ConfigError) as caught:
        fitting("given", hint, value)
    assert str(caught.value) == expected


def test_a_path_is_taken_for_a_text():
    assert fitting("model", str | None, Path("runs/first")) == "runs/first"
    assert fitting("model", str | None, Folder()) == "data/other"


def test_one_value_becomes_a_list_of_one():
    assert (several("reach"), several(REACH), several(1)) == (["reach"], [REACH], [1])
    given = ("random", "reach")
    assert several(given) is given


def test_places_as_texts():
    assert [text_of(place) for place in ("roberta-base", Path("data/a"), Folder())] == [
        "roberta-base", "data/a", "data/other",
    ]  # fmt: skip


def test_a_checked_function_is_called_with_what_it_takes():
    """Its name, signature and errors of missing arguments are the function's own."""

    @checked
    def twice(number: int, *, model: str | None = None) -> tuple[int, str | None]:
        """Double."""
        return 2 * number, model

    assert twice(2, model=Path("tiny")) == (4, "tiny")
    assert (twice.__name__, twice.__doc__) == ("twice", "Double.")
    with pytest.raises(ConfigError, match="'number' is of type str"):
        twice(number="2")
    with pytest.raises(TypeError, match="missing a required argument: 'number'"):
        twice()
