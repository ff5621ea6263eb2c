"""The check of words finds what it lists, and nothing in code."""

from docs.check_words import WORDS, findings, long_sentences, main, rules, texts_of_code, texts_of_page

LISTED = rules(WORDS.read_text(encoding="utf-8"))


def test_the_words_of_the_project_pass():
    assert main() == 0


def test_a_word_is_found_in_prose_docstrings_comments_and_messages():
    page = "One is told.\n\n```sh\ntold\n```\n\n`told`\n<!-- help x -->\ntold\n<!-- /help x -->\n\nbegun anew\n"
    found = [line.split(": ")[0] for line in findings("a.md", texts_of_page(page), LISTED)]
    assert found == ["a.md:1", "a.md:12", "a.md:12"]
    code = '"""Tell whether it is."""\n\ntold = 1  # so many\nraise ValueError("it is no file")\n'
    found = [line.split(": ")[0] for line in findings("a.py", texts_of_code(code), LISTED)]
    assert sorted(set(found)) == ["a.py:1", "a.py:3", "a.py:4"]


def test_words_of_sample_texts_are_not_messages():
    assert list(findings("a.py", texts_of_code('"""A list."""\n\nWORDS = "as told by"\n', strings=False), LISTED)) == []


def test_sentences_of_over_25_words_are_counted():
    words = " ".join(["word"] * 26)
    assert len(long_sentences(f"# {words}\n\n{words}.\nShort one. {words}\n\n```sh\n{words}\n```\n| {words} |\n")) == 2
