"""The index of a split says what the split says, from the few columns that a plan needs, and refuses what cannot be."""

import dataclasses
import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import DatasetError
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.manifest_file import write_manifest
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.split_index import index_columns, index_of, read_index
from tests.docs.files import write_files
from tests.in_process import run_command


@pytest.fixture
def dataset(workplace):
    """Sequences to sequences: every column that a plan may need."""
    write_files(workplace)
    return prepare("news.jsonl", tokenizer=str(TOKENIZER_FOLDER), max_length=64, out="d").dataset


def write_train(dataset, info):
    """Change what the manifest says of the train split."""
    write_manifest(
        dataset.path, dataclasses.replace(dataset.manifest, splits={**dataset.manifest.splits, "train": info})
    )


def sizes_of_words(words) -> list[list[int]]:
    return [
        words.sizes_V[first : first + count].tolist()
        for first, count in zip(words.firsts_N.tolist(), words.counts_N.tolist(), strict=True)
    ]


@pytest.mark.parametrize("drops", [False, True])
def test_the_index_of_few_columns_is_that_of_the_split(dataset, drops):
    """Sample by sample, whether it is taken from arrays, from all columns or from some."""
    expected = index_of(read_split(dataset, "train"), dataset.manifest.tokenizer.special_ids)
    columns = index_columns(dataset, "train", drops=drops)
    for found in (read_index(dataset, "train"), read_index(dataset, "train", columns=columns)):
        assert found.name == expected.name
        assert found.lengths_N.tolist() == expected.lengths_N.tolist()
        assert found.target_lengths_N.tolist() == expected.target_lengths_N.tolist()
        if found.words is not None:
            assert sizes_of_words(found.words) == sizes_of_words(expected.words)
            assert found.words.special_N.tolist() == expected.words.special_N.tolist()
    assert (found.words is not None) == drops


def test_the_columns_of_a_plan(dataset, workplace):
    """No token ids of texts; those of targets only where their lengths are planned."""
    assert index_columns(dataset, "train", drops=False) == ("sample_id", "length", "target_ids")
    assert index_columns(dataset, "train", drops=True) == ("sample_id", "length", "droppable", "target_ids")
    write_files(workplace)
    ratings = prepare("ratings.csv", label="clarity,depth", tokenizer=str(TOKENIZER_FOLDER), out="e").dataset
    assert index_columns(ratings, "train", drops=False) == ("sample_id", "length")


def replaced(name, values):
    def change(table):
        place = table.schema.get_field_index(name)
        return table.set_column(place, table.schema.field(name), pa.array(values(table), table.schema.field(name).type))

    return change


def less_at_the_first(by):
    return lambda table: [table["length"][0].as_py() - by, *table["length"].to_pylist()[1:]]


REFUSED = {
    "has lengths below 0": replaced("length", less_at_the_first(1000)),
    "has lengths beyond 64": replaced("length", less_at_the_first(-1000)),
    "has other lengths than the ": replaced("length", less_at_the_first(1)),
    "has missing values in length": replaced("length", lambda table: [None] * table.num_rows),
    "has the columns sample_id, target_ids, not those of this dataset": lambda table: table.drop_columns("length"),
}


