"""Ray Data makes what the local engine makes, file for file; its errors are ours. One Ray of two workers for all."""

import json
import socket
import sys
from pathlib import Path

import pytest

from tdbs.analysis.speedup import plan_dataset
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError, DatasetError, SourceError
from tdbs.pipeline.dataset import read_split
from tdbs.pipeline.prepare import prepare
from tdbs.train.planning.plan import plan_digest
from tdbs.train.planning.strategies import STRATEGIES
from tests.pipeline.contents import contents

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.fixture(scope="module")
def two_workers():
    """A Ray on this machine with two cores; prepare finds it and leaves it running."""
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("task", ["rte", "sst2"])
def test_a_task_on_ray_is_the_task_here(shared, two_workers, workplace, task):
    """Manifest, sample ids, tokens, spans and the plan's digest."""
    options = {
        "source": f"glue/{task}",
        "mirror": shared / "datasets",
        "tokenizer": str(shared / "tokenizers/roberta-base"),
    }
    here = prepare(**options, out="here").dataset
    there = prepare(**options, out="there", engine="ray").dataset
    assert contents(there.path) == contents(here.path)
    assert read_split(there, "train").input_ids_T.tolist() == read_split(here, "train").input_ids_T.tolist()
    digests = {plan_digest(plan_dataset(d, STRATEGIES["reach"], seed=1, epochs=2)) for d in (here, there)}
    assert len(digests) == 1
    assert sorted(path.name for path in workplace.iterdir()) == ["here", "there"]


@pytest.mark.slow
def test_files_of_the_user_go_through_ray(two_workers, workplace):
    """Relative paths, a held-out fraction."""
    rows = "text,label\n" + "".join(f"the film number {i} of it,{i % 2}\n" for i in range(500))
    Path("reviews.csv").write_text(rows)
    same_files("reviews.csv", validation="0.2", tokenizer=str(TOKENIZER_FOLDER))


@pytest.mark.slow
def test_the_same_rows_are_left_out_on_ray(two_workers, workplace):
    """Blocks of actors are compared here: the list, the manifest and the shards are the same."""
    rows = "text,label\n" + "".join(f"the film number {i % 90} of it,{i % 2}\n" for i in range(300))
    Path("reviews.csv").write_text(rows)
    asked = {"drop_duplicates": "near", "keep_out": "validation", "validation": "0.2"}
    same_files("reviews.csv", tokenizer=str(TOKENIZER_FOLDER), **asked)
    assert Path("there/duplicates.jsonl").stat().st_size


@pytest.mark.slow
def test_the_sample_goes_through_ray(two_workers, workplace):
    """A table in memory."""
    same_files("sample")


def same_files(source, **options):
    here = prepare(source, out="here", **options).dataset
    there = prepare(source, out="there", engine="ray", **options).dataset
    assert contents(there.path) == contents(here.path)


@pytest.mark.slow
def test_an_error_in_a_worker_is_the_users_error(two_workers, workplace):
    """No traceback of Ray: the row, and what to do."""
    Path("a.csv").write_text("text,label\na,x\n,y\n")
    with pytest.raises(SourceError) as caught:
        prepare("a.csv", tokenizer=str(TOKENIZER_FOLDER), engine="ray")
    assert (caught.value.message, caught.value.next_step) == (
        "Row 2 of a.csv has no 'text'.",
        "Fill the row or delete it; or pass --skip-bad-rows.",
    )
    assert [path.name for path in workplace.iterdir()] == ["a.csv"]


@pytest.mark.slow
def test_an_error_while_a_block_is_made_is_the_users_error_too(two_workers, workplace):
    """Not only what reading finds: a question that leaves no room for its context."""
    rows = [{"context": "a b", "question": "why " * 90, "answers": {"text": ["a"], "answer_start": [0]}}]
    Path("a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"tokenizer": str(TOKENIZER_FOLDER), "max_length": 64, "text": "question", "pair": "context"}
    with pytest.raises(SourceError) as caught:
        prepare("a.jsonl", engine="ray", label="answers", **options)
    assert caught.value.message.startswith("Row 1 of a.jsonl has a question of ")


@pytest.mark.slow
def test_a_folder_that_workers_do_not_see_is_named(two_workers, workplace, monkeypatch):
    """As where machines do not share the folder of the dataset: the tokenizer is not where they look for it."""
    monkeypatch.setattr("tdbs.pipeline.prepare.TOKENIZER_NAME", "elsewhere.json")
    with pytest.raises(DatasetError) as caught:
        prepare("sample", out="there", engine="ray")
    assert "is not shared by all machines of the Ray cluster" in caught.value.message
    assert caught.value.next_step == "Pass an --out or --work folder that all machines share."
    assert [path.name for path in workplace.iterdir()] == []


def test_a_cluster_that_does_not_answer_is_named(workplace):
    """At once: Ray itself would try for minutes."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError) as caught:
            prepare("sample", engine="ray", ray_address=address)
    assert caught.value.message == f"No Ray cluster answers at {address}: [Errno 111] Connection refused."
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "spark"}, "Unknown value 'spark' for --engine."),
        ({"ray_address": "auto"}, "--ray-address only applies to --engine ray."),
    ],
)
def test_engines_that_are_refused(workplace, options, message):
    with pytest.raises(ConfigError) as caught:
        prepare("sample", **options)
    assert caught.value.message == message
    assert list(workplace.iterdir()) == []


def test_without_ray_the_extra_is_named(workplace, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError) as caught:
        prepare("sample", engine="ray")
    assert (caught.value.message, caught.value.next_step) == (
        "--engine ray needs ray, which is not installed.",
        'Run pip install "tdbs[ray]".',
    )
