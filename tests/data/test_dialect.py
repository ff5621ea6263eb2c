"""Tables of text are read as they were written: dialects are found, and what is certain of none is not guessed."""

import csv
import gzip
import io
from itertools import product

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tdbs.data.formats import ReadOptions, data_file, read_schema, read_tables
from tdbs.data.formats.data_file import Dialect
from tdbs.errors import ConfigError, SourceError
from tests.data.files import as_it_is
from tests.examples import examples

WORDS = st.text("ab ;,|'\"é\tß.", max_size=12)
ROWS = st.lists(st.tuples(WORDS, st.sampled_from(["x", "y"])), min_size=2, max_size=8)


def rows_of(file, text="text", label="label"):
    """Return all rows as the reader has them, null as the empty text."""
    table = pa.concat_tables(read_tables(file, {text: "text", label: "label"}))
    return [tuple(value or "" for value in row.values()) for row in table.to_pylist()]


def written(rows, *, header=True, **dialect):
    """Return a table as Python's own writer writes it; every field is quoted, so that its dialect is certain."""
    text = io.StringIO()
    out = csv.writer(text, quoting=csv.QUOTE_ALL, **dialect)
    out.writerows([*([("text", "label")] if header else []), *rows])
    return text.getvalue()


@given(
    rows=ROWS, delimiter=st.sampled_from(",;\t|"), quote=st.sampled_from("'\""), suffix=st.sampled_from(["csv", "txt"])
)
@settings(examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_in_a_dialect_is_read_in_it(write, rows, delimiter, quote, suffix):
    path = write(f"a.{suffix}", written(rows, delimiter=delimiter, quotechar=quote))
    file = as_it_is(path)
    assert file.dialect == Dialect(delimiter=delimiter, quote=quote)
    assert rows_of(file) == rows


@pytest.mark.parametrize(("delimiter", "quote"), list(product(",;\t|", ("'", '"'))))
def test_the_user_says_the_dialect(write, delimiter, quote):
    """Whatever the beginning of the file looks like."""
    rows = [("a;b, c", "x"), ("d|e\tf", "y")]
    path = write("a.csv", written(rows, delimiter=delimiter, quotechar=quote))
    assert rows_of(data_file(path, ReadOptions(delimiter=delimiter, quote=quote))) == rows


def test_a_tab_has_a_name_and_quotes_can_be_none(write):
    path = write("a.csv", 'text\tlabel\n"a\tx\n')
    assert rows_of(data_file(path, ReadOptions(delimiter="tab", quote="none"))) == [('"a', "x")]


@pytest.mark.parametrize(
    "content",
    [
        "text,label\na; b; c,x\nd; e; f,y\n",  # each row has as many semicolons too
        'text,label\n"say; ""a, b""",x\n',
        "text,label\nit's,x\nthat's,y\n",
        "text\nfine; really\nbad; truly\n",  # one column
        "text,label\n" + "a,x\n" * 20_000,  # more than the sample
        'text,label\n"' + "long, " * 20_000 + '",x\n',  # the first row is more than the sample
    ],
    ids=["semicolons", "quotes", "apostrophes", "one column", "long", "long row"],
)
def test_csv_stays_csv(write, content):
    """The usual dialect counts wherever it fits; a table of one column has none else."""
    assert as_it_is(write("a.csv", content)).dialect == Dialect(delimiter=",", quote='"')


@pytest.mark.parametrize(
    ("content", "delimiter", "quote"),
    [
        ("text;label\n'twas a good film;pos\nI liked the actors';neg\nfine;pos\n", ";", '"'),
        ("text;label\n'Rocky';pos\n" + "fine;neg\n" * 30, ";", '"'),
        ("text;score\nfoo bar;1,5\nbar foo;2,5\n", ";", '"'),
        ("text;label\none\u2028two;x\nthree\x85four;y\n", ";", '"'),
        ("label;text\nx;'a; b'\ny;c\n", ";", "'"),
    ],
)
def test_a_header_confirms_the_delimiter(write, content, delimiter, quote):
    """An apostrophe at the beginning of a text is not a quote, and commas of numbers separate nothing."""
    assert as_it_is(write("a.csv", content)).dialect == Dialect(delimiter=delimiter, quote=quote)


@pytest.mark.parametrize(
    "content",
    ["good; really,pos\nbad; and, so,neg\nmeh; ok,pos\n", "foo bar;1,5\nbar foo;2,5\nbaz;3,0\n"],
    ids=["a row with a comma more", "decimal commas"],
)
def test_without_a_header_nothing_is_guessed(write, content):
    """Two delimiters that could be meant: the user says which one."""
    path = write("a.csv", content)
    with pytest.raises(SourceError) as caught:
        data_file(path, ReadOptions(no_header=True))
    assert caught.value.message == "The fields of a.csv may be separated by , or ;."
    assert caught.value.next_step == "Pass its --delimiter."
    assert data_file(path, ReadOptions(no_header=True, delimiter=";")).dialect.delimiter == ";"


def test_columns_in_quotes_have_quotes_in_tsv_too(write):
    """Otherwise a quote in a TSV or a tab-separated .txt is a character."""
    assert as_it_is(write("a.tsv", 'text\tlabel\n"a ""b"""\t"x"\n"c"\t"y"\n')).dialect.quote == '"'
    assert as_it_is(write("a.tsv", 'text\tlabel\n"a\tx\nb\ty\n')).dialect.quote is None
    assert data_file(write("b.txt", 'x\t"Go\ny\tFree"\n'), ReadOptions(no_header=True)).dialect.quote is None


@pytest.mark.parametrize("suffix", ["tsv", "txt"])
@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('text\tlabel\n"say ""hi"""\ta\nplain\tb\n', [('say "hi"', "a"), ("plain", "b")]),
        ('text\tlabel\n"say ""hi"""\ta\n"a, b"\tb\n', [('say "hi"', "a"), ("a, b", "b")]),
        ('text\tlabel\n"two\nlines"\ta\nplain\tb\n', [("two\nlines", "a"), ("plain", "b")]),
        ('text\tlabel\n"say ""hi"""\ta\nand "ho"\tb\n', [('"say ""hi"""', "a"), ('and "ho"', "b")]),
        ('text\tlabel\n"say ""hi"""\ta\n"ho"\tb\nc\td\n', [('"say ""hi"""', "a"), ('"ho"', "b"), ("c", "d")]),
        ('text\tlabel\n"ho"\ta\nfine\tb\n', [('"ho"', "a"), ("fine", "b")]),
    ],
    ids=["twice", "and a comma", "break", "one without quotes", "one without reason", "nothing to see"],
)
def test_quotes_count_between_tabs_if_all_are_as_programs_write_them(write, suffix, content, rows):
    """As Excel and pandas do: only fields that need them are in quotes, and a quote inside is there twice."""
    assert rows_of(as_it_is(write(f"a.{suffix}", content))) == rows


