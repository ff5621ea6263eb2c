"""Labels that are decimals, as databases and polars have them: numbers, class ids and flags."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.test_label_meaning import read

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
