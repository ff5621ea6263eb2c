"""Prepare: everything written is true, is written whole or not at all, and nobody else's files are touched."""

import csv
import hashlib
import itertools
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tdbs.cli import app
from tdbs.errors import ConfigError, DatasetError, SourceError, TdbsError
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.manifest_file import read_manifest
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.work import claimed
from tests.pipeline.test_tokenizer import write_tokenizer

ROWS = [
    ("a b of c", "bad"),
    ("of of", "good"),
    (" ", "bad"),
    ("a b c a b c a b c a b c", "good"),
    ("c of a", "good"),
    ("a", "bad"),
]
# With [CLS] and [SEP], cut at 10: lengths 6, 4, 2, 10, 5, 3; "of" is the only listed word of the vocabulary besides
# "a", which the list has too.


def write_csv(path: Path, rows=ROWS, header=("text", "label")) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Return every file below the folder with its hash and time."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def options(workplace):
    """A small CSV and a tokenizer of four words, in the current folder, as arguments of prepare."""
    return {
        "source": str(write_csv(workplace / "reviews.csv")),
        "tokenizer": str(write_tokenizer(workplace / "words")),
        "max_length": 10,
    }


def refused(error, **options) -> tuple[str, str]:
    with pytest.raises(error) as caught:
        prepare(**options)
    return caught.value.message, caught.value.next_step


# ------------------------------------------------------------------------------------------------------ what is written


def test_a_small_csv_is_prepared_as_worked_out_by_hand(options):
    """Ids, lengths, droppable words, labels and counts of six rows."""
    result = prepare(**options)
    assert (result.cached, result.changed) == (False, ())
    manifest = result.dataset.manifest
    assert result.dataset.path == Path("data/reviews") / f"words-10-{manifest.key[:8]}"
    split = read_split(result.dataset, "train")
    assert split.lengths_N.tolist() == [6, 4, 2, 10, 5, 3]
    assert split.input_ids_T[:6].tolist() == [2, 4, 5, 7, 6, 3]  # [CLS] a b of c [SEP]
    words = list(zip(split.word_starts_W.tolist(), split.word_sizes_W.tolist(), strict=True))
    bounds = split.word_offsets_N1.tolist()
    assert [words[a:b] for a, b in itertools.pairwise(bounds)] == [
        [(1, 1), (3, 1)],
        [(1, 1), (2, 1)],
        [],
        [(1, 1), (4, 1), (7, 1)],  # the fourth "a" was cut
        [(2, 1), (3, 1)],
        [(1, 1)],
    ]
    assert split.targets.values.tolist() == [0, 1, 0, 1, 1, 0]
    assert split.segment_starts_N is None
    info = manifest.splits["train"]
    assert (info.rows, info.tokens, info.droppable_words, info.droppable_tokens) == (6, 30, 10, 10)
    assert info.length_histogram == (0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 1)
    assert info.droppable_histogram == (1, 1, 3, 1)
    assert manifest.task.classes == ("bad", "good")
    assert (manifest.max_length, manifest.bucket_edges) == (10, (0, 5, 10))
    assert manifest.tokenizer.special_tokens == 2
    assert not Path("data/latest.json").exists()  # what commands use is theirs to note


def check_dataset(path: Path) -> None:
    """Recompute everything that a manifest says from the shards, with pyarrow alone."""
    manifest = read_manifest(path)
    on_disk = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    named = {shard.path for split in manifest.splits.values() for shard in split.shards}
    assert on_disk == named | {"manifest.json", "tokenizer.json"}
    for name, info in manifest.splits.items():
        lengths, droppable, ids, words = [], [], [], 0
        for shard in info.shards:
            data = (path / shard.path).read_bytes()
            assert hashlib.sha256(data).hexdigest() == shard.sha256
            table = pq.read_table(pa.BufferReader(data))
            own = table["length"].to_pylist()
            assert own == sorted(own) == [len(row) for row in table["input_ids"].to_pylist()]
            assert (shard.rows, shard.tokens) == (len(own), sum(own))
            low, high = map(int, shard.path.split("bucket=")[1].split("/")[0].split("-"))
            assert all(low <= n < high or n == high == manifest.max_length for n in own)
            for row in table["droppable"].to_pylist():
                droppable.append(sum(word["length"] for word in row))
                words += len(row)
            assert table["source_row"].equals(table["sample_id"])
            ids += table["sample_id"].to_pylist()
            lengths += own
        assert sorted(ids) == list(range(info.rows))
        assert info.tokens == sum(lengths)
        assert info.length_histogram == tuple(np.bincount(lengths, minlength=manifest.max_length + 1).tolist())
        assert info.droppable_histogram == tuple(np.bincount(droppable).tolist())
        assert (info.droppable_words, info.droppable_tokens) == (words, sum(droppable))
        hive = pa.dataset.dataset(path / name, partitioning="hive").to_table()
        assert (hive.num_rows, hive["length"].to_numpy().sum()) == (info.rows, info.tokens)
        assert set(hive["bucket"].to_pylist()) == {s.path.split("bucket=")[1].split("/")[0] for s in info.shards}


