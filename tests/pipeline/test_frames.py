"""Samples in polars, pandas and datasets are those of the shards, as other readers find them; a scan is lazy."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError, DatasetError
from tdbs.files import to_path
from tdbs.pipeline import frames
from tdbs.pipeline.dataset import PreparedDataset, load
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.schema import columns

TEXTS = [" ".join(["the", "film", "of", "a", "day"][: 1 + i % 5] * (1 + i % 4)) for i in range(40)]


def _answer(i: int) -> dict:
    return {"text": [TEXTS[i].split()[0]], "answer_start": [0]}


# Columns of each kind of task, and the options that name them.
KINDS = {
    "classification": (lambda i: {"text": TEXTS[i], "label": ["bad", "good"][i % 2]}, {}),
    "regression": (lambda i: {"text": TEXTS[i], "label": i / 7}, {"label_type": "regression"}),
    "several targets": (lambda i: {"text": TEXTS[i], "x": i / 7, "y": -i / 3}, {"label": "x,y"}),
    "multi_label": (lambda i: {"text": TEXTS[i], "label": ["bad", "good"][: i % 3]}, {}),
    "token_classification": (
        lambda i: {"words": TEXTS[i].split(), "tags": ["O", "B-X", "I-X"][i % 3 : i % 3 + 1] * len(TEXTS[i].split())},
        {"text": "words", "label": "tags"},
    ),
    "question_answering": (
        lambda i: {"question": "the film?", "context": TEXTS[i], "answers": _answer(i)},
        {"max_length": 16, "text": "question", "pair": "context", "label": "answers"},
    ),
    "seq2seq": (lambda i: {"text": TEXTS[i], "summary": TEXTS[-i]}, {"target": "summary"}),
}


def write_rows(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def prepared(kind: str, place: Path, **more: object) -> PreparedDataset:
    """Prepare 30 rows for training and 10 for validation."""
    row, options = KINDS[kind]
    rows = [row(i) for i in range(len(TEXTS))]
    write_rows(place / "source/train.jsonl", rows[:30])
    write_rows(place / "source/validation.jsonl", rows[30:])
    source = str(place / "source")
    options = {"tokenizer": str(TOKENIZER_FOLDER), "out": place / "dataset", **options, **more}
    return prepare(source, **options).dataset


@pytest.fixture(scope="module", params=KINDS)
def dataset(request, tmp_path_factory) -> PreparedDataset:
    return prepared(request.param, tmp_path_factory.mktemp("of kind"))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> PreparedDataset:
    return prepared("classification", tmp_path_factory.mktemp("small"))


def rows_by_arrow(dataset: PreparedDataset, split: str) -> list[dict]:
    """Return a split as pyarrow alone reads its files."""
    files = sorted((dataset.path / split).rglob("*.parquet"))
    table = pa.concat_tables(
        [
            pq.ParquetFile(file)
            .read()
            .append_column("bucket", [[file.parent.name[7:]] * pq.read_metadata(file).num_rows])
            for file in files
        ]
    )
    return table.sort_by("sample_id").to_pylist()


def plain(value: object) -> object:
    """Return what pandas holds as Python has it."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, np.ndarray)):
        return [plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def test_polars_scans_what_the_shards_contain(dataset):
    pl = pytest.importorskip("polars", reason="polars is not installed")
    for split, info in dataset.manifest.splits.items():
        found = dataset.to_polars(split).collect()
        assert found.rows(named=True) == rows_by_arrow(dataset, split)
        assert found.columns[:-1] == [column.name for column in columns(dataset.manifest.task, labelled=info.labelled)]
    both = dataset.to_polars().collect()
    assert len(both) == len(dataset)
    assert both.columns[0] == "split"
    for split in dataset.manifest.splits:
        assert both.filter(pl.col("split") == split).drop("split").rows(named=True) == rows_by_arrow(dataset, split)
    assert both["split"].unique(maintain_order=True).to_list() == list(dataset.manifest.splits)


def test_pandas_gets_what_the_shards_contain(dataset):
    for split in dataset.manifest.splits:
        found = dataset.to_pandas(split)
        assert plain(found.to_dict("records")) == rows_by_arrow(dataset, split)
    both = dataset.to_pandas()
    assert (len(both), both.columns[0]) == (len(dataset), "split")
    assert both["split"].tolist() == [name for name, info in dataset.manifest.splits.items() for _ in range(info.rows)]


def test_datasets_gets_what_it_reads_itself(dataset, tmp_path):
    import datasets

    found = dataset.to_datasets()
    assert isinstance(found, datasets.DatasetDict)
    assert list(found) == list(dataset.manifest.splits)
    for split, ours in found.items():
        files = sorted(map(str, (dataset.path / split).rglob("*.parquet")))
        read = datasets.load_dataset("parquet", data_files={split: files}, split=split, cache_dir=str(tmp_path))
        assert list(ours) == sorted(read, key=lambda row: row["sample_id"])
        other = {name for name in read.features if ours.features[name] != read.features[name]}
        assert other == ({"label"} if dataset.manifest.task.kind in ("classification", "multi_label") else set())


@pytest.mark.parametrize("kind", ["classification", "multi_label", "token_classification"])
def test_names_of_classes_lead_back_to_the_source(kind, tmp_path):
    """And labels pass through `map`, which refuses -100 of a ClassLabel."""
    dataset = prepared(kind, tmp_path)
    source = [json.loads(line) for line in (tmp_path / "source/train.jsonl").read_text().splitlines()]
    train = dataset.to_datasets()["train"]
    again = train.map(lambda row: {"label": row["label"]}, load_from_cache_file=False)
    assert again["label"][:] == train["label"][:]
    if kind == "classification":
        assert [train.features["label"].int2str(label) for label in train["label"]] == [row["label"] for row in source]
    elif kind == "multi_label":
        name = train.features["label"].feature.int2str
        assert [[name(label) for label in labels] for labels in train["label"]] == [row["label"] for row in source]
    else:
        named = [[dataset.classes[label] for label in labels if label != -100] for labels in train["label"]]
        assert named == [row["tags"] for row in source]


def test_a_split_without_labels_has_missing_ones(tmp_path):
    """Classes stay whole numbers in pandas, and every sample is there."""
    row = KINDS["classification"][0]
    write_rows(tmp_path / "source/test.jsonl", [{"text": row(i)["text"]} for i in range(3)])
    dataset = prepared("classification", tmp_path)
    assert len(dataset) == 43
    found = dataset.to_pandas()
    assert str(found["label"].dtype) == "Int64"
    assert found["label"][found["split"] == "test"].isna().tolist() == [True] * 3
    assert found["label"][found["split"] == "train"].tolist() == [i % 2 for i in range(30)]
    assert "label" not in dataset.to_pandas("test")
    assert "label" not in dataset.to_datasets()["test"].features
    pytest.importorskip("polars", reason="polars is not installed")
    both = dataset.to_polars().collect()
    assert both["label"].to_list()[-3:] == [None] * 3
    assert both["label"].to_list()[:30] == [i % 2 for i in range(30)]


def test_tables_are_sorted_piece_by_piece(small, monkeypatch):
    """Large splits are sorted in pieces; how many samples a piece has changes nothing."""
    expected = rows_by_arrow(small, "train")
    for piece in (1, 7, 30, 31):
        monkeypatch.setattr(frames, "_PIECE", piece)
        assert plain(small.to_pandas("train").to_dict("records")) == expected


# Laziness


def broken_copy(dataset: PreparedDataset, place: Path, bucket: str) -> PreparedDataset:
    """Copy a dataset, with every shard of other buckets replaced by bytes that no reader takes."""
    for path in dataset.path.rglob("*"):
        if path.is_file():
            copy = to_path(f"{place}/{path.relative_to(dataset.path).as_posix()}")
            copy.parent.mkdir(parents=True, exist_ok=True)
            of_other = path.suffix == ".parquet" and path.parent.name != f"bucket={bucket}"
            copy.write_bytes(b"not Parquet" if of_other else path.read_bytes())
    return load(str(place))


@pytest.mark.parametrize("place", ["{}/plain", "{}/label=3/a [b]*?/c", "memory://frames{}/label=3/d"])
def test_a_bucket_is_read_without_the_files_of_others(small, place, tmp_path):
    """On a disk, below folders that look like columns or patterns, and in a store. All shards but one are broken."""
    pl = pytest.importorskip("polars", reason="polars is not installed")
    rows = rows_by_arrow(small, "train")
    bucket = rows[3]["bucket"]
    broken = broken_copy(small, place.format(tmp_path), bucket)
    scan = broken.to_polars("train")
    assert isinstance(scan, pl.LazyFrame)
    of_bucket = scan.filter(pl.col("bucket") == bucket)
    assert of_bucket.collect().rows(named=True) == [row for row in rows if row["bucket"] == bucket]
    with pytest.raises(Exception, match=r"(?i)parquet"):
        scan.collect()
    if place == "{}/plain":
        files = re.findall(r"Parquet SCAN \[(.*)\]", of_bucket.explain())
        assert [Path(file).parent.name for file in files] == [f"bucket={bucket}"]


def test_a_scan_does_not_depend_on_the_current_folder(small, tmp_path, monkeypatch):
    pytest.importorskip("polars", reason="polars is not installed")
    monkeypatch.chdir(small.path.parent)
    scan = load("dataset").to_polars("train")
    monkeypatch.chdir(tmp_path)
    assert scan.collect().rows(named=True) == rows_by_arrow(small, "train")


def test_other_files_beside_the_shards_are_not_read(small, tmp_path):
    pytest.importorskip("polars", reason="polars is not installed")
    copy = broken_copy(small, tmp_path / "copy", rows_by_arrow(small, "train")[3]["bucket"])
    for path in small.path.rglob("*.parquet"):
        (copy.path / path.relative_to(small.path)).write_bytes(path.read_bytes())
    (copy.path / "train/notes.txt").write_text("mine")
    (copy.path / "train/bucket=000-005").mkdir(exist_ok=True)
    (copy.path / "train/bucket=000-005/other.parquet").write_bytes(b"mine")
    assert copy.to_polars("train").collect().rows(named=True) == rows_by_arrow(small, "train")


# Refusals


def test_a_split_that_is_not_there_is_refused(small):
    for convert in (small.to_polars, small.to_pandas):
        with pytest.raises(DatasetError) as caught:
            convert("dev")
        assert (caught.value.message, caught.value.next_step) == (
            f"{small.path} has no split dev.",
            "Choose one of: train, validation.",
        )


@pytest.mark.parametrize("library", ["polars", "pandas", "datasets"])
def test_a_library_that_is_not_installed_is_named(small, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError) as caught:
        getattr(small, f"to_{library}")()
    assert (caught.value.message, caught.value.next_step) == (
        f"dataset.to_{library}() needs {library}, which is not installed.",
        f"Run pip install {library}.",
    )


def test_a_damaged_shard_is_named(small, tmp_path):
    """By what reads all of it; a lazy scan notices a missing one."""
    damaged = broken_copy(small, tmp_path / "damaged", "none")
    shard = damaged.path / damaged.manifest.splits["train"].shards[0].path
    for convert in (damaged.to_pandas, damaged.to_datasets):
        with pytest.raises(DatasetError) as caught:
            convert()
        assert caught.value.message == f"The shard {shard} is damaged: its contents differ from what prepare wrote."
    shard.unlink()
    pytest.importorskip("polars", reason="polars is not installed")
    with pytest.raises(DatasetError) as caught:
        damaged.to_polars()
    assert (caught.value.message, caught.value.next_step) == (
        f"The shard {shard} is missing.",
        "Prepare the dataset again with --overwrite.",
    )


# How a dataset is shown


def test_len_counts_the_samples_of_all_splits(dataset):
    assert len(dataset) == sum(pq.read_metadata(file).num_rows for file in dataset.path.glob("[tv]*/*/*.parquet"))
