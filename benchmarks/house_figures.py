"""Print what a newcomer meets: files and their lines, functions with many parameters, seconds to start.

    python benchmarks/house_figures.py [ROOT]

ROOT is a checkout of tdbs; today's is the default. Times are the least of three processes.
"""

import ast
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

MANY_PARAMETERS = 8
SHORT_FILE = 100


def parameters_of(function: ast.FunctionDef) -> int:
    """Return how many parameters a function declares, `self` included."""
    arguments = function.args
    return len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)


def functions_over(sources: dict[Path, str], limit: int) -> list[tuple[int, str]]:
    """Return (parameters, place) of each function that has more parameters than the limit."""
    found = []
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and parameters_of(node) > limit:
                found.append((parameters_of(node), f"{path}:{node.name}"))
    return sorted(found, reverse=True)


def importers(sources: dict[Path, str]) -> Counter[str]:
    """Return by how many files each module of tdbs is imported."""
    counts: Counter[str] = Counter()
    for source in sources.values():
        counts.update(
            {
                node.module
                for node in ast.walk(ast.parse(source))
                if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tdbs")
            }
        )
    return counts


def seconds_of(root: Path, *arguments: str) -> float:
    """Return the least wall time of three processes, in seconds."""
    times = []
    for _ in range(3):
        clock = time.perf_counter()
        environment = {**os.environ, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"}
        subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
        times.append(time.perf_counter() - clock)
    return min(times)


def main(root: Path) -> None:
    """Print the figures of a checkout, one a line."""
    sources = {path.relative_to(root): path.read_text() for path in sorted((root / "tdbs").rglob("*.py"))}
    lines = {path: source.count("\n") for path, source in sources.items()}
    code = [count for path, count in lines.items() if path.name != "__init__.py"]
    largest = max(lines, key=lambda path: lines[path])
    folders = Counter(path.parent for path in lines)
    print(f"files {len(lines)}, lines {sum(lines.values()):,}, median {statistics.median(code):.0f} without __init__")
    print(f"largest file {largest} {lines[largest]}, under {SHORT_FILE} lines {sum(n < SHORT_FILE for n in code)}")
    print(f"largest folder {folders.most_common(1)[0][0]} {folders.most_common(1)[0][1]} files")
    print(f"modules imported by one other file {sum(count == 1 for count in importers(sources).values())}")
    wide = functions_over(sources, MANY_PARAMETERS)
    print(f"functions with more than {MANY_PARAMETERS} parameters {len(wide)}")
    for count, place in wide:
        print(f"  {count} {place}")
    for arguments in (
        ("-m", "tdbs.cli", "--help"),
        ("-m", "tdbs.cli", "--version"),
        ("-c", "import tdbs.train.trainer"),
    ):
        command = ["-c", "from tdbs.cli import main; main()", *arguments[2:]] if arguments[0] == "-m" else [*arguments]
        print(f"{' '.join(arguments)}: {seconds_of(root, *command):.2f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