DOUBTS = [
    ("a.csv", "text,label\n'yes, no',a\nplain,b\n\"hello\",b\n", "Some fields of a.csv are in ', others in \"."),
    ("a.csv", "text,label\n'yes',\"a\"\n'no',b\n", "Some fields of a.csv are in ', others in \"."),
    ("a.txt", 'text\tlabel\n"a, b"\ta\nplain\tb\n',
     "Quotes around fields of a.txt may belong to its texts, or be Excel's."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), DOUBTS)
def test_quotes_that_may_belong_to_the_texts_are_asked_for(write, name, content, message):
    path = write(name, content)
    with pytest.raises(SourceError) as caught:
        as_it_is(path)
    assert caught.value.message == message
    assert caught.value.next_step == """Pass the --quote around the fields: '"', "'" or none."""
    assert data_file(path, ReadOptions(quote="'")).dialect.quote == "'"


def test_quotes_around_commas_are_characters_of_a_tsv(write):
    """Excel writes none."""
    assert rows_of(as_it_is(write("a.tsv", 'text\tlabel\n"a, b"\tx\nc\ty\n')))[0] == ('"a, b"', "x")


def test_errors_of_a_table_without_quotes_name_them(opened, write):
    with pytest.raises(SourceError) as caught:
        rows_of(as_it_is(write("a.tsv", 'text\tlabel\n"a\tx\n"two\nlines"\ty\n')))
    assert caught.value.message == "Row 2 of a.tsv has a different number of fields (1) than the header (2)."
    assert (
        caught.value.next_step
        == """If quotes enclose fields, pass --quote '"'; else fix the row or pass a --delimiter."""
    )
    with pytest.raises(SourceError) as caught:
        opened(write("a.tsv", '"text"\t"label"\n"a\tx\n"b"\ty\n'))
    assert (
        caught.value.next_step
        == """If quotes enclose its fields, pass --quote '"'; else name the column with --text."""
    )