def test_all_that_the_manifest_of_a_small_csv_says_is_true(options):
    check_dataset(prepare(**options).dataset.path)


def test_all_that_the_manifest_of_the_sample_says_is_true(workplace):
    """The built-in corpus with its own tokenizer: 20,000 and 2,000 rows, no network, no option."""
    result = prepare()
    check_dataset(result.dataset.path)
    assert {name: info.rows for name, info in result.dataset.manifest.splits.items()} == {
        "train": 20_000,
        "validation": 2_000,
    }
    assert sorted(path.name for path in workplace.iterdir()) == ["data"]
    assert sorted(path.name for path in (workplace / "data").iterdir()) == ["sample"]


def test_progress_counts_every_row_of_every_stage(options):
    """A bar that is driven by it ends full: each stage reports all rows of all splits, never going back."""
    seen = {}
    write_csv(Path("d/train.csv"))
    write_csv(Path("d/validation.csv"), ROWS[:2])
    prepare(
        **options | {"source": "d"},
        progress=lambda stage, done, total: seen.setdefault(stage, []).append((done, total)),
    )
    assert seen == {
        "read": [(0, None), (8, 8)],  # how many there are is known once they are read
        "tokenize": [(6, 8), (8, 8)],
        "write": [(3, 8), (6, 8), (7, 8), (8, 8)],  # a shard for each bucket of each split
    }


def test_more_rows_than_a_block_are_one_split(options):
    """20,000 rows go through in blocks of 8,192; ids, labels and words stay with their rows."""
    rows = [("a " * (i % 7) + "of b", "good" if i % 3 else "bad") for i in range(20_000)]
    result = prepare(**options | {"source": str(write_csv(Path("long.csv"), rows)), "max_length": 12})
    check_dataset(result.dataset.path)
    split = read_split(result.dataset, "train")
    assert split.lengths_N.tolist() == [i % 7 + 4 for i in range(20_000)]
    assert np.diff(split.word_offsets_N1).tolist() == [i % 7 + 1 for i in range(20_000)]
    assert split.targets.values.tolist() == [int(i % 3 > 0) for i in range(20_000)]


def test_pairs_keep_where_the_second_text_starts(options):
    rows = [("a b", "c", 0.5), (" ", "of", 1), ("a", " ", 2.25)]
    source = write_csv(Path("pairs.csv"), rows, ("one", "two", "score"))
    result = prepare(
        **options | {"source": str(source)}, text="one", pair="two", label="score", label_type="regression"
    )
    check_dataset(result.dataset.path)
    split = read_split(result.dataset, "train")
    assert split.segment_starts_N.tolist() == [4, 2, 3]
    assert split.targets.values.tolist() == [0.5, 1.0, 2.25]
    assert split.targets.values.dtype == np.float64


def test_a_dataset_of_empty_texts_is_prepared(options):
    """Nothing but special tokens is a dataset too: nothing to drop, no crash."""
    source = write_csv(Path("empty.csv"), [(" ", "bad"), (" ", "good")])
    result = prepare(**options | {"source": str(source)})
    check_dataset(result.dataset.path)
    assert result.dataset.manifest.splits["train"].droppable_histogram == (2,)


# -------------------------------------------------------------------------------------------------------------- caching


