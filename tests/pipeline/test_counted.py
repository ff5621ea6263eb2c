"""Counts of repeated rows: those of loops over the rows, those of an audit, whatever the blocks, parts and tasks."""

import dataclasses
import json
import tempfile
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdbs
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.data.tasks import Columns, Task
from tdbs.pipeline.block_digests import keep_digests
from tdbs.pipeline.blocks import BlockInfo
from tdbs.pipeline.dataset import PreparedDataset, load, read_split
from tdbs.pipeline.duplicates.block_rows import RowDigests
from tdbs.pipeline.duplicates.counted import Entries, count_repeats, merged
from tdbs.pipeline.manifest import RepeatCounts
from tests.examples import examples
from tests.pipeline.grouped import sequences_of

SPLITS = ("validation", "train", "test")
PLAIN = Task(name="rows", kind="classification", columns=Columns(text="text"))
TRIPLES = Task(name="rows", kind="embedding", columns=Columns(text="q", pair="p", labels=(), negatives=("n",)))
Key = tuple[Hashable, Hashable, Hashable]  # text, text by which other splits know it, label
Counts = dict[str, tuple[int, int, int | None]]


def counted(rows: Mapping[str, Sequence[Key]]) -> Counts:
    """Count in loops: repeats of an earlier row, rows of a text with two labels, and rows that stand in train."""
    known = {head for _, head, _ in rows.get("train", ())}
    found: Counts = {}
    for name, keys in rows.items():
        labels = defaultdict(set)
        for text, _, label in keys:
            labels[text].add(label)
        leaks = None if name == "train" or "train" not in rows else sum(head in known for _, head, _ in keys)
        found[name] = (len(keys) - len(labels), sum(len(labels[text]) > 1 for text, _, _ in keys), leaks)
    return found


def counts_of(found: Mapping[str, RepeatCounts | None]) -> Counts:
    return {name: dataclasses.astuple(each) for name, each in found.items() if each is not None}


def of_manifest(dataset: PreparedDataset) -> Counts:
    return counts_of({name: info.repeats for name, info in dataset.manifest.splits.items()})


# ------------------------------------------------------------ digests of random rows

ROW = st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 2))


