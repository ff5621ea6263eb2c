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


OTHER_WORDS = [
    ("bc/a 0 0 He PRP * O\nbc/a 0 1 ran VBD * O\n\nbc/a 0 0 Ann NNP * B-X\n", 4, 7),
    ("#begin document (a); part 0\na 0 0 He PRP * -\na 0 1 ran VBD * -\n\na 0 0 Ann NNP * (0)\n", 4, 5),
    ("s1\tEU\tNNP\tB-ORG\ns1\tis\tVBZ\tO\n\ns2\tNo\tDT\tO\n", 2, 4),
]


@pytest.mark.parametrize(("content", "words", "tags"), OTHER_WORDS)
def test_names_of_documents_and_sentences_are_never_learned_as_words(opened, write, content, words, tags):
    """As in CoNLL-2012: the first column is the same in all lines of a sentence."""
    path = write("a.conll", content)
    with pytest.raises(SourceError) as caught:
        opened(path)
    assert caught.value.message == "a.conll: its first column has one value per sentence, so it contains no words."
    assert caught.value.next_step == f"Pass --text {words} --label {tags} (or the column of the tags)."
    texts = read_source(opened(path, text=str(words), label=str(tags)))[1]["train"].texts.to_pylist()
    assert texts in ([["He", "ran"], ["Ann"]], [["EU", "is"], ["No"]])


IN_PLACE_OF_A_NUMBER = [
    "1 CD B-NP O\nGermany NNP B-NP B-LOC\n2-1 CD B-NP O\n3.5 CD B-NP O\n\n2-0 CD B-NP O\n\nx NN B-NP O\n",
    "1-0 CD B-NP O\n\n1 CD B-NP O\n2 CD B-NP O\n\n4-1 CD B-NP O\n",
    "0.1 CD B-NP O\nx NN B-NP O\n",
]


@pytest.mark.parametrize("content", IN_PLACE_OF_A_NUMBER)
def test_words_that_look_like_numbers_of_words_are_not_left_out(write, content):
    """CoNLL-U is what counts its words; a first word such as 1 or 1-0 does not say so."""
    expected = [words for words, *_ in by_hand(content)]
    assert read(as_it_is(write("a.conll", content)), "tokens") == {"tokens": expected}


def test_one_wrong_number_makes_no_spans_words(write):
    """A CoNLL-U file stays one."""
    content = "1-2 du _ _\n1 de _ ADP\n2 le _ DET\n\n1 x _ X\n3 y _ X\n\n1 z _ X\n"
    assert read(as_it_is(write("a.conllu", content)), "2") == {"2": [["de", "le"], ["x", "y"], ["z"]]}


@pytest.mark.parametrize(
    "content", ["I|O like|O London|I-GPE\nand|O the|O city|B-GPE\n", "Go|VB|O\nto|TO|O it|PRP|O\n"]
)
def test_a_sentence_in_each_line_is_refused_by_name(write, content):
    with pytest.raises(SourceError) as caught:
        read_schema(as_it_is(write("a.iob", content)))
    assert caught.value.message == "a.iob has a sentence in each line (word|tag word|tag)."
    assert caught.value.next_step == "Write a word and its tag in each line, and a blank line after each sentence."


EMPTY_FIELDS = [
    ("a\tNN\tO\nb\t\tB-X\n", [["O", "B-X"]], [["NN", None]]),
    ("b\t\tB-X\na\tNN\tO\n", [["B-X", "O"]], [[None, "NN"]]),
    # tabs that align columns
    ("EU\t\tB-X\nGermany\tO\n", [["B-X", "O"]], [["B-X", "O"]]),
    ("Germany\tO\nEU\t\tB-X\n", [["O", "B-X"]], [["O", "B-X"]]),
    ("EU\t\tB-X\nUN\t\tO\n", [["B-X", "O"]], [["B-X", "O"]]),
]


@pytest.mark.parametrize(("content", "tags", "second"), EMPTY_FIELDS)
def test_two_tabs_are_an_empty_field_if_the_lines_have_as_many_columns_then(write, content, tags, second):
    assert read(as_it_is(write("a.conll", content)), "ner_tags", "2") == {"ner_tags": tags, "2": second}


def test_an_empty_field_in_a_column_that_is_read_is_refused(opened, write):
    with pytest.raises(SourceError) as caught:
        read_source(opened(write("a.conll", "a\tNN\tO\nb\t\tB-X\n"), text="2", label="3"))
    assert caught.value.message == "Row 1 of a.conll has an empty entry in '2'."


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