def test_a_second_prepare_is_a_cache_hit_that_touches_no_file_of_the_dataset(options):
    first = prepare(**options)
    before = tree(first.dataset.path)
    again = prepare(**options)
    assert (again.cached, again.changed) == (True, ())
    assert again.dataset == first.dataset
    assert tree(first.dataset.path) == before


def test_a_hit_becomes_the_latest_dataset(options):
    """What commands use when no dataset is named is the last one prepared, written anew or not."""
    command = ["prepare", options["source"], "--tokenizer", options["tokenizer"], "--json", "--max-length"]
    paths = [json.loads(CliRunner().invoke(app, [*command, length]).stdout)["path"] for length in ("10", "9", "10")]
    assert paths[0] == paths[2] != paths[1]
    assert json.loads(Path("data/latest.json").read_text()) == {"path": paths[0]}


def test_a_moved_source_with_the_same_bytes_is_a_hit(options, workplace):
    """The key is made of contents, never of paths or times."""
    prepare(**options)
    copy = workplace / "elsewhere" / "reviews.csv"
    copy.parent.mkdir()
    copy.write_bytes(Path(options["source"]).read_bytes())
    assert prepare(**options | {"source": str(copy)}).cached


CHANGES = {
    "max length": lambda options, place: options | {"max_length": 9},
    "tokenizer": lambda options, place: options | {"tokenizer": str(other_tokenizer(place))},
    "droppable words": lambda options, place: options | {"keep": ["of"]},
    "source": lambda options, place: options | {"source": str(write_csv(place / "reviews.csv", ROWS[::-1]))},
}


def other_tokenizer(place: Path) -> Path:
    folder = write_tokenizer(place / "words")
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"b": 5', '"bb": 5'))
    return folder


@pytest.mark.parametrize("part", CHANGES)
def test_a_miss_says_which_part_changed(options, workplace, part):
    prepare(**options)
    result = prepare(**CHANGES[part](options, workplace))
    assert (result.cached, result.changed) == (False, (part,))


def test_a_miss_is_told_from_the_most_similar_dataset(options):
    """Two datasets stand there; the one that differs in the length alone says so."""
    write_csv(Path("reviews.csv"), ROWS[:3])
    prepare(**options | {"max_length": 7})
    write_csv(Path("reviews.csv"))
    prepare(**options)
    assert prepare(**options | {"max_length": 9}).changed == ("max length",)


# ---------------------------------------------------------------------------------------------------- places, overwrite


def test_out_is_the_dataset_folder_itself(options):
    result = prepare(**options, out=Path("there"))
    assert result.dataset.path == Path("there")
    check_dataset(Path("there"))
    assert prepare(**options, out=Path("there")).cached
    assert not Path("data/reviews").exists()


def test_an_empty_folder_is_taken(options):
    Path("there").mkdir()
    prepare(**options, out=Path("there"))
    check_dataset(Path("there"))


def test_a_folder_with_something_else_is_refused_and_left_alone(options, workplace):
    Path("there").mkdir()
    Path("there/thesis.txt").write_text("mine")
    before = tree(workplace)
    assert refused(DatasetError, **options, out=Path("there")) == (
        "there contains something other than a prepared dataset.",
        "Pass another --out, or --overwrite to prepare into it; files that tdbs did not write stay.",
    )
    assert tree(workplace) == before


def test_a_file_in_the_place_is_refused(options):
    Path("there").write_text("mine")
    for overwrite in (False, True):
        assert refused(DatasetError, **options, out=Path("there"), overwrite=overwrite) == (
            "there is a file.",
            "Pass another --out.",
        )
    assert Path("there").read_text() == "mine"


def test_a_dataset_prepared_otherwise_is_refused_and_left_alone(options, workplace):
    prepare(**options, out=Path("there"))
    before = tree(workplace)
    assert refused(DatasetError, **options | {"max_length": 9}, out=Path("there")) == (
        "there contains a dataset prepared with other settings (max length changed).",
        "Pass another --out, or --overwrite.",
    )
    assert tree(workplace) == before


