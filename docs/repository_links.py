"""Links of a page to files that the site lacks lead to the repository: a hook of mkdocs (mkdocs.yml).

Pages are read on the repository too, so they link to records, tests and code by their paths. A link to a file that is
nowhere stays as it is, and `mkdocs build --strict` fails on it.
"""

import re
import tomllib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

ROOT = Path(__file__).parents[1]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
_TARGET = re.compile(r"(?<=\]\()(?![\w+.-]+:|#)(?P<path>[^)#\s]+)")


def with_repository_links(markdown: str, page: str, in_site: Collection[str]) -> str:
    """Return the text of a page; its links that lead out of the site are addresses of the repository.

    Args:
        markdown: The text.
        page: Path of the page from the root of the repository.
        in_site: Paths from the root of all files that the site has.
    """

    def target(match: re.Match[str]) -> str:
        path = normpath(PurePosixPath(page).parent / match["path"])
        if path in in_site or not (ROOT / path).exists():
            return match[0]
        return f"{REPOSITORY}/{'tree' if (ROOT / path).is_dir() else 'blob'}/main/{path}"

    return _TARGET.sub(target, markdown)


def on_page_markdown(markdown: str, *, page: Any, files: Any, **_others: Any) -> str:
    """Change a page before it becomes HTML; mkdocs calls this."""
    in_site = {f"docs/{file.src_uri}" for file in files if file.inclusion.is_included()}
    return with_repository_links(markdown, f"docs/{page.file.src_uri}", in_site)
