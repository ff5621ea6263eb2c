"""An output that was begun goes on where it was, and has the bytes of one that never stopped."""

import json
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from tdbs.errors import ConfigError, SourceError
from tdbs.inference.predict import predict

OPTIONS = {"precision": "fp32"}


class StoppedError(Exception):
    pass


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("tdbs.inference.predict.BLOCK_ROWS", 20)


def stop_after(parts):
    def progress(done, _total):
        if done >= parts * 20:
            raise StoppedError

    return progress


def interrupt(_done, _total):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".parquet", {}),
        (".jsonl", {"drop_rate": 0.5}),
        (".jsonl", {"strategy": "unpadded"}),
        pytest.param(".jsonl", {}, marks=pytest.mark.slow),
        pytest.param(".jsonl", {"batch_size": 1}, marks=pytest.mark.slow),
        pytest.param(".parquet", {"drop_rate": 0.5}, marks=pytest.mark.slow),
        pytest.param(".parquet", {"strategy": "unpadded"}, marks=pytest.mark.slow),
        pytest.param(".parquet", {"batch_size": 1}, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_that_goes_on_writes_the_same_bytes(suffix, options, checkpoint_of, csv_file, tmp_path):
    folder, whole, out = checkpoint_of("classification"), tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    predict(folder, csv_file, out=whole, **OPTIONS, **options)
    for parts in (2, 5):  # stopped twice
        with pytest.raises(StoppedError):
            predict(folder, csv_file, out=out, **OPTIONS, **options, resume=parts > 2, progress=stop_after(parts))
        assert not out.exists()
    result = predict(folder, csv_file, out=out, **OPTIONS, **options, resume=True)
    assert out.read_bytes() == whole.read_bytes()
    assert result.rows == 156
    assert not list(tmp_path.glob(".*"))
    if suffix == ".parquet":
        assert pq.ParquetFile(out).num_row_groups == 8


def test_bad_rows_before_the_stop_are_still_named(checkpoint_of, tmp_path):
    rows = ['{"text": "a"}' if row % 7 != 3 else "bad" for row in range(100)]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(rows) + "\n")
    with pytest.raises(StoppedError):
        predict(checkpoint_of("classification"), source, out=out, skip_bad_rows=True, progress=stop_after(3), **OPTIONS)
    result = predict(checkpoint_of("classification"), source, out=out, skip_bad_rows=True, resume=True, **OPTIONS)
    assert result.skipped == [row + 1 for row in range(3, 100, 7)]
    assert result.rows == 100 - 14


@pytest.mark.parametrize("kind", ["classification", "question_answering"])
def test_bad_rows_count_once_wherever_a_run_was_stopped(kind, checkpoint_of, tmp_path):
    """Rows that cannot be read, and questions too long for their windows, on both sides of each part's end."""
    good = '{"text": "a"}' if kind == "classification" else '{"question": "what?", "context": "a fine film"}'
    long = json.dumps({"question": "what is it " * 100, "context": "a fine film"})
    bad = dict.fromkeys((1, 19, 20, 21, 41, 42, 43, *range(60, 66), 98, 99), "bad")
    bad |= {} if kind == "classification" else dict.fromkeys((5, 18, 22, 61, 97), long)
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(bad.get(row, good) for row in range(100)) + "\n")

    def told(out, **options):
        done = []
        result = predict(
            checkpoint_of(kind), source, out=out, skip_bad_rows=True, **OPTIONS, **options,
            progress=lambda rows, _total: done.append(rows),
        )  # fmt: skip
        return (result.rows, result.skipped, result.tokens, result.padding_fraction, done, out.read_bytes())

    whole = told(tmp_path / "whole.jsonl")
    assert whole[1] == [row + 1 for row in sorted(bad)]
    assert whole[0] == 100 - len(bad)
    for parts in range(1, len(whole[4])):
        out, seen = tmp_path / f"{parts}.jsonl", []

        def stop(rows, _total, seen=seen, parts=parts):
            seen.append(rows)
            if len(seen) == parts:
                raise StoppedError

        with pytest.raises(StoppedError):
            predict(checkpoint_of(kind), source, out=out, skip_bad_rows=True, progress=stop, **OPTIONS)
        assert told(out, resume=True) == whole, parts