def test_overwrite_replaces_what_tdbs_wrote_and_nothing_else(options):
    """Old shards go, with the folders they leave empty; foreign files stay, wherever they lie."""
    old = prepare(**options, out=Path("there"))
    old_shards = {shard.path for shard in old.dataset.manifest.splits["train"].shards}
    assert "train/bucket=005-010/part-00000.parquet" in old_shards
    foreign = [Path("there/notes.txt"), Path("there/train/bucket=000-005/mine.txt"), Path("there/extra/x.parquet")]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    prepare(**options | {"max_length": 4}, out=Path("there"), overwrite=True)  # buckets 000-004 alone
    assert [path.read_text() for path in foreign] == ["mine"] * 3
    assert not Path("there/train/bucket=005-010").exists()
    for path in foreign:
        path.unlink()
    check_dataset(Path("there"))


def test_overwrite_prepares_anew_even_with_the_same_key(options):
    """A damaged shard is mended by --overwrite, as the error about it says."""
    first = prepare(**options)
    shard = first.dataset.path / first.dataset.manifest.splits["train"].shards[0].path
    shard.write_bytes(b"damaged")
    with pytest.raises(DatasetError):
        read_split(load(first.dataset.path), "train")
    again = prepare(**options, overwrite=True)
    assert not again.cached
    check_dataset(first.dataset.path)


def test_overwrite_of_a_folder_with_something_else_keeps_it(options):
    Path("there").mkdir()
    Path("there/thesis.txt").write_text("mine")
    prepare(**options, out=Path("there"), overwrite=True)
    assert Path("there/thesis.txt").read_text() == "mine"
    assert load("there").manifest.splits["train"].rows == 6


@pytest.mark.parametrize("manifest", ["{", '{"schema_version": 999}', '{"schema_version": 1}', "[]"])
def test_overwrite_mends_a_manifest_that_cannot_be_read(options, manifest):
    """The error about a broken or foreign manifest advises --overwrite, so --overwrite has to work on it."""
    prepare(**options, out=Path("there"))
    Path("there/manifest.json").write_text(manifest)
    prepare(**options, out=Path("there"), overwrite=True)
    check_dataset(Path("there"))


# ---------------------------------------------------------------------------------------------------------- refusals


BAD_INPUTS = {
    "a text is missing": lambda place: pq.write_table(
        pa.table({"text": ["a", None, "of"], "label": [0, 1, 0]}), place / "bad.parquet"
    ),
    "a label is missing": lambda place: pq.write_table(
        pa.table({"text": ["a", "b", "of"], "label": [0, None, 0]}), place / "bad.parquet"
    ),
    "no rows": lambda place: pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}), place / "bad.parquet"
    ),
    "no Parquet": lambda place: (place / "bad.parquet").write_bytes(b"PAR1 not really"),
}


@pytest.mark.parametrize("make", BAD_INPUTS.values(), ids=list(BAD_INPUTS))
def test_bad_input_leaves_nothing_behind(options, workplace, make):
    """Not a folder, not a hidden file, not a latest.json."""
    make(workplace)
    before = sorted(str(path) for path in workplace.rglob("*"))
    with pytest.raises(SourceError):
        prepare(**options | {"source": str(workplace / "bad.parquet")})
    assert sorted(str(path) for path in workplace.rglob("*")) == before


def test_the_row_without_a_text_is_named(options, workplace):
    BAD_INPUTS["a text is missing"](workplace)
    message, _ = refused(SourceError, **options | {"source": str(workplace / "bad.parquet")})
    assert message == "Row 2 of bad.parquet has no 'text'."


def test_a_second_split_that_is_bad_leaves_nothing_behind(options, workplace):
    """Nothing is at its place before all splits are made."""
    write_csv(workplace / "d/train.csv")
    write_csv(workplace / "d/validation.csv", [("a", "a label that train has not")])
    before = sorted(str(path) for path in workplace.rglob("*"))
    with pytest.raises(SourceError):
        prepare(**options | {"source": "d"})
    assert sorted(str(path) for path in workplace.rglob("*")) == before


def test_a_failure_while_writing_leaves_nothing_behind(options, workplace):
    """Whatever breaks in the middle, the hidden folder beside the place goes with it, and what stood there stays."""
    prepare(**options, out=Path("there"))
    before = tree(workplace)

    def fail(stage, done, total):
        if stage == "write":
            raise RuntimeError("anything")

    with pytest.raises(RuntimeError):
        prepare(**options | {"max_length": 9}, out=Path("there"), overwrite=True, progress=fail)
    assert tree(workplace) == before
    assert [path for path in workplace.iterdir() if path.name.startswith(".there")] == []


