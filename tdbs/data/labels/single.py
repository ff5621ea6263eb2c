"""Turn the labels of a user's files into class ids or numbers; train alone decides what they are.

`auto`: whole numbers are classes, in numeric order; numbers with a fraction among them are regression; anything else
is classes, sorted; some of each is an error. `class`: every value is its text. `regression`: every value is a number.
Class ids whose names the file keeps are classes by these names, in the order of the ids.
Cost: array code over the rows; Python sees each distinct label once.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, FloatArray, IntArray, offsets_of
from tdbs.data.columns import SourceColumn, bad_rows, bad_values, first_true, one_array, with_classes, word_lists
from tdbs.data.content import is_list
from tdbs.data.labels.given import named_lists, named_texts
from tdbs.data.labels.list_texts import refuse_list_texts
from tdbs.data.labels.notation import refuse_other_notation
from tdbs.data.labels.numbers import NUMBER, label_numbers, number_shaped, numbers_to_predict
from tdbs.data.labels.spelling import one_spelling, spelled_as
from tdbs.errors import SourceError
from tdbs.shown import MESSAGE, clipped, fitted, shown

LabelType = Literal["auto", "class", "regression"]
_SHOWN = 24  # characters of a label that train lacks: its classes are behind it
_LACKS = "has the label '{value}', which train lacks"
_DIGITS = 300  # of a whole number that is written out; a float holds no more


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRule:
    """What train's labels are: whole numbers or texts that name classes, or numbers to predict."""

    kind: Literal["whole_numbers", "texts", "numbers"]
    classes: tuple[str, ...] = ()


def label_texts(column: SourceColumn) -> SourceColumn:
    """Return a column of labels as texts, whatever plain type it has; null stays null."""
    values = column.values
    kind = values.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise SourceError(
            fitted(
                "'{name}' of {where} contains {kind}, which cannot be a label.",
                name=column.name,
                where=column.where,
                kind=kind,
            ),
            next_step="Name a column of texts or numbers with --label.",
        )
    texts = pc.if_else(values, "True", "False") if pa.types.is_boolean(kind) else values.cast(pa.string())
    if isinstance(texts, pa.Array):
        texts = pa.chunked_array([texts])
    return replace(column, values=texts)


def label_lists(column: SourceColumn) -> SourceColumn:
    """Return a column of lists of labels as lists of texts; numbers and bools are labels too."""
    kind = column.values.type
    if is_list(kind) and _is_plain(kind.value_type):
        # Arrow writes bools as true and false, Python and JSON's reader as True and False.
        values = column.values.cast(pa.list_(pa.string()))
        column = replace(column, values=_titled(values) if pa.types.is_boolean(kind.value_type) else values)
    return replace(column, values=word_lists(column))


def named_label_lists(column: SourceColumn) -> pa.ListArray:
    """Return a column of lists of labels as lists of texts: the names of the classes, where the file keeps them."""
    return one_array(label_lists(named_lists(column)).values)


def list_class_ids(column: SourceColumn, lists: pa.ListArray, classes: tuple[str, ...], *, of_class: str) -> pa.Array:
    """Return the class ids of all labels of the lists in a row; `of_class` says what has a class, rows or words."""
    encoded = lists.flatten().dictionary_encode()
    spelled, known = spelled_as(classes), {name: index for index, name in enumerate(classes)}
    found = [_listed_class(text, spelled, known) for text in encoded.dictionary.to_pylist()]
    ids = pa.array(found, pa.int64()).take(encoded.indices)
    if ids.null_count:
        unknown = pc.is_null(ids)
        rows = pc.list_parent_indices(lists).filter(unknown).to_pylist()
        lacking: dict[int, str] = {}
        for row, text in zip(rows, lists.flatten().filter(unknown).to_pylist(), strict=True):
            lacking.setdefault(row, text)
        raise bad_values(column, lacking, _LACKS, next_step=f"Fix the row, or add {of_class} of this class to train.")
    return ids


