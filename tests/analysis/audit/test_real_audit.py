"""The counts of an audit on GLUE are those of plain Python over the texts of the source."""

import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tdbs.analysis.audit.audit import Audit, audit
from tdbs.pipeline.prepare import prepare
from tests.conftest import SHARED
from tests.pipeline.real_tokenizers import tokenizer_of
from tests.reference.duplicates import normal_form

TASKS = {"rte": ("sentence1", "sentence2"), "mrpc": ("sentence1", "sentence2"), "sst2": ("sentence",)}
MOST_ROWS = 12_000
SPLITS = ("train", "validation")
pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def rows(task: str) -> dict[str, list[dict[str, Any]]]:
    """Return the first rows of each split of a GLUE task."""
    paths = {split: SHARED / f"datasets/glue/{task}/{split}.parquet" for split in SPLITS}
    return {split: pq.read_table(path).slice(0, MOST_ROWS).to_pylist() for split, path in paths.items()}


@pytest.fixture(scope="module")
def found(task: str, rows: dict[str, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """Return the audit of a task's first rows, none of them cut."""
    text, *pair = TASKS[task]
    out = tmp_path_factory.mktemp(task) / "data"
    tokenizer = str(SHARED / "tokenizers/bert-base-uncased")
    options = {"pair": pair[0]} if pair else {}
    made = prepare(rows, text=text, label="label", tokenizer=tokenizer, max_length=512, out=out, **options)
    return audit(made.dataset)


def counts(found: Audit) -> dict[tuple[str, str], int]:
    return {(each.kind, each.split): each.count for each in found.findings}


def tokens_of(task: str, rows: Sequence[dict[str, Any]]) -> list[Hashable]:
    backend = tokenizer_of("bert-base-uncased").backend
    texts = [tuple(row[name] for name in TASKS[task]) for row in rows]
    return [tuple(e.ids) for e in backend.encode_batch([t if len(t) > 1 else t[0] for t in texts])]


def forms_of(task: str, rows: Sequence[dict[str, Any]]) -> list[Hashable]:
    """Return the normal forms of rows; BERT's tokenizer takes accents off, so they go here too."""
    plain = [["".join(filter(_stays, unicodedata.normalize("NFD", row[name]))) for name in TASKS[task]] for row in rows]
    return [tuple(map(normal_form, texts)) for texts in plain]


def _stays(character: str) -> bool:
    return unicodedata.category(character) != "Mn"


def test_duplicates_are_those_of_a_set(found: Audit, task: str, rows: dict[str, list[dict[str, Any]]]):
    """Exact ones by token ids, normalized ones by letters and digits, each row once."""
    for split in SPLITS:
        seen: set[Hashable] = set()
        forms: set[Hashable] = set()
        exact = normalized = 0
        for tokens, form in zip(tokens_of(task, rows[split]), forms_of(task, rows[split]), strict=True):
            exact += tokens in seen
            normalized += tokens not in seen and form in forms and any(form)
            seen.add(tokens)
            forms.add(form)
        assert counts(found).get(("exact_duplicates", split), 0) == exact
        assert counts(found).get(("normalized_duplicates", split), 0) == normalized


def test_leaks_are_those_of_a_set(found: Audit, task: str, rows: dict[str, list[dict[str, Any]]]):
    """Each row of validation counts that stands in train, exactly or by its letters and digits."""
    tokens = set(tokens_of(task, rows["train"]))
    forms = set(forms_of(task, rows["train"]))
    held = list(zip(tokens_of(task, rows["validation"]), forms_of(task, rows["validation"]), strict=True))
    exact = sum(row in tokens for row, _ in held)
    normalized = sum(row not in tokens and form in forms and any(form) for row, form in held)
    assert counts(found).get(("leaks", "validation"), 0) == exact
    assert counts(found).get(("normalized_leaks", "validation"), 0) == normalized


def test_conflicts_are_those_of_a_dict(found: Audit, task: str, rows: dict[str, list[dict[str, Any]]]):
    """Each row counts whose letters and digits come in its split with two labels; without any, its tokens."""
    for split in SPLITS:
        labels: dict[Hashable, set[Any]] = defaultdict(set)
        both = zip(forms_of(task, rows[split]), tokens_of(task, rows[split]), strict=True)
        forms = [form if any(form) else tokens for form, tokens in both]
        for form, row in zip(forms, rows[split], strict=True):
            labels[form].add(row["label"])
        assert counts(found).get(("conflicts", split), 0) == sum(len(labels[form]) > 1 for form in forms)


def test_conflicts_with_train_are_those_of_a_dict(found: Audit, task: str, rows: dict[str, list[dict[str, Any]]]):
    """Each row of validation counts whose letters and digits come in train with another label than its own."""
    labels: dict[Hashable, set[Any]] = defaultdict(set)
    for form, row in zip(forms_of(task, rows["train"]), rows["train"], strict=True):
        labels[form].add(row["label"])
    held = zip(forms_of(task, rows["validation"]), rows["validation"], strict=True)
    expected = sum(bool(labels[form] - {row["label"]}) for form, row in held if any(form))
    assert counts(found).get(("conflicts_with_train", "validation"), 0) == expected


def test_examples_name_rows_of_the_source(found: Audit, rows: dict[str, list[dict[str, Any]]]):
    """Row numbers, from 1, lead to the source: an exact duplicate's text is that of the row it repeats."""
    kinds = ("exact_duplicates", "leaks")
    examples = [each for finding in found.findings if finding.kind in kinds for each in finding.examples]
    for each in examples:
        assert each.other_split is not None
        assert each.other_row is not None
        assert each.text == each.other_text
        first, other = rows[each.split][each.row - 1], rows[each.other_split][each.other_row - 1]
        assert {k: v for k, v in first.items() if k not in ("idx", "label")} == {
            k: v for k, v in other.items() if k not in ("idx", "label")
        }


@pytest.mark.parametrize("name", ["roberta-base", "t5-small"])
def test_every_tokenizer_finds_the_same_leaks(name: str, tmp_path: Path):
    """What is the same in the normal form does not depend on the tokenizer's family."""
    train = [{"text": text, "label": i % 2} for i, text in enumerate(("A fine film.", "Dull, and long", "So-so"))]
    held = [{"text": "a fine FILM", "label": 0}, {"text": "Dull and long!", "label": 1}, {"text": "new", "label": 0}]
    tokenizer = str(SHARED / "tokenizers" / name)
    made = prepare({"train": train, "validation": held}, tokenizer=tokenizer, out=tmp_path / "data")
    assert counts(audit(made.dataset))["normalized_leaks", "validation"] == 2
