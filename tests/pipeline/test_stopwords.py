"""Lists of droppable words: where they come from, what is kept, and what is told of negations."""

import pytest

from tdbs.errors import ConfigError
from tdbs.pipeline.words.stopwords import (
    ALL_NEGATIONS,
    PAPER_STOPWORDS,
    PRONOUNS,
    choose_words,
    negations_in,
    words_sha256,
)


def refused(*arguments, **options) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        choose_words(*arguments, **options)
    return caught.value.message, caught.value.next_step


@pytest.fixture
def nltk_data(tmp_path, monkeypatch):
    """Return a folder of NLTK's with two small lists, the only one that NLTK looks into."""
    nltk = pytest.importorskip("nltk")
    folder = tmp_path / "nltk_data"
    lists = folder / "corpora/stopwords"
    lists.mkdir(parents=True)
    (lists / "german").write_text("der\ndie\nnicht\nkeine\n", encoding="utf-8")
    (lists / "turkish").write_text("için\nnasıl\nne\n", encoding="utf-8")
    monkeypatch.setattr(nltk.data, "path", [str(folder)])
    fresh_corpus(monkeypatch)
    return folder


def fresh_corpus(monkeypatch):
    """Let NLTK look for its lists anew: it remembers the folder that it found them in."""
    from nltk.corpus import stopwords
    from nltk.corpus.reader import WordListCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    lazy = LazyCorpusLoader("stopwords", WordListCorpusReader, r"(?!README|\.).*", encoding="utf8")
    monkeypatch.setattr("nltk.corpus.stopwords", lazy)
    assert stopwords is not lazy


def test_the_paper_is_the_default():
    chosen = choose_words()
    assert (chosen.source, chosen.kept, chosen.words) == ("paper", (), PAPER_STOPWORDS)


def test_none_is_no_word():
    assert choose_words("none").words == frozenset()


def test_groups_and_words_are_kept_whatever_their_case():
    chosen = choose_words(keep=["pronouns", "The", "unlisted"])
    assert chosen.words == PAPER_STOPWORDS - PRONOUNS - {"the"}
    assert chosen.kept == ("The", "pronouns", "unlisted")
    assert {"i", "it", "they", "whom", "this", "you're"} <= PRONOUNS < PAPER_STOPWORDS


def test_the_paper_holds_no_negation():
    assert negations_in(choose_words()) == ()
    assert set() == PAPER_STOPWORDS & ALL_NEGATIONS


def test_a_file_has_one_word_a_line(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeff# mine\r\nthe\r\n\r\nof course\r\nnot\r\nne\r\n".encode())
    chosen = choose_words(str(path))
    assert (chosen.source, chosen.words) == ("words.txt", {"the", "of course", "not", "ne"})
    assert negations_in(chosen) == ("ne", "not")  # of any language: a file does not say its own
    assert negations_in(choose_words(str(path), keep=["negation"])) == ()


BAD_FILES = [
    (b"\xff\xfe", "words.txt is not UTF-8.", "Save it as UTF-8."),
    (b"the\nof\x00\n", "Line 2 of words.txt contains a control character.", "Write one word per line."),
    (b"\n# no\n", "words.txt contains no words.", "Write one word per line, or pass --stopwords none."),
]


@pytest.mark.parametrize(("content", "message", "next_step"), BAD_FILES)
def test_a_bad_file_is_refused(tmp_path, content, message, next_step):
    (tmp_path / "words.txt").write_bytes(content)
    assert refused(str(tmp_path / "words.txt")) == (message, next_step)


def test_an_unknown_list_is_refused(tmp_path):
    assert refused(str(tmp_path / "gone")) == (
        f"--stopwords {tmp_path / 'gone'} is not a file.",
        "Pass paper, nltk:<language>, the path of a file, or none.",
    )


def test_lists_of_nltk(nltk_data):
    german = choose_words("nltk:german")
    assert (german.source, german.words) == ("nltk:german", {"der", "die", "nicht", "keine"})
    assert negations_in(german) == ("keine", "nicht")
    assert choose_words("nltk:german", keep=["negation"]).words == {"der", "die"}
    assert choose_words("nltk:turkish", keep=["İÇİN"]).words == {"nasıl", "ne"}


def test_a_language_that_nltk_lacks(nltk_data):
    assert refused("nltk:klingon") == ("nltk has no stopwords for 'klingon'.", "Choose one of: german, turkish.")


@pytest.mark.parametrize("language", ["../german", "", "/etc/passwd", "German"])
def test_a_language_is_a_plain_name(nltk_data, language):
    assert refused(f"nltk:{language}") == (
        f"nltk has no language '{language}'.",
        "Write its name in lower case, as in nltk:german.",
    )


def test_lists_that_are_not_there_are_not_downloaded(nltk_data, tmp_path, monkeypatch):
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "empty")])
    fresh_corpus(monkeypatch)
    assert refused("nltk:german") == (
        "The stopword lists of nltk are not on this machine.",
        "With a network, run: python -m nltk.downloader stopwords",
    )


def test_nltk_itself_may_be_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nltk", None)
    assert refused("nltk:german") == (
        "--stopwords nltk:… needs nltk, which is not installed.",
        'Run pip install "tdbs[languages]".',
    )


def test_the_hash_of_a_list_does_not_depend_on_its_order():
    assert words_sha256(["a", "b"]) == words_sha256(["b", "a"]) != words_sha256(["a"])
