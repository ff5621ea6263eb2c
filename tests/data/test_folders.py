"""Folders as people and the hub have them: shards, folders of splits, and what `save_to_disk` wrote."""

import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.formats import SUFFIXES, count_rows, read_schema, read_tables
from tdbs.data.understood import fact_lines, source_facts
from tdbs.errors import SourceError, TdbsError
from tests.data.conftest import read_source
from tests.data.files import as_it_is

NAMES = datasets.ClassLabel(names=["neg", "pos"])
FEATURES = datasets.Features({"text": datasets.Value("string"), "label": NAMES})


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()


def refusal(opened, spec, **options):
    with pytest.raises(TdbsError) as caught:
        read_source(opened(spec, **options))
    assert max(len(caught.value.message), len(caught.value.next_step)) <= 120 + len(str(spec))
    return caught.value.message, caught.value.next_step


def table(first: int, count: int) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table({"text": [f"text {i}" for i in numbers], "label": [i % 2 for i in numbers]})


def saved(count: int = 20, first: int = 0) -> datasets.Dataset:
    return datasets.Dataset.from_dict(table(first, count).to_pydict(), features=FEATURES)


def texts_and_classes(source, split="train"):
    task, splits = read_source(source)
    found = splits[split]
    return found.texts.to_pylist(), [task.classes[i] for i in found.targets.to_pylist()]


# -------------------------------------------------------------------------------------------------------------- shards


@pytest.mark.parametrize("inner", ["", "data/"])
@pytest.mark.parametrize("name", ["train-0000{}-of-00002.parquet", "train-0000{}-of-00002-0123456789abcdef.parquet"])
def test_shards_are_one_split_as_the_datasets_library_reads_them(opened, tmp_path, inner, name):
    (tmp_path / "d" / inner).mkdir(parents=True)
    paths = [tmp_path / "d" / inner / name.format(number) for number in range(2)]
    for number, path in enumerate(paths):
        pq.write_table(table(10 * number, 10), path)
    expected = datasets.load_dataset("parquet", data_files=list(map(str, paths)), cache_dir=tmp_path / "c")["train"]
    found = texts_and_classes(opened(tmp_path / "d"))
    assert found == (expected["text"][:], [str(label) for label in expected["label"]])


@pytest.mark.parametrize("names", [["0000.parquet", "0001.parquet"], [f"b-0000{i}-of-00002.parquet" for i in range(2)]])
def test_a_split_has_a_folder_of_files_in_order_of_name(opened, tmp_path, names):
    for split, first in (("train", 0), ("val", 50)):
        (tmp_path / "d" / split).mkdir(parents=True)
        for number, name in enumerate(names):
            pq.write_table(table(first + 10 * number, 10), tmp_path / "d" / split / name)
    source = opened(tmp_path / "d")
    assert texts_and_classes(source)[0] == [f"text {i}" for i in range(20)]
    assert texts_and_classes(source, "validation")[0] == [f"text {i}" for i in range(50, 70)]


def test_shards_of_text_files_too(opened, write, tmp_path):
    for number in range(3):
        rows = "".join(f"t{number}{i},{'ab'[i]}\n" for i in range(2))
        write(f"c/train-0000{number}-of-00003.csv", "text,label\n" + rows)
        write(f"j/train-0000{number}-of-00003.jsonl", f'{{"text": "t{number}", "label": "{number % 2}"}}\n')
    assert texts_and_classes(opened(tmp_path / "c")) == (["t00", "t01", "t10", "t11", "t20", "t21"], list("ababab"))
    assert texts_and_classes(opened(tmp_path / "j")) == (["t0", "t1", "t2"], ["0", "1", "0"])


def test_errors_name_the_file_and_its_own_row(opened, write, tmp_path):
    write("d/train-00000-of-00002.csv", "text,label\na,x\nb,y\nc,x\n")
    write("d/train-00001-of-00002.csv", "text,label\nd,x\n,y\n")
    assert refusal(opened, tmp_path / "d") == (
        "Row 2 of train-00001-of-00002.csv has no 'text'.",
        "Fill the row or delete it.",
    )
    write("d/train-00001-of-00002.csv", "text,label\nd,x\ne,\n")
    assert refusal(opened, tmp_path / "d")[0] == "Row 2 of train-00001-of-00002.csv has no 'label'."
    write("d/train-00001-of-00002.csv", "text,label\nd,x,1\n")
    assert refusal(opened, tmp_path / "d")[0] == (
        "Row 1 of train-00001-of-00002.csv has a different number of fields (3) than the header (2)."
    )


