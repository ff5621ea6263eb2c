"""A plan is a partition of the epoch into batches that no device refuses: Algorithm 2, then reach, line by line."""

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs import rng
from tdbs.pipeline.lengths import bucket_edges, bucket_of
from tdbs.train.planning.batching import bucket_batches
from tdbs.train.planning.caps import batch_caps, chosen_caps, hardware_caps
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.plan import plan_digest, plan_epoch, plan_run
from tdbs.train.planning.reach import grid_shift
from tests.examples import examples
from tests.reference.algorithm2 import bucket_sampler
from tests.reference.algorithm3 import reachable_lengths
from tests.reference.reach import further_target, merged_target, smallest_reachable
from tests.train.ragged import MAX_LENGTH, Row, lengths_of, random_rows, rows, strategy_of, words_of

GOLDEN = Path(__file__).parents[1] / "golden" / "plan.txt"

# --------------------------------------------------------------------------------------------------------- Algorithm 2


def reference_batches(lengths, permutation, edges, hw_caps, *, rbm, epoch=0, base=10**9):
    """Algorithm 2 where a bucket's shuffle is the order of its ids in the permutation."""
    place = {int(sample): i for i, sample in enumerate(permutation)}
    triplets = [(int(a), int(b), cap) for a, b, cap in zip(edges[:-1], edges[1:], hw_caps, strict=True)]
    return bucket_sampler(
        range(len(lengths)),
        lengths,
        triplets,
        epoch,
        lambda ids: sorted(ids, key=place.__getitem__),
        base_batch_size=base,
        merge_residuals=rbm,
    )


@pytest.mark.parametrize("part", range(10))
def test_bucket_batches_equal_algorithm_2(part):
    """500 cases: random lengths, widths, epochs, caps (the paper's in one of four); with and without RBM."""
    for seed in range(50 * part, 50 * part + 50):
        check_against_algorithm_2(seed)


def check_against_algorithm_2(seed: int) -> None:
    generator = np.random.default_rng(seed)
    max_length = int(generator.choice([1, 7, 30, 128, 140]))
    edges = bucket_edges(max_length, int(generator.choice([1, 2, 5])))
    count = int(generator.integers(1, 400))
    lengths = generator.integers(0, max_length + 1, count)
    if seed % 4:
        hw_caps = np.sort(generator.integers(1, 40, len(edges) - 1))[::-1]
    else:
        table = hardware_caps(chosen_caps("paper"), max_length=max_length)
        hw_caps = np.array([table[min(edge - 1, max_length)] for edge in [*edges[1:-1], max_length + 1]])
    epoch, base = seed % 3, int(generator.choice([1, 8, 64]))
    caps = np.minimum(hw_caps, 2**epoch * base)
    permutation = generator.permutation(count)
    for rbm in (True, False):
        found = [batch.tolist() for batch in bucket_batches(lengths, permutation, edges, caps, rbm=rbm)]
        expected = reference_batches(
            lengths.tolist(), permutation, edges, hw_caps.tolist(), rbm=rbm, epoch=epoch, base=base
        )
        assert found == expected, f"seed {seed}, rbm {rbm}"


@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.parametrize("rbm", [True, False])
def test_a_plan_of_buckets_is_algorithm_2_in_shuffled_order(epoch, rbm):
    """The whole way, caps of the paper included: the same batches, run in another order (App. E.1)."""
    generator = np.random.default_rng(5)
    lengths = generator.integers(2, 129, 9_000)
    samples = [Row(sizes=(), gaps=(n - 2,)) for n in lengths]
    strategy = strategy_of("tdbs_paper", base_batch_size=64, rbm=rbm, drop="none")
    plan = plan_epoch(lengths, words_of(samples), strategy, max_length=128, seed=3, epoch=epoch)
    edges = bucket_edges(128)
    assert len(edges) - 1 == len(chosen_caps("paper").caps)
    permutation = rng.stream(rng.RandomPurpose.SHUFFLE_SAMPLES, seed=3, epoch=epoch).permutation(len(lengths))
    expected = reference_batches(
        lengths.tolist(), permutation, edges, list(chosen_caps("paper").caps), rbm=rbm, epoch=epoch, base=64
    )
    found = batches_of(plan)
    assert sorted(found) == sorted(expected)
    assert found != expected


