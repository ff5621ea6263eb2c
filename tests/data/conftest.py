"""Helpers of the data tests: the real mirror, and one way to open a source without naming every option."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tdbs.data.sources import FileOptions, Source, open_source


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
