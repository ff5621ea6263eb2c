"""Folders and tables become prepared datasets: the same rows are the same dataset, and a table is prepared once."""

import pickle

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import tdbs
from tdbs.cli import app
from tdbs.data.columns import row_name
from tdbs.data.file_options import FileOptions
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.data.sources import open_source
from tdbs.errors import DatasetError
from tdbs.files import to_path
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.edits import edited_split, removal
from tests.built_in import sample_tables
from tests.data.conftest import read_source

TOKENIZER = str(TOKENIZER_FOLDER)
TABLE = sample_tables()["train"].slice(0, 60)
NAMED = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})


def named() -> datasets.Dataset:
    datasets.disable_progress_bars()
    return datasets.Dataset.from_dict(TABLE.to_pydict(), features=NAMED)


def expected_samples(workplace):
    """Return the samples of the same rows in a Parquet file, prepared on its own way."""
    pq.write_table(TABLE, workplace / "rows.parquet")
    return read_split(tdbs.prepare("rows.parquet", tokenizer=TOKENIZER, out="expected").dataset, "train")


def same_samples(found, expected) -> None:
    assert found.input_ids_T.tolist() == expected.input_ids_T.tolist()
    assert found.token_offsets_N1.tolist() == expected.token_offsets_N1.tolist()
    assert found.targets.values.tolist() == expected.targets.values.tolist()


def test_the_same_rows_from_any_library_are_prepared_once(workplace):
    expected = expected_samples(workplace)
    first = tdbs.prepare(pd.DataFrame(TABLE.to_pydict()), tokenizer=TOKENIZER)
    assert (first.cached, first.dataset.path.parent.as_posix()) == (False, "data/table")
    same_samples(read_split(first.dataset, "train"), expected)
    others = [pl.DataFrame(TABLE.to_pydict()), TABLE, TABLE.to_pylist(), datasets.Dataset(TABLE)]
    for other in others:
        again = tdbs.prepare(other, tokenizer=TOKENIZER)
        assert (again.cached, again.dataset.path) == (True, first.dataset.path)
    assert first.source["files"] == []
    assert first.source["columns"] == {"text": "text", "pair": None, "labels": ["label"]}


def test_a_stream_a_fraction_and_a_table_of_validation(workplace):
    expected = expected_samples(workplace)
    stream = named().to_iterable_dataset()
    dataset = tdbs.prepare(stream, validation=stream.take(5), tokenizer=TOKENIZER, out="streamed").dataset
    same_samples(read_split(dataset, "train"), expected)
    assert (dataset.manifest.splits["validation"].rows, dataset.classes) == (5, ("neg", "pos"))
    held = tdbs.prepare(TABLE, validation=0.25, tokenizer=TOKENIZER, out="held").dataset
    assert (held.manifest.splits["train"].rows, held.manifest.splits["validation"].rows) == (45, 15)


@pytest.mark.parametrize("source", [TABLE.to_pylist(), "file"])
def test_texts_of_tables_cannot_be_read_again(workplace, source):
    """Neither where the rows were a table, nor where those of validation were."""
    pq.write_table(TABLE, workplace / "file.parquet")
    given = str(workplace / "file.parquet") if source == "file" else source
    tdbs.prepare(given, validation=TABLE, tokenizer=TOKENIZER, out="d")
    dataset = load("d")
    assert dataset.manifest.origin["source"] is None
    with pytest.raises(DatasetError) as caught:
        edited_split(dataset, "validation", removal(["articles"]), folder=workplace / "work")
    assert (caught.value.message, caught.value.next_step) == (
        "d was prepared from tables in memory, whose texts cannot be read again.",
        "Write the rows to a file, and prepare that.",
    )


def test_a_number_of_validation_is_noted_as_such(workplace):
    """The rows held out are the same when the texts are read again."""
    pq.write_table(TABLE, workplace / "rows.parquet")
    tdbs.prepare("rows.parquet", validation=0.25, tokenizer=TOKENIZER, out="d")
    assert load("d").manifest.origin["validation"] == 0.25
    found = edited_split(load("d"), "validation", removal(["articles"]), folder=workplace / "work")
    assert found.manifest.splits["validation"].rows == 15


