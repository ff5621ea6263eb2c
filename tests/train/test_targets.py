"""Labels of a batch are those that plain loops give: they stay with their tokens, whatever is dropped around them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.train.targets import BatchSlice, label_maker, moved_positions, padded
from tests.examples import examples
from tests.train.ragged import Row, rows, split_of, targets_of

IGNORED = -100  # what transformers' losses pass over
CLASSES = 4


def tokens_of(split, sample) -> range:
    return range(int(split.token_offsets_N1[sample]), int(split.token_offsets_N1[sample + 1]))


def kept_of(split, sample, dropped) -> list[int]:
    """Return the tokens of a sample that remain, as places in the split."""
    return [token for token in tokens_of(split, sample) if not dropped[token]]


def place_of(split, batch, dropped, *, more_columns=0, target_width=None) -> BatchSlice:
    kept = [kept_of(split, sample, dropped) for sample in batch]
    return BatchSlice(
        samples_B=np.array(batch, dtype=np.int64),
        positions_K=np.array([token for row in kept for token in row], dtype=np.int64),
        lengths_B=np.array([len(row) for row in kept], dtype=np.int64),
        width=max(len(row) for row in kept) + more_columns,
        target_width=target_width,
    )


def labels_of(split, targets, dropped, batch, **options) -> np.ndarray:
    """Return what the product makes; no flag set and no flags at all must be the same."""
    labelled = replace(split, targets=targets)
    dropped_T = np.array(dropped, dtype=np.bool_)
    place = place_of(split, batch, dropped, **options)
    found = label_maker(labelled, dropped_T)(place)
    if not dropped_T.any():
        np.testing.assert_array_equal(label_maker(labelled, None)(place), found)
    return found


@st.composite
def cases(draw):
    """Return a split, which of its tokens are dropped (never a special one), and the samples of a batch."""
    split = split_of(draw(st.lists(rows(), min_size=1, max_size=8)))
    share = draw(st.sampled_from([0.0, 0.3, 0.8, 1.0]))
    chance = np.random.default_rng(draw(st.integers(0, 99)))
    dropped = []
    for sample in range(len(split.lengths_N)):
        inner = chance.random(len(tokens_of(split, sample)) - 2) < share
        dropped += [False, *inner.tolist(), False]
    samples = st.integers(0, len(split.lengths_N) - 1)
    return split, dropped, draw(st.lists(samples, min_size=1, max_size=8, unique=True))


def ragged(lists, kind, outputs=CLASSES):
    offsets = np.concatenate([[0], np.cumsum([len(values) for values in lists])]).astype(np.int64)
    values = np.array([value for values in lists for value in values], dtype=np.int64)
    return targets_of(values, kind, outputs, offsets)


@given(cases(), st.sampled_from(["classification", "regression", "several targets"]), st.integers(0, 99))
def test_a_sample_keeps_its_class_or_numbers(case, kind, seed):
    """Whatever is dropped from it."""
    split, dropped, batch = case
    chance = np.random.default_rng(seed)
    rows_of_split = len(split.lengths_N)
    if kind == "classification":
        targets = targets_of(chance.integers(0, CLASSES, rows_of_split), kind, CLASSES)
    elif kind == "regression":
        targets = targets_of(chance.normal(size=rows_of_split), kind, 1)
    else:
        targets = targets_of(chance.normal(size=(rows_of_split, 3)), "regression", 3)
    found = labels_of(split, targets, dropped, batch)
    assert found.tolist() == [targets.values[sample].tolist() for sample in batch]
    assert found.dtype == targets.values.dtype


@given(cases(), st.data())
def test_flags_say_which_classes_hold(case, data):
    """One row a sample, one column a class, float32 as the loss wants it; a sample may have no class at all."""
    split, dropped, batch = case
    held = data.draw(
        st.lists(
            st.sets(st.integers(0, CLASSES - 1)).map(sorted),
            min_size=len(split.lengths_N),
            max_size=len(split.lengths_N),
        )
    )
    found = labels_of(split, ragged(held, "multi_label"), dropped, batch)
    expected = []
    for sample in batch:
        flags = [0.0] * CLASSES
        for value in held[sample]:
            flags[value] = 1.0
        expected.append(flags)
    assert found.tolist() == expected
    assert found.dtype == np.float32


@given(cases(), st.integers(0, 99), st.integers(0, 3))
def test_labels_of_words_go_and_stay_with_their_tokens(case, seed, more_columns):
    """Label by label in the order of what remains, then nothing but IGNORED up to the width of the batch."""
    split, dropped, batch = case
    labels = np.random.default_rng(seed).integers(-1, CLASSES, len(split.input_ids_T))
    labels[labels < 0] = IGNORED  # what is no first piece of a word
    targets = targets_of(labels, "token_classification", CLASSES, split.token_offsets_N1)
    found = labels_of(split, targets, dropped, batch, more_columns=more_columns)
    width = max(len(kept_of(split, sample, dropped)) for sample in batch) + more_columns
    expected = []
    for sample in batch:
        row = [int(labels[token]) for token in kept_of(split, sample, dropped)]
        expected.append(row + [IGNORED] * (width - len(row)))
    assert found.tolist() == expected
    assert found.dtype == np.int64


@given(cases(), st.data())
def test_answers_move_with_what_is_dropped_before_them(case, data):
    """Start and end point at the very tokens of the answer; a window without one says 0 and 0."""
    split, dropped, batch = case
    places = []
    for sample, length in enumerate(split.lengths_N.tolist()):
        first, last = 0, 0
        if length > 2 and data.draw(st.booleans()):
            first = data.draw(st.integers(1, length - 2))
            last = data.draw(st.integers(first, length - 2))
            for position in range(first, last + 1):  # prepare protects the answer's own tokens
                dropped[tokens_of(split, sample)[position]] = False
        places.append((first, last))
    found = labels_of(split, targets_of(places, "question_answering", 2), dropped, batch)
    assert found.shape == (len(batch), 2)
    assert found.dtype == np.int64
    for sample, (first, last) in zip(batch, found.tolist(), strict=True):
        tokens, (was_first, was_last) = tokens_of(split, sample), places[sample]
        kept = kept_of(split, sample, dropped)
        assert kept[first : last + 1] == list(tokens[was_first : was_last + 1])
        if was_last == 0:
            assert (first, last) == (0, 0)


@given(cases(), st.data(), st.integers(0, 3))
def test_targets_are_padded_to_the_longest_of_the_batch(case, data, more_columns):
    """Nothing is dropped from them; a target may be empty, and all of a batch: a model needs one column at least."""
    split, dropped, batch = case
    lists = data.draw(
        st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=len(split.lengths_N), max_size=len(split.lengths_N))
    )
    longest = max(1, *(len(lists[sample]) for sample in batch))
    for width, option in ((longest, None), (longest + more_columns, longest + more_columns)):
        found = labels_of(split, ragged(lists, "seq2seq", 1), dropped, batch, target_width=option)
        expected = [lists[sample] + [IGNORED] * (width - len(lists[sample])) for sample in batch]
        assert found.tolist() == expected
        assert found.dtype == np.int64


@given(cases(), st.integers(0, 99))
@examples(50)
def test_a_position_moves_by_what_is_dropped_before_it(case, seed):
    """The second text of a pair begins where it began, less what is dropped before it; at a sample's end too."""
    split, dropped, _ = case
    chance = np.random.default_rng(seed)
    positions = [int(chance.integers(0, length + 1)) for length in split.lengths_N]
    found = moved_positions(split, np.array(positions), np.array(dropped))
    for sample, position in enumerate(positions):
        before = [dropped[token] for token in tokens_of(split, sample)[:position]]
        assert found[sample] == position - before.count(True)