def digest(number: int) -> tuple[int, int]:
    """Return two halves for a text: texts 2n and 2n + 1 share the first, and only the second sets them apart."""
    first = np.random.default_rng(number // 2).integers(1 << 63, dtype=np.uint64)
    return int(first) * 2, number


def store(folder: Path, split: str, number: int, rows: Sequence[tuple[int, int, int]], *, heads: bool) -> BlockInfo:
    """Store the digests of a block, and return what `prepare` knows of it."""
    halves = np.array([(*digest(text), *digest(100 + head)) for text, head, _ in rows], dtype=np.uint64)
    digests = RowDigests(
        source_rows_N=np.arange(len(rows)),
        texts_N2=halves[:, :2],
        heads_N2=halves[:, 2:] if heads else None,
        labels_N=np.array([label for _, _, label in rows], dtype=np.uint64),
    )
    keep_digests(digests, folder, split, number)
    nothing: dict[str, Any] = dict.fromkeys(("tokens", "droppable_words", "droppable_tokens"), 0)
    nothing |= dict.fromkeys(("length_histogram", "droppable_histogram", "target_histogram"), ())
    return BlockInfo(
        split=split, number=number, rows=len(rows), labelled=True, has_references=False, seconds={}, **nothing
    )


@examples(150)
@given(
    rows=st.dictionaries(st.sampled_from(SPLITS), st.lists(ROW, max_size=25), min_size=1),
    block=st.integers(1, 9),
    at_once=st.integers(1, 30),
    heads=st.booleans(),
)
def test_counts_are_those_of_loops(
    rows: dict[str, list[tuple[int, int, int]]], block: int, at_once: int, heads: bool
) -> None:
    """Whatever the blocks and parts, with texts of which the first half of the digest is the same."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks = {
            split: [
                store(folder, split, number, part[place : place + block], heads=heads)
                for number, place in enumerate(range(0, len(part), block))
            ]
            for split, part in rows.items()
        }
        found = count_repeats(blocks, TRIPLES if heads else PLAIN, folder, rows_at_once=at_once)
    keys = {
        split: [(text, head if heads else text, label) for text, head, label in part] for split, part in rows.items()
    }
    assert counts_of(found) == counted(keys)


@examples(60)
@given(rows=st.lists(st.tuples(ROW, st.integers(1, 5)), min_size=1))
def test_merged_entries_count_each_key_once(rows: list[tuple[tuple[int, int, int], int]]) -> None:
    """Of the same text, label and split one entry is left, with the sum of their counts."""
    keys_N4 = np.array([(*digest(text), label, split) for (text, split, label), _ in rows], dtype=np.uint64)
    found = merged(Entries(keys_N4=keys_N4, counts_N=np.array([count for _, count in rows])))
    expected: dict[tuple[int, ...], int] = defaultdict(int)
    for key, (_, count) in zip(keys_N4.tolist(), rows, strict=True):
        expected[tuple(key)] += count
    assert dict(zip(map(tuple, found.keys_N4.tolist()), found.counts_N.tolist(), strict=True)) == expected
    assert len(found.keys_N4) == len(expected)


# ------------------------------------------------------------ datasets of every kind


def prepared(folder: Path, rows: Mapping[str, Sequence[Mapping[str, Any]]], **options: Any) -> PreparedDataset:
    options = {"tokenizer": str(TOKENIZER_FOLDER), "out": folder / "data", "progress": False, **options}
    return tdbs.prepare({name: list(part) for name, part in rows.items()}, **options).dataset


def keys_of(dataset: PreparedDataset, name: str) -> list[Key]:
    """Return what the shards of a split say of each row: its sequences and texts, its head, and its label."""
    split, task = read_split(dataset, name), dataset.manifest.task
    rows: dict[int, tuple[list[Hashable], list[Hashable], list[Hashable]]] = defaultdict(lambda: ([], [], []))
    for sample, source_row in enumerate(split.source_rows_N.tolist()):
        first, end = split.token_offsets_N1[sample : sample + 2]
        text: Any = (
            tuple(split.input_ids_T[first:end].tolist()),
            None if split.segment_starts_N is None else int(split.segment_starts_N[sample]),
        )
        head = text
        if split.sequences is not None:
            text = tuple(map(tuple, sequences_of(split, sample)))
            head = text[: 1 if task.is_pair else 2] if task.columns.negatives else text
        label: Hashable = None
        if split.targets is not None and task.columns.labels:
            values, offsets = split.targets.values, split.targets.offsets_N1
            held = values[sample] if offsets is None else values[offsets[sample] : offsets[sample + 1]]
            label = str(np.asarray(held).tolist())
        for kept, each in zip(rows[source_row], (text, head, label), strict=True):
            kept.append(each)
    return [tuple(map(tuple, each)) for each in rows.values()]  # type: ignore[misc]


CONTEXT = "the film was made in the old town by two people " * 12
ANSWERS = [("where", "the old town"), ("where", "the old town"), ("where", "two people"), ("who", "two people")]
TAGS = (["O", "B"], ["O", "B"], ["B", "O"])
TRIPLE_ROWS = [{"query": "who", "positive": text, "negative": other} for text in ("a man", "we") for other in "aabb"]
KINDS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "classes": ({}, [{"text": text, "label": label} for text in ("a film", "the end", "so it is") for label in "xyx"]),
    "pairs": (
        {"text": "one", "pair": "two", "label": "label"},
        [{"one": one, "two": two, "label": two[0]} for one, two in (("a b", "c"), ("a", "b c"), ("a b", "c"))],
    ),
    "numbers": ({"label": "score"}, [{"text": "the film", "score": score} for score in (0.5, 0.5, 0.25, -0.0, 0.0)]),
    "several": (
        {"label": "labels"},
        [{"text": "the film", "labels": names} for names in (["a", "b"], ["a", "b"], ["b"])],
    ),
    "tokens": ({"label": "tags"}, [{"text": ["a", "film"], "tags": tags} for tags in TAGS]),
    "targets": ({"target": "end"}, [{"text": "a film", "end": end} for end in ("so it ends", "so it ends", "it is")]),
    "questions": (
        {"text": "question", "pair": "context", "label": "answers", "max_length": 64},
        [
            {"question": q, "context": CONTEXT, "answers": {"text": [a], "answer_start": [CONTEXT.index(a)]}}
            for q, a in ANSWERS
        ],
    ),
    "embedding": (
        {"columns": ["query", "positive", "negative"]},
        TRIPLE_ROWS,
    ),
    "ranking": (
        {"columns": ["query", "positive", "negative"], "task": "ranking"},
        TRIPLE_ROWS,
    ),
    "scored": (
        {"columns": ["one", "two"], "label": "score"},
        [{"one": "a", "two": two, "score": score} for two in "bc" for score in (0.5, 1.0)],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_counts_of_every_kind_are_those_of_the_shards(kind: str, tmp_path: Path) -> None:
    """Token ids, texts and targets of all samples, compared in plain Python; windows of a question are one row."""
    options, train = KINDS[kind]
    new = train[-1] | {next(iter(train[-1])): ["new", "one"] if kind == "tokens" else "new one"}
    held = [train[0], train[-1], new]
    dataset = prepared(tmp_path, {"train": train, "validation": held}, **options)
    expected = counted({name: keys_of(dataset, name) for name in ("train", "validation")})
    assert of_manifest(dataset) == expected
    assert expected["train"][0] > 0
    assert expected["validation"][2] == 2
    assert load(dataset.path).manifest == dataset.manifest


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "questions"])
def test_counts_of_every_kind_are_those_of_an_audit(kind: str, tmp_path: Path) -> None:
    """No two texts differ in case or marks alone here, so an audit's conflicts are of exact texts."""
    options, train = KINDS[kind]
    dataset = prepared(tmp_path, {"train": train, "validation": train[:2]}, **options)
    assert of_manifest(dataset) == audited(dataset)


def audited(dataset: PreparedDataset) -> Counts:
    """Return an audit's counts of exact duplicates, conflicts and leaks."""
    found = {(each.kind, each.split): each.count for each in tdbs.audit(dataset).findings}
    kinds = ("exact_duplicates", "conflicts", "leaks")
    counts = {name: [found.get((kind, name), 0) for kind in kinds] for name in dataset.manifest.splits}
    return {name: (one, two, None if name == "train" else three) for name, (one, two, three) in counts.items()}


@pytest.mark.real_data
@pytest.mark.parametrize(("task", "some"), [("rte", True), ("mrpc", False), ("sst2", True)])
def test_counts_of_real_tasks_are_those_of_an_audit(shared: Path, tmp_path: Path, task: str, some: bool) -> None:
    """On the whole task; conflicts of an audit are of normal forms, so those of exact texts are counted in loops."""
    options = {"mirror": shared / "datasets", "tokenizer": str(shared / "tokenizers/bert-base-uncased")}
    dataset = tdbs.prepare(f"glue/{task}", **options, out=tmp_path / "data", progress=False).dataset
    found, names = of_manifest(dataset), dataset.manifest.splits
    for name, (duplicates, _, leaks) in audited(dataset).items():
        assert (found[name][0], found[name][2]) == (duplicates, leaks)
    assert found == counted({name: keys_of(dataset, name) for name in names})
    assert (found["train"][0] > 0) == some


# ------------------------------------------------------------ beside other options


def test_without_repeats_the_rows_that_stay_are_counted(tmp_path: Path) -> None:
    """By hand: of x, x, y one x goes; the others conflict, and nothing repeats but them."""
    train = [{"text": "a film", "label": label} for label in "xxy"] + [{"text": "the end", "label": "x"}]
    rows = {"train": train, "validation": [train[3]]}
    whole = prepared(tmp_path / "whole", rows)
    assert of_manifest(whole) == {"train": (2, 3, None), "validation": (0, 0, 1)}
    left = prepared(tmp_path / "left", rows, drop_duplicates="exact", keep_out="validation")
    assert of_manifest(left) == {"train": (1, 2, None), "validation": (0, 0, 0)}


def test_where_the_second_text_begins_counts(tmp_path: Path, shared: Path) -> None:
    """A separator within a text makes the same token ids of other texts: they are others to an audit, and here."""
    rows = [
        {"one": "a [SEP] b", "two": "c", "label": "x"},
        {"one": "a", "two": "b [SEP] c", "label": "x"},
        {"one": "d", "two": "e", "label": "y"},
    ]
    options = {"text": "one", "pair": "two", "tokenizer": str(shared / "tokenizers/bert-base-uncased")}
    dataset = prepared(tmp_path, {"train": rows}, **options)
    split = read_split(dataset, "train")
    first, second, _ = np.split(split.input_ids_T, split.token_offsets_N1[1:-1])
    assert first.tolist() == second.tolist()
    assert of_manifest(dataset) == audited(dataset) == {"train": (0, 0, None)}


def test_a_dataset_of_before_has_no_counts(tmp_path: Path) -> None:
    """It opens, and its manifest says that nothing was counted."""
    dataset = prepared(tmp_path, {"train": KINDS["classes"][1]})
    path = dataset.path / "manifest.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    del found["splits"]["train"]["repeats"]
    path.write_text(json.dumps(found), encoding="utf-8")
    assert load(dataset.path).manifest.splits["train"].repeats is None


@pytest.mark.parametrize("block", [3, 1000])
def test_blocks_and_splits_of_a_fraction_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Rows of validation that were drawn from the file are counted as those of their split."""
    monkeypatch.setattr("tdbs.data.reading.BLOCK_ROWS", block)
    rows = [{"text": " ".join("ab"[n % 6 >> bit & 1] for bit in range(3)), "label": "xy"[n % 2]} for n in range(40)]
    dataset = prepared(tmp_path, {"train": rows}, validation=0.2)
    assert of_manifest(dataset) == counted({name: keys_of(dataset, name) for name in dataset.manifest.splits})
    assert of_manifest(dataset)["train"][0] > 20
