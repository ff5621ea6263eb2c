"""Rows of train that repeat others are left out: as if they had never been in the file, listed, part of the key."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError, DatasetError
from tdbs.pipeline.dataset import PreparedDataset, load, read_split
from tdbs.pipeline.edits import edited_split, removal
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.shared import public_manifest
from tdbs.pipeline.verify import verify
from tests.pipeline.contents import contents
from tests.pipeline.test_prepare import refused, write_csv
from tests.pipeline.test_tokenizer import write_tokenizer

ROWS = [("a b c", "x"), ("b c", "y"), ("a b c", "x"), ("a b c", "y"), ("b c", "y"), ("a", "x")]


@pytest.fixture
def options(workplace: Path) -> dict[str, object]:
    """Return six rows of train, of which two repeat others and one conflicts, and two of validation."""
    write_csv(workplace / "rows/train.csv", ROWS)
    write_csv(workplace / "rows/validation.csv", [("a", "y"), ("c c", "x")])
    return {"source": "rows", "tokenizer": str(write_tokenizer(workplace / "words")), "max_length": 10, "out": "out"}


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def line(row: int, kind: str, of_row: int, of_split: str = "train") -> dict[str, object]:
    return {"split": "train", "row": row, "kind": kind, "of_split": of_split, "of_row": of_row}


def shards_of(dataset: PreparedDataset) -> dict[str, object]:
    """Return the shards of a dataset by path, all but the numbers of the source's rows."""
    shards = (shard for info in dataset.manifest.splits.values() for shard in info.shards)
    return {each.path: pq.read_table(dataset.path / each.path).drop_columns("source_row") for each in shards}


def rows_of(dataset: PreparedDataset, name: str) -> tuple[list[tuple[int, ...]], list[float]]:
    split = read_split(dataset, name)
    ids = np.split(split.input_ids_T, split.token_offsets_N1[1:-1])
    return [tuple(each.tolist()) for each in ids], split.targets.values.tolist()


def counts_of(dataset: PreparedDataset) -> dict[str, object]:
    return {name: (info.rows, info.source_rows, info.tokens) for name, info in dataset.manifest.splits.items()}


# ------------------------------------------------------------ which rows


def test_the_first_of_equal_rows_stays_and_the_others_are_listed(options, workplace):
    """By hand: rows 3 and 5 repeat 1 and 2; row 4 has another label and stays, with a note. Samples count anew."""
    result = prepare(**options, drop_duplicates="exact")
    manifest = result.dataset.manifest
    assert lines_of(workplace / "out/duplicates.jsonl") == [line(3, "exact", 1), line(5, "exact", 2)]
    assert manifest.duplicates.left_out == {"train": {"exact": 2}}
    assert (manifest.duplicates.rows, manifest.duplicates.conflicts) == (2, 2)
    assert result.warnings == (
        "Rows of train whose text stands there with another label stay: 2, compared token by token.",
    )
    split = read_split(result.dataset, "train")
    assert split.source_rows_N.tolist() == [0, 1, 3, 5]
    assert (manifest.splits["train"].rows, manifest.splits["train"].source_rows) == (4, 4)
    assert verify("out").problems == ()
    again = prepare(**options, drop_duplicates="exact")
    assert (again.cached, again.dataset.manifest) == (True, manifest)


def test_a_row_that_stands_in_a_split_goes_whatever_its_label(options, workplace):
    """Row 6 is a row of validation with another label; the repeats within train stay without --drop-duplicates."""
    result = prepare(**options, keep_out="validation")
    assert lines_of(workplace / "out/duplicates.jsonl") == [line(6, "exact", 1, "validation")]
    assert result.dataset.manifest.duplicates.left_out == {"validation": {"exact": 1}}
    assert (result.warnings, result.dataset.manifest.duplicates.conflicts) == ((), 0)
    assert counts_of(result.dataset)["validation"][0] == 2
    assert verify("out").problems == ()


def test_near_leaves_out_what_only_case_and_punctuation_set_apart(options, workplace):
    """And what shares most three-word shingles; in validation too. A text of another label stays."""
    long = "one two three four five six seven eight nine ten eleven twelve"
    train = [("A film!", "x"), ("a film", "x"), ("a film", "y"), (long, "x"), (f"{long} more", "x"), ("The end.", "y")]
    write_csv(workplace / "rows/train.csv", train)
    write_csv(workplace / "rows/validation.csv", [("the end", "x")])
    found = prepare(
        "rows", tokenizer=str(TOKENIZER_FOLDER), out="near", drop_duplicates="near", keep_out="validation"
    ).dataset
    assert lines_of(workplace / "near/duplicates.jsonl") == [
        line(2, "normalized", 1),
        line(5, "near", 4),
        line(6, "normalized", 1, "validation"),
    ]
    assert found.manifest.duplicates.left_out == {
        "train": {"exact": 0, "normalized": 1, "near": 1},
        "validation": {"exact": 0, "normalized": 1, "near": 0},
    }
    assert found.manifest.duplicates.conflicts == 2
    assert verify("near").problems == ()