def test_texts_of_folders_can_be_read_again(workplace):
    for place in ("train", "val"):
        for name, label in (("bad", 0), ("good", 1)):
            folder = workplace / "films" / place / name
            folder.mkdir(parents=True)
            for number, row in enumerate(TABLE.to_pylist()):
                if row["label"] == label:
                    (folder / f"{number:03}.txt").write_text(row["text"])
    dataset = tdbs.prepare("films", tokenizer=TOKENIZER, out="d").dataset
    assert dataset.classes == ("bad", "good")
    edited_split(load("d"), "validation", removal(["articles"]), folder=workplace / "work")


def test_what_save_to_disk_wrote_is_prepared_by_the_command(workplace):
    """The case that people met first: one Dataset, and a dict of them with a split that tdbs does not read."""
    expected = expected_samples(workplace)
    named().save_to_disk("saved", num_shards=2)
    datasets.DatasetDict({"train": named(), "dev": named().select([3, 1]), "extra": named()}).save_to_disk("dict")
    for source in ("saved", "dict"):
        found = CliRunner().invoke(app, ["prepare", source, "--tokenizer", TOKENIZER, "--out", f"{source}-d"])
        assert found.exit_code == 0, found.output
        same_samples(read_split(load(f"{source}-d"), "train"), expected)
        assert "2 classes: neg, pos" in found.stderr
    assert "Warning: Splits that are not read: extra." in found.stderr
    assert "data-00000-of-00001.arrow (validation): arrow" in found.stderr
    expected_texts = named().select([3, 1])["text"][:]
    source = open_source("dict", mirror=None, files=FileOptions())
    assert read_source(source)[1]["validation"].texts.to_pylist() == expected_texts


@pytest.mark.parametrize("form", ["shards", "classes", "saved", "table", "chosen"])
def test_every_form_travels_to_workers_elsewhere(workplace, form):
    """Ray sends a source to the task that reads it; an error there still names the file and its row."""
    (workplace / "d").mkdir()
    if form == "shards":
        for number in range(2):
            pq.write_table(TABLE.slice(30 * number, 30), f"d/train-0000{number}-of-00002.parquet")
    elif form == "classes":
        for number, name in enumerate(("bad", "good")):
            (workplace / "d/train" / name).mkdir(parents=True)
            (workplace / "d/train" / name / "1.txt").write_text(f"text {number}")
    elif form == "saved":
        named().save_to_disk("d")
    objects = {"table": TABLE, "chosen": named().select(range(59, -1, -1))}
    source = open_source(objects.get(form, "d"), mirror=None, files=FileOptions())
    sent = pickle.loads(pickle.dumps(source))  # noqa: S301  (ours)
    found, expected = read_source(sent)[1]["train"], read_source(source)[1]["train"]
    assert found.texts == expected.texts
    assert sent.splits[0].where == source.splits[0].where
    named_rows = {"shards": "Row 2 of train-00000-of-00002.parquet", "classes": "File train/good/1.txt"}
    assert row_name(1, sent.splits[0].where) == named_rows.get(form, f"Row 2 of {source.splits[0].where}")


def test_folders_on_an_object_store(workplace):
    """memory:// stands for every store."""
    expected = expected_samples(workplace)
    for number in range(2):
        pq.write_table(TABLE.slice(30 * number, 30), workplace / "shard.parquet")
        place = to_path(f"memory://folders/d/data/train-0000{number}-of-00002.parquet")
        place.write_bytes((workplace / "shard.parquet").read_bytes())
    same_samples(
        read_split(tdbs.prepare("memory://folders/d", tokenizer=TOKENIZER, out="d").dataset, "train"), expected
    )
    named().save_to_disk("saved")
    for path in (workplace / "saved").iterdir():
        to_path(f"memory://folders/s/{path.name}").write_bytes(path.read_bytes())
    same_samples(
        read_split(tdbs.prepare("memory://folders/s", tokenizer=TOKENIZER, out="s").dataset, "train"), expected
    )
    for number, label in enumerate(("bad", "good")):
        to_path(f"memory://folders/c/train/{label}/0.txt").write_text(f"film {number}")
    assert tdbs.prepare("memory://folders/c", tokenizer=TOKENIZER, out="c").dataset.classes == ("bad", "good")


def test_nothing_is_left_of_a_table_that_is_refused(workplace):
    with pytest.raises(tdbs.TdbsError, match="Row 61 of the train table has no 'text'"):
        tdbs.prepare([*TABLE.to_pylist(), {"label": 1}], tokenizer=TOKENIZER)
    assert [path for path in (workplace / "data").rglob("*") if path.is_file()] == []


def test_meta_the_table_has_both_labels():
    assert set(TABLE["label"].to_pylist()) == {0, 1}
    assert isinstance(TABLE, pa.Table)
