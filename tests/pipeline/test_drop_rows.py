"""Rows of train that repeat others are left out: as if they had never been in the file, listed, part of the key."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError, DatasetError
from tdbs.pipeline.dataset import PreparedDataset, load, read_split
from tdbs.pipeline.edits import edited_split, removal
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.references import read_references
from tdbs.pipeline.shared import public_manifest
from tdbs.pipeline.verify import verify
from tests.examples import examples
from tests.pipeline.contents import contents
from tests.pipeline.test_prepare import refused, write_csv
from tests.pipeline.test_tokenizer import write_tokenizer
from tests.reference import duplicates as reference

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
    assert result.warnings == ("Rows of train whose text stands there with another label stay: 2.",)
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


# ------------------------------------------------------------ as if they had never been


@examples(30)
@given(
    rows=st.lists(st.tuples(st.sampled_from(["a", "b c", "b  c", "a b c", "a, b c", "of"]), st.sampled_from("xy"))),
    kind=st.sampled_from(["exact", "near"]),
    block=st.sampled_from([3, 1000]),
)
def test_the_dataset_is_that_of_a_file_without_these_rows(tmp_path_factory, rows, kind, block):
    """Paths, rows, order, sample ids, spans and labels of every shard, whatever the blocks; and histograms."""
    folder = tmp_path_factory.mktemp("drop")
    rows = [("of", "x"), ("c", "y"), *rows]
    options = {"tokenizer": str(write_tokenizer(folder / "words")), "max_length": 10}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tdbs.data.reading.BLOCK_ROWS", block)
        write_csv(folder / "all.csv", rows)
        found = prepare(str(folder / "all.csv"), out=folder / "one", drop_duplicates=kind, **options).dataset
    gone = set()
    if found.manifest.duplicates.listing is not None:
        gone = {each["row"] - 1 for each in lines_of(folder / "one/duplicates.jsonl")}
    write_csv(folder / "left.csv", [row for number, row in enumerate(rows) if number not in gone])
    expected = prepare(str(folder / "left.csv"), out=folder / "two", **options).dataset
    assert shards_of(found) == shards_of(expected)
    for name in ("length_histogram", "droppable_histogram", "droppable_words", "source_rows", "labelled"):
        one, other = found.manifest.splits["train"], expected.manifest.splits["train"]
        assert getattr(one, name) == getattr(other, name), name
    assert read_split(found, "train").source_rows_N.tolist() == [n for n in range(len(rows)) if n not in gone]
    assert verify(found).problems == ()


def qa_rows() -> list[dict[str, object]]:
    """Return questions: 3 repeats 1, 4 has another answer, 5 another question, 6 a context of validation."""
    context = "the film was made in the old town by two people " * 12
    answer = {"text": ["the old town"], "answer_start": [context.index("the old town")]}
    other = {"text": ["two people"], "answer_start": [context.index("two people")]}
    return [
        {"question": "where was it made", "context": context, "answers": answer},
        {"question": "who made it", "context": "nobody made it", "answers": {"text": ["nobody"], "answer_start": [0]}},
        {"question": "where was it made", "context": context, "answers": answer},
        {"question": "where was it made", "context": context, "answers": other},
        {"question": "where was the film made", "context": context, "answers": answer},
        {"question": "who made it", "context": "we made it", "answers": {"text": ["we"], "answer_start": [0]}},
    ]


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize("kind", ["exact", "near"])
@pytest.mark.parametrize("block", [2, 1000])
def test_a_question_goes_with_all_its_windows_and_its_reference(workplace, monkeypatch, kind, block):
    """Questions with another answer or other words stay; the dataset is that of a file without rows 3 and 6."""
    monkeypatch.setattr("tdbs.data.reading.BLOCK_ROWS", block)
    rows, options = qa_rows(), {"tokenizer": str(TOKENIZER_FOLDER), "max_length": 64, "stride": 16}
    options |= {"text": "question", "pair": "context", "label": "answers"}
    for folder, kept in (("all", rows), ("left", [rows[number] for number in (0, 1, 3, 4)])):
        write_jsonl(workplace / folder / "train.jsonl", kept)
        write_jsonl(workplace / folder / "validation.jsonl", [rows[5]])
    found = prepare("all", out="one", drop_duplicates=kind, keep_out="validation", **options).dataset
    expected = prepare("left", out="two", **options).dataset
    assert lines_of(workplace / "one/duplicates.jsonl") == [line(3, "exact", 1), line(6, "exact", 1, "validation")]
    assert shards_of(found) == shards_of(expected)
    assert found.manifest.splits["train"].rows > found.manifest.splits["train"].source_rows == 4
    kept = read_references(found.path, found.manifest.splits["train"].references)
    assert kept.source_rows_R.tolist() == [0, 1, 3, 4]
    assert kept.texts == read_references(expected.path, expected.manifest.splits["train"].references).texts
    assert verify(found).problems == ()


def test_a_near_question_with_the_answer_in_the_same_place_goes(workplace):
    """Its tokens lie elsewhere, its characters do not."""
    rows = qa_rows()[:2]
    rows.append(rows[0] | {"question": "Where was it made?"})
    write_jsonl(workplace / "all/train.jsonl", rows)
    options = {"tokenizer": str(TOKENIZER_FOLDER), "max_length": 64, "text": "question", "pair": "context"}
    prepare("all", out="one", label="answers", drop_duplicates="near", **options)
    assert lines_of(workplace / "one/duplicates.jsonl") == [line(3, "normalized", 1)]


TARGETS = {
    "seq2seq": ({"target": "target"}, ["so it ends", "so it ends", "so it begins"]),
    "tokens": ({"label": "tags"}, [["O", "B", "O"], ["O", "B", "O"], ["O", "O", "B"]]),
    "numbers": ({"label": "score"}, [0.5, 0.5, 0.25]),
    "several": ({"label": "score"}, [["a", "b"], ["a", "b"], ["b"]]),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_targets_of_every_kind_are_labels(workplace, kind):
    """Of three rows of one text the second goes, and the third has another target and stays."""
    named, targets = TARGETS[kind]
    text = ["the", "old", "film"] if kind == "tokens" else "the old film"
    (column,) = named.values()
    rows = [{"text": text, column: target} for target in targets]
    rows += [{"text": ["a", "new", "one"] if kind == "tokens" else "a new one", column: targets[2]}]
    write_jsonl(workplace / "all/train.jsonl", rows)
    prepare("all", out="one", tokenizer=str(TOKENIZER_FOLDER), drop_duplicates="exact", **named)
    assert lines_of(workplace / "one/duplicates.jsonl") == [line(2, "exact", 1)]
    assert verify("one").problems == ()


# ------------------------------------------------------------ on real data


@pytest.mark.real_data
@pytest.mark.parametrize(("task", "most"), [("rte", 10_000), ("mrpc", 10_000), ("sst2", 6_000)])
def test_exact_repeats_of_real_tasks_are_those_of_a_dict(shared, workplace, task, most):
    """Token ids of the whole dataset, one dict of token ids and labels, and one of validation's token ids."""
    folder = mirror_of(shared, workplace, task, most)
    options = {"source": f"glue/{task}", "mirror": folder, "tokenizer": str(shared / "tokenizers/bert-base-uncased")}
    whole = prepare(**options, out="whole").dataset
    prepare(**options, out="left", drop_duplicates="exact", keep_out="validation")
    ids, labels = rows_of(whole, "train")
    held: dict[tuple[int, ...], int] = {}
    for number, each in enumerate(rows_of(whole, "validation")[0]):
        held.setdefault(each, number)
    seen: dict[tuple[tuple[int, ...], float], int] = {}
    expected = []
    for number, row in enumerate(zip(ids, labels, strict=True)):
        if row[0] in held:
            expected.append(line(number + 1, "exact", held[row[0]] + 1, "validation"))
        elif row in seen:
            expected.append(line(number + 1, "exact", seen[row] + 1))
        else:
            seen[row] = number
    listed = workplace / "left/duplicates.jsonl"
    assert (lines_of(listed) if listed.exists() else []) == expected
    assert bool(expected) == (task != "mrpc")