def test_without_repeats_there_is_no_list(options, workplace):
    write_csv(workplace / "rows/train.csv", ROWS[:2])
    found = prepare(**options, drop_duplicates="exact").dataset.manifest.duplicates
    assert (found.left_out, found.listing) == ({"train": {"exact": 0}}, None)
    assert not (workplace / "out/duplicates.jsonl").exists()


# ------------------------------------------------------------ beside other options


def test_rows_that_are_held_out_are_a_split_like_any_other(workplace):
    """--validation 0.1 holds rows out, and none of train has their text; the list has numbers of the file."""
    texts = [" ".join("ab"[n % 20 >> bit & 1] for bit in range(5)) for n in range(40)]
    write_csv(workplace / "rows.csv", [(text, "xy"[n % 2]) for n, text in enumerate(texts)])
    options = {"tokenizer": str(write_tokenizer(workplace / "words")), "max_length": 10, "validation": 0.1}
    found = prepare("rows.csv", out="out", keep_out="validation", drop_duplicates="exact", **options).dataset
    (train, _), (held, _) = rows_of(found, "train"), rows_of(found, "validation")
    assert len(held) == 4
    assert not set(train) & set(held)
    rows = read_split(found, "train").source_rows_N.tolist() + read_split(found, "validation").source_rows_N.tolist()
    assert sorted(rows + [each["row"] - 1 for each in lines_of(workplace / "out/duplicates.jsonl")]) == list(range(40))


def test_bad_rows_keep_their_list(options, workplace):
    """A skipped row is no repeat; both lists count rows of the file."""
    write_csv(workplace / "rows/train.csv", [("", "x"), *ROWS])
    found = prepare(**options, drop_duplicates="exact", skip_bad_rows=True).dataset
    assert [each["row"] for each in lines_of(workplace / "out/skipped.jsonl")] == [1]
    assert lines_of(workplace / "out/duplicates.jsonl") == [line(4, "exact", 2), line(6, "exact", 3)]
    assert found.manifest.splits["train"].skipped == 1
    assert verify(found).files == 2 + 2 + sum(len(info.shards) for info in found.manifest.splits.values())


def test_an_interrupted_prepare_goes_on_with_its_blocks(options, workplace):
    """After a kill among the shards the blocks stay whole, and the result is that of an undisturbed run."""

    def interrupt(stage, done, total):
        if stage == "write":
            raise KeyboardInterrupt

    asked = {"drop_duplicates": "exact", "keep_out": ["validation"]}
    prepare(**options | {"out": "whole"}, **asked)
    with pytest.raises(KeyboardInterrupt):
        prepare(**options, **asked, progress=interrupt)
    (block,) = Path(".out.preparing").glob("*/blocks/train-000000.arrow")
    before = block.stat().st_mtime_ns
    seen = []
    prepare(**options, **asked, progress=lambda *_: seen.append(block.stat().st_mtime_ns))
    assert set(seen) == {before}
    assert contents(workplace / "out") == contents(workplace / "whole")


def test_a_block_without_its_digests_is_made_again(options, workplace):
    """Work of a checkout that kept none has blocks alone: what is missing is made, and the result is the same."""

    def interrupt(stage, done, total):
        if stage == "write":
            raise KeyboardInterrupt

    prepare(**options | {"out": "whole"})
    with pytest.raises(KeyboardInterrupt):
        prepare(**options, progress=interrupt)
    for digests in Path(".out.preparing").glob("*/blocks/*.digests"):
        digests.unlink()
    assert not prepare(**options).cached
    assert contents(workplace / "out") == contents(workplace / "whole")


