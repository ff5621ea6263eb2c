"""Readers of users' files: what is read are whole rows with texts, or an error says why not."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from tdbs.data.file_options import FileOptions
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import open_source
from tests.fuzz.mutations import damaged, mutated

WORDS = st.text(max_size=6) | st.sampled_from(
    ("a fine film", "b", "0", "1", "-1", "2.5", "1e3", "nan", "inf", "NA", " ")
)
NAMES = st.sampled_from(("text", "label", "pair", "stars", "", "é", "text ", "\0row"))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(("text", "body", "", "label", "\0row")),
        "pair": st.sampled_from(("pair", "text", "")),
        "label": st.sampled_from(("label", "stars", "label,stars", ",", "")),
        "target": st.sampled_from(("label", "pair")),
        "label_type": st.sampled_from(("auto", "class", "regression")),
        "label_separator": st.sampled_from((" ", ",", "a")),
        "skip_bad_rows": st.booleans(),
        "validation": st.sampled_from(("0.5", "0", "1", "nan", "-1", "1e-9", "none.csv", "data.csv", "")),
        "forbid_drop": st.just("judges grammar"),
    },
)


def read_all(path: Path, options: dict) -> None:
    """Read a file as prepare does: rows that come or are skipped are as many as were counted; all have texts."""
    source = open_source(str(path), mirror=None, files=FileOptions(**options))
    survey = survey_source(source)
    for name, rows in survey.rows.items():
        read = 0
        for block in read_blocks(source, survey, name):
            read += len(block.rows_N) + len(block.skipped)
            assert block.texts.null_count == 0
            assert len(block.texts) == len(block.rows_N)
            assert block.pairs is None or len(block.pairs) == len(block.texts)
            assert block.targets is None or len(block.targets) == len(block.texts)
        assert read == rows


@st.composite
def delimited_files(draw: st.DrawFn, separator: str) -> bytes:
    """Return rows with the separator, most of them of one width, some of them damaged."""
    width = draw(st.integers(2, 4))
    header = draw(st.just(["text", "label", "pair", "stars"][:width]) | st.lists(NAMES, min_size=1, max_size=4))
    rows = draw(st.lists(st.lists(WORDS, min_size=width, max_size=width) | st.lists(WORDS, max_size=5), max_size=6))
    quote = draw(st.sampled_from(("", '"')))
    ending = draw(st.sampled_from(("\n", "\r\n", "\r")))
    lines = [separator.join(f"{quote}{field}{quote}" for field in row) for row in (header, *rows)]
    data = ending.join(lines).encode("utf-8", "surrogatepass")
    return draw(damaged(data)) if draw(st.booleans()) else data


def lines_of(rows: list) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


ROWS = [
    [{"text": "a fine film", "label": 1}, {"text": "b", "label": 0}],
    [{"text": "a", "pair": "b", "label": "x"}, {"text": "c", "pair": "d", "label": "y"}],
    [{"text": "a", "label": ["x", "y"]}, {"text": "b", "label": []}],
    [{"tokens": ["a", "b"], "ner_tags": ["O", "B"]}, {"tokens": ["c"], "ner_tags": ["O"]}],
    [{"question": "who", "context": "a man", "answers": {"text": ["man"], "answer_start": [2]}}] * 2,
    [{"document": "long", "summary": "short"}, {"document": "d", "summary": "s"}],
    [{"text": "a", "label": 1.5, "stars": 2}, {"text": "b", "label": 0.25, "stars": 3}],
]
json_files = st.one_of(
    st.sampled_from(ROWS).flatmap(mutated).map(lines_of),
    st.sampled_from(ROWS).map(lines_of).flatmap(damaged),
    st.binary(max_size=60),
)


def parquet_bytes(rows: list) -> bytes | None:
    """Return rows as a Parquet file; None where Arrow has no type for them."""
    buffer = io.BytesIO()
    try:
        pq.write_table(pa.Table.from_pylist(rows), buffer)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError, AttributeError, ValueError):
        return None
    return buffer.getvalue()


ARROW_TYPES = (
    *(pa.string(), pa.large_string(), pa.binary(), pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.bool_()),
    *(pa.date32(), pa.timestamp("ns"), pa.duration("s"), pa.decimal128(5, 2), pa.null(), pa.list_(pa.int64())),
    *(pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.string(), 2), pa.struct([("a", pa.string())])),
    *(pa.map_(pa.string(), pa.int64()), pa.dictionary(pa.int32(), pa.string()), pa.string_view(), pa.time64("us")),
    pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))]),
)


@st.composite
def typed_tables(draw: st.DrawFn) -> bytes:
    """Return a Parquet file whose columns have any types: random values where they fit, else nulls."""
    length = draw(st.integers(0, 3))
    columns = {}
    for name in draw(st.sampled_from((("text", "label"), ("text", "label", "pair"), ("tokens", "ner_tags")))):
        kind = draw(st.sampled_from(ARROW_TYPES))
        values = draw(st.lists(WORDS, min_size=length, max_size=length))
        try:
            columns[name] = pa.array(values, pa.string()).cast(kind)
        except (pa.ArrowException, UnicodeEncodeError):
            columns[name] = pa.nulls(length, kind)
    buffer = io.BytesIO()
    try:
        pq.write_table(pa.table(columns), buffer)
    except pa.ArrowException:
        pq.write_table(pa.table({"text": pa.nulls(length, pa.string())}), buffer)
    return buffer.getvalue()


parquet_files = st.one_of(
    st.sampled_from(ROWS).flatmap(mutated).map(parquet_bytes).filter(lambda data: data is not None),
    st.sampled_from([parquet_bytes(rows) for rows in ROWS]).flatmap(damaged),
    typed_tables(),
)


@pytest.mark.parametrize(
    ("suffix", "inputs", "files"),
    [
        (".csv", 4_000, delimited_files(",")),
        (".tsv", 4_000, delimited_files("\t")),
        (".jsonl", 7_000, json_files),
        (".parquet", 3_500, parquet_files),
    ],
)
def test_a_file_is_read_whole_or_refused(fuzz, place, suffix, inputs, files):
    path = place / f"data{suffix}"

    def check(example: tuple[bytes, dict]) -> None:
        path.write_bytes(example[0])
        read_all(path, example[1])

    fuzz(f"reader{suffix}", inputs=inputs, of=st.tuples(files, OPTIONS), check=check)
