"""Numbers to predict: those that float32 cannot square are bad rows, and scores that are true or false are 1 and 0."""

import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.file_options import FileOptions
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import open_source
from tdbs.errors import RowError

SCORES = [True, False, True, False]
ROWS = [{"a": f"text {row}", "b": f"other {row}", "s": score} for row, score in enumerate(SCORES)]


def targets(source, **options):
    """Return the targets of train."""
    opened = open_source(source, mirror=None, files=FileOptions(**options))
    blocks = read_blocks(opened, survey_source(opened), "train")
    return [target for block in blocks for target in block.targets.to_pylist()]


def test_scores_may_be_true_and_false_in_every_format(workplace):
    pd.DataFrame(ROWS).to_csv("a.csv", index=False)
    (workplace / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), "a.parquet")
    (workplace / "b.csv").write_text("a,b,s\n" + "".join(f"x,y,{text}\n" for text in ("true", "FALSE", " True", "0")))
    for source in ("a.csv", "a.jsonl", "a.parquet", "b.csv", ROWS, pd.DataFrame(ROWS), pl.DataFrame(ROWS)):
        assert targets(source, columns="a,b", label="s") == [1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("options", [{"columns": "a,b", "label": "s"}, {"text": "a", "label": "s"}])
@pytest.mark.parametrize("largest", ["1e300", "-2e19"])
def test_a_number_whose_square_float32_cannot_hold_is_a_bad_row(workplace, options, largest):
    """The squares of the others are finite in float32."""
    rows = [{**row, "s": score} for row, score in zip(ROWS, ["0.5", "1e19", largest, "-1e19"], strict=True)]
    pd.DataFrame(rows).to_csv("a.csv", index=False)
    with pytest.raises(RowError) as caught:
        targets("a.csv", **options)
    assert caught.value.message == f"Row 3 of a.csv has '{largest}' in 's', a number beyond 1e+19."
    assert caught.value.next_step == (
        "Fix the row, or scale the column: float32 cannot hold the squares of larger numbers."
    )
    assert targets("a.csv", **options, skip_bad_rows=True) == [0.5, 1e19, -1e19]


def test_so_is_one_of_several_targets(workplace):
    frame = pd.DataFrame({"text": ["x", "y"], "one": [0.5, 1.5], "two": [1e20, 0.5]})
    frame.to_csv("a.csv", index=False)
    with pytest.raises(RowError) as caught:
        targets("a.csv", label="one,two")
    assert caught.value.message == "Row 1 of a.csv has '1e+20' in 'two', a number beyond 1e+19."


def test_classes_may_be_any_whole_numbers(workplace):
    pd.DataFrame({"text": ["x", "y"], "label": ["1e200", "7"]}).to_csv("a.csv", index=False)
    assert targets("a.csv") == [1, 0]