def test_an_interrupt_keeps_finished_blocks_and_the_next_prepare_takes_them(options, workplace):
    """Ctrl-C is no error of the user's: what is done is not done again, and nothing is at the place yet."""

    def interrupt(stage, done, total):
        if stage == "write":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(**options, out=Path("there"), progress=interrupt)
    assert not Path("there").exists()
    (block,) = Path(".there.preparing").glob("*/blocks/train-000000.arrow")
    before = block.stat().st_mtime_ns
    seen = []
    prepare(**options, out=Path("there"), progress=lambda *_: seen.append(block.stat().st_mtime_ns))
    assert set(seen) == {before}
    check_dataset(Path("there"))
    assert sorted(path.name for path in workplace.iterdir()) == ["reviews.csv", "there", "words"]


def interrupted(**options) -> Path:
    """Prepare until shards are to be written; returns the block that is left."""

    def interrupt(stage, done, total):
        if stage == "write":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(**options, progress=interrupt)
    (block,) = Path().rglob("train-000000.arrow")
    return block


def test_overwrite_takes_no_finished_block(options, workplace):
    """It always prepares anew."""
    block = interrupted(**options, out=Path("there"))
    os.utime(block, (1, 1))
    seen = set()

    def look(stage, done, total):
        if block.exists():
            seen.add(block.stat().st_mtime)

    prepare(**options, out=Path("there"), overwrite=True, progress=look)
    assert 1 not in seen
    check_dataset(Path("there"))


@pytest.mark.parametrize("what", ["BLOCK_ROWS", "BLOCK_BYTES", "version"])
def test_blocks_of_another_version_are_not_taken(options, workplace, monkeypatch, what):
    """Blocks that were cut otherwise, or made by other libraries, would not fit the rest."""
    block = interrupted(**options, out=Path("there"))
    other = (lambda _name: "0") if what == "version" else 3
    monkeypatch.setattr(f"tdbs.pipeline.work.{what}", other)
    if what != "version":
        monkeypatch.setattr(f"tdbs.data.reading.{what}", other)
    seen = set()
    prepare(**options, out=Path("there"), progress=lambda *_: seen.add(block.exists()))
    assert seen == {False}
    check_dataset(Path("there"))


def test_a_block_of_other_rows_is_made_again(options, workplace):
    """Whatever its name says: rows are never lost or doubled."""
    block = interrupted(**options, out=Path("there"))
    with pa.OSFile(str(block)) as file:
        table = pa.ipc.open_file(file).read_all()
    fields = json.loads(table.schema.metadata[b"tdbs"]) | {"rows": 2}
    short = table.slice(0, 2).replace_schema_metadata({b"tdbs": json.dumps(fields)})
    with pa.ipc.new_file(block, short.schema) as writer:
        writer.write_table(short)
    prepare(**options, out=Path("there"))
    check_dataset(Path("there"))


def test_half_a_shard_of_a_killed_run_is_not_published(options, workplace):
    block = interrupted(**options, out=Path("there"))
    half = block.parent.parent / "dataset/train/bucket=005-010/.part-00000.parquet.123"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"half")
    prepare(**options, out=Path("there"))
    assert [path.name for path in Path("there").rglob(".*")] == []


def test_two_places_may_share_a_folder_for_their_work(options, workplace):
    """While one is prepared, another one is: neither takes the other's files."""
    Path("scratch").mkdir()

    def meanwhile(stage, done, total):
        if stage == "write" and not Path("second").exists():
            prepare(**options, out=Path("second"), work="scratch")

    prepare(**options, out=Path("first"), work="scratch", progress=meanwhile)
    check_dataset(Path("first"))
    check_dataset(Path("second"))
    assert list(Path("scratch").iterdir()) == []


def test_work_on_an_object_store_is_refused(options, workplace):
    assert refused(ConfigError, **options, out=Path("there"), work="memory://bucket/work") == (
        "--work memory://bucket/work is not a folder of this machine.",
        "Pass a local folder, or leave it out.",
    )
    assert not Path("there").exists()


