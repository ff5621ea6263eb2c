"""CoNLL, IOB and BIO files: a sentence is a row, and no line is lost or taken for another thing in silence."""

import gzip
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.formats import ReadOptions, count_rows, data_file, read_schema, read_tables
from tdbs.data.understood import fact_lines, source_facts
from tdbs.errors import SourceError
from tests.data.conftest import read_source
from tests.data.files import as_it_is

CONLL2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
call NN I-NP O

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER

-DOCSTART- -X- -X- O

# # B-NP O
1 CD I-NP O
"""


def by_hand(text):
    """Return the columns of each sentence: a reader for files without comments and documents."""
    blocks = re.split(r"\n[ \t]*\n", text.strip("\n"))
    return [list(map(list, zip(*(line.split() for line in block.split("\n")), strict=True))) for block in blocks]


def read(file, *columns, bad=None):
    return pa.concat_tables(read_tables(file, dict.fromkeys(columns, "words"), bad)).to_pydict()


@pytest.mark.parametrize("suffix", [".conll", ".conllu", ".iob", ".bio"])
def test_words_and_tags_are_read_without_an_option(opened, write, suffix):
    path = write(f"train{suffix}", CONLL2003)
    file = as_it_is(path)
    assert (file.format, count_rows(file, "tokens")) == ("conll", 3)
    assert read_schema(file) == pa.schema(
        [(name, pa.list_(pa.string())) for name in ("tokens", "ner_tags", "1", "2", "3", "4")]
    )
    source = opened(path)
    task, splits = read_source(source)
    assert (task.kind, task.classes) == ("token_classification", ("B-ORG", "B-PER", "I-PER", "O"))
    assert splits["train"].texts.to_pylist() == [["EU", "rejects", "call"], ["Peter", "Blackburn"], ["#", "1"]]
    assert splits["train"].targets.to_pylist() == [[0, 3, 3], [1, 2], [3, 3]]
    assert fact_lines(source_facts(source, task)) == [
        f"train{suffix}: conll",
        "token classification: 'tokens' to 'ner_tags', 4 classes: B-ORG, B-PER, I-PER, O",
    ]


def test_other_columns_are_chosen_by_number(opened, write):
    content = "# text = They buy\n1\tThey\tthey\tPRON\n2\tbuy\tbuy\tVERB\n\n# id = 2\n1\tNo\tno\tPRON\n"
    task, splits = read_source(opened(write("a.conll", content), text="2", label="4"))
    assert task.classes == ("PRON", "VERB")
    assert splits["train"].texts.to_pylist() == [["They", "buy"], ["No"]]


NUMBERED = [
    ("1\tThey\tthey\tPRON\n2\tbuy\tbuy\tVERB\n\n1\tNo\tno\tPRON\n", 4),
    ("1-2\tdu\t_\t_\n1\tde\t_\tADP\n2\tle\t_\tDET\n", 4),
    ("# http://a.b [2009]\n1\tIn\tO\tO\n2\tBonn\tB-LOC\tO\n", 3),
    ("1 In O\n2 Bonn B-LOC\n", 3),
]


@pytest.mark.parametrize(("content", "tags"), NUMBERED)
@pytest.mark.parametrize("options", [{}, {"label": "3"}])
def test_numbers_of_words_are_never_learned_as_words(opened, write, content, tags, options):
    path = write("a.conllu", content)
    with pytest.raises(SourceError) as caught:
        opened(path, **options)
    assert caught.value.message == "a.conllu: its words are numbered, so its first column contains no words."
    assert caught.value.next_step == f"Pass --text 2 --label {tags} (or the column of the tags)."
    assert read_source(opened(path, text="2", label=str(tags)))[0].kind == "token_classification"


@pytest.mark.parametrize("content", ["1 CD I-NP O\n", "1 CD I-NP O\n0 CD I-NP O\n", "1 O\n2 B-X\n"])
def test_words_that_are_numbers_are_words(opened, write, content):
    assert opened(write("a.conll", content)).task.columns.text == "tokens"


def test_only_tabs_separate_columns_if_the_first_word_has_one(write):
    content = "-DOCSTART- -X- O\n\n# a comment O\nNew York\tB-LOC\nis \t O\n\nLos Angeles\tB-LOC\n"
    found = read(as_it_is(write("a.conll", content)), "tokens", "ner_tags")
    assert found == {"tokens": [["New York", "is"], ["Los Angeles"]], "ner_tags": [["B-LOC", "O"], ["B-LOC"]]}


def test_lines_that_are_not_words_of_conll_u_are_left_out(write):
    """Spans of words such as du = de + le, and words that the sentence omits; in other files 1-2 and 1.1 are words."""
    content = "1-2\tdu\t_\t_\n1\tde\t_\tADP\n2\tle\t_\tDET\n2.1\tx\t_\tX\n"
    assert read(as_it_is(write("a.conll", content)), "2") == {"2": [["de", "le"]]}
    assert read(as_it_is(write("b.conll", "a O\n1-2 O\n1.1 O\n")), "1") == {"1": [["a", "1-2", "1.1"]]}


def test_a_column_that_is_not_there_is_named(opened, write):
    with pytest.raises(SourceError) as caught:
        opened(write("a.conll", "EU B-ORG\n"), text="1", label="3")
    assert caught.value.message == "a.conll has no column '3'; it has: 'tokens', 'ner_tags', '1', '2'."
    assert caught.value.next_step == "Name the column with --label."


WORDS = st.text(st.sampled_from("ab\u00a0é😀\u2028.-\"'"), min_size=1, max_size=3)
SENTENCES = st.lists(st.lists(st.tuples(WORDS, WORDS, st.sampled_from(["O", "B-X"])), min_size=1), min_size=1)


@given(sentences=SENTENCES, separator=st.sampled_from([" ", "\t", " \t "]), end=st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(tmp_path_factory, sentences, separator, end):
    """Whatever the separators and line ends, and whatever white space Unicode has within words."""
    path = tmp_path_factory.mktemp("a") / "a.conll"
    text = (end + end).join(end.join(map(separator.join, sentence)) for sentence in sentences)
    path.write_bytes(text.encode())
    found = read(as_it_is(path), "tokens", "2", "ner_tags")
    for name, place in (("tokens", 0), ("2", 1), ("ner_tags", 2)):
        assert found[name] == [[words[place] for words in sentence] for sentence in sentences]


def test_many_sentences_are_read_as_a_reader_typed_by_hand_does(write):
    text = "".join(f"word{n} NN B-X\n" + "other NN I-X\n" * (n % 3) + "\n" for n in range(20_000))
    expected = by_hand(text)
    found = read(as_it_is(write("a.conll", text)), "tokens", "3")
    assert found == {"tokens": [words for words, _, _ in expected], "3": [tags for _, _, tags in expected]}


@pytest.mark.parametrize("tags", [("I-X", "I-X", "B-X"), ("B-X", "I-X", "E-X"), ("S-X", "O", "U-X")])
def test_tags_are_kept_as_they_are(write, tags):
    file = as_it_is(write("a.iob", "".join(f"w {tag}\n" for tag in tags)))
    assert read(file, "ner_tags") == {"ner_tags": [list(tags)]}


def test_a_compressed_file_in_another_encoding(write):
    path = write("train.bio.gz", gzip.compress("Zürich B-LOC\n. O\n".encode("latin-1")))
    file = data_file(path, ReadOptions(encoding="latin-1"))
    assert read(file, "tokens") == {"tokens": [["Zürich", "."]]}


COMMENTS = [
    # of another number of columns before the first word: a comment
    ("# sent_id 1 x\nEU B-ORG\n", [["EU"]]),
    ("#begin document (a); part 000\nEU B-ORG\n\n#end document\n", [["EU"]]),
    ("EU B-ORG\n\n# one\n# two three\n\nUN B-ORG\n", [["EU"], ["UN"]]),
    # of as many columns: a word if its tag is one
    ("# O\n1 O\n", [["#", "1"]]),
    ("#win O\n! O\n", [["#win", "!"]]),
    ("# newdoc\nEU B-ORG\n", [["EU"]]),
    ("# id 17 domain=en\nEU _ _ B-ORG\n", [["EU"]]),
    ("# id = O\nEU _ _ B-ORG\n", [["EU"]]),
    ("# id = NN\nEU _ _ NN\n", [["EU"]]),
    # of words with numbers: a comment
    ("# one two NN\n1 EU _ NN\n\n# O O O\n1 UN _ NN\n", [["1"], ["1"]]),
    # inside a sentence: a word
    ("a O\n# O\nb O\n", [["a", "#", "b"]]),
    ("a NN\n# SYM\n", [["a", "#"]]),
    # other tags: #word is a word
    ("#win HT\n! PUNCT\n", [["#win", "!"]]),
    ("a NN\n\n#win HT\n", [["a"], ["#win"]]),
]


@pytest.mark.parametrize(("content", "tokens"), COMMENTS)
def test_comments_and_words_that_begin_with_the_same_mark(write, content, tokens):
    assert read(as_it_is(write("a.conll", content)), "tokens") == {"tokens": tokens}


COLUMNS_STEP = "Give each line as many, separated by tabs or blanks; end a sentence with a blank line."
REFUSALS = [
    ("EU B-ORG\nUN\n", "Line 2 of a.conll has 1 columns, the first word has 2.", COLUMNS_STEP),
    ("EU B-ORG\n\nUN\tNNP\tB-ORG\n", "Line 3 of a.conll has 3 columns, the first word has 2.", COLUMNS_STEP),
    ("EU B-ORG\n# a comment\n", "Line 2 of a.conll has 3 columns, the first word has 2.", COLUMNS_STEP),
    (
        "EU\tB-ORG\nUN B-ORG\n",
        "Line 2 of a.conll has 1 columns, the first word has 2.",
        "Give each line as many, separated by tabs; end a sentence with a blank line.",
    ),
    (
        "a NN\n\n# SYM\n",
        "Line 3 of a.conll can be a comment or the word #: it has as many columns as a word.",
        "Delete the line if it is a comment; if # is a word, write the file as JSONL.",
    ),
    ("", "a.conll has no words.", "Write a word and its tag in each line."),
    ("-DOCSTART- O\n\n", "a.conll has no words.", "Write a word and its tag in each line."),
    (
        b"EU B-ORG\nZ\xfcrich B-LOC\n",
        "Line 2 of a.conll is not UTF-8: byte 2 of the line is 0xfc.",
        "Save the file as UTF-8, or pass its --encoding, such as cp1252 or utf-16.",
    ),
]


@pytest.mark.parametrize(("content", "message", "next_step"), REFUSALS)
def test_a_line_with_a_fault_is_named(write, content, message, next_step):
    with pytest.raises(SourceError) as caught:
        read(as_it_is(write("a.conll", content)), "tokens")
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


def test_sentences_with_a_fault_are_recorded_as_bad_rows(write):
    bad = {}
    file = as_it_is(write("a.conll", "EU B-ORG\n\nUN\nis O\na b c\n\nOK O\n"))
    assert read(file, "tokens", bad=bad) == {"tokens": [["EU"], None, ["OK"]]}
    assert bad == {1: "contains line 3, which has 1 columns, the first word has 2"}


def test_a_file_of_words_alone_has_no_tags(write):
    assert read_schema(as_it_is(write("a.conll", "EU\nis\n"))).names == ["tokens", "1"]