def test_parts_that_are_done_outlive_a_bad_row(checkpoint_of, tmp_path):
    """A bad row late in the file costs nothing of the work before: --skip-bad-rows goes on from it."""
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "a"}\n' * 45 + '{"text": null}\n' + '{"text": "b"}\n')
    with pytest.raises(SourceError):
        predict(checkpoint_of("classification"), source, out=out, **OPTIONS)
    assert len(list((tmp_path / ".out.jsonl.parts").glob("part-*.json"))) == 2
    result = predict(checkpoint_of("classification"), source, out=out, skip_bad_rows=True, resume=True, **OPTIONS)
    assert (result.rows, result.skipped) == (46, [46])


@pytest.mark.parametrize("place", ["out.jsonl", "out.parquet"])
def test_what_is_refused_before_its_first_part_is_done_leaves_nothing(place, checkpoint_of, tmp_path):
    """Whether it begins anew, is to go on, or replaces a file that is there."""
    folder, source, out = checkpoint_of("classification"), tmp_path / "bad.jsonl", tmp_path / place
    source.write_text('{"text": "a"}\n' * 15 + '{"text": null}\n' + '{"text": "b"}\n' * 30)
    before = sorted(tmp_path.iterdir())
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(SourceError) as error:
            predict(folder, source, out=out, **OPTIONS, **options)
        assert error.value.message == "Row 16 of bad.jsonl has no 'text'."
        assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(KeyboardInterrupt):
        predict(folder, source, out=out, skip_bad_rows=True, progress=interrupt, **OPTIONS)
    assert (tmp_path / f".{place}.parts/part-00000.json").exists()  # of the first block, which is done
    assert predict(folder, source, out=out, skip_bad_rows=True, resume=True, **OPTIONS).rows == 45
    kept = out.read_bytes()
    source.write_text("bad\n")
    with pytest.raises(SourceError):
        predict(folder, source, out=out, overwrite=True, **OPTIONS)
    assert (out.read_bytes(), sorted(tmp_path.iterdir())) == (kept, sorted([*before, out]))


def test_what_was_begun_otherwise_is_not_mixed(checkpoint_of, csv_file, tmp_path):
    folder, out = checkpoint_of("classification"), tmp_path / "out.jsonl"
    with pytest.raises(StoppedError):
        predict(folder, csv_file, out=out, progress=stop_after(1), **OPTIONS)
    with pytest.raises(ConfigError) as error:
        predict(folder, csv_file, out=out, **OPTIONS)
    assert str(error.value) == (f"{out} is unfinished. Pass --resume to continue, or --overwrite to start again.")
    with pytest.raises(ConfigError) as error:
        predict(folder, csv_file, out=out, resume=True, seed=3, **OPTIONS)
    assert str(error.value) == (
        f"{out} was started with other settings: seed was 0, is now 3. "
        "Repeat the command that started it with --resume, or pass --overwrite."
    )
    predict(folder, csv_file, out=out, overwrite=True, seed=3, **OPTIONS)
    assert len(out.read_text().splitlines()) == 156


def test_a_folder_of_the_users_in_the_parts_place_stays(checkpoint_of, csv_file, tmp_path):
    mine = tmp_path / ".out.jsonl.parts"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError) as error:
        predict(checkpoint_of("classification"), csv_file, out=tmp_path / "out.jsonl", overwrite=True)
    assert str(error.value) == f"{mine} contains other files. Pass another --out."
    assert (mine / "notes.txt").read_text() == "mine"


@pytest.mark.fault
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_killed_run_that_goes_on_writes_the_same_bytes(suffix, checkpoint_of, csv_file, tmp_path):
    """SIGKILL at any moment, again and again until it is done."""
    folder, whole, out = checkpoint_of("classification"), tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    predict(folder, csv_file, out=whole, **OPTIONS)
    program = "import tdbs.inference.predict as p; p.BLOCK_ROWS = 20; from tdbs.cli import main; main()"
    command = [sys.executable, "-c", program, "predict", str(folder), str(csv_file), "--out", str(out)]
    command += ["--precision", "fp32", "--resume", "--json"]
    kills = 0
    while not out.exists():
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            parts = tmp_path / f".out{suffix}.parts"
            before = len(list(parts.glob("part-*.json")))
            while process.poll() is None and len(list(parts.glob("part-*.json"))) <= before:
                time.sleep(0.002)
            if process.poll() is None and kills < 5:
                process.send_signal(signal.SIGKILL)
                kills += 1
            stdout, stderr = process.communicate()
        if process.returncode == 0:
            assert json.loads(stdout)["rows"] == 156
        else:
            assert process.returncode == -signal.SIGKILL, stderr.decode()
    assert kills >= 2
    assert out.read_bytes() == whole.read_bytes()