def test_a_quote_that_is_given_leaves_the_delimiter_to_be_found(write):
    path = write("a.csv", 'text;label\n"a;x\nb;y\n')
    assert data_file(path, ReadOptions(quote="none")).dialect == Dialect(delimiter=";", quote=None)


@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_mark_of_byte_order_is_no_part_of_the_first_name(write, name, mark):
    data = f"{mark}text,label\na,x\n".encode("utf-16-le")
    path = write(name, gzip.compress(data) if name.endswith("gz") else data)
    assert rows_of(data_file(path, ReadOptions(encoding="utf-16-le"))) == [("a", "x")]


ORDER = "Pass the --encoding that it is written in: utf-16-le or utf-16-be if it has no mark of byte order."


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "conll"])
def test_a_file_that_lacks_the_mark_of_its_encoding_is_refused(write, ending):
    """UTF-16 without an order needs one; a file of UTF-8 has none."""
    path = write(f"a.{ending}", '[{"text": "a", "label": "x"}]\n')
    with pytest.raises(SourceError) as caught:
        list(read_tables(data_file(path, ReadOptions(encoding="utf-16")), {}))
    assert caught.value.message == f"a.{ending} is not utf-16."
    assert caught.value.next_step == ORDER


@pytest.mark.parametrize("has_header", [True, False])
@pytest.mark.parametrize("size", [1, 3_000], ids=["whole", "cut"])
def test_a_break_within_quotes_ends_no_row(write, has_header, size):
    """Each line alone has two fields here; all fields are in quotes, so no line is a row."""
    rows = [("fine\n", "x"), ("it's\r\nbad,", "y")] * size
    path = write("a.csv", written(rows, header=has_header, quotechar="'"))
    file = data_file(path, ReadOptions(no_header=not has_header))
    assert rows_of(file, *(("text", "label") if has_header else ("1", "2"))) == rows


@pytest.mark.parametrize(
    "content", ['text,label\na,1\n"b,2\nc,3\n', 'text,label\n"a"b,1\n', "text,label\na,1\nb,2,3\n", "", "\n"]
)
def test_a_broken_table_is_not_read_in_another_dialect(write, content):
    """Its error is that of the usual one, and names the row (test_formats.py)."""
    assert as_it_is(write("a.csv", content)).dialect == Dialect(delimiter=",", quote='"')


def test_without_a_header_columns_have_numbers_and_rows_count_from_one(write):
    path = write("a.csv", "fine film,1\nbad film,0\n")
    file = data_file(path, ReadOptions(no_header=True))
    assert read_schema(file).names == ["1", "2"]
    assert rows_of(file, "1", "2") == [("fine film", "1"), ("bad film", "0")]
    path.write_text("fine film,1\nbad,film,0\n")
    with pytest.raises(SourceError, match=r"^Row 2 of a.csv has a different number of fields \(3\) than the"):
        rows_of(data_file(path, ReadOptions(no_header=True)), "1", "2")


def test_columns_without_a_name_are_left_alone(write):
    """As pandas writes its index, and as a delimiter at the end of each row makes one."""
    file = as_it_is(write("a.csv", ",text,label,\n0,a,x,\n1,b,y,\n"))
    assert read_schema(file).names == ["", "text", "label", ""]
    assert rows_of(file) == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "shift_jis", "UTF8"])
def test_the_encoding_is_the_users(write, encoding):
    text = "text,label\nein Stück,gut\n" if encoding != "shift_jis" else "text,label\nテキスト,良い\n"
    path = write("a.csv", text.encode(encoding))
    expected = [tuple(line.split(",")) for line in text.splitlines()[1:]]
    assert rows_of(data_file(path, ReadOptions(encoding=encoding))) == expected
    path = write("a.jsonl", '{"text": "ein Stück", "label": "gut"}\n'.encode("latin-1"))
    assert rows_of(data_file(path, ReadOptions(encoding="latin-1"))) == [("ein Stück", "gut")]


