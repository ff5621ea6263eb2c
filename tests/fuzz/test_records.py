"""Records that tdbs wrote and reads again: manifests, profiles and search spaces, damaged in their parts and bytes."""

import dataclasses
import json
from pathlib import Path

import pytest
import tomli_w
from hypothesis import strategies as st

from tdbs.analysis.speedup import plan_dataset
from tdbs.analysis.sweep.space import KINDS, combinations, is_grid, listed_values, read_space
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.manifest_file import MANIFEST_NAME, read_manifest
from tdbs.pipeline.verify import verify
from tdbs.train.planning.caps import chosen_caps, hardware_caps
from tdbs.train.planning.profile_file import profiled_attention, read_profile
from tdbs.train.planning.strategies import Strategy
from tests.analysis.tiny import tiny_dataset
from tests.fuzz.mutations import damaged, mutated, odd_values

PROFILES = Path(__file__).parents[2] / "tdbs" / "train" / "planning" / "profiles"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Return a small prepared dataset."""
    return tiny_dataset(tmp_path_factory.mktemp("tiny"), train_rows=60)


def as_json(value: object) -> bytes:
    """Return JSON as Python writes it: lone surrogates as escapes, NaN and Infinity as such names."""
    return json.dumps(value).encode()


def json_files(value: object) -> st.SearchStrategy[bytes]:
    """Return files that are nearly those of a valid value."""
    return st.one_of(mutated(value).map(as_json), mutated(value).map(as_json), damaged(as_json(value)), odd_files)


odd_files = st.one_of(odd_values.map(as_json), st.binary(max_size=30))


def test_a_manifest_is_read_or_refused(fuzz, place, dataset):
    valid = json.loads((dataset.path / MANIFEST_NAME).read_text())

    def check(data: bytes) -> None:
        (place / MANIFEST_NAME).write_bytes(data)
        found = read_manifest(place)
        assert isinstance(found, Manifest)
        for info in found.splits.values():
            assert info.rows >= 0
            assert all(isinstance(shard.path, str) for shard in info.shards)
        json.dumps(dataclasses.asdict(found))

    check(as_json(valid))  # else every input is refused for what it was made from
    fuzz("manifests", inputs=14_000, of=json_files(valid), check=check)


def test_what_a_manifest_says_is_planned_verified_and_read(fuzz, dataset):
    """A manifest that can be parsed may still say anything: commands that follow it end with a result or an error."""
    path = dataset.path / MANIFEST_NAME
    valid = json.loads(path.read_text())
    outside = dataset.path.parent / "untouched"
    outside.write_text("x")
    strategy = Strategy(name="reach", batches="reach", drop="reach")

    def check(value: object) -> None:
        path.write_bytes(as_json(value))
        verify(dataset.path)
        opened = load(dataset.path)
        read_split(opened, "train")
        for plan in plan_dataset(opened, strategy, seed=0, epochs=1):
            assert sorted(plan.sample_ids_N) == list(range(opened.manifest.splits["train"].rows))

    fuzz("what manifests say", inputs=500, of=mutated(valid, most=2), check=check)
    path.write_bytes(as_json(valid))
    assert outside.read_text() == "x"


def test_a_profile_is_read_or_refused(fuzz, place):
    valid = json.loads((PROFILES / "rtx-2080-ti.json").read_text())
    measured = {
        **valid,
        "settings": {"attention": "eager", "precision": "fp32"},
        "caps": {"lengths": [8, 16, 128], "memory": [64, 32, 8], "knee": [16, 8, 4]},
        "points": [
            {
                "attention": "eager",
                "length": 8,
                "dropout": False,
                "tokens": 8,
                "seconds": 0.1,
                "work": {
                    "steps": 8.0,
                    "calls": 8.0,
                    "samples": 8.0,
                    "tokens": 8.0,
                    "pairs": 8.0,
                    "masked": 8.0,
                    "places": 8.0,
                    "blocks": 8.0,
                    "targets": 8.0,
                    "target_pairs": 8.0,
                },
            }
        ],
        "overhead": [{"batch_size": 8, "length": 16, "share": 0.2}],
        "call_tokens": 96,
    }
    path = place / "profile.json"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        profile = read_profile(path)
        assert isinstance(profiled_attention(profile, "auto"), str)
        for caps in ("memory", "knee", str(path)):
            table = hardware_caps(chosen_caps(caps, profile), max_length=200)
            assert len(table) == 201
            assert table.min() >= 1

    files = st.one_of(json_files(valid), json_files(measured), json_files(measured))
    check(as_json(measured))
    fuzz("profiles", inputs=8_000, of=files, check=check)


SPACES = (
    {"lr": {"values": [3e-5, 5e-5]}, "base_batch_size": {"values": [32, 64]}, "strategy": {"values": ["reach"]}},
    {"lr": {"low": 1e-5, "high": 1e-3, "log": True}, "dropout": {"low": 0.0, "high": 0.3}},
    {"epochs": {"values": [1, 2]}, "dropout": {"low": 0.1, "high": 0.9, "log": False}},
)


def as_toml(value: object) -> bytes:
    """Return TOML; what it cannot say is written as JSON."""
    try:
        return tomli_w.dumps(value).encode("utf-8", "surrogatepass")
    except (TypeError, AttributeError, ValueError):
        return as_json(value)


def test_a_search_space_is_read_or_refused(fuzz, place):
    path = place / "space.toml"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        space = read_space(path)
        assert set(space) <= set(KINDS)
        if is_grid(space):
            first = next(iter(combinations(space)), {})
            assert all(isinstance(value, KINDS[name]) for name, value in first.items())

    some = st.sampled_from(SPACES)
    files = st.one_of(some.flatmap(mutated).map(as_toml), some.map(as_toml).flatmap(damaged), odd_files)
    for whole in SPACES:
        check(as_toml(whole))
    fuzz("search spaces", inputs=8_000, of=files, check=check)


def test_a_listed_space_is_read_or_refused(fuzz, place):
    names = st.sampled_from((*KINDS, "lrate", ""))
    texts = st.text(st.sampled_from("0123456789.,-e naif_"), max_size=12) | st.text(max_size=8)

    def check(given: tuple[str, str]) -> None:
        for value in listed_values(*given):
            assert isinstance(value, KINDS[given[0]])

    fuzz("listed spaces", inputs=10_000, of=st.tuples(names, texts), check=check)
