"""The text of a card on the hub: YAML by the hub's own writer, and foreign text only inside of fences."""

import re
from collections.abc import Mapping, Sequence

from huggingface_hub import CardData

from tdbs.errors import ConfigError
from tdbs.shown import fitted, shown

TDBS_LINK = "[tdbs](https://github.com/tdbs/tdbs)"
_LICENSE = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_SUCH_AS = "Pass --license with it: cc-by-4.0, mit, other, unknown (huggingface.co/docs/hub/repositories-licenses)."


def check_license(license_id: str | None, *, of_texts: bool) -> None:
    """Raise ConfigError if a license is not written as the hub writes it, or if texts have none."""
    if license_id is None and of_texts:
        raise ConfigError(
            "A dataset on the hub needs the license of its texts, as the hub writes it.", next_step=_SUCH_AS
        )
    if license_id is not None and not _LICENSE.fullmatch(license_id):
        raise ConfigError(
            fitted("'{license}' is not a license as the hub writes it.", license=license_id),
            next_step=_SUCH_AS,
        )


def card(data: CardData, title: str, *parts: str) -> str:
    """Return the text of a README.md: what the hub reads, a title, and paragraphs."""
    return "\n\n".join([f"---\n{data.to_yaml()}\n---", f"# {title}", *parts]) + "\n"


def fenced(text: str, language: str = "text") -> str:
    """Return a block that shows a text as it is, whatever backticks and control characters it has."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown(text, lines=True)}\n{fence}"


def facts(values: Mapping[str, object]) -> str:
    """Return names and values as aligned lines; None is left out, and each value is one line."""
    kept = {name: shown(value) for name, value in values.items() if value is not None}
    width = max(map(len, kept), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in kept.items())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of texts of our own; numbers stand at the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
