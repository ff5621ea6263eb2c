"""Repeats of queries and their texts on SQuAD, with planted ones: audit and prepare against plain Python over texts.

Many questions have one passage. So rows are compared text by text, and across splits by query and positive alone.
"""

import json
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import tdbs
from tdbs.pipeline.dataset import read_split
from tests.conftest import SHARED
from tests.reference import duplicates as reference

TOKENIZER = str(SHARED / "tokenizers/bert-base-uncased")
KINDS = ("exact", "normalized", "near")
COLUMNS = {"pairs": ("query", "positive"), "triples": ("query", "positive", "negative")}
FORMS = [("pairs", "embedding"), ("triples", "embedding"), ("triples", "ranking")]
Row = dict[str, str]
pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def squad() -> list[Row]:
    """Return 160 questions with their passages, none of which is cut, and passages of other questions."""
    table = pq.read_table(SHARED / "datasets/squad/train.parquet", columns=["question", "context"]).slice(0, 2500)
    rows = [row for row in table.to_pylist() if len(row["context"]) < 550][:160]
    return [
        {"query": row["question"].strip(), "positive": row["context"], "negative": rows[(place + 80) % 160]["context"]}
        for place, row in enumerate(rows)
    ]


def planted(squad: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return rows of train and validation with repeats of every kind, among them those that must not count."""
    stream = random.Random(7)  # noqa: S311
    train = [dict(row) for row in squad[:120]]
    held = [dict(row) for row in squad[120:]]
    for row in stream.sample(train, 24):
        exact, normal, near = dict(row), row | {"query": row["query"].upper() + "!"}, dict(row)
        near["query"], near["positive"] = (
            f"{row['query']} {'please' * (len(row['query']) > 60)}",
            f"{row['positive']} So.",
        )
        train += [exact, normal, near, row | {"query": f"not at all {stream.random()}"}, dict(near)]
        train.append(row | {"negative": f"another text {stream.random()}"})
        train.append(row | {"positive": f"another answer {stream.random()}"})
    for row in stream.sample(train[:120], 12):
        held += [
            dict(row),
            row | {"negative": f"a new text {stream.random()}"},
            row | {"positive": row["positive"].lower() + " .", "negative": "x y z"},
            row | {"positive": f"{row['positive']} So it was."},
            row | {"query": f"something else {stream.random()}"},
        ]
    stream.shuffle(train)
    return train, held


def texts_of(row: Row, columns: Sequence[str]) -> list[str]:
    """Return the texts without accents, which BERT's tokenizer takes off."""
    kept = (unicodedata.normalize("NFD", row[name]) for name in columns)
    return ["".join(c for c in text if unicodedata.category(c) != "Mn") for text in kept]


class Compared:
    """Rows by some of their texts, compared in plain Python."""

    def __init__(self, rows: Sequence[Row], columns: Sequence[str]) -> None:
        texts = [texts_of(row, columns) for row in rows]
        tokens = tdbs_tokens(rows, columns)
        self.first = {
            "exact": reference.first_equal(tokens),
            "normalized": reference.first_equal([tuple(map(reference.normal_form, each)) for each in texts]),
        }
        sets = [[reference.shingles(reference.words(text)) for text in each] for each in texts]
        self.near = set(reference.near_pairs(sets, 0.7))

    def kind(self, one: int, other: int) -> str | None:
        """Return how the later of two rows repeats the earlier one."""
        for name, first in self.first.items():
            if first[one] == first[other]:
                return name
        return "near" if (one, other) in self.near else None


def tdbs_tokens(rows: Sequence[Row], columns: Sequence[str]) -> list[tuple[tuple[int, ...], ...]]:
    from tests.pipeline.real_tokenizers import tokenizer_of

    backend = tokenizer_of("bert-base-uncased").backend
    backend.no_truncation()
    encodings = backend.encode_batch([row[name] for row in rows for name in columns])
    ids = [tuple(each.ids) for each in encodings]
    return [tuple(ids[place : place + len(columns)]) for place in range(0, len(ids), len(columns))]


def prepared(train: list[Row], held: list[Row], form: str, folder: Path, **options: Any) -> Any:
    columns = COLUMNS[form]
    rows = {"train": train, "validation": held}
    rows = {name: [{column: row[column] for column in columns} for row in each] for name, each in rows.items()}
    options = {"tokenizer": TOKENIZER, "max_length": 512, "out": folder, "progress": False, **options}
    return tdbs.prepare(rows, columns=list(columns), **options).dataset


@pytest.mark.parametrize(("form", "task"), FORMS)
def test_an_audit_counts_what_plain_python_counts(squad: list[Row], form: str, task: str, tmp_path: Path):
    """In a split all texts count, across splits query and positive; questions about one passage are no duplicates."""
    train, held = planted(squad)
    found = tdbs.audit(prepared(train, held, form, tmp_path / "d", task=task))
    counts = {(each.kind, each.split): each.count for each in found.findings}
    for name, rows in (("train", train), ("validation", held)):
        compared, numbers = Compared(rows, COLUMNS[form]), range(len(rows))
        kinds = [{compared.kind(other, row) for other in range(row)} for row in numbers]
        expected = [next((kind for kind in KINDS if kind in each), None) for each in kinds]
        for kind in KINDS[:2]:
            assert counts.get((f"{kind}_duplicates", name), 0) == expected.count(kind), (name, kind)
        firsts = [compared.first["normalized"][row] == row for row in numbers]
        near = sum(first and kind == "near" for first, kind in zip(firsts, expected, strict=True))
        assert counts.get(("near_duplicates", name), 0) == near
    both = Compared([*train, *held], COLUMNS["pairs"])
    leaks = [
        {both.kind(other, row) for other in range(len(train))} for row in range(len(train), len(train) + len(held))
    ]
    expected = [next((kind for kind in KINDS if kind in each), None) for each in leaks]
    assert counts["leaks", "validation"] == expected.count("exact") == 24
    assert counts["normalized_leaks", "validation"] == expected.count("normalized") > 0
    assert counts["near_leaks", "validation"] == expected.count("near") > 0
    assert {each.kind for each in found.findings if each.kind.endswith("leaks")} == {
        "leaks",
        "normalized_leaks",
        "near_leaks",
    }


@pytest.mark.parametrize(("form", "task"), FORMS)
@pytest.mark.parametrize("rule", ["exact", "near"])
def test_prepare_leaves_out_what_plain_python_leaves_out(
    squad: list[Row], form: str, task: str, rule: str, tmp_path: Path
):
    """Rows whose query and positive stand in validation go first, then those that repeat an earlier row that stays."""
    train, held = planted(squad)
    options = {"task": task, "drop_duplicates": rule, "keep_out": "validation"}
    dataset = prepared(train, held, form, tmp_path / "d", **options)
    rows, kinds = [*held, *train], KINDS[:1] if rule == "exact" else KINDS
    heads, whole = (Compared(rows, COLUMNS[name]) for name in ("pairs", form))
    gone: dict[int, str] = {}
    for row in range(len(held), len(rows)):
        if any(heads.kind(other, row) in kinds for other in range(len(held))):
            gone[row] = "validation"
    for row in range(len(held), len(rows)):
        if row not in gone and any(whole.kind(o, row) in kinds for o in range(len(held), row) if o not in gone):
            gone[row] = "train"
    lines = [json.loads(line) for line in (tmp_path / "d/duplicates.jsonl").read_text().splitlines()]
    assert {line["row"] - 1 + len(held): line["of_split"] for line in lines} == gone
    assert set(gone.values()) == {"train", "validation"}
    for line in lines:
        row, of_train = line["row"] - 1 + len(held), line["of_split"] == "train"
        original = line["of_row"] - 1 + (len(held) if of_train else 0)
        assert line["kind"] == (whole if of_train else heads).kind(original, row)
        if of_train:
            earlier = (other for other in range(len(held), row) if gone.get(other) != "validation")
            best = {whole.kind(other, row) for other in earlier}
            assert line["kind"] == next(kind for kind in KINDS if kind in best)
    kept = read_split(dataset, "train").source_rows_N
    assert sorted(kept.tolist()) == [row - len(held) for row in range(len(held), len(rows)) if row not in gone]


def test_squad_as_it_is_keeps_its_questions(squad: list[Row], tmp_path: Path):
    """Of distinct questions none goes, though five have one passage; the audit has no word of duplicates."""
    distinct = list({reference.normal_form(row["query"]): row for row in squad}.values())
    dataset = prepared(distinct, squad[:1], "pairs", tmp_path / "d", drop_duplicates="near")
    near = Compared(distinct, COLUMNS["pairs"]).near
    assert len(distinct) - dataset.manifest.splits["train"].rows <= len(near) <= 2
