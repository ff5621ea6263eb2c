"""Whether labels go with lengths: against scipy and sums sample by sample, and on plans whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import tdbs
from tdbs.analysis import label_length as label_length_module
from tdbs.analysis.correlation import label_correlation
from tdbs.analysis.label_length import (
    ERROR_RATE,
    RISKY_STRAY,
    LabelLength,
    chance_of_stray,
    label_length,
    label_stray,
)
from tdbs.data.sample import SAMPLE_TASK
from tdbs.pipeline.dataset import Targets, read_split
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.strategies import resolve_strategy


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def classes(labels: list[int], outputs: int = 2) -> Targets:
    return Targets(kind="classification", outputs=outputs, values=np.array(labels), offsets_N1=None)


def numbers(values: object) -> Targets:
    values_NC = np.array(values, dtype=np.float64)
    return Targets(kind="regression", outputs=values_NC[0].size, values=values_NC, offsets_N1=None)


def sets_of(labels: list[list[int]], outputs: int) -> Targets:
    return Targets(
        kind="multi_label",
        outputs=outputs,
        values=np.array([label for held in labels for label in held], dtype=np.int64),
        offsets_N1=np.append(0, np.cumsum([len(held) for held in labels])),
    )


def plan_of(updates: list[list[int]]) -> EpochPlan:
    ids_N = np.array([sample for update in updates for sample in update])
    return EpochPlan(
        epoch=0,
        sample_ids_N=ids_N,
        kept_N=np.ones_like(ids_N),
        batch_offsets_B1=np.append(0, np.cumsum([len(update) for update in updates])),
        padded_lengths_B=np.ones(len(updates), dtype=np.int64),
    )


def columns_of(targets: Targets, rows: int) -> np.ndarray:
    """Return labels as a dense table, sample by sample."""
    if targets.kind == "regression":
        return targets.values.reshape(rows, -1)
    columns_NC = np.zeros((rows, targets.outputs))
    for row in range(rows):
        held = (
            [targets.values[row]]
            if targets.offsets_N1 is None
            else targets.values[targets.offsets_N1[row] : targets.offsets_N1[row + 1]]
        )
        columns_NC[row, held] = 1
    return columns_NC


@st.composite
def labelled_plans(draw: st.DrawFn) -> tuple[Targets, list[list[int]]]:
    """Return labels of some kind, and updates that hold each sample once."""
    rows = draw(st.integers(2, 30))
    kind = draw(st.sampled_from(["classification", "regression", "multi_label"]))
    label = st.integers(0, 3)
    if kind == "classification":
        targets = classes(draw(st.lists(label, min_size=rows, max_size=rows)), outputs=4)
    elif kind == "regression":
        number = st.floats(-5, 5, width=16)
        targets = numbers(draw(st.lists(st.tuples(number, number), min_size=rows, max_size=rows)))
    else:
        held = st.lists(label, unique=True, max_size=4)
        targets = sets_of(draw(st.lists(held, min_size=rows, max_size=rows)), outputs=4)
    order = draw(st.permutations(range(rows)))
    cuts = sorted(draw(st.sets(st.integers(1, rows - 1))))
    return targets, [order[first:last] for first, last in zip([0, *cuts], [*cuts, rows], strict=True)]


@given(labelled_plans())
def test_the_stray_equals_sums_over_dense_labels(case):
    targets, updates = case
    rows = sum(map(len, updates))
    columns_NC = columns_of(targets, rows)
    variance = columns_NC.var(axis=0).sum()
    ratios = [
        ((columns_NC[update].mean(axis=0) - columns_NC.mean(axis=0)) ** 2).sum()
        / (variance / len(update) * (rows - len(update)) / (rows - 1))
        for update in updates
        if variance > 1e-9 and len(update) < rows
    ]
    found = label_stray(targets, plan_of(updates))
    if ratios:
        assert found == pytest.approx(np.sqrt(np.mean(ratios)), rel=1e-6, abs=1e-6)
    else:
        assert found is None or variance <= 1e-9


def test_random_updates_stray_as_by_chance_and_sorted_ones_further(generator):
    labels_N = generator.integers(2, size=6_400)
    at_random = generator.permutation(6_400).reshape(-1, 64)
    by_label = np.argsort(labels_N, kind="stable").reshape(-1, 64)
    assert label_stray(classes(labels_N), plan_of(at_random.tolist())) == pytest.approx(1, abs=0.15)
    assert label_stray(classes(labels_N), plan_of(by_label.tolist())) == pytest.approx(8, abs=0.2)  # root of 64


def test_the_correlation_is_pearsons_for_numbers_and_sets(generator):
    lengths_N, labels_N = generator.integers(5, 60, size=200), generator.integers(2, size=200)
    pearson = pytest.approx(abs(stats.pearsonr(lengths_N, labels_N).statistic))
    for targets in (numbers(labels_N), sets_of([[0] * label for label in labels_N], outputs=1)):
        assert label_correlation(lengths_N, targets).value == pearson


def test_of_several_targets_the_strongest_correlation_counts(generator):
    lengths_N = generator.integers(5, 60, size=50)
    both_N2 = np.stack([generator.random(50), -3.0 * lengths_N], axis=1)
    assert label_correlation(lengths_N, numbers(both_N2)).value == pytest.approx(1)


@pytest.mark.parametrize("targets", [classes([1, 1, 1]), numbers([2.0, 2.0, 2.0]), sets_of([[0], [0], [0]], 2)])
def test_labels_that_are_all_the_same_have_neither(targets):
    assert label_correlation(np.array([3, 4, 5]), targets) is None
    assert label_stray(targets, plan_of([[0, 1], [2]])) is None


def test_lengths_that_are_all_the_same_have_no_correlation():
    assert label_correlation(np.array([4, 4, 4]), classes([0, 1, 0])) is None


def test_an_epoch_of_one_update_has_no_stray():
    assert label_stray(classes([0, 1, 0]), plan_of([[0, 1, 2]])) is None


def test_what_is_risky():
    """Far, and further than chance strays: both."""
    assert LabelLength(correlation=0.2, stray=1.5, p_value=0.01).is_risky
    assert not LabelLength(correlation=0.9, stray=1.49, p_value=0.001).is_risky
    assert not LabelLength(correlation=0.9, stray=1.5, p_value=0.011).is_risky
    assert not LabelLength(correlation=0.9, stray=1.5, at_random=True).is_risky
    assert not LabelLength(correlation=0.9, stray=None).is_risky


# ------------------------------------------------------------------------------------------------ the test's error rate

ROWS = 270  # of the smallest split at hand: 32 updates, most of a few samples


@pytest.fixture(scope="module")
def length_batches() -> tuple[np.ndarray, EpochPlan]:
    """Lengths of a small split, and batches of one length each as `bucket` makes them."""
    lengths_N = 6 + np.random.default_rng(1).gamma(2, 5, size=ROWS).astype(np.int64)
    strategy = resolve_strategy("bucket", SAMPLE_TASK, {"rbm": False})
    return lengths_N, plan_epoch(lengths_N, None, strategy, max_length=128, seed=0, epoch=0)


def rare_classes(generator: np.random.Generator) -> Targets:
    """Thirty classes, of which many have a sample or two."""
    return classes(np.minimum(generator.geometric(0.3, size=ROWS) - 1, 29), outputs=30)


def skewed_numbers(generator: np.random.Generator) -> Targets:
    return numbers(np.exp(2 * generator.normal(size=(ROWS, 1))))


LABELLINGS = {
    "two classes": lambda generator: classes(generator.integers(2, size=ROWS)),
    "one in fifty": lambda generator: classes((generator.random(ROWS) < 0.02).astype(np.int64)),
    "rare classes": rare_classes,
    "numbers": skewed_numbers,
    "sets": lambda generator: sets_of([np.flatnonzero(row).tolist() for row in generator.random((ROWS, 4)) < 0.2], 4),
}


@pytest.mark.parametrize("kind", LABELLINGS)
def test_random_labels_are_taken_for_more_than_chance_in_one_of_a_hundred(length_batches, kind, monkeypatch):
    """Of 400 labellings 4 are expected, and more than 12 in less than one of 3,000 such tests."""
    monkeypatch.setattr(label_length_module, "_SHUFFLES", 99)  # the error rate is exact with any number of the form
    generator = np.random.default_rng(11)
    _, plan = length_batches
    found = [chance_of_stray(LABELLINGS[kind](generator), plan, seed=seed) for seed in range(400)]
    assert sum(p_value <= ERROR_RATE for p_value in found) <= 12
    assert 0.4 <= np.mean(found) <= 0.65  # and it is no test that never says so: p values are even, or ties raise them


def test_random_labels_of_few_samples_stray_far_more_often_than_the_warning_says(length_batches):
    """So the bound of 1.5 alone is not enough: a few great numbers pass it in one of fifteen labellings."""
    generator = np.random.default_rng(5)
    _, plan = length_batches
    strays = [label_stray(skewed_numbers(generator), plan) for _ in range(400)]
    far = np.mean([stray >= RISKY_STRAY for stray in strays])
    assert far > 2 * ERROR_RATE


def test_labels_that_go_with_lengths_are_found(length_batches):
    lengths_N, plan = length_batches
    long_N = (lengths_N > np.median(lengths_N)).astype(np.int64)
    noisy_N = np.where(np.random.default_rng(2).random(ROWS) < 0.2, 1 - long_N, long_N)
    for targets in (classes(long_N), classes(noisy_N), numbers(lengths_N), sets_of([[label] for label in noisy_N], 2)):
        assert chance_of_stray(targets, plan, seed=0) == pytest.approx(0.001)
        assert label_stray(targets, plan) >= RISKY_STRAY


def test_the_p_value_is_that_of_all_permutations():
    """Six samples in two updates of three: 2 of 20 ways put all of a class into one of them."""
    found = [chance_of_stray(classes([1, 1, 1, 0, 0, 0]), plan_of([[0, 1, 2], [3, 4, 5]]), seed=s) for s in range(9)]
    assert np.mean(found) == pytest.approx(0.1, abs=0.02)


def test_many_classes_are_counted_as_few_are(generator, monkeypatch):
    """Of many only those that an update holds: the same numbers."""
    plan = plan_of(generator.permutation(120).reshape(-1, 6).tolist())
    targets = classes(generator.integers(9, size=120), outputs=9)
    monkeypatch.setattr(label_length_module, "_DENSE", 100)
    in_a_table = label_stray(targets, plan), chance_of_stray(targets, plan, seed=3)
    monkeypatch.setattr(label_length_module, "_DENSE", 0)
    assert (label_stray(targets, plan), chance_of_stray(targets, plan, seed=3)) == pytest.approx(in_a_table)


def test_the_same_seed_gives_the_same_p_value_and_there_is_none_without_a_stray(length_batches):
    generator = np.random.default_rng(4)
    targets = classes(generator.integers(2, size=ROWS))
    _, plan = length_batches
    assert chance_of_stray(targets, plan, seed=1) == chance_of_stray(targets, plan, seed=1)
    assert chance_of_stray(classes([1] * ROWS), plan, seed=1) is None


@pytest.mark.real_data
def test_sts_b_goes_with_length_and_cola_does_not(shared, tmp_path):
    """Short pairs of STS-B are more alike: updates of equal lengths stray twice as far, four micro-batches less."""
    found = {}
    for task in ("stsb", "cola"):
        dataset = tdbs.prepare(
            f"glue/{task}",
            mirror=shared / "datasets",
            tokenizer=str(shared / "tokenizers/bert-base-uncased"),
            out=tmp_path / task,
        ).dataset
        split = read_split(dataset, "train")
        for name, parts in (("random", {}), ("stratified", {}), ("reach", {}), ("reach", {"micro_batches": 4})):
            strategy = resolve_strategy(name, dataset.manifest.task, parts)
            found[task, name, strategy.micro_batches] = label_length(dataset, split, strategy)
    assert found["stsb", "reach", 1].correlation == pytest.approx(0.21, abs=0.01)
    assert found["cola", "reach", 1].correlation < 0.05
    assert found["stsb", "reach", 1].stray > 1.8
    assert found["stsb", "reach", 4].stray < 1.5
    for other in (("stsb", "random", 1), ("stsb", "stratified", 1), ("cola", "random", 1), ("cola", "reach", 1)):
        assert found[other].stray == pytest.approx(1, abs=0.15)
    assert found["stsb", "reach", 1].is_risky
    assert not found["cola", "reach", 1].is_risky
    assert found["stsb", "random", 1].p_value is None  # any stray of it is chance
