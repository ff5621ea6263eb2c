"""The result of `prepare`: the dataset, and what there is to say of its making."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tdbs.pipeline.dataset import PreparedDataset


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareResult:
    """What `prepare` did: the dataset, whether it was there already, and what changed since a similar one.

    It is the path of the dataset, too.
    """

    dataset: PreparedDataset
    cached: bool
    changed: tuple[str, ...]
    warnings: tuple[str, ...]  # notes on rows, on risks for the labels, or on limits of TokenDrop
    source: Mapping[str, Any]  # what was understood of the source (data/understood.py), as JSON values

    def __fspath__(self) -> str:
        return str(self.dataset.path)

    def __repr__(self) -> str:
        noted = f", {len(self.warnings)} warnings" if self.warnings else ""
        return f"<PrepareResult {'cached' if self.cached else 'prepared'}{noted}: {self.dataset!r}>"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the dataset."""
        return self.dataset._repr_html_()
