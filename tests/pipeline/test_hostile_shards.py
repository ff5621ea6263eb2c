"""Shards whose hash is right and whose contents are not: reading names the shard, as verify does, and nothing else."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest

from tdbs.errors import DatasetError
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.manifest_file import write_manifest
from tdbs.pipeline.split_index import read_index
from tdbs.pipeline.verify import Problem, verify
from tests.pipeline.test_verify import FORGERIES, copy, forge, whole  # noqa: F401  (fixtures)

HARMLESS = "is not sorted by length and sample"  # reading sorts by sample


def forged(folder, change):
    """Forge a shard and make the split's counts agree, so that nothing but the shard tells."""
    path = forge(folder, change)
    manifest = load(folder).manifest
    info = manifest.splits["train"]
    rows, tokens = (sum(getattr(shard, name) for shard in info.shards) for name in ("rows", "tokens"))
    # One length for all but one sample: what adds up to these rows and tokens.
    lengths = np.zeros(manifest.max_length + 1, dtype=np.int64)
    left = tokens
    for length in range(manifest.max_length, 0, -1):
        lengths[length], left = divmod(left, length)
    lengths[0] = rows - lengths.sum()
    if lengths[0] < 0 or tokens < 0:
        return path
    changed = dataclasses.replace(
        info,
        rows=rows,
        tokens=tokens,
        length_histogram=tuple(lengths.tolist()),
        droppable_histogram=(rows,),
    )
    write_manifest(folder, dataclasses.replace(manifest, splits={**manifest.splits, "train": changed}))
    return path


@pytest.mark.parametrize("read", [read_split, read_index])
@pytest.mark.parametrize("problem", [problem for problem in FORGERIES if problem != HARMLESS])
def test_samples_that_cannot_be_are_refused_by_reading_too(copy, problem, read):  # noqa: F811
    path = forged(copy, FORGERIES[problem])
    with pytest.raises(DatasetError) as caught:
        read(load(copy), "train")
    told = caught.value.message
    assert path in told or told.startswith(f"The split train of {copy} has samples twice, or beyond its ")


def retyped(name, kind):
    return lambda t: t.set_column(
        t.schema.get_field_index(name), pa.field(name, kind), t[name].combine_chunks().cast(kind)
    )


TYPES = {
    "has length as int64": retyped("length", pa.int64()),
    "has input_ids as list<": retyped("input_ids", pa.list_(pa.int64())),
    "has label as double": retyped("label", pa.float64()),
}


@pytest.mark.parametrize("problem", list(TYPES))
def test_a_column_of_another_type_is_named(copy, problem):  # noqa: F811
    path = forged(copy, TYPES[problem])
    with pytest.raises(DatasetError) as caught:
        read_split(load(copy), "train")
    assert caught.value.message.startswith(f"The shard {copy / path} {problem}")
    assert ", not as " in caught.value.message
    assert verify(copy).problems[0].file == path


@pytest.mark.parametrize("read", [read_split, read_index])
def test_counts_beyond_the_files_are_refused_before_anything_is_allocated(copy, read):  # noqa: F811
    """A manifest that agrees with itself claims 10 trillion samples in one shard."""
    path = copy / "manifest.json"
    found = json.loads(path.read_text())
    split = found["splits"]["train"]
    more = 10**13
    split["rows"] += more
    split["shards"][0]["rows"] += more
    split["length_histogram"][0] += more
    split["droppable_histogram"][0] += more
    path.write_text(json.dumps(found))
    shard = split["shards"][0]
    with pytest.raises(DatasetError) as caught:
        read(load(copy), "train")
    assert caught.value.message == (
        f"The shard {copy / shard['path']} has {shard['rows'] - more} samples, not the {shard['rows']} of its manifest."
    )
    assert [problem.file for problem in verify(copy).problems] == [shard["path"]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda split: split.update(rows=7), "splits.train.rows: 7, but 20000 in its shards"),
        (lambda split: split.update(tokens=7), "splits.train.tokens: 7, but {tokens} in its shards"),
        (
            lambda split: split["length_histogram"].__setitem__(3, 10**15),
            "splits.train.length_histogram: not of 20000 rows and {tokens} tokens",
        ),
        (
            lambda split: split["droppable_histogram"].__setitem__(0, 10**15),
            "splits.train.droppable_histogram: not of 20000 rows",
        ),
        (
            lambda split: split["repeats"].update(conflicts=20001),
            "splits.train.repeats: 20001, more than the 20000 rows of the source",
        ),
    ],
)
def test_counts_that_contradict_each_other_are_refused(copy, change, reason):  # noqa: F811
    """By what reads the split, and by verify."""
    path = copy / "manifest.json"
    found = json.loads(path.read_text())
    tokens = found["splits"]["train"]["tokens"]
    change(found["splits"]["train"])
    path.write_text(json.dumps(found))
    with pytest.raises(DatasetError) as caught:
        read_split(load(copy), "train")
    assert caught.value.message == f"{path} is not a manifest of tdbs: {reason.format(tokens=tokens)}."
    assert verify(copy).problems


