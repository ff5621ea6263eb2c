"""Freed memory of a step is there for the next one: the system hands out no pages again."""

import subprocess
import sys

import pytest

STEPS = """
import resource, sys, torch
from tdbs.train.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    for _ in range(4):
        held = [torch.ones(3_000_000 + 10_000 * number) for number in range(8)]
    return held

if sys.argv[1] == "keep":
    keep_freed_memory()
step()
before = faults()
for _ in range(3):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is of Linux")
def test_pages_are_handed_out_once():
    taken = {"keep": [], "plain": []}
    for kind in ("keep", "plain") * 3:  # the system may take pages back at any time: the least counts
        done = subprocess.run([sys.executable, "-c", STEPS, kind], capture_output=True, text=True, check=True)
        taken[kind].append(int(done.stdout))
    assert min(taken["keep"]) < max(min(taken["plain"]) // 2, 1_000)
