"""`tdbs verify` names every bad file, and so does training; a whole dataset has no problem."""

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tdbs.cli import app
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import DatasetError
from tdbs.pipeline.dataset import load
from tdbs.pipeline.manifest_file import write_manifest
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.verify import Problem, verify
from tdbs.train.trainer import train
from tests.docs.files import write_files

OTHER_ROWS = "text,label\n" + "".join(f"the film number {i} of it,{i % 2}\n" for i in range(300))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sample, and a dataset of other texts."""
    place = tmp_path_factory.mktemp("verify")
    (place / "other.csv").write_text(OTHER_ROWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        prepare(out="sample")
        prepare("other.csv", tokenizer=str(TOKENIZER_FOLDER), out="other")
    return place


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole / "sample", tmp_path / "d")
    return tmp_path / "d"


def flip_one_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "one bit flipped": flip_one_bit,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "gone": lambda path: path.unlink(),
}


def test_a_whole_dataset_has_no_problem(whole):
    found = verify(whole / "sample")
    assert found.problems == ()
    assert found.samples == 22_000
    assert found.files == sum(1 for path in (whole / "sample").rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_bad_shard_is_named_by_verify_and_by_train(copy, damage, split):
    """Every shard in turn would take long: the first and the last of a split."""
    shards = load(copy).manifest.splits[split].shards
    for shard in (shards[0], shards[-1]):
        data = (copy / shard.path).read_bytes()
        damage(copy / shard.path)
        assert [problem.file for problem in verify(copy).problems] == [shard.path]
        with pytest.raises(DatasetError) as caught:
            train(copy, model="tiny", epochs=1, out=copy.parent / "run")
        assert str(copy / shard.path) in caught.value.message
        assert not (copy.parent / "run").exists()
        (copy / shard.path).write_bytes(data)
    assert verify(copy).problems == ()


def test_a_shard_of_another_dataset_is_named(whole, copy):
    """It is a whole Parquet file with the right columns; its hash tells."""
    own = {shard.path for shard in load(copy).manifest.splits["train"].shards}
    shard = next(s.path for s in load(whole / "other").manifest.splits["train"].shards if s.path in own)
    shutil.copy(whole / "other" / shard, copy / shard)
    assert verify(copy).problems == (
        Problem(file=shard, problem="is damaged: its contents differ from what prepare wrote"),
    )
    with pytest.raises(DatasetError) as caught:
        train(copy, model="tiny", epochs=1, out=copy.parent / "run")
    assert str(copy / shard) in caught.value.message


@pytest.mark.parametrize("name", ["tokenizer.json", "train/bucket=005-010/part-00007.parquet"])
def test_other_files_are_checked_too(copy, name):
    """The tokenizer, and shards that the manifest does not name: hive readers would take them in."""
    shutil.copy(copy / "train/bucket=005-010/part-00000.parquet", copy / name)
    assert [problem.file for problem in verify(copy).problems] == [name]


def forge(folder, change):
    """Change the first shard of train and make the manifest agree with its new hash, rows and tokens."""
    manifest = load(folder).manifest
    info = manifest.splits["train"]
    shard = info.shards[min(1, len(info.shards) - 1)]
    path = folder / shard.path
    table = change(pq.read_table(pa.BufferReader(path.read_bytes())))
    pq.write_table(table, path)
    forged = dataclasses.replace(
        shard,
        rows=table.num_rows,
        tokens=int(np.sum(table["length"].to_numpy())),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    shards = tuple(forged if s is shard else s for s in info.shards)
    splits = dict(manifest.splits) | {"train": dataclasses.replace(info, shards=shards)}
    write_manifest(folder, dataclasses.replace(manifest, splits=splits))
    return shard.path


def with_column(table, name, values):
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))


FORGERIES = {
    "has samples that the split has already": lambda t: pa.concat_tables([t, t.slice(0, 1)]).sort_by(
        [("length", "ascending"), ("sample_id", "ascending")]
    ),
    "is not sorted by length and sample": lambda t: t.take(pa.array(np.arange(t.num_rows)[::-1])),
    "has samples beyond the 20000 of its split": lambda t: with_column(
        t, "sample_id", t["sample_id"].to_numpy() + 20_000
    ),
    "has samples of another bucket's lengths": lambda t: with_column(t, "length", t["length"].to_numpy() + 20),
    "has lengths beyond 128": lambda t: with_column(t, "length", t["length"].to_numpy() + 200),
    "has token ids beyond the vocabulary": lambda t: with_column(
        t, "input_ids", [[10**6] * len(row) for row in t["input_ids"].to_pylist()]
    ),
    "has lengths that are not those of its tokens": lambda t: with_column(
        t, "input_ids", [row[:-1] for row in t["input_ids"].to_pylist()]
    ),
    "has droppable words outside of their samples": lambda t: with_column(
        t, "droppable", [[{"start": n, "length": 1}] for n in t["length"].to_pylist()]
    ),
    "has droppable words that overlap or are not in order": lambda t: with_column(
        t, "droppable", [[{"start": 1, "length": 2}, {"start": 2, "length": 1}]] * t.num_rows
    ),
    "has labels that are not classes of the task": lambda t: with_column(t, "label", [7] * t.num_rows),
    "has special tokens that are droppable": lambda t: with_column(
        t, "droppable", [[{"start": 0, "length": 1}]] * t.num_rows
    ),
    "has missing values in label": lambda t: with_column(t, "label", [None] * t.num_rows),
    "has missing values in input_ids": lambda t: with_column(
        t, "input_ids", [[None] * len(row) for row in t["input_ids"].to_pylist()]
    ),
    "has missing values in sample_id": lambda t: with_column(t, "sample_id", [None] * t.num_rows),
    "has rows before the first one of the source": lambda t: with_column(t, "source_row", [-1] * t.num_rows),
    "has the columns sample_id, source_row, input_ids, length, droppable, not those of this dataset": lambda t: t.drop(
        ["label"]
    ),
}


@pytest.mark.parametrize("problem", list(FORGERIES))
def test_samples_that_cannot_be_are_named_even_with_the_right_hash(copy, problem):
    path = forge(copy, FORGERIES[problem])
    assert verify(copy).problems == (Problem(file=path, problem=problem),)


OF_KINDS = {
    "has answers outside of their samples": (
        "questions.jsonl",
        lambda t: with_column(t, "answer_end", t["length"].to_numpy()),
    ),
    "has answers that end before they start": (
        "questions.jsonl",
        lambda t: with_column(with_column(t, "answer_start", [2] * t.num_rows), "answer_end", [1] * t.num_rows),
    ),
    "has a number of char_starts that differs from its tokens": (
        "questions.jsonl",
        lambda t: with_column(t, "char_starts", [[0]] * t.num_rows),
    ),
    "has a number of labels that differs from its tokens": (
        "names.jsonl",
        lambda t: with_column(t, "label", [[0]] * t.num_rows),
    ),
    "has target token ids beyond the vocabulary": (
        "news.jsonl",
        lambda t: with_column(t, "target_ids", [[10**6]] * t.num_rows),
    ),
}


@pytest.mark.parametrize("problem", list(OF_KINDS))
def test_samples_of_other_kinds_that_cannot_be_are_named(workplace, problem):
    source, change = OF_KINDS[problem]
    write_files(workplace)
    options = {} if source == "names.jsonl" else {"max_length": 64}
    dataset = prepare(source, tokenizer=str(TOKENIZER_FOLDER), out="d", **options).dataset
    shard = forge(dataset.path, change)
    assert Problem(file=shard, problem=problem) in verify("d").problems


def changed_manifest(folder, **changes):
    manifest = load(folder).manifest
    of_split = {name: changes.pop(name) for name in list(changes) if name not in manifest.__slots__}
    splits = dict(manifest.splits) | {"train": dataclasses.replace(manifest.splits["train"], **of_split)}
    write_manifest(folder, dataclasses.replace(manifest, splits=splits, **changes))


MANIFESTS = {
    "has a key that is not that of its parts": {"key": "0" * 64},
    "has bucket edges that are not those of its maximum length": {"bucket_edges": (0, 5)},
    "names shards of train that lack 9999999980000 of its 10000000000000 samples": {"rows": 10**13},
    "has counts of train that are not those of its samples": {"droppable_words": 7},
}


@pytest.mark.parametrize("problem", list(MANIFESTS))
def test_a_manifest_that_contradicts_itself_or_the_samples_is_named(copy, problem):
    changed_manifest(copy, **MANIFESTS[problem])
    assert verify(copy).problems == (Problem(file="manifest.json", problem=problem),)


def test_a_count_that_is_not_a_number_is_named(copy):
    changed_manifest(copy, rows="many")
    with pytest.raises(DatasetError) as caught:
        verify(copy)
    assert str(caught.value) == (
        f"{copy}/manifest.json is not a manifest of tdbs: splits.train.rows: expected int, got str. "
        "Prepare the dataset again with --overwrite."
    )


@pytest.mark.parametrize("name", ["train/bucket=900-905/part-00000.parquet", "test/x.parquet", ".a.parquet.12"])
def test_files_of_no_split_are_named(copy, name):
    (copy / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(copy / "train/bucket=005-010/part-00000.parquet", copy / name)
    assert verify(copy).problems == (Problem(file=name, problem="is not a file of this dataset"),)


def test_missing_samples_are_told_of_the_manifest(copy):
    forge(copy, lambda table: table.slice(0, table.num_rows - 3))
    assert verify(copy).problems == (
        Problem(file="manifest.json", problem="names shards of train that lack 3 of its 20000 samples"),
    )


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("ratings.csv", {"label": "clarity"}),
        ("ratings.csv", {"label": "clarity,depth"}),
        ("emotions.csv", {"label": "joy,anger"}),
        ("names.jsonl", {}),
        ("questions.jsonl", {"max_length": 64}),
        ("news.jsonl", {"max_length": 64}),
    ],
)
def test_datasets_of_every_kind_are_whole(workplace, source, options):
    """Regression, several targets, multi-label, words, answers with windows, summaries."""
    write_files(workplace)
    dataset = prepare(source, tokenizer=str(TOKENIZER_FOLDER), validation="0.2", **options).dataset
    found = verify(dataset)
    assert found.problems == ()
    assert found.files == sum(1 for path in dataset.path.rglob("*") if path.is_file())
    references = dataset.manifest.splits["validation"].references
    if references is not None:
        flip_one_bit(dataset.path / references.path)
        assert [problem.file for problem in verify(dataset).problems] == [references.path]


def test_the_command_line_says_what_is_whole_and_what_is_not(whole, copy):
    runner = CliRunner()
    good = runner.invoke(app, ["verify", str(whole / "sample")])
    assert good.exit_code == 0
    assert "22,000 samples in" in good.stdout
    shard = load(copy).manifest.splits["train"].shards[0].path
    flip_one_bit(copy / shard)
    bad = runner.invoke(app, ["verify", str(copy), "--json"])
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["problems"] == [
        {"file": shard, "problem": "is damaged: its contents differ from what prepare wrote"}
    ]
    assert bad.stderr.splitlines()[-2:] == [
        f"Error: 1 file of {copy} is bad.",
        "Next:  Prepare the dataset again with --overwrite.",
    ]
