"""Print each dependency at the lowest version that pyproject.toml allows, extras included, but for torch."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

_BOUND = re.compile(r"([\w.-]+(?:\[[\w,]+\])?)>=([\w.]+)")
EXTRAS = ("remote", "ray", "languages", "sweep", "lora", "energy")  # what users install; test and dev are ours


def lowest_versions(text: str, extras: Sequence[str] = EXTRAS) -> list[str]:
    """Return lines for pip, as numpy==2.0. Raises ValueError for a dependency without a lower bound."""
    project = tomllib.loads(text)["project"]
    wanted = [*project["dependencies"], *(line for name in extras for line in project["optional-dependencies"][name])]
    found = []
    for line in wanted:
        match = _BOUND.fullmatch(line)
        if match is None:
            raise ValueError(f"{line} has no lower bound")
        if match[1] != "torch":  # installed first, as a CPU build
            found.append(f"{match[1]}=={match[2]}")
    return found


if __name__ == "__main__":
    print("\n".join(lowest_versions((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))))