def test_a_split_without_labels_has_no_label_maker():
    assert label_maker(replace(split_of([Row(sizes=(1,), gaps=(1, 1))]), targets=None), None) is None


def test_a_batch_of_one_sample_by_hand():
    """[CLS] a [b c] d [SEP], where b c is dropped: each kind of label."""
    split = split_of([Row(sizes=(2,), gaps=(1, 1))])
    dropped, batch = [False, False, True, True, False, False], [0]

    def labels(targets, **options):
        return labels_of(split, targets, dropped, batch, **options).tolist()

    word_labels = targets_of([IGNORED, 1, 2, IGNORED, 3, IGNORED], "token_classification", 4, split.token_offsets_N1)
    assert labels(targets_of([2])) == [2]
    assert labels(targets_of([[0.5, -1.0]], "regression", 2)) == [[0.5, -1.0]]
    assert labels(ragged([[1, 3]], "multi_label")) == [[0, 1, 0, 1]]
    assert labels(ragged([[]], "multi_label")) == [[0, 0, 0, 0]]
    assert labels(word_labels) == [[IGNORED, 1, 3, IGNORED]]
    assert labels(word_labels, more_columns=2) == [[IGNORED, 1, 3, IGNORED, IGNORED, IGNORED]]
    assert labels(targets_of([[4, 4]], "question_answering", 2)) == [[2, 2]]
    assert labels(targets_of([[1, 1]], "question_answering", 2)) == [[1, 1]]
    assert labels(targets_of([[0, 0]], "question_answering", 2)) == [[0, 0]]
    assert labels(ragged([[7, 8, 1]], "seq2seq")) == [[7, 8, 1]]
    assert labels(ragged([[7, 8, 1]], "seq2seq"), target_width=5) == [[7, 8, 1, IGNORED, IGNORED]]
    assert labels(ragged([[]], "seq2seq")) == [[IGNORED]]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_rows_of_one_length_are_reshaped_and_others_filled_up(dtype):
    values = np.array([1, 2, 3, 4], dtype=dtype)
    assert padded(values, np.array([2, 2]), 2, 9).tolist() == [[1, 2], [3, 4]]
    assert padded(values, np.array([1, 3]), 3, 9).tolist() == [[1, 9, 9], [2, 3, 4]]
    assert padded(values, np.array([4, 0]), 4, 9).tolist() == [[1, 2, 3, 4], [9, 9, 9, 9]]
    assert padded(values[:0], np.array([0, 0]), 1, 9).tolist() == [[9], [9]]
    assert padded(values, np.array([2, 2]), 2, 9).dtype == np.int64