@pytest.mark.parametrize(
    ("name", "options", "kind", "message", "next_step"),
    [
        ("a.csv", {"delimiter": ";;"}, ConfigError, "--delimiter must be one character, got ';;'.",
         "Pass one, such as ; or tab, or leave it out."),
        ("a.csv", {"quote": "''"}, ConfigError, "--quote must be one character, got ''''.",
         """Pass one, such as '"' or none, or leave it out."""),
        ("a.csv", {"encoding": "rot13"}, ConfigError, "--encoding 'rot13' is not an encoding of text.",
         "Pass one such as utf-8, cp1252 or utf-16."),
        ("a.csv", {"encoding": "klingon"}, ConfigError, "--encoding 'klingon' is not an encoding of text.",
         "Pass one such as utf-8, cp1252 or utf-16."),
        ("a.csv", {"encoding": "utf-7"}, ConfigError, "--encoding 'utf-7' is not an encoding of text.",
         "Pass one such as utf-8, cp1252 or utf-16."),
        ("a.jsonl", {"delimiter": ";"}, ConfigError, "--delimiter does not apply to a.jsonl.", "Leave it out."),
        ("a.parquet", {"encoding": "latin-1"}, ConfigError, "--encoding does not apply to a.parquet.", "Leave it out."),
        ("a.txt", {}, SourceError, "a.txt has no delimiter: tdbs looked for comma, semicolon, tab and |.",
         "Pass its --delimiter; for one with unbalanced quotes, pass --quote none with it."),
    ],
)  # fmt: skip
def test_options_that_are_refused(write, name, options, kind, message, next_step):
    with pytest.raises(kind) as caught:
        data_file(write(name, "one column\nof text\n"), ReadOptions(**options))
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


@pytest.mark.parametrize(
    ("content", "message", "next_step"),
    [
        ("label;text\nx;a; b\n", "a.csv has no column 'text'; it has: 'label;text'.",
         "If its fields have another delimiter, pass --delimiter; else name the column with --text."),
        ("x,Ein Remis\ny,Update\n", "a.csv has no column 'text'; it has: 'x', 'Ein Remis'.",
         "Name the column with --text."),
        (f"x,{'Ein Remis, das niemand wollte. ' * 50}\n".replace(", ", " "),
         "a.csv has no column 'text'; it has: 'x', 'Ein Remis das niemand w…'.",
         "If its first row is data, pass --no-header, and name columns by number: --text 1."),
        (",".join(f"column{i}" for i in range(50)) + "\n",
         "a.csv has no column 'text'; it has: " + "".join(f"'column{i}', " for i in range(6)) + "…",
         "Name the column with --text."),
        ("sep=;\ntext;label\na;x\n", "a.csv has no column 'text'; it has: 'sep=', ''.",
         "Delete its first line, which says the delimiter: tdbs finds it."),
        ("sep=,\ntext,label\na,x\n", "a.csv has no column 'text'; it has: 'sep=', ''.",
         "Delete its first line, which says the delimiter: tdbs finds it."),
        ("My films\ntext,label\na,x\n", "a.csv has no column 'text'; it has: 'My films'.",
         "If its first line is a title or a comment, delete it; else name the column with --text."),
        ("# films,\ntext,label\na,x\n", "a.csv has no column 'text'; it has: '# films', ''.",
         "If its first line is a title or a comment, delete it; else name the column with --text."),
        ("All of the films that we saw\ntext,label\na,x\n",
         "a.csv has no column 'text'; it has: 'All of the films that w…'.",
         "If its first line is a title or a comment, delete it; if it is data, pass --no-header."),
    ],
)  # fmt: skip
def test_a_column_that_is_not_there(write, opened, content, message, next_step):
    """Names stand in quotes, shortened, as many as a line holds."""
    with pytest.raises(SourceError) as caught:
        opened(write("a.csv", content))
    assert (caught.value.message, caught.value.next_step) == (message, next_step)
    assert len(caught.value.message) <= 120
    assert len(next_step) <= 120


def test_numbers_of_columns_need_no_header(opened, write):
    with pytest.raises(SourceError) as caught:
        opened(write("a.tsv", "ham\tGo until\nspam\tFree\n"), text="2", label="1")
    assert caught.value.next_step == (
        "If its first row is data, pass --no-header, so that columns have numbers; else name the column with --text."
    )