def row_classes(column: SourceColumn, classes: Sequence[str]) -> tuple[IntArray, IntArray]:
    """Return the class ids of a column's labels, or of those in its lists, and the row of the file of each."""
    if is_list(column.values.type):
        lists = named_label_lists(column)
    else:
        texts = one_array(named_texts(label_texts(column)).values)
        lists = pa.ListArray.from_arrays(np.arange(len(texts) + 1, dtype=np.int32), texts)
    ids = list_class_ids(column, lists, tuple(classes), of_class="rows")
    return ids.to_numpy(), column.rows_N[pc.list_parent_indices(lists).to_numpy()]


def list_classes(column: SourceColumn) -> list[str]:
    """Return the classes that lists hold, sorted as texts; if all are whole numbers, 1 and 1.0 are one class."""
    lists = named_label_lists(column)
    texts = replace(column, values=pa.chunked_array([lists.flatten()]), names=())
    distinct = pc.unique(texts.values).to_pylist()
    is_number = pc.all(number_shaped(texts)).as_py() and distinct
    if not column.names and is_number:
        values = np.array([float(text) for text in distinct])
        parts = np.flatnonzero(values != np.floor(values))
        if parts.size:
            row = int(pc.list_parent_indices(lists)[pc.index(texts.values, distinct[parts[0]]).as_py()].as_py())
            raise SourceError(
                fitted(
                    "{row} has the number {number} in a list of '{name}', which cannot be a class.",
                    row=column.row(row),
                    number=distinct[parts[0]],
                    name=column.name,
                ),
                next_step="Write numbers to predict in separate columns, and name them: --label x,y.",
            )
        return sorted({_number_class(text) for text in distinct})
    return sorted(set(one_spelling(distinct).values()))


def learn_labels(train: SourceColumn, label_type: LabelType) -> LabelRule:
    """Return what train's labels are."""
    if label_type == "regression":
        return LabelRule(kind="numbers")
    if train.names:
        return LabelRule(kind="texts", classes=_at_least_two(train, _used_names(train)))
    if label_type == "auto":
        refuse_list_texts(train)
        refuse_other_notation(train)
    is_number = number_shaped(train)
    numbers = int(pc.sum(is_number).as_py())
    kind: Literal["whole_numbers", "texts"] = "texts"
    if label_type == "auto" and numbers:
        if numbers < len(train.values):
            raise _mixed(train, is_number)
        values = label_numbers(train)
        if (values != np.floor(values)).any():
            return LabelRule(kind="numbers")
        kind = "whole_numbers"
    distinct = pc.unique(train.values).to_pylist()
    if kind == "whole_numbers":
        classes = sorted({_number_class(t) for t in distinct}, key=Decimal)
    else:
        classes = sorted(set(one_spelling(distinct).values()))
    return LabelRule(kind=kind, classes=_at_least_two(train, classes))


def informative_values(texts: pa.Array, label_type: LabelType) -> BoolArray:
    """Return which of the distinct values, in order, `learn_labels` and `learn_several` must see.

    All classes are informative; of numbers to predict, the first one and the first one with a fraction suffice.
    """
    column = SourceColumn(name="", where="", values=pa.chunked_array([texts]), rows_N=np.arange(len(texts)))
    is_number = pc.fill_null(number_shaped(column), False)
    values = pc.if_else(is_number, pc.utf8_trim_whitespace(texts), "inf").combine_chunks().cast(pa.float64()).to_numpy()
    is_finite = np.isfinite(values)  # 1e999 has the form of a number and is none
    numbers = np.flatnonzero(is_finite)
    fractions = numbers[values[numbers] != np.floor(values[numbers])]
    if label_type == "class" or (label_type == "auto" and not len(fractions)):
        return np.ones(len(texts), dtype=np.bool_)
    kept = ~is_finite
    kept[[*numbers[:1], *fractions[:1]]] = True
    return kept