# ---------------------------------------------------------------------------------------------------------- invariants


def batches_of(plan: EpochPlan) -> list[list[int]]:
    return [part.tolist() for part in np.split(plan.sample_ids_N, plan.batch_offsets_B1[1:-1])]


def kept_of(plan: EpochPlan) -> list[list[int]]:
    return [part.tolist() for part in np.split(plan.kept_N, plan.batch_offsets_B1[1:-1])]


def whole_batches(plan: EpochPlan, *, is_cut: bool) -> list[list[int]]:
    """Return the batch of each call: the samples of its update, if `sorted` cut that."""
    calls = batches_of(plan)
    if not is_cut:
        return calls
    return [
        list(itertools.chain(*calls[first:last]))
        for first, last in itertools.pairwise(plan.step_offsets_S1)
        for _ in range(first, last)
    ]


def reachable(row: Row) -> set[int]:
    return reachable_lengths(row.length, row.sizes, row.non_special)


def check_plan(plan: EpochPlan, samples: list[Row], strategy, *, seed: int, epoch: int) -> None:
    """Every promise of a plan, for every strategy."""
    lengths = [row.length for row in samples]
    assert plan.epoch == epoch
    assert sorted(plan.sample_ids_N.tolist()) == list(range(len(samples)))  # every sample exactly once
    assert (plan.batch_sizes_B > 0).all()
    assert plan.batch_offsets_B1[0] == 0
    assert plan.batch_offsets_B1[-1] == len(samples)
    targets = lengths
    if strategy.drop == "reach":
        shift = grid_shift(width=strategy.bucket_width, seed=seed, epoch=epoch)
        steps = rng.stream(rng.RandomPurpose.GRID_LENGTH, seed=seed, epoch=epoch).integers(
            strategy.grid_lengths, size=len(samples)
        )
        targets = [
            further_target(r.length, r.sizes, r.non_special, shift, strategy.bucket_width, step)
            for r, step in zip(samples, steps.tolist(), strict=True)
        ]
    bucketed = targets if strategy.batches == "reach" else lengths
    edges = bucket_edges(MAX_LENGTH, 1 if strategy.batches == "reach" else strategy.bucket_width)
    tokens = 0
    is_cut = strategy.execution == "sorted"
    several = strategy.batches == "batch_rebalance" or strategy.micro_batches > 1
    for ids, kept, width, batch in zip(
        batches_of(plan), kept_of(plan), plan.padded_lengths_B.tolist(), whole_batches(plan, is_cut=is_cut), strict=True
    ):
        assert width == (MAX_LENGTH if strategy.execution in ("padded_max", "packed") else max(*kept, 1))
        tokens += -(-sum(kept) // 32) * 32 if strategy.execution == "unpadded" else width * len(ids)
        # No batch over the cap of its longest sample's bucket.
        if strategy.batches in ("random", "stratified", "length_grouped", "batch_rebalance"):
            assert len(ids) <= strategy.base_batch_size
        elif strategy.batches != "packs":
            caps = hardware_caps(strategy.hw_caps, max_length=MAX_LENGTH)
            if strategy.batch_cap:
                caps = batch_caps(
                    caps,
                    epoch=epoch,
                    base_batch_size=strategy.base_batch_size,
                    scaling_factor=strategy.scaling_factor,
                )
            caps = np.maximum(caps // strategy.micro_batches, 1)
            bucket = bucket_of(np.array([max(bucketed[i] for i in ids)]), edges)[0]
            longest = MAX_LENGTH if bucket == len(edges) - 2 else edges[bucket + 1] - 1
            assert len(ids) <= caps[longest]
        # Kept lengths are ones that whole words can make, and the ones that the strategy says.
        assert all(n in reachable(samples[i]) for i, n in zip(ids, kept, strict=True))
        if strategy.drop == "none":
            assert kept == [lengths[i] for i in ids]
        elif strategy.drop in ("reach", "batch_min") and not (is_cut and several):
            goal = (
                min(lengths[i] for i in batch)
                if strategy.drop == "batch_min"
                else merged_target(
                    [targets[i] for i in batch],
                    [smallest_reachable(samples[i].length, samples[i].sizes, samples[i].non_special) for i in batch],
                )
            )
            assert kept == [
                min(length for length in reachable(samples[i]) if length >= min(targets[i], goal)) for i in ids
            ]
            if strategy.drop == "reach" and len({targets[i] for i in ids}) == 1:
                assert len(set(kept)) == 1  # not merged: no padding at all
    if strategy.execution == "packed":
        tokens = (len(plan.row_offsets_R1) - 1) * MAX_LENGTH
    assert plan.step_batches_S.sum() == len(plan.batch_sizes_B)
    assert plan.step_sizes_S.sum() == len(samples)
    if strategy.micro_batches > 1 and not is_cut:
        assert (plan.step_batches_S[:-1] == strategy.micro_batches).all()
        assert 1 <= plan.step_batches_S[-1] <= strategy.micro_batches
    assert plan.tokens == tokens
    assert plan.padding_fraction == pytest.approx(1 - sum(map(sum, kept_of(plan))) / tokens)


NAMED = ("random_max", "random", "length_grouped", "batch_rebalance", "sorted", "packed", "unpadded",
         "stratified", "tf_bucket", "bucket", "tdbs_paper", "reach")  # fmt: skip
ALL_PARTS = st.builds(
    strategy_of,
    st.sampled_from(NAMED),
    batches=st.sampled_from(["random", "stratified", "length_grouped", "batch_rebalance", "bucket", "reach"]),
    execution=st.sampled_from(["padded", "padded_max", "unpadded", "sorted"]),
    drop=st.sampled_from(["none", "batch_min", "reach"]),
    bucket_width=st.sampled_from([1, 3, 5]),
    rbm=st.booleans(),
    base_batch_size=st.sampled_from([1, 3, 8]),
    scaling_factor=st.sampled_from([1, 2, 3]),
    caps=st.sampled_from(["base", "paper", "5"]),
)


MICRO_BATCHED = st.builds(
    strategy_of,
    st.sampled_from(["bucket", "reach", "tdbs_paper"]),
    base_batch_size=st.sampled_from([1, 8, 9]),
    micro_batches=st.sampled_from([2, 4]),
    rbm=st.booleans(),
    execution=st.sampled_from(["padded", "unpadded", "sorted"]),
)


WIDER_REACH = st.builds(
    strategy_of,
    st.just("reach"),
    bucket_width=st.sampled_from([1, 3, 5]),
    grid_lengths=st.sampled_from([2, 3]),
    batches=st.sampled_from(["reach", "random"]),
)


@given(
    st.lists(rows(), min_size=1, max_size=40),
    st.one_of(st.sampled_from(NAMED).map(strategy_of), ALL_PARTS, MICRO_BATCHED, WIDER_REACH),
)
@examples(200)
def test_every_strategy_keeps_every_promise_on_any_data(samples, strategy):
    """Each named strategy and each combination of parts, epochs 0 and 2."""
    for epoch in (0, 2):
        plan = plan_epoch(lengths_of(samples), words_of(samples), strategy, max_length=MAX_LENGTH, seed=1, epoch=epoch)
        check_plan(plan, samples, strategy, seed=1, epoch=epoch)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("seed", range(3))
def test_every_strategy_keeps_every_promise_on_many_samples(name, seed):
    """600 samples, so that buckets fill up and residuals merge."""
    samples = random_rows(600, seed)
    for epoch in range(3):
        plan = plan_epoch(
            lengths_of(samples), words_of(samples), strategy_of(name), max_length=MAX_LENGTH, seed=seed, epoch=epoch
        )
        check_plan(plan, samples, strategy_of(name), seed=seed, epoch=epoch)


@pytest.mark.parametrize("drop", ["rate", "any", "all"])
def test_kept_lengths_of_a_rate_are_reachable(drop):
    """Algorithm 1 with every kind of batches: what is kept does not depend on the batch."""
    samples = random_rows(300, 4)
    lengths, words = lengths_of(samples), words_of(samples)
    by_batches = []
    for batches in ("random", "bucket", "reach"):
        strategy = strategy_of("random", batches=batches, drop=drop)
        plan = plan_epoch(lengths, words, strategy, max_length=MAX_LENGTH, seed=1, epoch=0)
        kept = np.empty(len(samples), dtype=np.int64)
        kept[plan.sample_ids_N] = plan.kept_N
        assert all(int(n) in reachable(row) for row, n in zip(samples, kept, strict=True))
        assert kept.sum() < lengths.sum()
        by_batches.append(kept.tolist())
    assert by_batches[0] == by_batches[1] == by_batches[2]


# --------------------------------------------------------------------------------------------- one arithmetic epoch


def plan_of(samples, name="reach", *, seed=0, epoch=0, **overrides) -> EpochPlan:
    strategy = strategy_of(name, **overrides)
    return plan_epoch(lengths_of(samples), words_of(samples), strategy, max_length=MAX_LENGTH, seed=seed, epoch=epoch)


@pytest.mark.parametrize("name", NAMED)
def test_same_arguments_same_plan_other_seed_or_epoch_another(name):
    """Seed 3 at epoch 4 is not seed 4 at epoch 3 either: keys, not sums."""
    samples = random_rows(200, 0)
    digests = {
        (seed, epoch): plan_digest([plan_of(samples, name, seed=seed, epoch=epoch)])
        for seed in range(5)
        for epoch in range(5)
    }
    assert plan_digest([plan_of(samples, name, seed=3, epoch=4)]) == digests[3, 4]
    assert len(set(digests.values())) == 25


def test_a_run_is_its_epochs():
    """Each epoch alone is the one of the run; asking for more epochs does not change the first ones."""
    samples = random_rows(200, 0)
    args = (lengths_of(samples), words_of(samples), strategy_of("reach"))
    run = plan_run(*args, max_length=MAX_LENGTH, seed=2, epochs=range(3))
    alone = [plan_epoch(*args, max_length=MAX_LENGTH, seed=2, epoch=epoch) for epoch in range(3)]
    assert plan_digest(run) == plan_digest(alone)
    assert plan_digest(run[:2]) == plan_digest(plan_run(*args, max_length=MAX_LENGTH, seed=2, epochs=range(2)))
    assert plan_digest(run) != plan_digest(run[:2])


def test_planning_leaves_its_arguments_and_the_global_generator_alone():
    """A pure function: nothing given is written to, no generator of numpy's is drawn from."""
    samples = random_rows(100, 0)
    lengths, words = lengths_of(samples), words_of(samples)
    before = (lengths.copy(), words.sizes_W.copy(), words.totals_N.copy())
    state = np.random.get_state()[1].copy()
    for name in NAMED:
        plan_epoch(lengths, words, strategy_of(name), max_length=MAX_LENGTH, seed=0, epoch=1)
    assert all((a == b).all() for a, b in zip(before, (lengths, words.sizes_W, words.totals_N), strict=True))
    assert (np.random.get_state()[1] == state).all()


def test_random_batches_are_a_permutation_cut_in_pieces():
    """All of base_batch_size but the last; the order is no order of the source."""
    plan = plan_of(random_rows(83, 0), "random")
    assert plan.batch_sizes_B.tolist() == [8] * 10 + [3]
    assert sorted(plan.sample_ids_N.tolist()) == list(range(83))
    assert plan.sample_ids_N.tolist() != list(range(83))
    permutation = rng.stream(rng.RandomPurpose.SHUFFLE_SAMPLES, seed=0, epoch=0).permutation(83)
    assert plan.sample_ids_N.tolist() == permutation.tolist()


def test_random_max_is_random_padded_to_the_maximum():
    """Same batches, other widths: the two baselines differ in their padding alone."""
    samples = random_rows(83, 0)
    padded, longest = plan_of(samples, "random_max"), plan_of(samples, "random")
    assert padded.sample_ids_N.tolist() == longest.sample_ids_N.tolist()
    assert set(padded.padded_lengths_B.tolist()) == {MAX_LENGTH}
    assert padded.tokens == 83 * MAX_LENGTH


@pytest.mark.parametrize("name", ["bucket", "tdbs_paper", "reach"])
def test_batches_run_in_shuffled_order(name):
    """Short and long batches alternate (App. E.1): neighbours in length are not neighbours in time."""
    widths = plan_of(random_rows(2000, 0), name).padded_lengths_B
    rises = (np.diff(widths) > 0).sum()
    falls = (np.diff(widths) < 0).sum()
    assert min(rises, falls) > 0.3 * len(widths)
    first, second = np.array_split(widths, 2)
    assert first.mean() == pytest.approx(second.mean(), rel=0.15)


def test_without_rbm_every_residual_is_a_batch_of_its_own():
    """No batch spans two buckets, so with width 1 and no drop there is no padding at all; but more steps."""
    samples = random_rows(500, 0)
    merged, alone = (plan_of(samples, "bucket", rbm=rbm) for rbm in (True, False))
    assert alone.padding_fraction == 0
    assert merged.padding_fraction > 0
    assert len(alone.batch_sizes_B) > len(merged.batch_sizes_B)
    lengths = lengths_of(samples)
    expected = sum(-(-count // 8) for count in np.bincount(lengths).tolist())  # ceil(count / cap) of each length
    assert len(alone.batch_sizes_B) == expected


@pytest.mark.parametrize("name", NAMED)
def test_one_sample_is_one_batch(name):
    plan = plan_of([Row(sizes=(1,), gaps=(2, 2))], name)
    assert plan.sample_ids_N.tolist() == [0]
    assert plan.batch_offsets_B1.tolist() == [0, 1]


def test_samples_without_a_token_still_make_a_column():
    """Empty texts of a tokenizer without special tokens (GPT-2): a model needs one column at least."""
    plan = plan_of([Row(sizes=(), gaps=(0,), special=0)] * 3, "bucket")
    assert plan.padded_lengths_B.tolist() == [1]
    assert plan.padding_fraction == 1.0


# -------------------------------------------------------------------------------------------------------------- golden


def golden_samples() -> list[Row]:
    """Made by arithmetic alone, so that no generator can change them."""
    return [
        Row(
            sizes=tuple(1 + (i * j) % 7 // 5 for j in range((i * 13) % 9)),
            gaps=tuple((i * 5 + j * 3) % 4 for j in range((i * 13) % 9 + 1)),
        )
        for i in range(400)
    ]


def golden_lines() -> list[str]:
    samples = golden_samples()
    lines = []
    for name in (name for name in NAMED if name not in ("length_grouped", "batch_rebalance")):  # theirs may change
        strategy = strategy_of(name, **({"call_tokens": 16} if name == "sorted" else {}))  # so that 8 samples are cut
        plans = plan_run(
            lengths_of(samples), words_of(samples), strategy, max_length=MAX_LENGTH, seed=7, epochs=range(3)
        )
        steps = sum(plan.steps for plan in plans)
        lines.append(f"{name} {steps} steps {sum(plan.tokens for plan in plans)} tokens {plan_digest(plans)}")
    return lines


def test_plans_are_the_golden_ones():
    """400 fixed samples, seed 7, three epochs. A change breaks resume and every recorded digest: docs/decisions.md.

    To write the file anew: python -m tests.train.test_plan
    """
    assert golden_lines() == GOLDEN.read_text().splitlines()


def test_the_digest_sees_every_array():
    """One number changed anywhere is another digest; the type of the integers is not part of it."""
    plan = plan_of(random_rows(20, 0))
    fields = {name: getattr(plan, name) for name in plan.__slots__}
    digest = plan_digest([plan])
    for name in ("sample_ids_N", "kept_N", "batch_offsets_B1", "padded_lengths_B"):
        changed = fields[name].copy()
        changed[0] += 1
        assert plan_digest([EpochPlan(**(fields | {name: changed}))]) != digest
        assert plan_digest([EpochPlan(**(fields | {name: fields[name].astype(np.int32)}))]) == digest
    assert plan_digest([]) == hashlib.sha256().hexdigest()


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(golden_lines()) + "\n")
