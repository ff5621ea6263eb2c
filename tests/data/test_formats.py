"""Files are read exactly: what is missing, what is text, and which row is at fault."""

import csv
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.formats import count_rows, read_schema, read_tables
from tdbs.errors import SourceError
from tests.data.files import as_it_is


def read(path, columns=None):
    return pa.concat_tables(read_tables(as_it_is(path), columns or {"text": "text", "label": "label"})).to_pydict()


def test_only_an_empty_csv_field_is_missing(write):
    path = write("a.csv", 'text,label\nNone,NA\nnull,nan\n,""\n')
    assert read(path) == {"text": ["None", "null", None], "label": ["NA", "nan", None]}


def test_csv_quoting_keeps_delimiters_quotes_and_line_breaks(write):
    path = write("a.csv", '﻿text,label\r\n"a, b\nc",x\r\n"say ""hi""",y\r\n\r\n')
    assert read(path) == {"text": ["a, b\nc", 'say "hi"'], "label": ["x", "y"]}


def test_tsv_has_no_quoting(write):
    path = write("a.tsv", 'text\tlabel\n"open\tx\n5" and 6"\ty\nNone\t\n')
    assert read(path) == {"text": ['"open', '5" and 6"', "None"], "label": ["x", "y", None]}


def test_long_csv_fields_are_read_and_the_global_limit_is_put_back(write):
    before = csv.field_size_limit()
    assert len(read(write("a.csv", f"text,label\n{'x' * 300_000},1\n"))["text"][0]) == 300_000
    assert csv.field_size_limit() == before


def test_no_row_is_handed_out_while_the_limit_is_lifted(write):
    """A reader that is left half-consumed, or beside another, changes nothing for the process."""
    before = csv.field_size_limit()
    path = write("a.csv", f"text,label\n{'x' * 300_000},1\n" + "a,b\n" * 20_000)
    first, second = (read_tables(as_it_is(path), {"text": "text"}) for _ in range(2))
    for reader in (first, second, first, second):
        next(reader)
        assert csv.field_size_limit() == before
    first.close()
    assert sum(table.num_rows for table in second) == 20_001 - 2 * 8192
    assert csv.field_size_limit() == before


def test_readers_on_threads_all_read_long_fields_and_put_the_limit_back(write):
    before = csv.field_size_limit()
    path = write("a.csv", "text,label\n" + f"{'x' * 200_000},1\n" * 40)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: len(read(path)["text"]), range(40)))
    assert found == [40] * 40
    assert csv.field_size_limit() == before


def test_a_limit_that_is_set_meanwhile_stays(write):
    """Whoever set it meant it."""
    before = csv.field_size_limit()
    path = write("a.csv", "text,label\n" + "a,b\n" * 20_000)
    try:
        reader = read_tables(as_it_is(path), {"text": "text"})
        next(reader)
        csv.field_size_limit(before + 1)
        list(reader)
        assert csv.field_size_limit() == before + 1
    finally:
        csv.field_size_limit(before)


def test_rows_before_an_unreadable_one_are_read(write):
    """The first fault of a file is the one that is named."""
    with pytest.raises(SourceError) as caught:
        read(write("a.csv", 'text,label\na,1,2\n"b"c,2\n'))
    assert caught.value.message == "Row 1 of a.csv has a different number of fields (3) than the header (2)."


def test_rows_are_counted_over_chunks(write):
    rows = 70_000
    assert len(read(write("a.csv", "text,label\n" + "a,b\n" * rows))["text"]) == rows
    with pytest.raises(SourceError) as caught:
        read(write("b.csv", "text,label\n" + "a,b\n" * rows + "c\n"))
    assert caught.value.message == "Row 70001 of b.csv has a different number of fields (1) than the header (2)."
    assert len(read(write("a.jsonl", '{"text": "a", "label": 1}\n' * rows))["text"]) == rows


def test_jsonl_takes_plain_labels_and_missing_keys(write):
    path = write(
        "a.jsonl",
        '{"text": "", "label": 1}\n{"text": "b", "label": true}\n{"text": "\\u2028", "label": 0.5}\n{"text": "c"}\n\n',
    )
    assert read(path) == {"text": ["", "b", "\u2028", "c"], "label": ["1", "True", "0.5", None]}


def test_parquet_columns_keep_their_types_and_a_folder_name_adds_no_column(tmp_path):
    folder = tmp_path / "kind=x"
    folder.mkdir()
    pq.write_table(pa.table({"label": [1, None], "text": ["a", ""], "z": [0, 0]}), folder / "a.parquet")
    assert read_schema(as_it_is(folder / "a.parquet")).names == ["label", "text", "z"]
    assert read(folder / "a.parquet") == {"text": ["a", ""], "label": [1, None]}