def encode_labels(column: SourceColumn, rule: LabelRule) -> IntArray | FloatArray:
    """Return a split's labels as class ids, or as numbers for regression."""
    if rule.kind == "numbers":
        return numbers_to_predict(column)
    if rule.kind == "texts":
        column = named_texts(column)
    encoded = column.values.combine_chunks().dictionary_encode()
    ids = {name: index for index, name in enumerate(rule.classes)}
    distinct = encoded.dictionary.to_pylist()
    if rule.kind == "whole_numbers":
        named = pc.match_substring_regex(pc.utf8_trim_whitespace(encoded.dictionary), NUMBER).to_pylist()
        distinct = [_number_class(t) if is_number else t for t, is_number in zip(distinct, named, strict=True)]
    spelled = spelled_as(rule.classes)
    id_of_distinct = np.array([ids.get(spelled(name), -1) for name in distinct], dtype=np.int64)
    labels: IntArray = id_of_distinct[encoded.indices.to_numpy(zero_copy_only=False)]
    unknown = np.flatnonzero(labels < 0)
    if unknown.size:
        found = column.values.take(pa.array(unknown)).to_pylist()
        room = MESSAGE - len(column.row(int(unknown[0]))) - len(" .")
        reasons = {
            index: with_classes(
                fitted(_LACKS, width=room, value=clipped(shown(text), _SHOWN)), rule.classes, width=room
            )
            for index, text in zip(unknown.tolist(), found, strict=True)
        }
        raise bad_rows(column, reasons, next_step="Fix the row, or add rows of this class to train.")
    return labels


def _listed_class(text: str, spelled: Callable[[str], str], known: dict[str, int]) -> int | None:
    found = known.get(spelled(text))
    if found is None and _is_number_text(text):
        found = known.get(_number_class(text))
    return found


def _used_names(train: SourceColumn) -> list[str]:
    """Return the names of the class ids that train holds, in the order of the ids."""
    ids = pc.unique(train.values).cast(pa.int64()).to_pylist()
    return [train.names[index] for index in sorted(ids)]


def _at_least_two(train: SourceColumn, classes: list[str]) -> tuple[str, ...]:
    if len(classes) < 2:
        raise SourceError(
            fitted("Every label of {where} is '{name}'.", where=train.where, name=classes[0]),
            next_step="Give train rows of at least two classes.",
        )
    return tuple(classes)


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _titled(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    array = one_array(lists)
    offsets = offsets_of(pc.fill_null(pc.list_value_length(array), 0).to_numpy())
    texts = pc.utf8_title(array.flatten())
    return pa.chunked_array([pa.ListArray.from_arrays(offsets.astype(np.int32), texts, mask=array.is_null())])


def _is_number_text(text: str) -> bool:
    return re.match(NUMBER, text) is not None


def _number_class(text: str) -> str:
    """Return the class that a number names: 1, +1, 01 and 1.0 are one class; 1.5 is a class of its own."""
    number = Decimal(text.strip())
    whole = number.adjusted() < _DIGITS and number == number.to_integral_value()
    return str(int(number)) if whole else text


def _mixed(column: SourceColumn, is_number: pa.ChunkedArray) -> SourceError:
    number, text = first_true(is_number) or 0, first_true(pc.invert(is_number)) or 0
    numeric, other = column.values[number].as_py(), column.values[text].as_py()
    message = fitted(
        "Some labels of {where} are numbers (row {first} has '{numeric}') and some are not "
        "(row {second} has '{other}').",
        where=column.where,
        first=column.number(number),
        numeric=numeric,
        second=column.number(text),
        other=other,
    )
    values = pc.if_else(is_number, pc.utf8_trim_whitespace(column.values), "0").cast(pa.float64()).to_numpy()
    if (values == np.floor(values)).all():
        return SourceError(message, next_step="Fix them, or pass --label-type class.")
    return SourceError(
        message,
        next_step="Fix them, or pass --label-type class, or --label-type regression with --skip-bad-rows.",
    )