@pytest.mark.real_data
@pytest.mark.parametrize(("task", "most"), [("rte", 1_500), ("mrpc", 1_500), ("sst2", 3_000)])
def test_near_repeats_of_real_tasks_are_near_by_plain_python(shared, workplace, task, most):
    """Each row that goes is near one that stays, of its label; at most one pair in fifty that stays is still near."""
    folder = mirror_of(shared, workplace, task, most)
    options = {"source": f"glue/{task}", "mirror": folder, "tokenizer": str(shared / "tokenizers/roberta-base")}
    found = prepare(**options, out="left", drop_duplicates="near").dataset
    table = pq.read_table(folder / f"glue/{task}/train.parquet")
    columns = [name for name in ("sentence", "sentence1", "sentence2") if name in table.column_names]
    texts = list(zip(*(table[name].to_pylist() for name in columns), strict=True))
    labels = table["label"].to_pylist()
    sets = [[reference.shingles(reference.words(text)) for text in row] for row in texts]
    listed = lines_of(workplace / "left/duplicates.jsonl")
    gone = {each["row"] - 1 for each in listed}
    for each in listed:
        row, original = each["row"] - 1, each["of_row"] - 1
        assert original not in gone
        assert labels[row] == labels[original]
        index = min(reference.jaccard(*pair) for pair in zip(sets[row], sets[original], strict=True))
        assert index == 1 if each["kind"] != "near" else index >= 0.7
    near = reference.near_pairs(sets, 0.7)
    same = {pair for pair in near if labels[pair[0]] == labels[pair[1]]}
    assert len([pair for pair in same if not gone & set(pair)]) <= len(same) / 50
    assert found.manifest.duplicates.rows == len(gone) > 0


def mirror_of(shared: Path, workplace: Path, task: str, most: int) -> Path:
    """Return a mirror folder with the first rows of a task's train split, and its validation split."""
    folder = workplace / f"mirror/glue/{task}"
    folder.mkdir(parents=True)
    given = shared / f"datasets/glue/{task}"
    pq.write_table(pq.read_table(given / "train.parquet").slice(0, most), folder / "train.parquet")
    shutil.copy(given / "validation.parquet", folder)
    return workplace / "mirror"


def rows_of(dataset: PreparedDataset, name: str) -> tuple[list[tuple[int, ...]], list[float]]:
    split = read_split(dataset, name)
    ids = np.split(split.input_ids_T, split.token_offsets_N1[1:-1])
    return [tuple(each.tolist()) for each in ids], split.targets.values.tolist()


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
    assert dict(asked) == {**parts, "drop duplicates": "near, rules 1", "keep out": "validation, rules 1"}
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
        "Pass another split; for repeats in train pass --drop-duplicates.",
    ),
    ({"keep_out": "dev"}, "--keep-out 'dev' is not a split of rows.", "Pass one of validation."),
    (
        {"drop_duplicates": "all"},
        "Unknown value 'all' for --drop-duplicates.",
        "Pass --drop-duplicates with one of: exact, near.",
    ),
    (
        {"source": "rows/train.csv", "keep_out": "validation"},
        "--keep-out 'validation' is not a split of train.",
        "Leave it out, or add a split with --validation.",
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
