"""Whether labels go with lengths: against scipy and sums sample by sample, and on plans whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import tdbs
from tdbs.analysis.label_length import LabelLength, label_length, label_stray, length_correlation
from tdbs.pipeline.dataset import Targets, read_split
from tdbs.train.plan import EpochPlan
from tdbs.train.strategies import resolve_strategy


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


def test_the_correlation_is_pearsons_for_two_classes_numbers_and_sets(generator):
    lengths_N, labels_N = generator.integers(5, 60, size=200), generator.integers(2, size=200)
    pearson = abs(stats.pearsonr(lengths_N, labels_N).statistic)
    assert length_correlation(lengths_N, classes(labels_N)) == pytest.approx(pearson)
    assert length_correlation(lengths_N, numbers(labels_N)) == pytest.approx(pearson)
    assert length_correlation(lengths_N, sets_of([[0] * label for label in labels_N], outputs=1)) == pytest.approx(
        pearson
    )


def test_of_several_targets_the_strongest_correlation_counts(generator):
    lengths_N = generator.integers(5, 60, size=50)
    both_N2 = np.stack([generator.random(50), -3.0 * lengths_N], axis=1)
    assert length_correlation(lengths_N, numbers(both_N2)) == pytest.approx(1)


def test_the_correlation_ratio_of_three_classes():
    # Means 1, 5 and 3 of pairs that lie 1 to each side: variance between 8 / 3, in all 8 / 3 + 1.
    lengths_N = np.array([0, 2, 4, 6, 2, 4])
    assert length_correlation(lengths_N, classes([0, 0, 1, 1, 2, 2], 3)) == pytest.approx(np.sqrt(8 / 11))


@pytest.mark.parametrize("targets", [classes([1, 1, 1]), numbers([2.0, 2.0, 2.0]), sets_of([[0], [0], [0]], 2)])
def test_labels_that_are_all_the_same_have_neither(targets):
    assert length_correlation(np.array([3, 4, 5]), targets) is None
    assert label_stray(targets, plan_of([[0, 1], [2]])) is None


def test_lengths_that_are_all_the_same_have_no_correlation():
    assert length_correlation(np.array([4, 4, 4]), classes([0, 1, 0])) is None


def test_an_epoch_of_one_update_has_no_stray():
    assert label_stray(classes([0, 1, 0]), plan_of([[0, 1, 2]])) is None


def test_what_is_risky():
    assert LabelLength(correlation=0.2, stray=1.5).is_risky
    assert not LabelLength(correlation=0.9, stray=1.49).is_risky
    assert not LabelLength(correlation=0.9, stray=None).is_risky


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
        for name, parts in (("random", {}), ("reach", {}), ("reach", {"micro_batches": 4})):
            strategy = resolve_strategy(name, dataset.manifest.task, parts)
            found[task, name, strategy.micro_batches] = label_length(dataset, split, strategy)
    assert found["stsb", "reach", 1].correlation == pytest.approx(0.21, abs=0.01)
    assert found["cola", "reach", 1].correlation < 0.05
    assert found["stsb", "reach", 1].stray > 1.8
    assert found["stsb", "reach", 4].stray < 1.5
    for other in (("stsb", "random", 1), ("cola", "random", 1), ("cola", "reach", 1)):
        assert found[other].stray == pytest.approx(1, abs=0.15)