def test_a_missing_shard_and_shards_that_do_not_fit_are_refused(opened, write, tmp_path):
    first = write("d/train-00000-of-00003.csv", "text,label\na,x\n")
    write("d/train-00002-of-00003.csv", "text,label\nb,y\n")
    assert refusal(opened, tmp_path / "d") == (
        "The shard train-00001-of-00003.csv is missing.",
        "Put it there; a split is read whole or not at all.",
    )
    write("d/train-00001-of-00003.csv", "text,stars\nb,y\n")
    assert refusal(opened, tmp_path / "d") == (
        "'label' is string in train-00000-of-00003.csv, but missing in train-00001-of-00003.csv.",
        "Write all files of a split with the same columns.",
    )
    first.rename(tmp_path / "d/train-00000-of-00001.csv")
    assert refusal(opened, tmp_path / "d")[0] == "The shard train-00000-of-00003.csv is missing."


def test_one_file_keeps_its_digest_and_shards_have_one_of_contents_and_order(opened, tmp_path):
    """A cache key must not change because a folder may have shards now."""
    for name, cut in (("d", (10, 10)), ("e", (10, 10)), ("f", (12, 8))):
        (tmp_path / name).mkdir()
        pq.write_table(table(0, cut[0]), tmp_path / name / "train-00000-of-00002.parquet")
        pq.write_table(table(cut[0], cut[1]), tmp_path / name / "train-00001-of-00002.parquet")
    digests = {name: opened(tmp_path / name).content_sha256 for name in "def"}
    assert digests["d"] == digests["e"] != digests["f"]
    one = tmp_path / "one.csv"
    one.write_text("text,label\na,x\nb,y\n")
    assert opened(one).content_sha256 == "f86dcc80127b8472ddb9e0559ea7672d5c5f807141da89dfecd1c5d2b3995437"


def test_a_shard_that_changes_while_it_is_read_is_refused(opened, tmp_path):
    (tmp_path / "d").mkdir()
    for number in range(2):
        pq.write_table(table(10 * number, 10), tmp_path / f"d/train-0000{number}-of-00002.parquet")
    source = opened(tmp_path / "d")
    pq.write_table(table(0, 11), tmp_path / "d/train-00001-of-00002.parquet")
    with pytest.raises(SourceError) as caught:
        read_source(source)
    assert caught.value.message == "train-00000-of-00002.parquet (of 2 files) changed while it was read."


# -------------------------------------------------------------------------------------------------------- save_to_disk


@pytest.mark.parametrize("shards", [1, 3])
def test_a_saved_dataset_is_read_as_load_from_disk_does(opened, tmp_path, shards):
    saved().save_to_disk(tmp_path / "d", num_shards=shards)
    expected = datasets.load_from_disk(tmp_path / "d")
    names = expected.features["label"].int2str
    found = texts_and_classes(opened(tmp_path / "d"))
    assert found == (expected["text"][:], [names(label) for label in expected["label"]])


def test_a_saved_dict_has_its_splits_and_those_left_out_are_named(opened, tmp_path):
    whole = datasets.DatasetDict({"train": saved(), "valid": saved(4, 30), "unsupervised": saved(4, 40)})
    whole["test"] = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [-1, -1]}, features=FEATURES)
    whole.save_to_disk(tmp_path / "d")
    source = opened(tmp_path / "d")
    task, splits = read_source(source)
    assert (list(splits), task.classes) == (["train", "validation", "test"], ("neg", "pos"))
    assert splits["validation"].texts.to_pylist() == [f"text {i}" for i in range(30, 34)]
    assert splits["test"].targets is None  # -1 of a ClassLabel is no label
    assert source.notes == ("Splits that are not read: unsupervised. tdbs reads train, validation and test.",)


def test_a_chosen_part_is_saved_as_its_rows(opened, tmp_path, monkeypatch):
    """Today's datasets library writes the rows; an older one wrote all rows and a list of the chosen ones."""
    monkeypatch.chdir(tmp_path)
    saved().filter(lambda row: row["label"] == 1 or row["text"] == "text 4").save_to_disk(tmp_path / "d")
    assert texts_and_classes(opened(tmp_path / "d"))[0] == datasets.load_from_disk(tmp_path / "d")["text"][:]
    state = json.loads((tmp_path / "d/state.json").read_text())
    state["_indices_data_files"] = [{"filename": "indices.arrow"}]
    (tmp_path / "d/state.json").write_text(json.dumps(state))
    assert refusal(opened, "d") == (
        "d was saved with a list of its chosen rows (indices), which tdbs does not read.",
        "Save it again: load_from_disk(…).flatten_indices().save_to_disk(…).",
    )


