"""What a killed, doubled or starved `prepare` leaves: the whole dataset or none, and never half of one.

Real processes, real signals, real file systems. `make test-faults`.
"""

import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.verify import verify
from tests.built_in import sample_tables
from tests.pipeline.contents import contents

pytestmark = pytest.mark.fault

ROWS = 300_000  # five blocks of train
KILLS = 30


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A folder with train and validation, texts of the sample with a number of their own."""
    folder = tmp_path_factory.mktemp("source")
    texts, labels = sample_tables()["train"].to_pydict().values()
    for split, rows in (("train", ROWS), ("validation", 2_000)):
        numbered = [f"{texts[i % len(texts)]} {i}" for i in range(rows)]
        table = pa.table({"text": numbered, "label": [labels[i % len(labels)] for i in range(rows)]})
        pq.write_table(table, folder / f"{split}.parquet")
    return folder


@dataclass(frozen=True)
class Prepare:
    """A running `tdbs prepare`; what it prints goes to files."""

    process: subprocess.Popen
    logs: Path

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait(self) -> int:
        return self.process.wait()

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait()

    @property
    def stderr(self) -> str:
        return (self.logs / "stderr").read_text()

    @property
    def result(self) -> dict:
        return json.loads((self.logs / "stdout").read_text())


def start(source: Path, out: Path) -> Prepare:
    logs = Path(tempfile.mkdtemp())
    # A shell that runs the tests in the background has SIGINT ignored, and its children inherit that.
    heeded = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heeded}; from tdbs.cli import main; main()"
    command = [sys.executable, "-c", program, "prepare", str(source), "--json"]
    with (logs / "stdout").open("w") as stdout, (logs / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [*command, "--tokenizer", str(TOKENIZER_FOLDER), "--out", str(out)],
            cwd=logs,
            stdout=stdout,
            stderr=stderr,
        )
    return Prepare(process, logs)


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory) -> tuple[dict[str, str], float]:
    """What an undisturbed prepare writes, and how long it takes: the faster of two, as the first one warms the disk."""
    seconds = []
    for _ in range(2):
        out = tmp_path_factory.mktemp("undisturbed") / "dataset"
        clock = time.perf_counter()
        process = start(source, out)
        assert process.wait() == 0, process.stderr
        seconds.append(time.perf_counter() - clock)
    return contents(out), min(seconds)


def stage_of(out: Path) -> str:
    """Return how far a killed prepare had come, from what it left."""
    work = out.parent / f".{out.name}.preparing"
    if out.exists():
        return "published"
    shards = len(list(work.glob("*/dataset/*/bucket=*/part-*.parquet")))
    if shards:
        return f"{shards} shards"
    return f"{len(list(work.glob('*/blocks/*.arrow')))} blocks"


def test_a_killed_prepare_goes_on_and_ends_the_same(source, undisturbed, tmp_path):
    """Killed at 30 random moments: no reader ever sees half a dataset, and the next prepare makes the same files."""
    expected, seconds = undisturbed
    moments = np.random.default_rng(0)
    span = seconds  # of moments: it follows the machine's speed, so that kills come at every stage
    stages: list[str] = []
    for attempt in itertools.count():
        if len(stages) == KILLS:
            break
        out = tmp_path / f"{attempt}" / "dataset"
        out.parent.mkdir()
        process = start(source, out)
        time.sleep(moments.uniform(0.15, 1) * span)
        if process.stop(signal.SIGKILL) != -signal.SIGKILL:
            span *= 0.9
            continue  # it had ended: that is no kill
        span *= 1.03
        stages.append(stage_of(out))
        if out.exists():
            assert contents(out) == expected, stages
        else:
            assert [path.name for path in out.parent.iterdir() if not path.name.startswith(".")] == []
        again = start(source, out)
        assert again.wait() == 0, (stages, again.stderr)
        assert contents(out) == expected, stages
        assert verify(out).problems == ()
    print(sorted(stages))
    assert len(set(stages)) >= 5, stages


def test_finished_blocks_are_not_made_again(source, undisturbed, tmp_path):
    """The second prepare takes the files that the first one finished: their times do not change."""
    out = tmp_path / "dataset"
    process = start(source, out)
    hidden = tmp_path / ".dataset.preparing"
    while len(list(hidden.glob("*/blocks/train-*.arrow"))) < 2:
        assert process.is_running, process.stderr
        time.sleep(0.01)
    process.stop(signal.SIGKILL)
    before = {path: path.stat().st_mtime_ns for path in hidden.glob("*/blocks/train-*.arrow")}
    again = start(source, out)
    seen = dict.fromkeys(before)
    while again.process.poll() is None:
        for path in before:
            try:
                seen[path] = path.stat().st_mtime_ns
            except FileNotFoundError:
                continue
    assert again.wait() == 0
    assert seen == before
    assert contents(out) == undisturbed[0]


def test_an_interrupted_prepare_goes_on_too(source, undisturbed, tmp_path):
    """Ctrl-C keeps what is finished, as a kill does."""
    out = tmp_path / "dataset"
    process = start(source, out)
    hidden = tmp_path / ".dataset.preparing"
    while not list(hidden.glob("*/blocks/train-*.arrow")):
        assert process.is_running, process.stderr
        time.sleep(0.001)
    assert process.stop(signal.SIGINT) == 130
    assert list(hidden.glob("*/blocks/train-*.arrow"))
    assert start(source, out).wait() == 0
    assert contents(out) == undisturbed[0]
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_of_two_prepares_one_works_and_the_other_waits(source, undisturbed, tmp_path):
    """Both end with the same dataset; the one that waited found it made."""
    out = tmp_path / "dataset"
    both = [start(source, out) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0], [process.stderr for process in both]
    assert sorted(process.result["cached"] for process in both) == [False, True]
    waited = next(process for process in both if process.result["cached"])
    assert f"Another prepare is working on {out}; waiting for it." in waited.stderr
    assert contents(out) == undisturbed[0]


def test_a_waiting_prepare_takes_over_from_a_killed_one(source, undisturbed, tmp_path):
    """The lock dies with its process."""
    out = tmp_path / "dataset"
    first = start(source, out)
    while not (tmp_path / ".dataset.preparing").exists():
        assert first.is_running, first.stderr
        time.sleep(0.01)
    second = start(source, out)
    time.sleep(undisturbed[1] / 2)
    first.stop(signal.SIGKILL)
    assert second.wait() == 0, second.stderr
    assert contents(out) == undisturbed[0]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named_and_nothing_half_is_left(source, undisturbed, small_disk):
    """The place is given back, so the next prepare, with room, starts clean."""
    out = small_disk / "dataset"
    process = start(source, out)
    assert process.wait() == 1
    assert process.stderr.splitlines()[-2:] == [
        f"Error: {out} cannot be written: No space left on device.",
        "Next:  Free some space there, or pass another --out.",
    ]
    assert list(small_disk.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    assert start(source, out).wait() == 0
    assert contents(out) == undisturbed[0]


def test_a_read_only_folder_is_named(source, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    out = small_disk / "d" / "dataset"
    process = start(source, out)
    assert process.wait() == 1
    assert process.stderr.splitlines()[-2:] == [
        f"Error: {out.parent} cannot be written: Read-only file system.",
        "Next:  Pass another --out.",
    ]
