"""Edited splits are what preparing edited files gives; a source that is gone or has changed is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError, DatasetError
from tdbs.pipeline.dataset import PreparedDataset, load, read_split
from tdbs.pipeline.edits import edited, edited_split, removal
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.references import read_references
from tests.built_in import sample_tables

BOTH = removal(["articles", "punctuation"])
TOKENIZER = {"tokenizer": str(TOKENIZER_FOLDER)}


def rows(count: int) -> list[tuple[str, str, str]]:
    table = sample_tables()["train"].slice(0, count)
    texts = table["text"].to_pylist()
    return list(zip(texts, reversed(texts), map(str, table["label"].to_pylist()), strict=True))


def write(file: Path, given: list[tuple[str, str, str]]) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([("one", "two", "label"), *given])


def same_samples(found: PreparedDataset, expected: PreparedDataset, split: str) -> None:
    one, other = read_split(found, split), read_split(expected, split)
    for name in ("input_ids_T", "token_offsets_N1", "segment_starts_N", "source_rows_N"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert np.array_equal(one.targets.values, other.targets.values)


@pytest.fixture
def pairs(workplace) -> PreparedDataset:
    """Return a dataset of pairs whose validation rows are a fraction of the one file."""
    write(Path("files/train.csv"), rows(60))
    options = {"text": "one", "pair": "two", "label": "label", "validation": "0.25"}
    return prepare("files", **options, **TOKENIZER, out="d").dataset


def test_an_edited_split_is_what_edited_files_give(pairs, workplace):
    """Both texts of a pair, the same labels; the held-out rows are held out again."""
    found = edited_split(pairs, "validation", BOTH, folder=workplace / "work")
    write(Path("edited/train.csv"), [(edited(one, BOTH), edited(two, BOTH), label) for one, two, label in rows(60)])
    options = {"text": "one", "pair": "two", "label": "label", "validation": "0.25"}
    same_samples(found, prepare("edited", **options, **TOKENIZER, out="e").dataset, "validation")
    assert list(found.manifest.splits) == ["validation"]
    assert found.manifest.splits["validation"].droppable_words == 0
    assert found.manifest.splits["validation"].tokens < pairs.manifest.splits["validation"].tokens


def test_texts_are_found_from_another_folder(pairs, workplace, monkeypatch):
    (workplace / "elsewhere").mkdir()
    monkeypatch.chdir(workplace / "elsewhere")
    opened = load(workplace / "d")
    assert opened.manifest.origin["source"] == str(workplace / "files")
    edited_split(opened, "validation", BOTH, folder=workplace / "work")


def test_the_built_in_sample_is_edited(workplace):
    dataset = prepare("sample", out="d").dataset
    assert dataset.manifest.origin["source"] == "sample"
    found = edited_split(dataset, "validation", BOTH, folder=workplace / "work")
    assert found.manifest.splits["validation"].rows == dataset.manifest.splits["validation"].rows


def mirror_of_squad(folder: Path) -> None:
    context = "The tower, built in 1889, is a landmark. It has a lift."
    answers = {"text": ["a landmark"], "answer_start": [context.index("a landmark")]}
    table = pa.table({"question": ["What's it?"] * 4, "context": [context] * 4, "answers": [answers] * 4})
    (folder / "squad").mkdir(parents=True)
    for split in ("train", "validation"):
        pq.write_table(table, folder / f"squad/{split}.parquet")


def test_answers_are_found_in_edited_contexts(workplace):
    """Question answering: what is scored are texts of the edited context, against the answers as they were."""
    mirror_of_squad(workplace / "mirror")
    dataset = prepare("squad", mirror="mirror", **TOKENIZER, max_length=32, out="d").dataset
    (workplace / "mirror").rename(workplace / "moved")
    with pytest.raises(DatasetError) as caught:
        edited_split(dataset, "validation", BOTH, folder=workplace / "work")
    assert caught.value.message.startswith("The texts of d cannot be read again: ")
    assert caught.value.next_step == "Restore the source at its old path; if you moved a mirror folder, pass --mirror."
    found = edited_split(dataset, "validation", BOTH, folder=workplace / "work", mirror=workplace / "moved")
    references = read_references(found.path, found.manifest.splits["validation"].references)
    assert references.contexts[0] == "tower built in 1889 is landmark It has lift"
    assert references.texts[0] == ["a landmark"]


# ----------------------------------------------------------------------------------------------------------- refusals


def refused(dataset: PreparedDataset, folder: Path) -> tuple[str, str]:
    with pytest.raises((DatasetError, ConfigError)) as caught:
        edited_split(dataset, "validation", BOTH, folder=folder)
    return caught.value.message, caught.value.next_step


def test_a_source_that_changed_or_is_gone_is_refused(pairs, workplace):
    write(Path("files/train.csv"), rows(61))
    assert refused(pairs, workplace / "work") == (
        "The source of d has changed since it was prepared.",
        "Prepare the dataset again from the current source.",
    )
    Path("files/train.csv").unlink()
    Path("files").rmdir()
    message, next_step = refused(pairs, workplace / "work")
    assert message.startswith("The texts of d cannot be read again: Unknown task ")
    assert message.endswith("/files exists.")
    assert next_step == "Restore the source at its old path; if you moved a mirror folder, pass --mirror."


def test_a_dataset_of_before_does_not_say_where_its_texts_are(pairs, workplace):
    place = Path("d/manifest.json")
    manifest = json.loads(place.read_text())
    del manifest["origin"]
    place.write_text(json.dumps(manifest))
    old = load("d")
    assert isinstance(old.manifest, Manifest)
    assert refused(old, workplace / "work") == (
        "d does not record the source of its texts: it is from the hub, or of an older tdbs.",
        "Prepare its texts again, on this machine.",
    )


def test_labels_of_words_are_not_edited(workplace):
    lines = [json.dumps({"words": ["the", "film"], "tags": ["O", "X"]})] * 4
    Path("train.jsonl").write_text("\n".join(lines))
    dataset = prepare("train.jsonl", text="words", label="tags", validation="0.5", **TOKENIZER, out="d").dataset
    assert refused(dataset, workplace / "work") == (
        "Each word of this task has a label; an edit of the text would separate them.",
        "Leave --remove and --edits out.",
    )


def test_labels_that_an_older_version_read_by_other_rules_are_refused(pairs, workplace):
    """The class ids of the edited split would be other ones."""
    manifest = json.loads((pairs.path / "manifest.json").read_text())
    manifest["task"]["classes"] = ["0", "1", "2"]
    (pairs.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError) as caught:
        edited_split(load(pairs.path), "validation", BOTH, folder=workplace / "work")
    assert (caught.value.message, caught.value.next_step) == (
        f"An older tdbs read the labels of {pairs.path} by different rules.",
        "Prepare the dataset again from the current source.",
    )
