"""One label, one spelling: blanks around it are not part of it, and true and false are the same in any case.

A boolean that has one spelling keeps it; one that has several is True or False, as JSON's are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.data.columns import one_array
from tdbs.data.content import is_list, is_text

_BOOLEANS = ("true", "false")


def without_blanks(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts, or lists of texts, without the blanks around them; nothing but blanks is missing."""
    kind = values.type
    if is_text(kind):
        return _trimmed(values)
    if not (is_list(kind) and is_text(kind.value_type)):
        return values
    lists = one_array(values.cast(pa.list_(kind.value_type)))
    trimmed = _trimmed(lists.flatten())
    if trimmed.equals(lists.flatten()):
        return values
    offsets = np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy())])
    return pa.chunked_array([pa.ListArray.from_arrays(offsets.astype(np.int32), trimmed, mask=lists.is_null())])


def one_spelling(texts: Iterable[str]) -> dict[str, str]:
    """Return the class that each distinct label names."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for text in (names := list(texts)):
        spellings[_folded(text)].add(text)
    return {text: text if len(spellings[_folded(text)]) == 1 else text.capitalize() for text in names}


def spelled_as(classes: Iterable[str]) -> Callable[[str], str]:
    """Return what gives a label the spelling that its class has, if there is one."""
    known = {_folded(name): name for name in classes if _folded(name) in _BOOLEANS}
    return lambda text: known.get(_folded(text), text)


def _folded(text: str) -> str:
    folded = text.lower()
    return folded if folded in _BOOLEANS else text


def _trimmed(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(texts)
    is_blank = pc.and_(pc.equal(trimmed, ""), pc.not_equal(texts, ""))
    return pc.if_else(is_blank, pa.scalar(None, trimmed.type), trimmed)