def test_leftovers_in_a_folder_for_work_are_removed(options, workplace):
    """As beside the place."""
    interrupted(**options, out=Path("there"), work="scratch")
    (left,) = Path("scratch").iterdir()
    shutil.copytree(left, "copy")
    prepare(**options, out=Path("there"), work="scratch")
    Path("copy").rename(left)
    assert prepare(**options, out=Path("there"), work="scratch").cached
    assert list(Path("scratch").iterdir()) == []


def test_the_current_folder_and_links_are_places_too(options, workplace, monkeypatch):
    """An empty folder named as `.`, a link to one, and a link to a dataset that is replaced."""
    Path("real").mkdir()
    Path("link").symlink_to("real")
    prepare(**options, out=Path("link"))
    check_dataset(Path("real"))
    prepare(**options | {"max_length": 9}, out=Path("link"), overwrite=True)
    assert load("real").manifest.max_length == 9
    assert Path("link").is_symlink()
    (workplace / "here").mkdir()
    monkeypatch.chdir(workplace / "here")
    prepare(str(workplace / "reviews.csv"), tokenizer=str(workplace / "words"), max_length=10, out=".")
    assert load(".").manifest.max_length == 10
    assert [path.name for path in workplace.rglob(".*")] == []


def test_two_names_of_a_place_have_one_lock(options, workplace):
    """Who comes by the link waits; here it comes from the same process, which may not wait for itself."""
    Path("real").mkdir()
    Path("link").symlink_to("real")
    told = []

    def meanwhile(stage, done, total):
        if stage == "write" and not told:
            with pytest.raises(RuntimeError):
                prepare(**options, out=Path("link"), waiting=stop)

    def stop(place):
        told.append(place)
        raise RuntimeError

    prepare(**options, out=Path("real"), progress=meanwhile)
    assert told == [Path("link")]


def test_who_waits_goes_on_where_the_first_one_removed_its_folders(workplace):
    """The first one fails and takes away the folders that it had made; the lock is then made anew."""
    place = Path("new/deep/place")
    waits, holds = threading.Event(), threading.Event()

    def second():
        with claimed(place, waiting=lambda _place: waits.set()):
            holds.set()

    thread = threading.Thread(target=second)
    with claimed(place, waiting=lambda _place: None):
        thread.start()
        assert waits.wait(10)
    thread.join(10)
    assert holds.is_set()
    assert [path for path in workplace.rglob("*") if path.is_file()] == []


def test_unfinished_work_on_other_contents_is_not_taken(options, workplace):
    """What is in the hidden folder belongs to one cache key."""
    block = interrupted(**options | {"max_length": 9}, out=Path("there"))
    assert block.exists()
    prepare(**options, out=Path("there"))
    check_dataset(Path("there"))
    assert not Path(".there.preparing").exists()


def test_what_a_kill_after_publishing_left_is_removed(options, workplace):
    prepare(**options, out=Path("there"))
    Path(".there.preparing/blocks").mkdir(parents=True)
    assert prepare(**options, out=Path("there")).cached
    assert not Path(".there.preparing").exists()


def test_work_may_be_done_elsewhere(options, workplace):
    """--work names the folder; it holds nothing afterwards."""
    Path("scratch").mkdir()
    seen = set()
    prepare(
        **options, out=Path("there"), work="scratch", progress=lambda *_: seen.update(p.name for p in Path().iterdir())
    )
    assert ".there.preparing" not in seen
    assert list(Path("scratch").iterdir()) == []
    check_dataset(Path("there"))


@pytest.mark.parametrize("replaced", [False, True])
def test_work_may_be_done_on_another_file_system(options, workplace, replaced):
    """Where nothing can be renamed into place, it is copied beside it first."""
    memory = Path("/dev/shm")  # noqa: S108
    if not memory.is_dir() or memory.stat().st_dev == workplace.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    if replaced:
        prepare(**options | {"max_length": 9}, out=Path("there"))
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        prepare(**options, out=Path("there"), work=scratch, overwrite=replaced)
        assert list(Path(scratch).iterdir()) == []
    check_dataset(Path("there"))
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == []


def test_bad_options_leave_nothing_behind(options, workplace):
    before = tree(workplace)
    with pytest.raises(ConfigError):
        prepare(**options | {"max_length": 2})
    assert tree(workplace) == before


