"""Which tests are fast: those that neither train nor start a process, told by what their modules import.

A test is fast if neither its module nor its folder's conftest reaches torch, transformers, Ray or subprocess: by any
import of theirs and of the test modules that they import, and by the imports at the top of the package's modules that
these need. What is imported late is named in NEVER; a fast test that starts a process all the same fails (conftest).
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = frozenset({"torch", "transformers", "accelerate", "ray", "subprocess", "torchmetrics", "datasets", "lightning"})
# Whole commands, processes of Ray and of an object store; what they start is imported late.
NEVER = (
    "tests/cli",
    "tests/docs",
    "tests/fuzz",
    "tests/benchmarks",
    "tests/pipeline/test_ray.py",
    "tests/pipeline/test_remote.py",
)
FACADE = frozenset({"train", "evaluate", "predict", "Predictor", "compare", "sweep", "profile", "reproduce"})


def is_fast(path: Path) -> bool:
    """Return whether a file of tests neither trains nor starts a process."""
    if path.relative_to(ROOT).as_posix().startswith(NEVER):
        return False
    conftest = path.with_name("conftest.py")
    modules = [path, *([conftest] if conftest.exists() and conftest.parent != ROOT / "tests" else [])]
    return not any(HEAVY & _reached(module) for module in modules)


@cache
def _reached(path: Path) -> frozenset[str]:
    """Return the names of all modules that a file imports, and those that they import."""
    found: set[str] = set()
    waiting = [path]
    seen = {path}
    while waiting:
        here = waiting.pop()
        for name in _imports(here):
            found.add(name.split(".")[0])
            for file in _files(name):
                if file not in seen:
                    seen.add(file)
                    waiting.append(file)
    return frozenset(found)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Return what a file imports: of tests anywhere in it, of the package at its top."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    of_tests = path.is_relative_to(ROOT / "tests")
    found: list[str] = []
    for node in ast.walk(tree) if of_tests else tree.body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif of_tests and isinstance(node, ast.Attribute) and _is_facade(node):
            found.append("torch")  # what the package offers by its name is imported with the first use
    return tuple(found)


def _is_facade(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "tdbs" and node.attr in FACADE


def _files(name: str) -> Iterator[Path]:
    """Yield the files of a module of ours, its packages' too; nothing for those of others."""
    parts = name.split(".")
    if parts[0] not in ("tdbs", "tests"):
        return
    for end in range(2, len(parts) + 1):
        place = ROOT.joinpath(*parts[:end])
        yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.exists())
