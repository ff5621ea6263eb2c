"""The memory budget: how it is written, and how much work it allows at once."""

import os

import pytest

from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import load
from tdbs.pipeline.engines import memory_bytes, workers_within
from tdbs.pipeline.prepare import prepare


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ("2GiB", 2 << 30),
        ("768MiB", 768 << 20),
        ("1.5 gb", 1_500_000_000),
        (4096, 4096),
        ("100kib", 102_400),
        ("2G", 2 << 30),
        ("512m", 512 << 20),
    ],
)
def test_amounts(memory, expected):
    assert memory_bytes(memory) == expected


@pytest.mark.parametrize("memory", ["", "much", "2 GiB more", "-1GiB", "GiB", "1e9"])
def test_what_is_no_amount_is_refused(memory):
    with pytest.raises(ConfigError) as caught:
        memory_bytes(memory)
    assert (caught.value.message, caught.value.next_step) == (
        f"--memory '{memory}' is not an amount of memory.",
        "Pass an amount such as --memory 2GiB.",
    )


@pytest.mark.parametrize("memory", [0, "0", "2", "0.5"])
def test_a_forgotten_unit_is_told(memory):
    with pytest.raises(ConfigError) as caught:
        memory_bytes(memory)
    assert caught.value.message == f"--memory '{memory}' is {int(float(memory))} bytes."
    assert caught.value.next_step == "Add a unit, as in --memory 2GiB."


def test_workers_are_one_a_core_as_far_as_memory_goes():
    cores = os.cpu_count() or 1
    assert workers_within("64GiB") == cores
    assert workers_within("768MiB") == 1
    with pytest.raises(ConfigError) as caught:
        workers_within("500MiB")
    assert (caught.value.message, caught.value.next_step) == (
        "--memory 500MiB is too little memory for tdbs prepare.",
        "Pass --memory 768MiB or more.",
    )


def test_shards_do_not_depend_on_memory(workplace):
    """One worker or several: the same bytes."""
    shards = [
        load(prepare(out=name, memory=memory).dataset.path).manifest.splits["train"].shards
        for name, memory in (("a", "768MiB"), ("b", "8GiB"))
    ]
    assert shards[0] == shards[1]
