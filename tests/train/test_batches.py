"""Batches made by array code are those that plain lists give: order, specials, padding, labels, segments."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.arrays import ragged_positions
from tdbs.train.batches import epoch_batches
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.tokendrop import dropped_tokens, words_of_split
from tests.examples import examples
from tests.train.ragged import (
    CLS,
    MAX_LENGTH,
    SEP,
    Row,
    random_rows,
    rows,
    split_of,
    strategy_of,
    tokenizer_info,
)

CASES = {
    "random_max": strategy_of("random_max"),
    "random": strategy_of("random"),
    "bucket": strategy_of("bucket"),
    "tdbs_paper": strategy_of("tdbs_paper"),
    "reach": strategy_of("reach"),
    "random, rate": strategy_of("random", drop="rate", drop_rate=0.5),
    "bucket, rate": strategy_of("bucket", drop="rate"),
    "random, any": strategy_of("random", drop="any"),
    "reach, any": strategy_of("reach", drop="any", drop_rate=0.9),
    "random, all": strategy_of("random", drop="all"),
    "random, batch_min": strategy_of("random", drop="batch_min"),
    "random, reach": strategy_of("random", drop="reach"),
}
PAD_ID = 77  # not 0, so that forgotten padding shows


def made(split, strategy, *, seed=0, epoch=0):
    """Return plan, dropped tokens and batches, as the trainer makes them."""
    tokenizer = tokenizer_info()
    words = words_of_split(split, strategy, tokenizer)
    plan = plan_epoch(split.lengths_N, words, strategy, max_length=MAX_LENGTH, seed=seed, epoch=epoch)
    dropped_T = dropped_tokens(split, words, strategy, plan, tokenizer, seed=seed)
    return plan, dropped_T, list(epoch_batches(split, plan, dropped_T, pad_id=PAD_ID))


def check_dropped(split, strategy, plan, dropped_T) -> list[list[bool]]:
    """Check sample by sample what is dropped; returns the flags as lists."""
    bounds = split.token_offsets_N1.tolist()
    kept = dict(zip(plan.sample_ids_N.tolist(), plan.kept_N.tolist(), strict=True))
    every = []
    for i, (first, last) in enumerate(itertools.pairwise(bounds)):
        flags = [False] * (last - first) if dropped_T is None else dropped_T[first:last].tolist()
        ids = split.input_ids_T[first:last].tolist()
        assert flags.count(False) == kept[i]
        assert not flags[0]  # special tokens stay
        assert not flags[-1]
        assert len(flags) == 2 or flags[1:-1].count(False) >= 1 or not any(flags)  # one token that is not special stays
        if strategy.drop not in ("none", "any"):
            allowed = [False] * len(flags)
            for w in range(split.word_offsets_N1[i], split.word_offsets_N1[i + 1]):
                place = range(split.word_starts_W[w], split.word_starts_W[w] + split.word_sizes_W[w])
                assert len({flags[p] for p in place}) == 1  # whole or not at all
                for p in place:
                    allowed[p] = True
            assert all(may for may, goes in zip(allowed, flags, strict=True) if goes)
        assert not any(goes for token, goes in zip(ids, flags, strict=True) if token in (CLS, SEP))
        every.append(flags)
    return every


def check_batches(split, strategy, *, seed=0, epoch=0) -> None:
    """Compare each batch with one made of Python lists."""
    plan, dropped_T, batches = made(split, strategy, seed=seed, epoch=epoch)
    flags = check_dropped(split, strategy, plan, dropped_T)
    assert len(batches) == len(plan.padded_lengths_B)
    for b, batch in enumerate(batches):
        ids = plan.sample_ids_N[plan.batch_offsets_B1[b] : plan.batch_offsets_B1[b + 1]].tolist()
        expected, lengths, starts = [], [], []
        for i in ids:
            tokens = split.input_ids_T[split.token_offsets_N1[i] : split.token_offsets_N1[i + 1]].tolist()
            left = [token for token, goes in zip(tokens, flags[i], strict=True) if not goes]
            lengths.append(len(left))
            expected.append(left + [PAD_ID] * (int(plan.padded_lengths_B[b]) - len(left)))
            if split.segment_starts_N is not None:
                starts.append(flags[i][: split.segment_starts_N[i]].count(False))
        assert batch.sample_ids_B.tolist() == ids
        assert batch.input_ids_RW.tolist() == expected
        assert batch.input_ids_RW.dtype == np.int64
        assert batch.lengths_B.tolist() == lengths
        assert batch.labels.tolist() == split.targets.values[ids].tolist()
        if split.segment_starts_N is None:
            assert batch.segment_starts_B is None
        else:
            assert batch.segment_starts_B.tolist() == starts


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
@pytest.mark.parametrize("name", CASES)
def test_batches_equal_a_loop_over_lists(name, pairs):
    """300 ragged samples, three epochs: tokens in their order, specials kept, pad id, labels and segments aligned."""
    split = split_of(random_rows(300, 1), pairs=pairs)
    for epoch in range(3):
        check_batches(split, CASES[name], seed=2, epoch=epoch)


@given(
    st.lists(rows(), min_size=1, max_size=25),
    st.sampled_from(list(CASES.values())),
    st.booleans(),
    st.integers(0, 3),
)
@examples(200)
def test_batches_of_any_data_equal_a_loop_over_lists(samples, strategy, pairs, epoch):
    """Empty samples and samples of droppable words alone among them."""
    check_batches(split_of(samples, pairs=pairs), strategy, seed=1, epoch=epoch)


@pytest.mark.parametrize("name", ["random", "reach"])
def test_more_tokens_than_a_block_are_the_same_batches(name):
    """Over 1.2 million tokens are gathered in two blocks; the seam shows nowhere."""
    generator = np.random.default_rng(0)
    samples = [Row(sizes=(1,) * int(k), gaps=(int(60 - k), *([0] * int(k)))) for k in generator.integers(0, 12, 21_000)]
    split = split_of(samples)
    assert len(split.input_ids_T) > 1.2 * (1 << 20)
    check_batches(split, strategy_of(name, base_batch_size=64))


@pytest.mark.parametrize("name", [name for name in CASES if "rand" not in name or "," in name])
def test_two_epochs_drop_different_words(name):
    """Each epoch has its own order of words; the same epoch again is the same."""
    split = split_of([Row(sizes=(1,) * 10, gaps=(3, *([1] * 10))) for _ in range(50)] + random_rows(50, 0))
    if CASES[name].drop == "none":
        assert made(split, CASES[name])[1] is None
        return
    first, again, other = (made(split, CASES[name], epoch=epoch)[1] for epoch in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_a_split_without_labels_has_batches_without_labels():
    """A test split of the hub."""
    split = split_of(random_rows(10, 0))
    fields = {name: getattr(split, name) for name in split.__slots__} | {"targets": None}
    _, _, batches = made(type(split)(**fields), strategy_of("random"))
    assert all(batch.labels is None for batch in batches)


def test_any_drops_a_share_of_all_tokens_and_all_drops_every_droppable_word():
    """Table 8: `any` takes floor(rate x tokens that are not special), `all` every stopword (but a last token)."""
    samples = random_rows(200, 3)
    split = split_of(samples)
    any_plan, _, _ = made(split, strategy_of("random", drop="any", drop_rate=0.5))
    for i, kept in zip(any_plan.sample_ids_N.tolist(), any_plan.kept_N.tolist(), strict=True):
        assert samples[i].length - kept == min(samples[i].non_special // 2, max(samples[i].non_special - 1, 0))
    all_plan, _, _ = made(split, strategy_of("random", drop="all"))
    for i, kept in zip(all_plan.sample_ids_N.tolist(), all_plan.kept_N.tolist(), strict=True):
        row = samples[i]
        if sum(row.gaps):
            assert row.length - kept == sum(row.sizes)
        else:
            assert kept >= min(row.length, 3)


def test_any_never_takes_a_special_token_out_of_the_text():
    """A text may hold "[SEP]" itself; Table 8's any token is any that is not special."""
    split = split_of([Row(sizes=(), gaps=(20,))] * 5)
    ids = split.input_ids_T.copy()
    ids[split.token_offsets_N1[:-1] + 7] = SEP
    fields = {name: getattr(split, name) for name in split.__slots__} | {"input_ids_T": ids}
    _, dropped_T, _ = made(type(split)(**fields), strategy_of("random", drop="any", drop_rate=1.0))
    assert not dropped_T[np.isin(ids, (CLS, SEP))].any()
    assert dropped_T.sum() == 5 * 18  # one that is not special stays


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 6)), max_size=20))
def test_ragged_positions_are_the_ranges(ranges):
    """One range after the other, empty ones included."""
    firsts, sizes = (np.array([pair[k] for pair in ranges], dtype=np.int64) for k in (0, 1))
    assert ragged_positions(firsts, sizes).tolist() == [p for a, n in ranges for p in range(a, a + n)]
