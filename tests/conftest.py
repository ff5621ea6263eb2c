"""Fixtures that every test folder may use: the real data, where they are, and a place to prepare into."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.prepare import prepare

# Before torch is loaded: two xdist workers with two threads each spin against each other on two cores (4 x slower).
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("tdbs", deadline=None)  # the machine may be busy; no test is timed
settings.load_profile("tdbs")

SHARED = Path(os.environ.get("TDBS_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real datasets and tokenizers; the test is skipped where it is not there."""
    if not (SHARED / "datasets").is_dir() or not (SHARED / "tokenizers").is_dir():
        pytest.skip(f"no real data: {SHARED} lacks datasets/ or tokenizers/ (TDBS_SHARED names the folder)")
    return SHARED


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty folder that is the current one: what prepare writes by default lands in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def prepared_real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PreparedDataset]:
    """Return a function that prepares a GLUE task of the real data, once a session for each task and tokenizer."""
    place = tmp_path_factory.mktemp("prepared")
    made: dict[tuple[str, str], PreparedDataset] = {}

    def prepared(task: str, tokenizer: str) -> PreparedDataset:
        key = (task, tokenizer)
        if key not in made:
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(place)
                made[key] = prepare(
                    f"glue/{task}",
                    mirror=shared / "datasets",
                    tokenizer=str(shared / "tokenizers" / tokenizer),
                    out=place / f"{task}-{tokenizer}",
                ).dataset
        return made[key]

    return prepared