@pytest.mark.parametrize("problem", list(REFUSED))
def test_what_cannot_be_is_refused_though_token_ids_are_not_read(dataset, problem):
    """The hash of the shard is right, and its lengths are not."""
    info = dataset.manifest.splits["train"]
    shard = info.shards[0]
    path = dataset.path / shard.path
    pq.write_table(REFUSED[problem](pq.read_table(pa.BufferReader(path.read_bytes()))), path)
    forged = dataclasses.replace(shard, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    write_train(dataset, dataclasses.replace(info, shards=(forged, *info.shards[1:])))
    opened = load(dataset.path)
    with pytest.raises(DatasetError) as caught:
        read_index(opened, "train", columns=index_columns(opened, "train", drops=False))
    assert caught.value.message.startswith(f"The shard {path} {problem}")


def test_special_tokens_in_texts_are_counted(workplace):
    """They stay, so a text of droppable words and special tokens alone keeps one of its words."""
    (workplace / "rows.csv").write_text("text,label\n" + "the of,0\n[SEP] the of [SEP],1\nthe film is good,0\n" * 10)
    dataset = prepare("rows.csv", tokenizer=str(TOKENIZER_FOLDER), out="d").dataset
    index = read_index(dataset, "train", columns=index_columns(dataset, "train", drops=True))
    split = read_split(dataset, "train")
    ids = np.split(split.input_ids_T, split.token_offsets_N1[1:-1])
    special = set(dataset.manifest.tokenizer.special_ids)
    assert index.words.special_N.tolist() == [sum(int(token) in special for token in row) for row in ids]
    assert len(set(index.words.special_N.tolist())) > 1
    info = dataset.manifest.splits["train"]
    assert [shard.special_tokens for shard in info.shards] == [2, None]
    older = dataclasses.replace(
        info, shards=tuple(dataclasses.replace(shard, special_tokens=None) for shard in info.shards)
    )
    write_manifest(dataset.path, dataclasses.replace(dataset.manifest, splits={"train": older}))
    opened = load(dataset.path)
    of_older = read_index(opened, "train", columns=index_columns(opened, "train", drops=True))
    assert of_older.words.special_N.tolist() == index.words.special_N.tolist()


def test_special_tokens_beyond_a_sample_are_refused(dataset):
    """The number in the manifest is at most the shortest sample's tokens."""
    info = dataset.manifest.splits["train"]
    forged = dataclasses.replace(info.shards[0], special_tokens=60)
    write_train(dataset, dataclasses.replace(info, shards=(forged, *info.shards[1:])))
    opened = load(dataset.path)
    with pytest.raises(DatasetError) as caught:
        read_index(opened, "train", columns=index_columns(opened, "train", drops=True))
    problem = "has samples of fewer tokens than the 60 special tokens of its manifest"
    assert caught.value.message == f"The shard {dataset.path / forged.path} {problem}."


def overwrite_columns(dataset, name, columns):
    """Put zeros where some columns are in the shards of a split."""
    for shard in dataset.manifest.splits[name].shards:
        path = dataset.path / shard.path
        data = bytearray(path.read_bytes())
        group = pq.ParquetFile(path).metadata.row_group(0)
        for place in range(group.num_columns):
            chunk = group.column(place)
            if chunk.path_in_schema.split(".")[0] in columns:
                first = chunk.dictionary_page_offset or chunk.data_page_offset
                data[first : first + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
        path.write_bytes(data)


@pytest.mark.parametrize("strategy", ["random", "unpadded", "bucket", "tdbs_paper", "reach"])
def test_a_dataset_whose_tokens_are_unreadable_has_the_same_plan(workplace, strategy):
    """A plan reads its columns alone; training reads all and refuses the shard."""
    dataset = prepare(out="d", max_length=64).dataset
    expected = run_command("plan", "d", "--strategy", strategy, "--json", folder=workplace)
    estimate = run_command("estimate-speedup", "d", "--strategy", strategy, "--json", folder=workplace)
    overwrite_columns(dataset, "train", {"source_row", "input_ids", "label"})
    assert run_command("plan", "d", "--strategy", strategy, "--json", folder=workplace) == expected
    assert run_command("estimate-speedup", "d", "--strategy", strategy, "--json", folder=workplace) == estimate
    assert expected.code == estimate.code == 0
    with pytest.raises(DatasetError, match="is damaged: its contents differ from what prepare wrote"):
        read_split(dataset, "train")
    overwrite_columns(dataset, "train", {"length"})
    refused = run_command("plan", "d", "--strategy", strategy, folder=workplace)
    path = dataset.path / dataset.manifest.splits["train"].shards[0].path
    assert (refused.code, refused.stdout) == (1, "")
    assert (
        f"The shard {path.relative_to(workplace) if path.is_absolute() else path} is not a readable" in refused.stderr
    )


@pytest.mark.parametrize(
    ("histogram", "what"),
    [
        ("length_histogram", "lengths"),
        ("droppable_histogram", "droppable words"),
        ("target_histogram", "targets"),
    ],
)
def test_what_was_read_has_the_histograms_of_the_manifest(dataset, histogram, what):
    """Two samples exchange a token: each sum is right, and the histogram is not."""
    info = dataset.manifest.splits["train"]
    counts = np.array(getattr(info, histogram))
    first, last = np.flatnonzero(counts)[[0, -1]]
    counts[[first, first + 1, last, last - 1]] += [-1, 1, -1, 1]
    changed = dataclasses.replace(info, cut_lengths=None, **{histogram: tuple(counts.tolist())})
    write_manifest(
        dataset.path, dataclasses.replace(dataset.manifest, splits={**dataset.manifest.splits, "train": changed})
    )
    opened = load(dataset.path)
    with pytest.raises(DatasetError) as caught:
        read_index(opened, "train", columns=index_columns(opened, "train", drops=True))
    assert caught.value.message == (f"The split train of {opened.path} has {what} that are not those of its manifest.")
