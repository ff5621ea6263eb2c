"""Blanks and marks around a column's name, which nobody can see, are not part of it, in any format and option."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.formats import count_rows, read_schema
from tdbs.errors import SourceError
from tests.data.conftest import read_source
from tests.data.files import as_it_is

BLANKS = ("{} ", " {}", "\t{}", "\ufeff{}", "\u00a0{}\u200b", "\u200e{}\u200d")
ROWS = [("fine", "work", "good"), ("bad", "luck", "bad")]
FORMATS = ["csv", "jsonl", "parquet", "tsv"]


def file_of(folder, suffix, names):
    path = folder / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table(list(map(pa.array, zip(*ROWS, strict=True))), names=list(names)), path)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in ROWS))
    else:
        delimiter = "\t" if suffix == "tsv" else ","
        path.write_text("".join(delimiter.join(row) + "\n" for row in (names, *ROWS)))
    return path


@pytest.mark.parametrize(
    ("suffix", "blanks"),
    [(suffix, blanks) for suffix in FORMATS for blanks in BLANKS if (suffix, blanks) != ("tsv", "\t{}")],
)
def test_blanks_around_names_are_left_out(opened, tmp_path, suffix, blanks):
    path = file_of(tmp_path, suffix, [blanks.format(name) for name in ("one", "two", "kind")])
    assert read_schema(as_it_is(path)).names == ["one", "two", "kind"]
    assert count_rows(as_it_is(path), "one") == 2
    for label, kind in (({"label": "kind"}, [1, 0]), ({"target": " kind"}, ["good", "bad"])):
        task, splits = read_source(opened(path, text="one", pair="two ", **label))
        assert (task.columns.text, task.columns.pair, task.columns.labels) == ("one", "two", ("kind",))
        rows = splits["train"]
        assert (rows.texts.to_pylist(), rows.pairs.to_pylist()) == (["fine", "bad"], ["work", "luck"])
        assert rows.targets.to_pylist() == kind


def test_classes_keep_their_names_under_a_name_with_blanks(opened, tmp_path):
    features = {" label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
    table = pa.table({"text ": ["a", "b"], " label": [1, 0]})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    task, _ = read_source(opened(tmp_path / "a.parquet"))
    assert task.classes == ("neg", "pos")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "tsv"])
def test_names_that_blanks_alone_part_are_refused(tmp_path, suffix):
    with pytest.raises(SourceError) as caught:
        read_schema(as_it_is(file_of(tmp_path, suffix, ["text", "label", " label"])))
    assert caught.value.message == f"a.{suffix} has two columns named 'label'."
    assert caught.value.next_step == "Rename one of them."


def test_keys_that_blanks_alone_part_are_refused(tmp_path):
    with pytest.raises(SourceError) as caught:
        read_schema(as_it_is(file_of(tmp_path, "jsonl", ["text", "label", "label "])))
    assert (caught.value.message, caught.value.next_step) == (
        "Row 1 of a.jsonl has two keys 'label'.",
        "Rename one of them.",
    )


def test_quotes_around_a_name_are_shown(opened, tmp_path):
    """TSV has no quoting: its quotes are part of names and texts."""
    with pytest.raises(SourceError) as caught:
        opened(file_of(tmp_path, "tsv", ['"text"', '"two"', '"label"']))
    assert caught.value.message == "a.tsv has no column 'text'; it has: '\"text\"', '\"two\"', '\"label\"'."
