"""Labels that are decimals, as databases and polars have them: numbers, class ids and flags."""

from decimal import Decimal

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import read_source
from tests.data.test_label_meaning import read
from tests.data.test_objects import opened as opened_table

DECIMALS = [
    (["1.00", "2.00"], {}, "classification", ("1", "2"), [0, 1]),
    (["1.50", "2.00"], {}, "regression", (), [1.5, 2.0]),
    (["1.00", "100.00"], {"label_type": "regression"}, "regression", (), [1.0, 100.0]),
    (["1.50", "2.00"], {"label_type": "class"}, "classification", ("1.5", "2"), [0, 1]),
    (["0.00", "0.0000000001"], {}, "regression", (), [0.0, 1e-10]),
    ([["1.00"], ["2.00", "1.00"]], {}, "multi_label", ("1", "2"), [[0], [0, 1]]),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "options", "kind", "classes", "targets"), DECIMALS)
def test_decimals_of_databases_are_numbers(opened, tmp_path, labels, options, kind, classes, targets):
    values = [[Decimal(n) for n in row] if isinstance(row, list) else Decimal(row) for row in labels]
    pq.write_table(pa.table({"text": ["t", "u"], "label": values}), tmp_path / "a.parquet")
    task, found = read(opened, tmp_path / "a.parquet", **options)
    assert (task.kind, task.classes, found["train"]) == (kind, classes, targets)


def test_columns_of_decimals_are_flags_and_ids_have_names(opened, write, tmp_path):
    flags = {"x": [Decimal("1.00"), Decimal("0.00")], "y": [Decimal(1), Decimal(0)]}
    pq.write_table(pa.table({"text": ["t", "u"], **flags}), tmp_path / "a.parquet")
    assert read(opened, tmp_path / "a.parquet", label="x,y")[1]["train"] == [[0, 1], []]
    names = str(write("names.txt", "joy\nanger\n"))
    assert read(opened, tmp_path / "a.parquet", label="x", label_names=names)[0].classes == ("joy", "anger")


def test_decimals_of_tables_are_one_source_whichever_library_holds_them():
    """Texts of the same digits are another one, because they may be names."""
    values = [Decimal("1.50"), Decimal("2.00")]
    columns = {"text": ["a", "b"], "label": values}
    rows = [{"text": text, "label": value} for text, value in zip("ab", values, strict=True)]
    sources = [opened_table(table) for table in (rows, pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns))]
    for source in sources:
        task, splits = read_source(source)
        assert (task.kind, splits["train"].targets.to_pylist()) == ("regression", [1.5, 2.0])
    digests = {source.content_sha256 for source in sources}
    texts = opened_table(pa.table({"text": ["a", "b"], "label": ["1.50", "2.00"]}))
    assert len(digests) == 1
    assert texts.content_sha256 not in digests


def test_lists_of_decimals_in_a_table_are_class_ids():
    table = pa.table({"text": ["a", "b"], "label": [[Decimal("1.0")], [Decimal("2.0"), Decimal("1.0")]]})
    task, splits = read_source(opened_table(table))
    assert (task.classes, splits["train"].targets.to_pylist()) == (("1", "2"), [[0], [0, 1]])
