"""Sequence to sequence: prefixes stay whole, targets are cut with their end token, references are the raw texts."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.tasks import Columns, Task
from tdbs.errors import ConfigError
from tdbs.pipeline.lengths import choose_limits
from tdbs.pipeline.prepare import PrepareResult, prepare
from tdbs.pipeline.references import read_references
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer, load_tokenizer
from tests.conftest import SHARED
from tests.examples import examples
from tests.pipeline.test_tokenizer import write_tokenizer
from tests.reference.spans import PAPER_STOPWORDS, droppable_matches

T5 = SHARED / "tokenizers/t5-small"
PREFIXES = (
    "summarize: ",
    "write it as of the: ",
    "it is the ",  # ends with a stopword and a space
    "(the) - ; ... ",
    "it's of a",  # grows together with the text's first word
    "",
    "   ",
)
ROWS = [
    ("the king of it sees a tower", "a king sees it"),
    ("of the old river", "the river"),
    ("it", "the king of the old tower and the river of it and a king who sees the whole of it"),
    (" ", "nothing"),
    ("the the the", ""),
]


def write_jsonl(path: Path, rows) -> Path:
    lines = [json.dumps({"article": text, "headline": target}) for text, target in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def prepared(shared, workplace) -> Callable[..., PrepareResult]:
    """Return a function that prepares rows of articles and headlines with T5's tokenizer."""

    def run(rows=ROWS, **options) -> PrepareResult:
        source = write_jsonl(workplace / "news.jsonl", rows)
        return prepare(str(source), text="article", target="headline", tokenizer=str(T5), **options)

    return run


def rows_of(result: PrepareResult, split: str = "train") -> list[dict]:
    shards = [result.dataset.path / shard.path for shard in result.dataset.manifest.splits[split].shards]
    rows = [row for shard in shards for row in pq.read_table(shard, partitioning=None).to_pylist()]
    return sorted(rows, key=lambda row: row["sample_id"])


def texts_of_words(row: dict, prefix: str, text: str, tokenizer: LoadedTokenizer) -> list[tuple[int, int]]:
    """Return the characters of prefix and text that each droppable word stands for."""
    offsets = tokenizer.backend.encode(prefix + text).offsets
    found = []
    for word in row["droppable"]:
        own = offsets[word["start"] : word["start"] + word["length"]]
        found.append((own[0][0], own[-1][1]))
    return found


@pytest.mark.real_data
@pytest.mark.parametrize("prefix", PREFIXES)
def test_words_of_the_text_are_droppable_and_none_of_the_prefix(prepared, prefix):
    """As the slow oracle finds them in the whole text, less those that begin in the prefix."""
    result = prepared(prefix=prefix)
    tokenizer = load_tokenizer(str(T5))
    droppable = 0
    for row, (text, _) in zip(rows_of(result), ROWS, strict=True):
        assert row["input_ids"] == tokenizer.backend.encode(prefix + text).ids
        expected = [
            (start, end)
            for start, end in droppable_matches(prefix + text, PAPER_STOPWORDS)
            if start >= len(prefix.rstrip())
        ]
        found = texts_of_words(row, prefix, text, tokenizer)
        assert [(prefix + text)[start:end].strip() for start, end in found] == [
            (prefix + text)[start:end] for start, end in expected
        ]
        assert all(start >= len(prefix.rstrip()) for start, _ in found)
        droppable += len(found)
    assert droppable >= 6


@pytest.mark.real_data
def test_targets_keep_their_end_token_however_they_are_cut(prepared):
    """Special tokens count: of n tokens n - 1 are text; shorter targets are as they are, the empty one an end token."""
    tokenizer = load_tokenizer(str(T5))
    [end] = tokenizer.backend.encode("").ids
    for most in (2, 5, 128):
        result = prepared(max_target_length=most, out=f"d{most}")
        assert result.dataset.manifest.max_target_length == most
        rows = rows_of(result)
        for row, (_, target) in zip(rows, ROWS, strict=True):
            whole = tokenizer.backend.encode(target).ids
            assert row["target_ids"] == [*whole[:-1][: most - 1], end]
        assert max(len(row["target_ids"]) for row in rows) == min(most, 25)  # the third has 24 and its end
        histogram = result.dataset.manifest.splits["train"].target_histogram
        assert sum(count * length for length, count in enumerate(histogram)) == sum(
            len(row["target_ids"]) for row in rows
        )


