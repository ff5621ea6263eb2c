"""Labels that are numbers: to predict, or the scores of pairs.

A loss squares numbers in float32, so those of more than 1e19 would make it infinite.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import FloatArray
from tdbs.data.columns import SourceColumn, bad_values
from tdbs.data.labels.notation import has_decimal_comma

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"  # nan and inf are texts
_BOOLEAN = r"(?i)^\s*(true|false)\s*$"
_LARGEST = 1e19  # its square is 1e38, and float32 ends at 3.4e38
_FIX = "Fix the row, or pass --label-type class."
_SCORE = "Fix the row: the score of a pair is a number."


def number_shaped(column: SourceColumn) -> pa.ChunkedArray:
    """Return which labels have the form of a number."""
    return pc.match_substring_regex(pc.utf8_trim_whitespace(column.values), NUMBER)


def label_numbers(column: SourceColumn, *, next_step: str = _FIX) -> FloatArray:
    """Return all labels as numbers; the first that is none, or not finite, is an error."""
    is_number = number_shaped(column)
    trimmed = pc.utf8_trim_whitespace(column.values)
    values: FloatArray = pc.if_else(is_number, trimmed, "inf").cast(pa.float64()).to_numpy()
    bad = np.flatnonzero(~np.isfinite(values))  # 1e999 has the form of a number and is none either
    if bad.size:
        found = column.values.take(pa.array(bad)).to_pylist()
        if has_decimal_comma(found[0] or ""):
            next_step = "Write decimals with a point: 1.5."
        wrong = dict(zip(bad.tolist(), found, strict=True))
        raise bad_values(column, wrong, "has '{value}' in '{name}', which is not a finite number", next_step=next_step)
    return values


def numbers_to_predict(column: SourceColumn, *, next_step: str = _FIX) -> FloatArray:
    """Return all labels as numbers that a model can learn. Raises RowError."""
    values = label_numbers(column, next_step=next_step)
    beyond = np.flatnonzero(np.abs(values) > _LARGEST)
    if beyond.size:
        found = column.values.take(pa.array(beyond)).to_pylist()
        wrong = dict(zip(beyond.tolist(), found, strict=True))
        raise bad_values(
            column,
            wrong,
            f"has '{{value}}' in '{{name}}', a number beyond {_LARGEST:g}",
            next_step="Fix the row, or scale the column: float32 cannot hold the squares of larger numbers.",
        )
    return values


def scores_of_pairs(column: SourceColumn) -> FloatArray:
    """Return the scores of pairs; true is 1 and false is 0. Raises RowError."""
    is_boolean = pc.match_substring_regex(column.values, _BOOLEAN)
    is_true = pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(column.values)), "true")
    values = pc.if_else(is_boolean, pc.if_else(is_true, "1", "0"), column.values)
    return numbers_to_predict(replace(column, values=values), next_step=_SCORE)
