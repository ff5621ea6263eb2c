"""Leaving rows out gives the dataset of a file without them: random rows, questions, all targets, real tasks."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import read_split
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.references import read_references
from tdbs.pipeline.verify import verify
from tests.examples import examples
from tests.pipeline.test_drop_rows import line, lines_of, rows_of, shards_of
from tests.pipeline.test_prepare import write_csv
from tests.pipeline.test_tokenizer import write_tokenizer
from tests.reference import duplicates as reference


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


@pytest.mark.real_data
@pytest.mark.parametrize("task", ["sst2", "mrpc"])
def test_near_repeats_beyond_the_memory_are_the_same(shared, workplace, monkeypatch, task):
    """With tokens that never fit, temporary files hold what is compared: the same shards and the same list."""
    folder = mirror_of(shared, workplace, task, 3_000)
    options = {"source": f"glue/{task}", "mirror": folder, "tokenizer": str(shared / "tokenizers/bert-base-uncased")}
    options |= {"drop_duplicates": "near", "keep_out": "validation"}
    expected = prepare(**options, out="memory").dataset
    monkeypatch.setattr("tdbs.pipeline.duplicates.budget._PER_TOKEN", 1 << 50)
    found = prepare(**options, out="files").dataset
    assert shards_of(found) == shards_of(expected)
    assert found.manifest.duplicates == expected.manifest.duplicates
    assert found.manifest.duplicates.rows > 0
    monkeypatch.setattr("tempfile.tempdir", str(workplace / "gone"))
    with pytest.raises(ConfigError) as caught:
        prepare(**options, out="full")
    assert (
        caught.value.message == f"{workplace / 'gone'} does not take what exceeds --memory: No such file or directory."
    )
    assert caught.value.next_step == "Free space there, set TMPDIR to another folder, or pass a greater --memory."


def test_more_rows_than_the_memory_takes_are_refused_before_a_text_is_read(workplace, monkeypatch):
    """The bound is that of the row counts, whatever the texts; here a row takes a MiB."""
    monkeypatch.setattr("tdbs.pipeline.duplicates.budget._DROPPED_PER_ROW", 1 << 20)
    write_csv(Path("rows.csv"), [("a b c", "xy"[i % 2]) for i in range(2_000)])
    options = {"source": "rows.csv", "tokenizer": str(TOKENIZER_FOLDER), "out": "data"}
    told = []
    with pytest.raises(ConfigError) as caught:
        prepare(**options, drop_duplicates="near", memory="2GiB", progress=lambda *stage: told.append(stage))
    assert caught.value.message == (
        "--memory 2GiB is too little memory for --drop-duplicates near: 2,000 rows take 2,432,936,320 bytes."
    )
    assert caught.value.next_step == "Pass --memory 2321MiB or more, or --drop-duplicates exact."
    assert [stage for stage, *_ in told] == ["read"]
    assert prepare(**options, drop_duplicates="near", memory="2321MiB").dataset.manifest.splits["train"].rows == 2
