"""What the shell completes: choices, names of strategies and tasks, datasets and runs below this folder."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# Depths at which commands make folders: data/<source>/<dataset>, runs/<source>/<run>; a source may have folders.
_DEPTHS = ("*", "*/*", "*/*/*", "*/*/*/*")

Completer = Callable[[str], list[str]]


def completes(names: Callable[[], Iterable[str]] | Iterable[str], *, listed: bool = False) -> Completer:
    """Return what completes one of some names; `listed`: the last one of a list with commas."""

    def complete(incomplete: str) -> list[str]:
        before, _, last = incomplete.rpartition(",") if listed else ("", "", incomplete)
        start = f"{before}," if before else ""
        return [start + name for name in (names() if callable(names) else names) if name.startswith(last)]

    return complete


def strategy_names() -> list[str]:
    """Return the names of the strategies, the default's too."""
    from tdbs.train.planning.strategies import DEFAULT_STRATEGY, STRATEGIES

    return [DEFAULT_STRATEGY, *STRATEGIES]


def task_names() -> list[str]:
    """Return the short names of the tasks, and the built-in sample."""
    from tdbs.data.tasks import HUB_TASKS

    return ["sample", *HUB_TASKS]


def complete_dataset(incomplete: str) -> list[str]:
    """Complete the prepared datasets below data/, and any folder."""
    return _folders("data", "manifest.json", incomplete)


def complete_run(incomplete: str) -> list[str]:
    """Complete the runs and comparisons below runs/, and any folder."""
    return _folders("runs", "config.toml", incomplete) + _made_below("runs", "compare.json", incomplete)


def complete_source(incomplete: str) -> list[str]:
    """Complete tasks with a short name, files and folders."""
    return completes(task_names)(incomplete) + list(_paths(incomplete))


def _folders(root: str, marker: str, incomplete: str) -> list[str]:
    made = _made_below(root, marker, incomplete)
    return [*made, *(path for path in _paths(incomplete) if Path(path).is_dir() and path.rstrip("/") not in made)]


def _made_below(root: str, marker: str, incomplete: str) -> list[str]:
    found = sorted({str(path.parent) for depth in _DEPTHS for path in Path(root).glob(f"{depth}/{marker}")})
    return [folder for folder in found if folder.startswith(incomplete)]


def _paths(incomplete: str) -> Iterator[str]:
    """Yield the files and folders that a path begins."""
    folder = incomplete[: incomplete.rfind("/") + 1]
    start = incomplete[len(folder) :]
    for path in sorted(Path(folder or ".").glob("*")) if Path(folder or ".").is_dir() else ():
        if path.name.startswith(start) and (start or not path.name.startswith(".")):
            yield f"{folder}{path.name}{'/' if path.is_dir() else ''}"
