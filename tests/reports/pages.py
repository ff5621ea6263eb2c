"""Read a page of HTML as a reader does: its text, its tags, the addresses it names."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br"}
INLINE = {"code", "span"}


class Page(HTMLParser):
    """Reads a page: its text, its tags, the addresses it names; raises where tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open_tags == []
        self.text = re.sub(r"\s+", " ", "".join(self.words)).replace("\N{NO-BREAK SPACE}", " ")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.words.append("" if tag in INLINE else " ")
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open_tags.pop() == tag
            self.words.append("" if tag in INLINE else " ")

    def handle_data(self, data: str) -> None:
        if self.open_tags and self.open_tags[-1] != "style":
            self.words.append(data)
