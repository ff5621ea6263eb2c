"""Arrays that are spilled are those in memory, leave no file, take no memory when forgotten, and name a full disk."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.spilled import forget, joined, kept
from tests.examples import examples

KINDS = [np.uint16, np.int32, np.int64, np.uint64, np.float64, np.bool_]
LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
FULL = """
import resource
from pathlib import Path
import numpy as np
from tdbs.errors import ConfigError
from tdbs.spilled import joined
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    joined([{"a": np.zeros(100)}, {"a": np.zeros(10_000)}], spilled=True)
except ConfigError as error:
    print(error.message)
    print(error.next_step)
"""
GONE = """
import os, sys, tempfile
import numpy as np
from tdbs.errors import ConfigError
from tdbs.spilled import kept
tempfile.gettempdir()
os.rmdir(sys.argv[1])
try:
    kept(np.zeros(3), spilled=True)
except ConfigError as error:
    print(error.message)
    print(error.next_step)
"""
KILLED = """
import os, signal
import numpy as np
from tdbs.spilled import kept
found = kept(np.arange(100_000), spilled=True)
print(os.listdir(os.environ["TMPDIR"]), int(found[-1]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
NEXT_STEP = "Free space there, set TMPDIR to another folder, or pass a greater --memory."


@examples(100)
@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    kinds=st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from([(), (1,), (3,)])), min_size=1, max_size=4),
    seed=st.integers(0, 100),
)
def test_spilled_columns_are_the_concatenated_blocks(sizes: list[int], kinds: list[Any], seed: int):
    """Of any types and widths, with empty blocks, in memory and in files; nobody can write to the files."""
    stream = np.random.default_rng(seed)
    blocks = [
        {name: (100 * stream.random((size, *width))).astype(kind) for name, (kind, width) in enumerate(kinds)}
        for size in sizes
    ]
    for is_spilled in (False, True):
        found = joined(iter(blocks), spilled=is_spilled)
        assert list(found) == list(range(len(kinds)))
        for name, array in found.items():
            expected = np.concatenate([block[name] for block in blocks])
            assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
            np.testing.assert_array_equal(array, expected)
            assert not (is_spilled and array.size and array.flags.writeable)


def test_what_stays_in_memory_is_the_array_itself():
    array = np.arange(3)
    assert kept(array, spilled=False) is array
    assert kept(array[::2], spilled=True).tolist() == [0, 2]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    """An array and what is none, as contents of a dataset are."""

    name: str
    array: np.ndarray
    others: tuple[Any, ...]


def resident() -> int:
    """Return the memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@LINUX
def test_what_is_forgotten_takes_no_memory_and_can_be_read_again():
    """32 MiB are read, forgotten as a part of a record, through a slice and a view, and read again."""
    spilled = kept(np.arange(4 << 20), spilled=True)
    before = resident()
    total = int(spilled.sum())
    assert resident() - before > 28 << 20
    forget(_Record(name="a", array=np.arange(3), others=(None, spilled[5:].reshape(-1, 1))))
    assert resident() - before < 4 << 20
    assert int(spilled.sum()) == total == (4 << 20) * ((4 << 20) - 1) // 2


def run(code: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, whose temporary folder this is."""
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_no_file_is_left_even_after_a_kill(tmp_path: Path):
    """The file has no name while it is read, so there is nothing to remove."""
    ended = run(KILLED, tmp_path)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "[] 99999\n")
    assert not list(tmp_path.iterdir())


def test_a_full_folder_is_named_with_what_to_do(tmp_path: Path):
    """No file may be longer than 4 KiB here, so the second block does not fit."""
    ended = run(FULL, tmp_path)
    assert ended.stdout.splitlines() == [f"{tmp_path} does not take what exceeds --memory: File too large.", NEXT_STEP]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_gone_is_named_with_what_to_do(tmp_path: Path):
    folder = tmp_path / "gone"
    folder.mkdir()
    ended = run(GONE, folder, str(folder))
    assert ended.stdout.splitlines() == [
        f"{folder} does not take what exceeds --memory: No such file or directory.",
        NEXT_STEP,
    ]
