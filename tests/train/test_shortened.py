"""What is left of a split makes the batches that dropping from the whole one makes, whatever its labels are."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.tasks import Columns, Task
from tdbs.train.batches import epoch_batches
from tdbs.train.evaluate import length_order_plan
from tdbs.train.scores.scoring import ScoredSplit, drop_tokens
from tests.train.ragged import PAD, rows, split_of, targets_of


@pytest.mark.parametrize("kind", ["classification", "token_classification", "question_answering"])
@given(samples=st.lists(rows(), min_size=1, max_size=6), seed=st.integers(0, 99), pairs=st.booleans())
def test_batches_of_what_is_left_are_those_of_dropping(kind, samples, seed, pairs):
    """Tokens, labels, segments and the characters of tokens; special tokens and answers stay."""
    split = split_of(samples, pairs=pairs)
    chance = np.random.default_rng(seed)
    count = len(split.input_ids_T)
    dropped_T = chance.random(count) < chance.choice([0.0, 0.5, 0.9])
    dropped_T[split.token_offsets_N1[:-1]] = dropped_T[split.token_offsets_N1[1:] - 1] = False
    if kind == "token_classification":
        targets = targets_of(np.arange(count), kind, 9, split.token_offsets_N1)
    elif kind == "question_answering":  # the last token of a sample, which stays
        targets = targets_of(np.stack([split.lengths_N - 1] * 2, axis=1), kind, 2)
    else:
        targets = split.targets
    split = replace(split, targets=targets)
    places = (np.arange(count), np.arange(count) + 1)
    task = Task(name="", kind=kind, columns=Columns(text="text"))
    left = drop_tokens(ScoredSplit(split=split, task=task, char_places_T=places), dropped_T)
    kept_N = np.add.reduceat(~dropped_T, split.token_offsets_N1[:-1])
    assert left.split.lengths_N.tolist() == kept_N.tolist()
    assert left.char_places_T[0].tolist() == np.flatnonzero(~dropped_T).tolist()
    plan = length_order_plan(kept_N, batch_size=4)
    found = list(epoch_batches(left.split, plan, None, pad_id=PAD))
    expected = list(epoch_batches(split, plan, dropped_T, pad_id=PAD))
    for one, other in zip(found, expected, strict=True):
        for name in ("sample_ids_B", "input_ids_RW", "lengths_B", "segment_starts_B", "labels"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_where_nothing_goes_the_split_is_the_same():
    held_out = ScoredSplit(split=split_of([]), task=Task(name="", kind="classification", columns=Columns(text="text")))
    assert drop_tokens(held_out, None) is held_out
