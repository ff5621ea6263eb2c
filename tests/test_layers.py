"""Imports go one way, heavy libraries come late, and both checks can fail."""

import ast
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from tdbs.train.planning.strategies import STRATEGIES

PACKAGE = Path(__file__).parents[1] / "tdbs"
# From the bottom up; a module imports its own layer and those below. `integrations` sits beside `cli`.
LAYERS = (
    (
        "arrays",
        "digests",
        "drawings",
        "errors",
        "fields",
        "files",
        "given",
        "model_families",
        "notebook",
        "numerics",
        "objective_settings",
        "option",
        "records",
        "removal",
        "rng",
        "settings",
        "shown",
        "spilled",
        "unasked",
    ),
    ("data",),
    ("pipeline",),
    ("train",),
    ("inference",),
    ("analysis",),
    ("reports", "hub"),
    ("cli", "integrations", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FACADE_FACTS = {"__version__", "TdbsError"}  # what the package says of itself, without importing a layer

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part_of(path: Path) -> str:
    """Return the layer's name of a file: its folder below tdbs, or its own name."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_parts(source: str, path: Path) -> set[str]:
    """Return the parts of tdbs that a source text imports anywhere, inside functions and `if` blocks too.

    What the package itself offers (`tdbs.prepare`, `from tdbs import prepare`) counts as part "tdbs".
    """
    folder = ["tdbs", *path.relative_to(PACKAGE).parts[:-1]]
    tree = ast.parse(source)
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name != "tdbs"}
            if any(alias.name == "tdbs" and alias.asname is None for alias in node.names):
                names |= {f"tdbs.{use.attr}" for use in uses if use.value.id == "tdbs"}
            if any(alias.name == "tdbs" and alias.asname is not None for alias in node.names):
                names.add("tdbs")  # under another name: what is used of it is not followed
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    parts = set()
    for name in names:
        first, _, rest = name.partition(".")
        if first != "tdbs" or rest in FACADE_FACTS:
            continue
        part = rest.split(".")[0]
        parts.add(part if part in RANK else "tdbs")
    return parts


def breaches(source: str, path: Path) -> set[str]:
    """Return the parts that a file imports though they are above it, or beside it at the top."""
    own = part_of(path)
    return {
        part
        for part in imported_parts(source, path)
        if part != own and (part == "tdbs" or RANK[part] > RANK[own] or RANK[part] == RANK["cli"])
        if not (own in ("cli", "integrations", "__main__") and part in ("tdbs", "cli"))
    }


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer[0])
def test_imports_go_one_way(layer):
    """cli, reports, analysis, inference, train, pipeline, data, then what is beside the folders; never back."""
    files = [path for path in FILES if part_of(path) in layer]
    found = {str(path.relative_to(PACKAGE)): breaches(path.read_text(encoding="utf-8"), path) for path in files}
    assert {path: parts for path, parts in found.items() if parts} == {}


def test_every_file_is_of_a_layer():
    """A new part of the package: give it a layer here."""
    assert [str(path.relative_to(PACKAGE)) for path in FILES if part_of(path) not in RANK] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from tdbs.train.planning.plan import plan_epoch", {"train"}),
        ("def late():\n    import tdbs.analysis.speedup", {"analysis"}),
        ("if TYPE_CHECKING:\n    from tdbs.cli import main", {"cli"}),
        ("from ..train import plan", {"train"}),
        ("from tdbs import reports", {"reports"}),
        ("from tdbs import prepare", {"tdbs"}),  # the facade is above all layers
        ("import tdbs\ntdbs.prepare()", {"tdbs"}),
        ("import tdbs as t", {"tdbs"}),
        ("import tdbs\nprint(tdbs.__version__)", set()),
        ("from tdbs import rng, __version__\nfrom tdbs.data.tasks import Task\nfrom . import schema", set()),
    ],
)
def test_meta_the_layer_check_can_fail(source, expected):
    """What the check above must find in a file of `pipeline`, and what it must let pass."""
    assert breaches(source, PACKAGE / "pipeline" / "invented.py") == expected


def loaded_after(statements: Sequence[str], libraries: Collection[str]) -> dict[str, set[str]]:
    """Return which of the libraries one fresh Python has loaded after each statement."""
    report = f"print(*({set(libraries)!r} & sys.modules.keys()))"
    code = "\n".join(["import sys", *(f"{statement}\n{report}" for statement in statements)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return dict(zip(statements, (set(line.split()) for line in done.stdout.splitlines()), strict=True))


DRY = (
    "import tdbs",
    "import tdbs.train.planning.plan",
    "import tdbs.train.batches",
    "import tdbs.analysis.speedup",
    "import tdbs.pipeline.prepare",
    "import tdbs.cli",
    "import tdbs; tdbs.prepare, tdbs.load, tdbs.plan_epoch, tdbs.estimate_speedup",
)
TRAINER = "import tdbs.train.trainer, tdbs.analysis.compare.runs"
OTHER_WORK = {"polars", "datasets", "nltk", "torchmetrics", "matplotlib", "scipy.stats", "codecarbon", "peft", "optuna"}


PLAN = """
import numpy as np
from tdbs.train.planning.droppable_words import droppable_words_of
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.strategies import STRATEGIES

lengths_N, zeros_N1 = np.full(100, 7), np.zeros(101, dtype=np.int64)
words = droppable_words_of(
    "train", lengths_N=lengths_N, offsets_N1=zeros_N1, sizes_W=zeros_N1[:0], special_N=zeros_N1[1:]
)
for name in {names}:
    plan_epoch(lengths_N, words, STRATEGIES[name], max_length=16, seed=0, epoch=0)
"""
PEERS = ["length_grouped", "batch_rebalance"]  # samplers of transformers' Trainer, imported when they are asked for


def test_the_planning_room_needs_neither_torch_nor_transformers():
    """No module of it imports them, and no strategy of our own does when it is planned."""
    room = sorted((PACKAGE / "train" / "planning").glob("*.py"))
    modules = [f"tdbs.train.planning.{path.stem}" for path in room if path.stem != "__init__"]
    own = [name for name in STRATEGIES if name not in PEERS]
    assert len(modules) > 10
    ours = f"import {', '.join(modules)}\n{PLAN.format(names=own)}"
    theirs = PLAN.format(names=PEERS[:1])
    found = loaded_after([ours, theirs], {"torch", "transformers"})
    assert (found[ours], found[theirs]) == (set(), {"torch", "transformers"})


def test_imports_load_no_library_of_other_work():
    """Preparing and planning: neither torch nor transformers. Training: no data frames, hub datasets, word lists,
    figures; metrics come with the first score. That torch is seen after it shows that the check can fail.
    """
    found = loaded_after([*DRY, TRAINER], {"torch", "transformers", *OTHER_WORK})
    trained = found.pop(TRAINER)
    assert {statement: loaded for statement, loaded in found.items() if loaded & {"torch", "transformers"}} == {}
    assert trained == {"torch", "transformers"}
