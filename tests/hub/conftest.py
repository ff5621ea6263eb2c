"""A hub on loopback for the library of the hub in this process, and folders to push: records of version 0.1."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.server import TOKEN, Hub, hub_server

RECORDS = Path(__file__).parents[1] / "golden/records"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Return a hub that the library asks instead of the real one, with an empty cache."""
    from huggingface_hub import constants

    with hub_server() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        template = found.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Return a prepared dataset."""
    return Path(shutil.copytree(RECORDS / "dataset", tmp_path / "dataset"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a finished run."""
    return Path(shutil.copytree(RECORDS / "run", tmp_path / "run"))
