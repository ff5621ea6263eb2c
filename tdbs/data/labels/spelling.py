"""One spelling per label: invisible characters around it do not count, and true and false ignore case.

A boolean with one spelling keeps it; one with several becomes True or False, as JSON's are. An accented letter is the
same whether Unicode writes it as one character or two. NaN among numbers is a missing label.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import offsets_of
from tdbs.data.columns import UNSEEN, SourceColumn, one_array, other_bytes, plain_name
from tdbs.data.content import is_list, is_text
from tdbs.data.labels.list_texts import plain_scalars

_BOOLEANS = ("true", "false")
_COMPOSED: Literal["NFC"] = "NFC"


def plain_labels(column: SourceColumn, *, are_names: bool) -> SourceColumn:
    """Return labels, or lists of labels, in the spelling that they are compared in; blank ones and NaN are missing.

    Unless they are names, whatever they look like, texts are read as the values that they are written for.
    """
    column = _without_decimals(column)
    kind = column.values.type
    inner = kind.value_type if is_list(kind) else kind
    if not (is_text(inner) or pa.types.is_floating(inner)):
        return column
    array = one_array(column.values.cast(pa.list_(inner)) if is_list(kind) else column.values)
    flat = array.flatten() if is_list(kind) else array
    try:
        plain = _plain_texts(flat, are_names=are_names) if is_text(inner) else _finite(flat, in_list=is_list(kind))
    except UnicodeDecodeError as error:
        raise other_bytes(column) from error
    if not is_list(kind):
        return replace(column, values=pa.chunked_array([plain]))
    offsets = offsets_of(pc.fill_null(pc.list_value_length(array), 0).to_numpy())
    lists = pa.ListArray.from_arrays(offsets.astype(np.int32), plain, mask=array.is_null())
    return replace(column, values=pa.chunked_array([lists]))


def plain_class(name: str) -> str:
    """Return the name of a class in the spelling that labels are compared in."""
    return unicodedata.normalize(_COMPOSED, plain_name(name))


def one_spelling(texts: Iterable[str]) -> dict[str, str]:
    """Return the class that each distinct label names."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for text in (names := list(texts)):
        spellings[folded(text)].add(text)
    return {text: text if len(spellings[folded(text)]) == 1 else text.capitalize() for text in names}


def spelled_as(classes: Iterable[str]) -> Callable[[str], str]:
    """Return what gives a label the spelling that its class has, if there is one."""
    known = {folded(name): name for name in classes if folded(name) in _BOOLEANS}
    return lambda text: known.get(folded(text), text)


def folded(text: str) -> str:
    """Return what is the same for two labels that are one."""
    lower = text.lower()
    return lower if lower in _BOOLEANS else text


def _plain_texts(texts: pa.Array, *, are_names: bool) -> pa.Array:
    seen = pc.utf8_trim(texts, characters=UNSEEN)
    plain = pc.utf8_normalize(seen if are_names else pc.utf8_trim(plain_scalars(seen), characters=UNSEEN), _COMPOSED)
    return pc.if_else(pc.equal(plain, ""), pa.scalar(None, plain.type), plain)


def _without_decimals(column: SourceColumn) -> SourceColumn:
    """Return decimals, as databases have them, also in lists, as texts of numbers: 1.00 as 1, which can be a class."""
    kind = column.values.type
    inner = kind.value_type if is_list(kind) else kind
    if not pa.types.is_decimal(inner):
        return column
    array = one_array(column.values.cast(pa.list_(inner)) if is_list(kind) else column.values)
    encoded = (array.flatten() if is_list(kind) else array).dictionary_encode()
    written = (format(number, "f") for number in encoded.dictionary.to_pylist())
    plain = [text.rstrip("0").rstrip(".") if "." in text else text for text in written]
    texts = pa.array(plain, pa.string()).take(encoded.indices)
    if not is_list(kind):
        return replace(column, values=pa.chunked_array([texts]))
    offsets = offsets_of(pc.fill_null(pc.list_value_length(array), 0).to_numpy())
    lists = pa.ListArray.from_arrays(offsets.astype(np.int32), texts, mask=array.is_null())
    return replace(column, values=pa.chunked_array([lists]))


def _finite(numbers: pa.Array, *, in_list: bool) -> pa.Array:
    """Return numbers without NaN, and in lists, whose numbers are classes, without infinite ones."""
    is_none = pc.invert(pc.is_finite(numbers)) if in_list else pc.is_nan(numbers)
    return pc.if_else(is_none, pa.scalar(None, numbers.type), numbers)