@pytest.mark.real_data
@given(target=st.text(st.characters(exclude_categories=["Cs"]), max_size=60), most=st.integers(2, 12))
@examples(30)
def test_any_target_ends_with_the_end_token(shared, tmp_path_factory, target, most):
    """Also a text that spells the end token itself, and one of nothing but white space."""
    folder = tmp_path_factory.mktemp("any")
    source = write_jsonl(folder / "news.jsonl", [("it", target), ("it", target + "</s>")])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = prepare(
            str(source), text="article", target="headline", tokenizer=str(T5), max_target_length=most, out=folder / "d"
        )
    manifest = result.dataset.manifest
    for row in rows_of(result):
        assert row["target_ids"][-1] == manifest.tokenizer.end_id
        assert 1 <= len(row["target_ids"]) <= most
    assert read_references(result.dataset.path, manifest.splits["train"].references).texts == [
        [target],
        [target + "</s>"],
    ]


@pytest.mark.real_data
def test_references_are_the_raw_targets_of_the_held_out_rows(prepared):
    """Not cut, not tokenized, by the row that each has in the file: with a fraction held out, both splits keep it."""
    rows = [(f"the text of number {i}", f"  Héadline\n{i} " + "very long " * 30) for i in range(20)]
    result = prepared(rows, validation="0.25", max_target_length=4)
    manifest = result.dataset.manifest
    seen = []
    for split, count in (("train", 15), ("validation", 5)):
        found = read_references(result.dataset.path, manifest.splits[split].references)
        source_rows = [row["source_row"] for row in rows_of(result, split)]
        assert found.source_rows_R.tolist() == source_rows == sorted(source_rows)
        assert found.texts == [[rows[row][1]] for row in source_rows]
        assert found.contexts is None
        assert len(source_rows) == manifest.splits[split].rows == manifest.splits[split].source_rows == count
        tokenizer = load_tokenizer(str(T5))
        for row in rows_of(result, split):
            assert row["input_ids"] == tokenizer.backend.encode(rows[row["source_row"]][0]).ids
        seen += source_rows
    assert sorted(seen) == list(range(20))


def test_a_tokenizer_without_special_tokens_leaves_targets_as_they_are(workplace):
    """An empty target then has no token at all."""
    tokenizer = write_tokenizer(workplace / "words")
    written = json.loads((tokenizer / "tokenizer.json").read_text())
    (tokenizer / "tokenizer.json").write_text(json.dumps(written | {"post_processor": None}))
    write_jsonl(workplace / "news.jsonl", [("a of b", "b a c"), ("of", "")])
    result = prepare(
        "news.jsonl", text="article", target="headline", tokenizer=str(tokenizer), prefix="of ", max_target_length=2
    )
    assert [row["target_ids"] for row in rows_of(result)] == [[5, 4], []]
    assert [row["droppable"] for row in rows_of(result)] == [
        [{"start": 1, "length": 1}, {"start": 2, "length": 1}],
        [{"start": 1, "length": 1}],
    ]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("most", "message", "next_step"),
    [
        (0, "--max-target-length must be 1 or more, got 0.", "Pass --max-target-length 1 or more."),
        (
            1,
            "--max-target-length 1 leaves no room for text: t5-small adds 1 special tokens.",
            "Pass --max-target-length 2 or more.",
        ),
    ],
)
def test_a_target_must_have_room_for_text(shared, most, message, next_step):
    task = Task(name="n", kind="seq2seq", columns=Columns(text="article", labels=("headline",)))
    with pytest.raises(ConfigError) as caught:
        choose_limits(task, load_tokenizer(str(T5)), max_length=None, stride=None, max_target_length=most)
    assert (caught.value.message, caught.value.next_step) == (message, next_step)
