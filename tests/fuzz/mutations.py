"""Valid records made wrong: parts dropped, added and replaced, bytes cut short and turned round."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

# What no record expects somewhere: other types, numbers out of any range, text that breaks lines and terminals.
ODD_VALUES = (
    *(None, True, False, 0, 1, -1, 2, 3, 5, 128, 2**31, -(2**31), 2**63, -(2**63), 10**30, 10**400),
    *(0.0, 0.5, 1.0, 1.5, -0.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    *(
        "",
        " ",
        "a",
        "0",
        "1",
        "-1",
        "nan",
        "x" * 300,
        "a\0b",
        "\ud800",
        "é\u0301",
        "\u202e",
        "\x1b[2J",
        "a\nb",
        "\ufeff",
    ),
    *("../up", "/", ".", "~", "C:\\x", "s3://bucket/x", "none", "paper", "train", "classification"),
    *([], {}, [[]], [{}], [None], [0], [1, 2], ["a"], {"a": 1}, {"": {}}, [[[[[[[[]]]]]]]], [1.5], ["a", 1]),
)
ODD_KEYS = ("", "x", "text", "label", "rows", "a\0b", "é", "1", "path", "seed")

odd_values = st.one_of(
    st.sampled_from(ODD_VALUES).map(copy.deepcopy),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers(-3, 300) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
)


@st.composite
def mutated(draw: st.DrawFn, value: Any, *, most: int = 3) -> Any:
    """Return a nested value with one to some of its parts dropped, added, replaced or doubled."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, most))):
        places = list(_places(value))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(("replace", "replace", "replace", "drop", "add", "double", "nest", "near"))):
            case "replace":
                holder[key] = draw(odd_values)
            case "drop":
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[draw(st.sampled_from(ODD_KEYS))] = draw(odd_values)
            case "add":
                holder.insert(key, draw(odd_values))
            case "double" if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case "nest":
                holder[key] = draw(st.sampled_from(([holder[key]], {"a": holder[key]})))
            case _:
                holder[key] = _near(holder[key], draw(st.sampled_from((-1, 1, 2, -2, 1000))))
    return value


def _near(value: Any, by: int) -> Any:
    """Return a value of the same type that is not quite the same."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return value + by
    return value + str(by) if isinstance(value, str) else value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each holder and key of a nested value, as holder[key]; long lists by their ends alone."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = sorted({*range(min(len(value), 3)), *range(max(len(value) - 2, 0), len(value))})
    else:
        return
    for key in keys:
        yield value, key
        yield from _places(value[key])


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Return bytes of a valid file with some turned, removed, doubled or put in; or cut short."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(("flip", "flip", "cut", "remove", "insert", "double", "end"))):
            case "flip" if data:
                data = data[:place] + bytes([data[place] ^ (1 << draw(st.integers(0, 7)))]) + data[place + 1 :]
            case "cut":
                data = data[:place]
            case "remove":
                data = data[:place] + data[place + draw(st.integers(1, 20)) :]
            case "insert":
                data = data[:place] + draw(st.binary(max_size=6) | st.sampled_from(ODD_BYTES)) + data[place:]
            case "double":
                data = data[:place] + data[place : place + draw(st.integers(1, 40))] + data[place:]
            case _:
                data += draw(st.sampled_from(ODD_BYTES))
    return data


ODD_BYTES = (
    *(
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b'"',
        b"'",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b",",
        b"\t",
        b"{",
        b"}",
    ),
    *(b"[", b"]", b"NaN", b"-Infinity", b"\\ud800", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\x1a", b"\x85", b"1e999"),
    *(b"[" * 3000, b'{"a":' * 3000, b"9" * 5000),
)
