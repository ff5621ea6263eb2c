"""No module of tdbs imports itself by way of others, imports inside functions and `if TYPE_CHECKING` included."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.test_layers import FILES, PACKAGE


def module_of(path: Path) -> str:
    """Return a file's name as Python imports it; of a package's `__init__.py` the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(source: str, path: Path, known: set[str]) -> set[str]:
    """Return which of the known modules a source text names in its imports, wherever these stand."""
    folder = path.relative_to(PACKAGE.parent).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            inner = (f"{module}.{alias.name}" for alias in node.names)
            found |= {name if name in known else module for name in inner}
    return (found & known) - {module_of(path)}


def circle_of(sources: dict[Path, str]) -> list[str] | None:
    """Return the modules of a circle of imports, None if there is none."""
    known = {module_of(path) for path in sources}
    graph = {module_of(path): imported_modules(source, path, known) for path, source in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return None


def test_no_module_imports_itself_by_way_of_others():
    assert circle_of({path: path.read_text(encoding="utf-8") for path in FILES}) is None


@pytest.mark.parametrize(
    "back",
    [
        "from tdbs.data.one import name",
        "def late():\n    from tdbs.data.one import name",
        "def late():\n    import tdbs.data.one",
        "if TYPE_CHECKING:\n    from tdbs.data import one",
        "from .one import name",
        "from . import one",
    ],
)
def test_meta_the_circle_check_can_fail(back):
    """Two modules that import each other are found, however the second does so; one alone passes."""
    sources = {PACKAGE / "data/one.py": "from tdbs.data.two import name", PACKAGE / "data/two.py": "import json"}
    assert circle_of(sources) is None
    circle = circle_of(sources | {PACKAGE / "data/two.py": back})
    assert circle is not None
    assert set(circle) == {"tdbs.data.one", "tdbs.data.two"}
