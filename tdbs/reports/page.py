"""One self-contained HTML page: what padding costs on a dataset, what each strategy saves, how runs of it went.

The page asks for nothing from outside and runs no script. Texts may come from users: jinja2 escapes all of them; only
our own figures, whose texts matplotlib escapes, are put in as they are. The Markdown has the same tables.
"""

import re
from typing import Any

import jinja2

from tdbs.reports import words
from tdbs.reports.canvas import DARK, LIGHT
from tdbs.reports.facts import Facts
from tdbs.reports.markdown import markdown_text
from tdbs.shown import shown

_WORDS = (
    words.count,
    words.duration,
    words.figure,
    words.percent,
    words.signed_percent,
    words.times,
)


def render_page(facts: Facts) -> str:
    """Return the page as HTML. Same facts, same page."""
    return _templates(autoescape=True).get_template("page.html.j2").render(facts, light=LIGHT, dark=DARK)


def render_markdown(facts: Facts) -> str:
    """Return the page's numbers and tables as Markdown, its figures as links to files beside it."""
    text = _templates(autoescape=False).get_template("numbers.md.j2").render(facts)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _shown_value(value: Any) -> Any:
    """Return what the page puts in for a value; figures and parts of the page are markup, and stay."""
    return value if hasattr(value, "__html__") else shown(value, lines=True)


def _templates(*, autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tdbs.reports"),
        autoescape=autoescape,  # noqa: S701  # Markdown is escaped by its own filter
        undefined=jinja2.StrictUndefined,
        finalize=_shown_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({word.__name__: word for word in _WORDS}, markdown=markdown_text)
    return environment
