"""Text from outside in Markdown: shown as it is, on one line, and never as markup."""

import html
import re

from tdbs.shown import shown


def markdown_text(text: object) -> str:
    """Return text that Markdown shows as it is: on one line, no character of it markup."""
    line = shown(" ".join(str(text).split()))
    return re.sub(r"([\\`*\[\]|#])", r"\\\1", html.escape(line, quote=False))


def markdown_code(text: str) -> str:
    """Return text as a span of code, between more backticks than it has in a row."""
    line = shown(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"
