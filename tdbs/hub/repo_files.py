"""What a repository of the hub is to contain: files by their path, and which names in it are tdbs's own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CARD_NAME = "README.md"
Kind = Literal["dataset", "model"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RepoFiles:
    """The files of a repository: contents, or where they are on this machine."""

    repo: str  # USER/NAME
    kind: Kind
    files: Mapping[str, Path | bytes]
    is_own: Callable[[str], bool]  # whether only tdbs makes files of this path: older ones go

    def replaced(self, there: set[str]) -> list[str]:
        """Return which files that are there have names of these, in order."""
        return sorted(there & set(self.files))

    def outdated(self, there: set[str]) -> list[str]:
        """Return which files that are there an earlier push left, in order: readers would mix them with these."""
        return sorted(name for name in there - set(self.files) if self.is_own(name))