@pytest.mark.parametrize("field", ["duplicates", "conflicts"])
def test_verify_names_more_repeats_than_rows(copy, field):  # noqa: F811
    """The shards are whole and say nothing of them; as many as there are rows can be."""
    path = copy / "manifest.json"
    found = json.loads(path.read_text())
    for count, problems in ((20_000, ()), (10**9, (10**9,))):
        found["splits"]["train"]["repeats"][field] = count
        path.write_text(json.dumps(found))
        assert verify(copy).problems == tuple(
            Problem(
                file="manifest.json",
                problem=f"has splits.train.repeats: {each}, more than the 20000 rows of the source",
            )
            for each in problems
        )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_length": 10**12}, "max_length: expected int <= 1048576, got 1000000000000"),
        ({"bucket_edges": [0, 10**12]}, "bucket_edges: beyond max_length, 128"),
        ({"bucket_edges": [5, 5]}, "bucket_edges: expected increasing numbers from 0"),
        ({"splits": {"../up": None}}, "splits.../up: expected object, got null"),
    ],
)
def test_lengths_and_names_that_cannot_be_are_refused(copy, changes, reason):  # noqa: F811
    path = copy / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(DatasetError) as caught:
        load(copy)
    assert caught.value.message == f"{path} is not a manifest of tdbs: {reason}."


def test_histograms_beyond_the_greatest_length_and_shards_named_twice_are_refused(copy):  # noqa: F811
    path = copy / "manifest.json"
    text = path.read_text()
    for change, reason in (
        (
            lambda split: split["length_histogram"].append(0),
            "splits.train.length_histogram: has entries beyond the greatest length, 128",
        ),
        (lambda split: split["shards"].append(split["shards"][0]), "splits.train.shards: {shard} is duplicated"),
    ):
        found = json.loads(text)
        split = found["splits"]["train"]
        change(split)
        path.write_text(json.dumps(found))
        with pytest.raises(DatasetError) as caught:
            load(copy)
        shard = split["shards"][0]["path"]
        assert caught.value.message == f"{path} is not a manifest of tdbs: {reason.format(shard=shard)}."


def test_a_file_that_is_not_parquet_is_named_with_its_own_hash(copy):  # noqa: F811
    import hashlib

    manifest = load(copy).manifest
    info = manifest.splits["train"]
    shard = info.shards[0]
    data = b"PAR1" + b"\0" * 100 + b"PAR1"
    (copy / shard.path).write_bytes(data)
    other = dataclasses.replace(shard, sha256=hashlib.sha256(data).hexdigest())
    changed = dataclasses.replace(info, shards=(other, *info.shards[1:]))
    write_manifest(copy, dataclasses.replace(manifest, splits={**manifest.splits, "train": changed}))
    problem = "is not a readable Parquet file"
    for read in (read_split, read_index):
        with pytest.raises(DatasetError) as caught:
            read(load(copy), "train")
        assert caught.value.message == f"The shard {copy / shard.path} {problem}."
    assert verify(copy).problems == (Problem(file=shard.path, problem=problem),)