@pytest.mark.parametrize("name", ["../data.arrow", "/etc/passwd", "a/b.arrow", "..", "", "C:x", "a\\b"])
def test_names_in_a_saved_state_are_never_paths(opened, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved().save_to_disk(tmp_path / "d")
    state = json.loads((tmp_path / "d/state.json").read_text()) | {"_data_files": [{"filename": name}]}
    (tmp_path / "d/state.json").write_text(json.dumps(state))
    message, next_step = refusal(opened, "d")
    assert message.startswith("d/state.json is not a saved Dataset: _data_files[")
    assert "expected a file name" in message
    assert next_step == "Save it again with save_to_disk."
    datasets.DatasetDict({"train": saved()}).save_to_disk(tmp_path / "e")
    (tmp_path / "e/dataset_dict.json").write_text(json.dumps({"splits": ["train", name]}))
    assert refusal(opened, "e")[0].startswith("e/dataset_dict.json is not a saved Dataset: ")


def test_damaged_arrow_files_are_refused(opened, tmp_path, monkeypatch):
    """Arrow itself takes a stream that ends between two batches for whole."""
    monkeypatch.chdir(tmp_path)
    saved(3000).save_to_disk(tmp_path / "d")
    path = tmp_path / "d/data-00000-of-00001.arrow"
    whole = path.read_bytes()
    for data in (b"", whole[:100], whole[: len(whole) // 2], whole[:-8], b"x" * 1000):
        path.write_bytes(data)
        message, next_step = refusal(opened, "d")
        assert message.startswith("data-00000-of-00001.arrow is not a readable Arrow file: ")
        assert next_step == "Copy or write the file again."
    path.unlink()
    assert refusal(opened, "d")[0] == "The file d/data-00000-of-00001.arrow is missing."


def test_arrow_files_of_both_kinds_are_read(tmp_path):
    whole = table(0, 20_000)
    streamed, filed = tmp_path / "stream.arrow", tmp_path / "file.arrow"
    with pa.ipc.new_stream(str(streamed), whole.schema) as writer:
        writer.write_table(whole)
    with pa.ipc.new_file(str(filed), whole.schema) as writer:
        writer.write_table(whole)
    for path in (streamed, filed):
        file = as_it_is(path)
        pieces = list(read_tables(file, {"label": "label", "text": "text"}))
        assert pa.concat_tables(pieces) == whole.select(["label", "text"])
        assert max(piece.num_rows for piece in pieces) <= 8192
        assert count_rows(file, "text") == 20_000
        assert read_schema(file).names == ["text", "label"]


# ------------------------------------------------------------------------------------------------------------- refusals


def test_other_names_of_validation_are_known_and_shown(opened, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "text,label\na,x\nb,y\n"
    for name in ("valid", "val", "dev"):
        write(f"{name}/train.csv", rows)
        write(f"{name}/{name}.csv", rows)
        source = opened(tmp_path / name)
        assert list(read_source(source)[1]) == ["train", "validation"]
        line = fact_lines(source_facts(source, read_source(source)[0]))[0]
        assert line.startswith(f"train.csv, {name}.csv (validation): csv")
    write("dev/val.csv", rows)
    assert refusal(opened, "dev") == (
        "dev has two files of the validation split: dev.csv and val.csv.",
        "Keep one of them.",
    )


def test_files_that_are_written_otherwise_have_a_line_of_their_own(opened, write, tmp_path):
    write("d/train.csv", "text,label\na,x\nb,y\n")
    write("d/dev.csv", "text;label\na;x\nb;y\n")
    write("d/test.csv", "text,label\na,x\nb,y\n")
    source = opened(tmp_path / "d")
    assert fact_lines(source_facts(source, read_source(source)[0])) == [
        'train.csv, test.csv: csv, , between fields, quoted by ", a header',
        'dev.csv (validation): csv, ; between fields, quoted by ", a header',
        "classification: 'text' to 'label', 2 classes: x, y",
    ]


def test_a_split_may_not_be_there_twice(opened, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("d/train.csv", "text,label\na,x\n")
    write("d/train/a/1.txt", "a")
    assert refusal(opened, "d") == (
        "d has two files of the train split: train.csv and train/.",
        "Keep one of them.",
    )


def test_a_folder_with_nothing_to_read_names_what_was_looked_for(opened, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("d/reviews.csv", "text,label\na,x\n")
    (tmp_path / "d/train").mkdir()
    assert refusal(opened, "d") == (
        "d has no train split: no file train or train-00000-of-…, no folder train, no state.json.",
        f"Name it train with {', '.join(SUFFIXES)}.",
    )


def test_a_folder_of_beir_is_refused_with_the_rows_to_make(opened, tmp_path):
    """Only one that has all of its parts: other folders have other faults."""
    folder = tmp_path / "nfcorpus"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "0", "title": "t", "text": "a text"}\n')
    assert "has no train split" in refusal(opened, folder)[0]
    (folder / "queries.jsonl").write_text('{"_id": "q0", "text": "a query"}\n')
    (folder / "qrels/train.tsv").write_text("query-id\tcorpus-id\tscore\nq0\t0\t1\n")
    message, next_step = refusal(opened, folder)
    assert message.endswith("nfcorpus has corpus, queries and qrels (BEIR) in files of their own.")
    assert next_step == (
        'Join them by id: train.jsonl with {"query": "…", "positive": "…"} for each line of qrels/train.tsv.'
    )
