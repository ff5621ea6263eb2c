"""Rows come in blocks that depend on the contents alone; what happens to a file meanwhile is seen."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdbs.data.reading
from tdbs.data.columns import SourceColumn
from tdbs.data.file_options import FileOptions
from tdbs.data.labels.distinct import DistinctValues
from tdbs.data.labels.single import learn_labels
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import open_source
from tdbs.errors import SourceError
from tests.examples import examples


def blocks_of(source, split="train"):
    return list(read_blocks(source, survey_source(source), split))


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=30),
        min_size=2,
        max_size=40,
    ),
    st.integers(1, 9),
    st.integers(1, 60),
    st.integers(1, 50),
)
@examples(60)
def test_blocks_do_not_depend_on_the_pieces_of_a_file(tmp_path_factory, texts, rows, size, group):
    """Every row once, in order; a block ends where the next row would be too much, whatever the row groups are."""
    path = tmp_path_factory.mktemp("blocks") / "a.parquet"
    labels = [i % 2 for i in range(len(texts))]
    pq.write_table(pa.table({"text": texts, "label": labels}), path, row_group_size=group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tdbs.data.reading, "BLOCK_ROWS", rows)
        patch.setattr(tdbs.data.reading, "BLOCK_BYTES", size)
        blocks = blocks_of(open_source(str(path), mirror=None, files=FileOptions()))
    expected, own = [], []
    for text in texts:
        if own and (len(own) == rows or sum(len(t.encode()) for t in [*own, text]) > size):
            expected.append(own)
            own = []
        own.append(text)
    assert [block.texts.to_pylist() for block in blocks] == [*expected, own]
    assert [row for block in blocks for row in block.rows_N.tolist()] == list(range(len(texts)))
    assert [target for block in blocks for target in block.targets.to_pylist()] == labels


def test_formats_have_the_same_blocks(tmp_path, monkeypatch):
    """A CSV, a JSONL and a Parquet file of the same rows."""
    monkeypatch.setattr(tdbs.data.reading, "BLOCK_ROWS", 7)
    rows = [{"text": f"row {i}", "label": str(i % 3)} for i in range(20)]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = [
        [block.texts.to_pylist() for block in blocks_of(open_source(str(path), mirror=None, files=FileOptions()))]
        for path in sorted(tmp_path.iterdir())
    ]
    assert found[0] == found[1] == found[2]
    assert [len(block) for block in found[0]] == [7, 7, 6]


def csv_of(path, rows=50_000):
    path.write_text("text,label\n" + "".join(f"row {i},{i % 2}\n" for i in range(rows)))
    return open_source(str(path), mirror=None, files=FileOptions())


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    """Its digest, and so the cache key, would be of other contents."""
    source = csv_of(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open("a") as file:
        file.write("one more,1\n")
    with pytest.raises(SourceError) as caught:
        blocks_of(source)
    assert (caught.value.message, caught.value.next_step) == ("a.csv changed while it was read.", "Run it again.")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_file_that_vanishes_is_named(tmp_path, name):
    if name == "a.csv":
        source = csv_of(tmp_path / name)
    else:
        pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / name)
        source = open_source(str(tmp_path / name), mirror=None, files=FileOptions())
    (tmp_path / name).unlink()
    with pytest.raises(SourceError) as caught:
        blocks_of(source)
    assert (caught.value.message, caught.value.next_step) == (
        f"{name} cannot be read: No such file or directory.",
        "Check that the file exists and that you may read it.",
    )


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", None, ""]), max_size=6), min_size=1, max_size=8))
def test_distinct_values_keep_their_first_rows(blocks):
    """Whatever the blocks: each value once, null too, in order, with the row of its first place."""
    values = DistinctValues("class")
    first = 0
    for block in blocks:
        array = pa.chunked_array([pa.array(block, pa.string())])
        values.add(SourceColumn(name="x", where="t", values=array, rows_N=np.arange(first, first + len(block))))
        first += len(block)
    column = values.column()
    every = list(itertools.chain.from_iterable(blocks))
    assert column.values.to_pylist() == list(dict.fromkeys(every))
    assert column.rows_N.tolist() == [every.index(value) for value in dict.fromkeys(every)]


def learned(column: SourceColumn, label_type):
    try:
        return learn_labels(column, label_type)
    except SourceError as error:
        return error.message


@given(
    st.lists(st.sampled_from(["0", "1", "2.0", "-1", "0.5", "2.5", "1e9", "1e999", "nan", "a", ""]), min_size=1),
    st.sampled_from(["auto", "class", "regression"]),
    st.integers(1, 7),
)
def test_distinct_values_teach_what_all_rows_do(labels, label_type, size):
    """Classes, kind and the rows that errors name are those of all rows; of numbers to predict, two are kept."""
    rows = np.arange(len(labels))
    values = DistinctValues(label_type)
    for first in range(0, len(labels), size):
        part = pa.chunked_array([pa.array(labels[first : first + size], pa.string())])
        values.add(SourceColumn(name="x", where="t", values=part, rows_N=rows[first : first + size]))
    whole = SourceColumn(name="x", where="t", values=pa.chunked_array([pa.array(labels, pa.string())]), rows_N=rows)
    assert learned(values.column(), label_type) == learned(whole, label_type)


@pytest.mark.parametrize("label_type", ["auto", "regression"])
def test_numbers_to_predict_are_not_kept(label_type):
    """Memory does not grow with their number."""
    values = DistinctValues(label_type)
    for first in range(0, 1000, 100):
        numbers = pa.chunked_array([pa.array(np.arange(first, first + 100) / 7)])
        values.add(SourceColumn(name="x", where="t", values=numbers, rows_N=np.arange(first, first + 100)))
    assert len(values.column().values) == 2


VIEWS = {
    "views": pa.array(["a b", "c", "d"], pa.string_view()),
    "dictionaries": pa.array(["a b", "c", "d"]).dictionary_encode(),
    "large": pa.array(["a b", "c", "d"], pa.large_string()),
}


@pytest.mark.parametrize("kind", list(VIEWS))
def test_texts_and_labels_of_any_string_type(tmp_path, kind):
    """As Parquet files of polars, pandas and the datasets library have them."""
    table = pa.table({"text": VIEWS[kind], "label": VIEWS[kind]})
    pq.write_table(table, tmp_path / "a.parquet")
    (block,) = blocks_of(open_source(str(tmp_path / "a.parquet"), mirror=None, files=FileOptions()))
    assert (block.texts.to_pylist(), block.targets.to_pylist()) == (["a b", "c", "d"], [0, 1, 2])


@pytest.mark.parametrize("kind", [pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.large_string()])
def test_lists_of_words_of_any_string_type(tmp_path, kind):
    words = pa.array([["a", "b"], ["c"]], pa.list_(kind))
    table = pa.table({"tokens": words, "tags": pa.array([["O", "X"], ["O"]], pa.list_(kind))})
    pq.write_table(table, tmp_path / "a.parquet")
    options = FileOptions(text="tokens", label="tags")
    (block,) = blocks_of(open_source(str(tmp_path / "a.parquet"), mirror=None, files=options))
    assert (block.texts.to_pylist(), block.targets.to_pylist()) == ([["a", "b"], ["c"]], [[0, 1], [0]])


def test_what_is_no_label_is_named(tmp_path):
    """Whatever the type, the error is ours."""
    labels = pa.array([[("a", 1)], [("b", 2)]], pa.map_(pa.string(), pa.int64()))
    pq.write_table(pa.table({"text": ["a", "b"], "label": labels}), tmp_path / "a.parquet")
    with pytest.raises(SourceError) as caught:
        survey_source(open_source(str(tmp_path / "a.parquet"), mirror=None, files=FileOptions()))
    assert "which cannot be a label" in caught.value.message


def test_what_is_held_out_teaches_no_class(tmp_path):
    """The classes are those of the rows that are left to train."""
    source = open_source(str(csv_of(tmp_path / "a.csv", 100).splits[0].content.path), mirror=None, files=FileOptions())
    assert survey_source(source).task.classes == ("0", "1")