# ------------------------------------------------------------------------------------------------- opening a dataset


def opening(path) -> tuple[str, str]:
    with pytest.raises(DatasetError) as caught:
        load(path)
    return caught.value.message, caught.value.next_step


def test_what_is_no_dataset_is_refused(workplace):
    Path("empty").mkdir()
    next_step = "Run tdbs prepare, or pass the folder that it printed."
    assert opening("empty") == ("empty is not a prepared dataset: it has no manifest.json.", next_step)
    assert opening("nowhere") == ("nowhere does not exist.", next_step)


@pytest.mark.parametrize(
    ("version", "next_step"),
    [
        (1, "Prepare the dataset again."),
        (3, "Update tdbs: pip install --upgrade tdbs."),
        ("2", "Prepare the dataset again."),
        (None, "Prepare the dataset again."),
    ],
)
def test_another_schema_version_is_refused(options, version, next_step):
    path = prepare(**options).dataset.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": version}))
    assert opening(path.parent) == (f"{path} has schema version {version}; this tdbs reads version 2.", next_step)


@pytest.mark.parametrize("outside", ["../x", "/etc/passwd", "train/../../x"])
def test_a_manifest_that_reaches_outside_its_folder_is_refused(options, outside):
    """A dataset from elsewhere must not read, nor let --overwrite delete, what is not in it."""
    path = prepare(**options).dataset.path / "manifest.json"
    fields = json.loads(path.read_text())
    fields["splits"]["train"]["shards"][0]["path"] = outside
    path.write_text(json.dumps(fields))
    message, next_step = opening(path.parent)
    assert message.startswith(f"{path} is not a manifest of tdbs: ")
    assert outside in message
    assert next_step == "Prepare the dataset again with --overwrite."


@pytest.mark.parametrize("field", ["task", "tokenizer", "splits", "bucket_edges", "key"])
@pytest.mark.parametrize("value", [None, 5, "x", [], [5], {}, {"train": 5}])
def test_a_manifest_with_a_wrong_field_is_refused_not_a_crash(options, field, value):
    """Whatever a field holds, the answer is a DatasetError or a manifest, never another exception."""
    path = prepare(**options).dataset.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    try:
        load(path.parent)
    except TdbsError as error:
        assert str(path) in error.message  # noqa: PT017


def test_a_split_that_is_not_there_is_refused_with_those_that_are(options):
    dataset = prepare(**options).dataset
    with pytest.raises(DatasetError) as caught:
        read_split(dataset, "dev")
    assert (caught.value.message, caught.value.next_step) == (
        f"{dataset.path} has no split dev.",
        "Choose one of: train.",
    )


def test_the_dataset_carries_its_tokenizer(options):
    """Trained models are saved with it; padding and truncation of prepare are not in it."""
    dataset = prepare(**options).dataset
    data = (dataset.path / "tokenizer.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == dataset.manifest.tokenizer.sha256
    assert (json.loads(data)["padding"], json.loads(data)["truncation"]) == (None, None)


def test_what_is_said_of_held_out_rows_is_said_again_of_a_cached_dataset(options, workplace):
    """Two runs of the same command say the same of the dataset that they name."""
    write_csv(workplace / "reviews.csv", [(f"a b {row}", f"class {row // 3}") for row in range(10)])
    first = prepare(**options, validation="0.6")
    again = prepare(**options, validation="0.6")
    assert (first.cached, again.cached) == (False, True)
    assert first.warnings == again.warnings
    assert first.warnings[0].startswith("--validation 0.6: ")
    assert sum(found.source_rows for found in first.dataset.manifest.splits.values()) == 10


def test_a_dataset_whose_labels_were_read_by_older_rules_is_prepared_anew(options):
    """Its classes may be other ones, though the file has the same bytes."""
    made = prepare(**options).dataset.path
    fields = json.loads((made / "manifest.json").read_text())
    del fields["key_parts"]["label reading"], fields["notes"]
    older = made.with_name("older")
    made.rename(older)
    (older / "manifest.json").write_text(json.dumps(fields))
    assert read_manifest(older).notes == ()
    result = prepare(**options)
    assert (result.cached, result.changed) == (False, ("label reading",))