CASES = [
    (
        "a.csv",
        'text,label\na,1\n"b,2\nc,3\n',
        "Row 2 of a.csv is not well-formed: unexpected end of data.",
        "Close its quotes, and write a quote inside a quoted field twice; or pass --quote none.",
    ),
    (
        "a.csv",
        'text,label\n"a"b,1\n',
        "Row 1 of a.csv is not well-formed: ',' expected after '\"'.",
        "Close its quotes, and write a quote inside a quoted field twice; or pass --quote none.",
    ),
    (
        "a.csv",
        "text,label\na,1\nb,2,3\n",
        "Row 2 of a.csv has a different number of fields (3) than the header (2).",
        "Quote fields that contain the delimiter, fix the row, or pass another --delimiter.",
    ),
    ("a.tsv", "text\tlabel\na\t1\n\nb\t2\n", "Row 2 of a.tsv is a blank line.", "Delete the line."),
    (
        "a.csv",
        b"text,label\na,1\nb\xff,2\n",
        "Line 3 of a.csv is not UTF-8: byte 2 of the line is 0xff.",
        "Save the file as UTF-8, or pass its --encoding, such as cp1252 or utf-16.",
    ),
    (
        "a.jsonl",
        b'{"text": "a", "label": 1}\n{"text": "\xe9"}\n',
        "Line 2 of a.jsonl is not UTF-8: byte 11 of the line is 0xe9.",
        "Save the file as UTF-8, or pass its --encoding, such as cp1252 or utf-16.",
    ),
    ("a.jsonl", '{"text": "a"}\n\n{"text": "b"}\n', "Row 2 of a.jsonl is a blank line.", "Delete the line."),
    (
        "a.jsonl",
        '{"text": "a"}\n{"text": \n',
        "Row 2 of a.jsonl is not JSON: Expecting value: line 2 column 1 (char 10).",
        'Write one JSON object a line, such as {"text": "a fine film", "label": 1}.',
    ),
    (
        "a.jsonl",
        '"a"\n',
        "Row 1 of a.jsonl is not a JSON object.",
        'Write one JSON object a line, such as {"text": "a fine film", "label": 1}.',
    ),
    ("a.jsonl", '{"text": 3}\n', "'text' in row 1 of a.jsonl is 3, not a text.", "Write it as a text, in quotes."),
    (
        "a.jsonl",
        '{"text": "a", "label": [1]}\n',
        "'label' in row 1 of a.jsonl is [1], not a text or a number.",
        "Fix the row.",
    ),
    (
        "a.jsonl",
        '{"text": "a"}\n{"text": "\\ud800"}\n',
        "'text' in row 2 of a.jsonl contains half of a surrogate pair.",
        "Fix the row.",
    ),
]


@pytest.mark.parametrize(("name", "content", "message", "next_step"), CASES)
def test_an_unreadable_file_names_the_row(write, name, content, message, next_step):
    with pytest.raises(SourceError) as caught:
        read(write(name, content))
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


NAME_CASES = [
    ("a.csv", "", "a.csv is empty.", "Add a header and rows."),
    ("a.jsonl", "\n", "a.jsonl is empty.", "Write one JSON object per line."),
    ("a.csv", "text,label,text\n", "a.csv has two columns named 'text'.", "Rename one of them."),
    (
        "a.xlsx",
        "",
        "a.xlsx has an extension that tdbs does not support.",
        "Use one of .csv, .tsv, .tab, .txt, .jsonl, .json, .ndjson, .parquet, .arrow, .conll, .conllu, .iob, .bio.",
    ),
]


@pytest.mark.parametrize(("name", "content", "message", "next_step"), NAME_CASES)
def test_a_file_without_usable_columns_is_refused(write, name, content, message, next_step):
    with pytest.raises(SourceError) as caught:
        read_schema(as_it_is(write(name, content)))
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


def test_a_damaged_parquet_file_is_named(write, tmp_path):
    pq.write_table(pa.table({"text": ["a"] * 1000}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    for damaged in (b"", b"text", whole[:-20]):
        with pytest.raises(SourceError) as caught:
            read_schema(as_it_is(write("b.parquet", damaged)))
        assert caught.value.message.startswith("b.parquet is not a readable Parquet file: ")
        assert caught.value.next_step == "Copy or write the file again."
    with pytest.raises(SourceError):
        read(write("c.parquet", b"PAR1" + b"\xff" * 30 + whole[34:]), {"text": "text"})


def test_a_key_that_utf8_cannot_hold_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label\\ud800": 1}\n')
    with pytest.raises(SourceError) as caught:
        read_schema(as_it_is(path))
    assert caught.value.message == "Row 1 of rows.jsonl contains half of a surrogate pair in a key."
    assert caught.value.next_step == "Fix the row."


def test_a_parquet_column_whose_name_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"text", b"\xf4ext"))
    with pytest.raises(SourceError) as caught:
        read_schema(as_it_is(path))
    assert caught.value.message.startswith("rows.parquet is not a readable Parquet file: ")


def test_a_parquet_footer_that_says_more_rows_than_there_are_is_refused(tmp_path):
    """A footer has no checksum: one turned bit of it would lose rows in silence."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path, store_schema=False)
    whole, told = path.read_bytes(), 0
    for place in range(4, len(whole) - 8):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :])
            try:
                if read_schema(as_it_is(path)).names != ["text"]:
                    continue
                rows = count_rows(as_it_is(path), "text")
                read = sum(table.num_rows for table in read_tables(as_it_is(path), {"text": "text"}, None))
            except SourceError as error:
                told += "its footer says" in error.message
                continue
            assert read == rows
    assert told
