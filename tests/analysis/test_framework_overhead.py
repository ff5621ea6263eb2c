"""The framework's share of a step: intervals against brute force, and real steps of the tiny model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tdbs.analysis.profile.shapes import Shape, overhead_shapes
from tdbs.analysis.profile.timing import framework_overheads, union_length
from tdbs.reports.number_format import overhead_notes
from tdbs.reports.terminal import plain_spaces
from tests.analysis.test_synthetic import dataset_of
from tests.analysis.tiny import tiny_dataset
from tests.train.opened import tiny_learner


@given(intervals=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=20))
def test_intervals_cover_what_they_cover_counted_cell_by_cell(intervals):
    """Nested, overlapping, touching, empty ones, in any order."""
    covered = {cell for start, length in intervals for cell in range(start, start + length)}
    starts_I = np.array([start for start, _ in intervals], dtype=np.float64)
    ends_I = np.array([start + length for start, length in intervals], dtype=np.float64)
    assert union_length(starts_I, ends_I) == len(covered)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("overhead"), max_length=64)


def test_a_tiny_step_is_overhead_to_a_larger_share_than_a_large_one(dataset):
    """One sample of 8 tokens against 64 of 64, 512 times the tokens; no weight changes."""
    learner = tiny_learner(dataset)
    learner.prepared.train()
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    shapes, told = overhead_shapes(dataset.manifest), []
    tiny, short, large = framework_overheads(learner, dataset.manifest, shapes, progress=told.append)
    assert [(found["batch_size"], found["length"]) for found in (tiny, short, large)] == [(1, 8), (64, 8), (64, 64)]
    assert 0 <= large["share"] < tiny["share"] <= 1
    assert 0 <= short["share"] <= 1
    assert told == [f"framework's share of a step, {size}" for size in ("1 x 8", "64 x 8", "64 x 64")]
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.model.state_dict().items())


def test_a_shape_that_the_device_does_not_hold_is_left_out(dataset):
    class Refusing:
        """A model that holds batches of up to 8 rows."""

        def __init__(self, model):
            self.model = model

        def __getattr__(self, name):
            return getattr(self.model, name)

        def forward(self, input_ids, **inputs):
            if len(input_ids) > 8:
                raise torch.OutOfMemoryError
            return self.model(input_ids=input_ids, **inputs)

        __call__ = forward

    learner = tiny_learner(dataset)
    learner = replace(learner, prepared=Refusing(learner.prepared))
    shapes = [Shape(samples=64, length=8), Shape(samples=2, length=8)]
    assert [found["batch_size"] for found in framework_overheads(learner, dataset.manifest, shapes)] == [2]


def test_shapes_are_a_tiny_step_and_a_base_batch_of_short_and_of_long_rows():
    """Sequence to sequence has targets a quarter as long; lengths that fall together are measured once."""
    assert [(s.samples, s.length, s.target_length) for s in overhead_shapes(dataset_of("seq2seq").manifest)] == [
        (1, 8, 2),
        (64, 8, 2),
        (64, 64, 16),
    ]


ENTRIES = [
    {"batch_size": 1, "length": 8, "share": 0.81},
    {"batch_size": 64, "length": 16, "share": 0.384},
    {"batch_size": 64, "length": 128, "share": 0.02},
]
SHARES = "81.0 % at 1 x 8, 38.4 % at 64 x 16, 2.0 % at 64 x 128 tokens."


def test_words_of_it_say_what_helps_only_where_batches_wait_on_cuda():
    """A CPU has no launches to save, and a single sample is nobody's batch."""
    cpu, cuda = ([plain_spaces(note) for note in overhead_notes(ENTRIES, device)] for device in ("cpu", "cuda"))
    assert cpu == [f"Overhead of the framework, the part of a step outside torch's operations: {SHARES}"]
    assert cuda == [
        f"Overhead of the framework, the part of a step in which the device waits: {SHARES}",
        "Steps of 64 x 16 tokens are bound by launches rather than arithmetic: tdbs train --compile may shorten them.",
    ]
    assert len(overhead_notes([ENTRIES[0], ENTRIES[2]], "cuda")) == 1
    assert overhead_notes([], "cuda") == []
