"""Prepare on small tables of every kind: a dataset that says what the table says, or an error and nothing left."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tdbs.errors import TdbsError
from tdbs.pipeline.dataset import PreparedDataset, read_split
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.schema import IGNORED
from tdbs.pipeline.verify import verify
from tests.pipeline.test_tokenizer import write_tokenizer

WORDS = st.sampled_from(("a", "b", "c", "of", "Of", "film", "it's", "é", "\u3000", "東", "-", "a\u0301", "\U0001f600"))
ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
texts = st.lists(st.one_of(WORDS, WORDS, WORDS, ANY), min_size=1, max_size=12).map(" ".join)
some_texts = st.one_of(texts, texts, texts, texts, texts, texts, st.sampled_from(("", " ", "a,b", 'a "b"', "a\nb")))
LABELS = {
    "names": st.sampled_from(("bad", "good", "fair", "Not é")),
    "ids": st.integers(0, 3),
    "numbers": st.integers(-3, 9) | st.sampled_from((0.5, 2.0, -1.25, 1e-3)),
    "bools": st.booleans(),
    "sets": st.lists(st.sampled_from(("x", "y", "z")), max_size=3, unique=True),
    "none": st.none(),
    "mixed": st.sampled_from(("1", "x", 2, None, "", "nan", 1.5)),
}
FORMATS = (".csv", ".jsonl", ".parquet")

Row = dict[str, object]


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[Row], dict[str, object]]:
    """Return a kind of labels, rows, and the options that name their columns."""
    kind = draw(st.sampled_from((*LABELS, "names", "names", "ids", "flags", "targets", "words", "summary")))
    size = draw(st.integers(1, 9))
    if kind == "words":
        tagged = st.lists(st.tuples(WORDS, st.sampled_from(("O", "B-A", "I-A"))), min_size=1, max_size=8)
        rows = [draw(tagged) for _ in range(size)]
        return kind, [{"tokens": [w for w, _ in row], "ner_tags": [t for _, t in row]} for row in rows], {}
    if kind == "summary":
        return (
            kind,
            [{"document": draw(some_texts), "summary": draw(texts)} for _ in range(size)],
            {"target": "summary", "text": "document"},
        )
    columns = {"text": some_texts}
    options: dict[str, object] = {}
    if draw(st.integers(0, 3)) == 0:
        columns["pair"] = some_texts
        options["pair"] = "pair"
    if kind in ("flags", "targets"):
        values = st.integers(0, 1) if kind == "flags" else st.floats(-3, 3, width=32).map(lambda value: value + 0.25)
        columns |= {"one": values, "two": values}
        options["label"] = "one,two"
    else:
        columns["label"] = LABELS[kind]
    return kind, [{name: draw(values) for name, values in columns.items()} for _ in range(size)], options


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "max_length": st.integers(4, 20) | st.sampled_from((0, -1, 2, 3, 10**30)),
        "validation": st.sampled_from(("0.5", "0.34", "0", "nan", "none.csv")),
        "label_type": st.sampled_from(("auto", "class", "regression", "nope")),
        "stopwords": st.sampled_from(("paper", "none", "nope")),
        "keep": st.sampled_from(((), ("negation",), ("of",), ("nope",))),
        "forbid_drop": st.sampled_from(("judges grammar", "")),
    },
)
ODD_OPTIONS = st.dictionaries(
    st.sampled_from(("stride", "max_target_length", "text", "pair", "label", "target", "prefix", "tokenizer")),
    st.sampled_from(("", "text", "label", "pair", "nope", 1, 3, -1)),
    max_size=1,
).filter(lambda given: all(isinstance(v, int) == (k in ("stride", "max_target_length")) for k, v in given.items()))


def write_rows(place: Path, suffix: str, rows: list[Row]) -> Path | None:
    """Write rows as a file; None where the format cannot hold them."""
    path = place / f"data{suffix}"
    names = list(rows[0])
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8", newline="")
    elif suffix == ".csv":
        if any(isinstance(value, list) for row in rows for value in row.values()):
            return None
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        writer.writerows([names, *([row[name] for name in names] for row in rows)])
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
    else:
        try:
            pq.write_table(pa.table({name: [row[name] for row in rows] for name in names}), path)
        except pa.ArrowException:
            return None
    return path


def plain(value: object) -> str:
    """Return a label without what makes no difference: 1, 1.0 and " 1" are one class, true and True too."""
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    whole = re.fullmatch(r"([+-]?\d+)(\.0*)?", text, re.ASCII)
    return str(int(whole[1])) if whole else text


def check_dataset(dataset: PreparedDataset, kind: str, rows: list[Row], backend: Tokenizer) -> None:
    """Every row is in one split once, with the tokens of its texts and its own label."""
    assert verify(dataset.path).problems == ()
    task, seen = dataset.manifest.task, []
    backend.enable_truncation(dataset.manifest.max_length)
    for name, info in dataset.manifest.splits.items():
        split = read_split(dataset, name)
        assert len(split.lengths_N) == info.rows
        assert info.tokens == split.lengths_N.sum()
        seen.extend(split.source_rows_N.tolist())
        for sample, source in enumerate(split.source_rows_N.tolist()):
            row, first = rows[source], rows[source][task.columns.text]
            own = slice(split.token_offsets_N1[sample], split.token_offsets_N1[sample + 1])
            if isinstance(first, str):
                second = row[task.columns.pair] if task.is_pair else None
                assert split.input_ids_T[own].tolist() == backend.encode(first, second).ids
            else:
                expected = backend.encode(first, is_pretokenized=True)
                assert split.input_ids_T[own].tolist() == expected.ids
            if info.labelled:
                if kind == "words":  # a word of nothing but blanks has no token, so its label is in none
                    with_tokens = set(backend.encode(first, is_pretokenized=True).word_ids)
                    row = {**row, "ner_tags": [t for i, t in enumerate(row["ner_tags"]) if i in with_tokens]}
                check_target(split.targets, sample, task, row, kind)
    assert sorted(seen) == list(range(len(rows)))


def check_target(targets, sample: int, task, row: Row, kind: str) -> None:
    """The target of a sample is the label of its row."""
    values = targets.values
    if targets.offsets_N1 is not None:
        values = values[targets.offsets_N1[sample] : targets.offsets_N1[sample + 1]].tolist()
    given = [row[column] for column in task.columns.labels]
    match task.kind:
        case "classification":
            assert plain(task.classes[values[sample]]) == plain(given[0])
        case "regression":
            assert [float(value) for value in given] == values[sample].reshape(-1).tolist()
        case "multi_label" if kind == "flags":
            assert [task.classes[value] for value in values] == [
                name for name, value in zip(task.columns.labels, given, strict=True) if value
            ]
        case "multi_label":
            assert sorted(task.classes[value] for value in values) == sorted(given[0])
        case "token_classification":
            tags = given[0]
            found = [task.classes[value] for value in values if value != IGNORED]
            assert found == tags[: len(found)]


def test_a_table_is_prepared_as_it_is_or_refused_and_nothing_stays(fuzz, place):
    tokenizer = write_tokenizer(place / "words")
    backend = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    out = place / "out"

    def check(example: tuple) -> None:
        (kind, rows, columns), suffix, options, odd, again = example
        path = write_rows(place, suffix, rows)
        if path is None:
            return
        given = {"tokenizer": str(tokenizer), "out": out, **columns, **options, **odd}
        try:
            result = prepare(str(path), **given)
            assert not result.cached
            check_dataset(result.dataset, kind, rows, backend)
            if again:
                assert prepare(str(path), **given).cached
            shutil.rmtree(out)
        except TdbsError:
            assert not out.exists()
            raise
        finally:
            shutil.rmtree(out, ignore_errors=True)
            path.unlink()
            left = {left.name for left in (*place.iterdir(), *place.parent.iterdir())}
            assert left == {"words", "place"}, left

    examples = st.tuples(
        tables(),
        st.sampled_from(FORMATS),
        st.just({}) | OPTIONS,
        st.just({}) | st.just({}) | ODD_OPTIONS,
        st.booleans(),
    )
    fuzz("prepare", inputs=1_000, of=examples, check=check)
