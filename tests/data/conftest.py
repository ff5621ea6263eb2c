"""Helpers of the data tests: the real mirror, and one way to open a source without naming every option."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tdbs.data.file_options import FileOptions
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import Source, open_source
from tdbs.data.tasks import Task


@pytest.fixture
def mirror_data(shared: Path) -> Path:
    """Return the folder of real data, a mirror."""
    return shared / "datasets"


@pytest.fixture
def opened() -> Callable[..., Source]:
    """Return `open_source` with every option left out but those given."""

    def open_with(spec: object, *, mirror: Path | None = None, prefix: str | None = None, **options: Any) -> Source:
        return open_source(str(spec), mirror=mirror, files=FileOptions(**options), prefix=prefix)

    return open_with


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Return a function that writes a file under the test's folder."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """All rows of a split, its blocks put together."""

    texts: pa.ChunkedArray
    pairs: pa.ChunkedArray | None
    targets: pa.ChunkedArray | None
    source_rows: np.ndarray


def read_source(source: Source) -> tuple[Task, dict[str, SplitRows]]:
    """Return the task and all rows of every split, as `prepare` reads them: a first pass, then block by block."""
    survey = survey_source(source)
    splits = {}
    for name in survey.rows:
        blocks = list(read_blocks(source, survey, name))
        assert sum(len(block.texts) for block in blocks) == survey.rows[name]
        splits[name] = SplitRows(
            texts=pa.chunked_array([block.texts for block in blocks]),
            pairs=None if blocks[0].pairs is None else pa.chunked_array([block.pairs for block in blocks]),
            targets=None if blocks[0].targets is None else pa.chunked_array([block.targets for block in blocks]),
            source_rows=np.concatenate([block.rows_N for block in blocks]),
        )
    return survey.task, splits
