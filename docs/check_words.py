"""Find words that have a better one, and count long sentences: `python -m docs.check_words`, part of `make lint`.

docs/words.txt lists patterns with the better words. They apply to README, CHANGELOG and the pages of docs, except code,
and to docstrings, comments and messages of the package. The exit code is 1 if a pattern is found, or if the pages have
more sentences of over 25 words than before.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORDS = ROOT / "docs/words.txt"
DATA = ("tdbs/data/sample/words.py", "tdbs/pipeline/words/stopwords.py")  # their strings are words of texts
MOST_WORDS = 25
LONG_SENTENCES = 146  # in the pages today; lower it when there are fewer

_FENCE = re.compile(r"^```(?!text$).*?^```$", re.DOTALL | re.MULTILINE)
_GENERATED = re.compile(r"^<!-- (?P<name>[^/].*?) -->$.*?^<!-- /(?P=name) -->$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")


def rules(text: str) -> list[tuple[re.Pattern[str], str]]:
    """Return the patterns of the list with their better words."""
    lines = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return [(re.compile(pattern, re.IGNORECASE | re.MULTILINE), better) for pattern, better in lines]


def texts_of_page(source: str) -> Iterator[tuple[int, str]]:
    """Yield the text of a page; code and generated parts are blank, so that lines keep their numbers."""
    for hidden in (_GENERATED, _FENCE, _CODE):
        source = hidden.sub(_blank, source)
    yield 1, source


def texts_of_code(source: str, *, strings: bool = True) -> Iterator[tuple[int, str]]:
    """Yield docstrings, comments and texts of several words, each with its first line."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or " " not in node.value:
            continue
        if strings or id(node) in documents:
            yield node.lineno, _CODE.sub(_blank, node.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], _CODE.sub(_blank, token.string)


def findings(path: str, texts: Iterator[tuple[int, str]], listed: list[tuple[re.Pattern[str], str]]) -> Iterator[str]:
    """Yield a line for each word with a better one."""
    for first, text in texts:
        for pattern, better in listed:
            for match in pattern.finditer(text):
                line = first + text.count("\n", 0, match.start())
                yield f"{path}:{line}: '{' '.join(match[0].split())}': {better}"


def long_sentences(page: str) -> list[str]:
    """Return the sentences of a page's prose that have more words than they should."""
    prose = re.sub(
        r"^(\||#|<!--|```).*$",
        "",
        re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE),
        flags=re.MULTILINE,
    )
    units = re.split(r"\n\s*\n|\n(?=- |\d\. )", prose)
    sentences = (sentence for unit in units for sentence in re.split(r"(?<=[.!?])\s+", " ".join(unit.split())))
    return [sentence for sentence in sentences if len(sentence.split()) > MOST_WORDS]


def pages() -> list[Path]:
    """Return the pages that are written for readers."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> int:
    """Print all findings; return the exit code."""
    listed = rules(WORDS.read_text(encoding="utf-8"))
    found: list[str] = []
    for path in [*pages(), *sorted((ROOT / "tdbs").rglob("*.py"))]:
        name = path.relative_to(ROOT).as_posix()
        source = path.read_text(encoding="utf-8")
        texts = texts_of_page(source) if path.suffix == ".md" else texts_of_code(source, strings=name not in DATA)
        found += findings(name, texts, listed)
    print(*found, sep="\n")
    counted = sum(len(long_sentences(path.read_text(encoding="utf-8"))) for path in pages())
    print(f"{len(found)} words have a better one; {counted} long sentences, at most {LONG_SENTENCES}")
    return int(bool(found) or counted > LONG_SENTENCES)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


if __name__ == "__main__":
    sys.exit(main())
