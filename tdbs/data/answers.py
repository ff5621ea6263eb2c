"""Answers to questions, in the shapes in which files have them; all become {"text": [...], "answer_start": [...]}.

| shape | where |
|---|---|
| `{"text": ["Paris"], "answer_start": [17]}` | JSON, Parquet |
| `{"text": "Paris", "answer_start": 17}` | JSON, Parquet |
| `[{"text": "Paris", "answer_start": 17}, …]` | JSON, Parquet |
| two columns, of texts and of places | any file (labels/answer_columns.py) |

A single answer with an empty text at -1 means that the context has none: its lists are empty.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import offsets_of
from tdbs.data.columns import one_array
from tdbs.data.content import ANSWERS, is_list

NO_PLACE = -1  # of the answer, if the context has none
_KEYS = ("text", "answer_start")


def is_answers(kind: pa.DataType) -> bool:
    """Return whether values of a type are answers: objects with a text and its place, or lists of them."""
    inner = kind.value_type if is_list(kind) else kind
    return bool(pa.types.is_struct(inner)) and set(_KEYS) <= {field.name for field in inner}


def is_answer_object(value: object) -> bool:
    """Return whether a value of JSON has the keys of answers."""
    return isinstance(value, dict) and set(_KEYS) <= value.keys()


def answers_of_json(value: object) -> dict[str, Any] | None:
    """Return a value of JSON as {"text": [...], "answer_start": [...]}; None if it is not in one of the shapes."""
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        texts, starts = value["text"], value.get("answer_start")
    elif isinstance(value, dict):
        texts, starts = [value.get("text")], [value.get("answer_start")]
        if texts == [""] and starts == [NO_PLACE]:
            texts, starts = [], []
    elif isinstance(value, list) and all(isinstance(answer, dict) for answer in value):
        texts, starts = [answer.get("text") for answer in value], [answer.get("answer_start") for answer in value]
    else:
        return None
    are_texts = all(isinstance(text, str) for text in texts)
    are_places = isinstance(starts, list) and all(type(start) is int for start in starts)  # a bool is not a place
    return {"text": texts, "answer_start": starts} if are_texts and are_places else None


def answers_of_arrow(values: pa.ChunkedArray) -> pa.Array:
    """Return typed answers as ANSWERS. Raises ArrowInvalid, ArrowNotImplementedError or TypeError for other types."""
    kind = values.type
    if not is_answers(kind) or (not is_list(kind) and is_list(kind.field("text").type)):
        return one_array(values.cast(ANSWERS))
    array = one_array(values)
    if is_list(kind):
        answers, counts = array.flatten(), pc.fill_null(pc.list_value_length(array), 0).to_numpy()
    else:
        text, start = (pc.struct_field(array, key) for key in _KEYS)
        is_none = pc.fill_null(pc.and_(pc.equal(text, ""), pc.equal(start, NO_PLACE)), False)
        answers, counts = array.filter(pc.invert(is_none)), np.where(is_none.to_numpy(zero_copy_only=False), 0, 1)
    offsets = pa.array(offsets_of(counts).astype(np.int32))
    lists = [
        pa.ListArray.from_arrays(offsets, pc.struct_field(answers, key).cast(ANSWERS.field(key).type.value_type))
        for key in _KEYS
    ]
    return pa.StructArray.from_arrays(lists, fields=list(ANSWERS), mask=array.is_null())
