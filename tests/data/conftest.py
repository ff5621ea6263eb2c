"""Helpers of the data tests: real data where they are, and one way to open a source without naming every option."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tdbs.data.sources import Source, open_source

SHARED = Path(os.environ.get("TDBS_SHARED", Path(__file__).parents[3] / "shared"))


@pytest.fixture
def mirror_data() -> Path:
    """Return the folder of real data, a mirror; the test is skipped where it is not there."""
    folder = SHARED / "datasets"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not there (TDBS_SHARED names its parent)")
    return folder


@pytest.fixture
def opened() -> Callable[..., Source]:
    """Return `open_source` with every option left out but those given."""

    def open_with(spec: object, **options: Any) -> Source:
        defaults = dict.fromkeys(("mirror", "text", "pair", "label", "validation")) | {"label_type": "auto"}
        return open_source(str(spec), **(defaults | options))

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
