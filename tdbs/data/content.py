"""Kinds of content that a column may have."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import offsets_of

ROWS_AT_ONCE = 8192  # of a file that is read: of long documents they are tens of MB

# "name": whatever it is, only whether two are equal matters
# "texts": a list of them, as "words" is, but some of its entries may be null
Content = Literal["text", "texts", "label", "words", "labels", "answers", "name", "any"]

ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int64()))])  # as SQuAD has them


def is_text(kind: pa.DataType) -> bool:
    """Return whether values of a type are texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_list(kind: pa.DataType) -> bool:
    """Return whether values of a type are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that values are read as: views and dictionaries of texts, also in lists, are strings."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    if is_list(kind) and plain_type(kind.value_type) != kind.value_type:
        return pa.list_(plain_type(kind.value_type))
    return kind


def plain_values(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values in the type that they are read as."""
    return pa.chunked_array([_plain(chunk) for chunk in values.chunks], plain_type(values.type))


def _plain(values: pa.Array) -> pa.Array:
    """Return values in their plain type: Arrow casts no dictionary of views, which polars writes."""
    kind = values.type
    if plain_type(kind) == kind:
        return values
    if pa.types.is_dictionary(kind):
        return _plain(values.dictionary).take(values.indices)
    if is_list(kind):
        offsets = offsets_of(pc.fill_null(pc.list_value_length(values), 0).to_numpy()).astype(np.int32)
        return pa.ListArray.from_arrays(offsets, _plain(values.flatten()), mask=values.is_null())
    return values.cast(plain_type(kind))
