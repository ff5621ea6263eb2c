"""Shards: bucket folders that other tools read, rows by length inside, and no damage that goes unnoticed."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.errors import DatasetError
from tdbs.pipeline.blocks import keep_block
from tdbs.pipeline.lengths import bucket_edges
from tdbs.pipeline.parquet import read_checked
from tdbs.pipeline.schema import DROPPABLE_TYPE
from tdbs.pipeline.shards import plan_parts, write_part
from tdbs.pipeline.split_arrays import lists_of, read_arrays
from tests.examples import examples


def make_table(lengths) -> pa.Table:
    """Return a split of samples whose tokens tell their sample and place."""
    lengths = np.asarray(lengths, dtype=np.int32)
    return pa.table(
        {
            "sample_id": np.arange(len(lengths)),
            "source_row": np.arange(len(lengths)),
            "input_ids": pa.array(
                [[100 * i + k for k in range(n)] for i, n in enumerate(lengths)], pa.list_(pa.int32())
            ),
            "length": lengths,
            "droppable": pa.array([[]] * len(lengths), DROPPABLE_TYPE),
        }
    )


def read_back(folder, shards) -> dict:
    """Return what read_arrays makes of two columns of these shards."""
    return read_arrays(
        (read_checked(folder / shard.path, shard.sha256) for shard in shards),
        lambda table: {
            "input_ids": lists_of(table, "input_ids", np.int32),
            "source_row": table["source_row"].to_numpy(),
            "pairs": np.stack([table["length"].to_numpy()] * 2, axis=1),
        },
        named="The split train",
        rows=100,
    )


def write_shards(table, folder, split, edges, *, bounds=()):
    """Write a split as prepare does: as blocks that end at the bounds, and these as shards."""
    ends = [*sorted(bounds), table.num_rows]
    blocks = []
    for number, (first, last) in enumerate(zip([0, *ends], ends, strict=False)):
        block = table.slice(first, last - first)
        block = block.set_column(0, "sample_id", pa.array(np.arange(block.num_rows)))
        blocks.append(keep_block(block, folder / "work", split, number, rows=block.num_rows, seconds={}))
    parts = plan_parts(split, blocks, edges, special_ids=())
    return tuple(write_part(part, blocks=folder / "work", target=folder) for part in parts)


@given(
    st.lists(st.integers(0, 23), min_size=1, max_size=60),
    st.sampled_from([1, 2, 5, 7, 50]),
    st.sets(st.integers(0, 60), max_size=4),
)
@examples(60)
def test_shards_partition_the_rows(tmp_path_factory, lengths, width, bounds):
    """Every sample once, in the bucket of its length, rows by length; the records are true; reading gives all back."""
    folder = tmp_path_factory.mktemp("shards")
    table, edges = make_table(lengths), bucket_edges(23, width)
    shards = write_shards(table, folder, "train", edges, bounds={min(bound, len(lengths)) for bound in bounds})
    ids = []
    for shard in shards:
        data = (folder / shard.path).read_bytes()
        part = pq.read_table(pa.BufferReader(data))
        low, high = map(int, shard.path.split("bucket=")[1].split("/")[0].split("-"))
        own = part["length"].to_pylist()
        assert own == sorted(own)
        assert all(low <= n < high or n == high == 23 for n in own)
        assert (shard.rows, shard.tokens) == (len(own), sum(own))
        assert shard.sha256 == hashlib.sha256(data).hexdigest()
        ids += part["sample_id"].to_pylist()
    assert sorted(ids) == list(range(len(lengths)))
    read = read_back(folder, shards)
    assert read["source_row"].tolist() == list(range(len(lengths)))
    assert read["pairs"].tolist() == [[length, length] for length in lengths]
    assert np.diff(read["input_ids"].offsets_N1).tolist() == lengths
    assert read["input_ids"].values_V.tolist() == table["input_ids"].combine_chunks().flatten().to_pylist()


def test_some_shards_of_a_split_keep_the_order_of_its_samples(tmp_path):
    """Samples that other shards hold are left out; the rest are in sample_id order."""
    shards = write_shards(make_table([3, 12, 4, 22, 13]), tmp_path, "train", bucket_edges(23, 10))
    assert read_back(tmp_path, [shards[1], shards[0]])["source_row"].tolist() == [0, 1, 2, 4]


def test_equal_lengths_stay_in_source_order(tmp_path):
    """The sort by length is stable, so that the bytes of a shard do not depend on the machine."""
    shards = write_shards(make_table([3, 2, 3, 2]), tmp_path, "train", bucket_edges(5))
    assert pq.read_table(tmp_path / shards[0].path, partitioning=None)["sample_id"].to_pylist() == [1, 3, 0, 2]


def test_folders_are_read_as_hive_partitions(tmp_path):
    """pyarrow.dataset sees the bucket as a column, with no word from us."""
    shards = write_shards(make_table([1, 4, 5, 9, 10]), tmp_path, "train", bucket_edges(10))
    assert [shard.path for shard in shards] == [
        "train/bucket=000-005/part-00000.parquet",
        "train/bucket=005-010/part-00000.parquet",
    ]
    read = pa.dataset.dataset(tmp_path / "train", partitioning="hive").to_table().sort_by("sample_id")
    assert read["bucket"].to_pylist() == ["000-005"] * 2 + ["005-010"] * 3
    assert read["length"].to_pylist() == [1, 4, 5, 9, 10]


def test_empty_buckets_have_no_shard(tmp_path):
    assert len(write_shards(make_table([1, 22]), tmp_path, "train", bucket_edges(23))) == 2


DAMAGES = {
    "one byte flipped": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "last byte flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "cut short": lambda data: data[:-10],
    "emptied": lambda data: b"",
    "grown": lambda data: data + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_shard_is_named(tmp_path, damage):
    shards = write_shards(make_table([1, 4, 9]), tmp_path, "train", bucket_edges(10))
    path = tmp_path / shards[1].path
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError) as caught:
        read_back(tmp_path, shards)
    assert caught.value.message == f"The shard {path} is damaged: its contents differ from what prepare wrote."
    assert caught.value.next_step == "Prepare the dataset again with --overwrite."


def test_a_missing_shard_is_named(tmp_path):
    shards = write_shards(make_table([1, 4, 9]), tmp_path, "train", bucket_edges(10))
    path = tmp_path / shards[1].path
    path.unlink()
    with pytest.raises(DatasetError) as caught:
        read_back(tmp_path, shards)
    assert caught.value.message == f"The shard {path} cannot be read: No such file or directory."
    assert caught.value.next_step == "Prepare the dataset again with --overwrite."