def test_edited_texts_of_train_lack_the_rows_that_were_left_out(options):
    """As in the dataset: the same rows of the source, blocks that become empty among them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tdbs.data.reading.BLOCK_ROWS", 1)
        found = prepare(**options, drop_duplicates="exact").dataset
        edited = edited_split(found, "train", removal(["articles"]), folder=Path("work"))
    assert read_split(edited, "train").source_rows_N.tolist() == [0, 1, 3, 5]
    assert rows_of(edited, "train")[0][0] != rows_of(found, "train")[0][0]


# ------------------------------------------------------------ key, list, errors


def test_the_options_are_part_of_the_key_and_absent_from_it_without_them(options):
    """No key of a dataset without the options changes; the order of splits changes nothing."""
    parts = prepare(**options | {"out": "a"}).dataset.manifest.key_parts
    assert not {"drop duplicates", "keep out"} & set(parts)
    asked = prepare(**options | {"out": "b"}, drop_duplicates="near", keep_out="validation").dataset.manifest.key_parts
    assert dict(asked) == {**parts, "drop duplicates": "near, rules 3", "keep out": "validation, rules 3"}
    message, _ = refused(DatasetError, **options | {"out": "b"}, drop_duplicates="exact", keep_out="validation")
    assert message == "b contains a dataset prepared with other settings (drop duplicates changed)."


def test_a_damaged_list_is_found(options, workplace):
    prepare(**options, drop_duplicates="exact")
    listed = workplace / "out/duplicates.jsonl"
    listed.write_text(listed.read_text().replace('"row": 3', '"row": 4'))
    (problem,) = verify("out").problems
    assert (problem.file, problem.problem) == ("duplicates.jsonl", "is not what was written")
    listed.write_text("mine\n")
    with pytest.raises(DatasetError) as caught:
        edited_split(load("out"), "train", removal(["articles"]), folder=Path("work"))
    assert caught.value.message.startswith("out/duplicates.jsonl cannot be read: ")
    assert caught.value.next_step == "Prepare the dataset again with --overwrite."


def test_a_replaced_dataset_takes_its_list_with_it_and_a_foreign_file_stays(options, workplace):
    prepare(**options, drop_duplicates="exact")
    prepare(**options, overwrite=True)
    assert not (workplace / "out/duplicates.jsonl").exists()
    (workplace / "out/duplicates.jsonl").write_text("mine\n")
    found = refused(DatasetError, **options, drop_duplicates="exact", overwrite=True)
    assert found == (f"{workplace / 'out'} contains a duplicates.jsonl that tdbs did not write.", "Pass another --out.")
    assert (workplace / "out/duplicates.jsonl").read_text() == "mine\n"


def test_the_hub_gets_the_counts_without_the_list(options):
    """The list has rows of a file that others do not have."""
    manifest = prepare(**options, drop_duplicates="exact").dataset.manifest
    public = public_manifest(manifest).duplicates
    assert (public.left_out, public.listing) == ({"train": {"exact": 2}}, None)


REFUSED = [
    (
        {"keep_out": "train"},
        "--keep-out train would leave out all rows.",
        "Pass validation. For repeats in train pass --drop-duplicates.",
    ),
    ({"keep_out": "dev"}, "--keep-out 'dev' is not a split of rows.", "Pass validation."),
    ({"keep_out": ""}, "--keep-out does not name a split.", "Pass validation."),
    ({"keep_out": " , "}, "--keep-out does not name a split.", "Pass validation."),
    (
        {"source": "rows/train.csv", "keep_out": "train"},
        "--keep-out train would leave out all rows.",
        "For repeats in train pass --drop-duplicates.",
    ),
    (
        {"drop_duplicates": "all"},
        "Unknown value 'all' for --drop-duplicates.",
        "Pass --drop-duplicates with one of: exact, near.",
    ),
    (
        {"source": "rows/train.csv", "keep_out": "validation"},
        "--keep-out 'validation' is not a split of train.",
        "Leave it out, or add a split with --validation: the source has train alone.",
    ),
    ({"source": "hub:you/reviews", "drop_duplicates": "near"}, "--drop-duplicates ", ""),
]


@pytest.mark.parametrize(("asked", "message", "next_step"), REFUSED)
def test_what_cannot_be_done_is_refused(options, asked, message, next_step):
    found = refused(ConfigError, **options | asked)
    assert (found[0][: len(message)], found[1]) == (message, next_step or found[1])
    assert not Path("out").exists()


def test_a_train_split_of_which_nothing_stays_is_refused(options, workplace):
    """And nothing is left behind."""
    write_csv(workplace / "rows/validation.csv", ROWS)
    assert refused(ConfigError, **options, keep_out="validation") == (
        "All 6 rows of train stand in validation, so none is left.",
        "Leave --keep-out out, or pass other rows of train.",
    )
    assert sorted(path.name for path in workplace.iterdir()) == ["rows", "words"]


def test_a_split_without_texts_is_refused_before(options, workplace):
    """A split needs the text's column, whether it is kept out or not."""
    write_csv(workplace / "rows/validation.csv", [("a", "y")], header=("body", "label"))
    message, _ = refused(Exception, **options, keep_out="validation")
    assert "'text'" in message
