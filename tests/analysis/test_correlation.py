"""Correlation of length and label: against plain loops and scipy, and intervals against truths that are drawn from."""

from collections import Counter
from itertools import permutations
from math import e, exp
from pathlib import Path
from statistics import NormalDist, fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import tdbs
from tdbs.analysis.correlation import (
    Correlation,
    explained_by_classes,
    explained_by_numbers,
    label_correlation,
    normal_of,
)
from tdbs.arrays import FloatArray, IntArray
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.dataset import Targets

WARNED = 0.2  # low ends from here on are a warning (docs/audit.md)
TRUTHS = (0.0, 0.1, 0.3, 0.6)
QUANTILES = [exp(min(NormalDist().inv_cdf((i + 0.5) / 20_000), 1.5)) for i in range(20_000)]
CUT = (np.array(QUANTILES) - fmean(QUANTILES)) / np.std(QUANTILES)  # lognormal lengths that --max-length cuts


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(11)


def classes(labels: IntArray) -> Targets:
    return Targets(kind="classification", outputs=int(labels.max()) + 1, values=labels, offsets_N1=None)


def noise(stream: np.random.Generator, tail: str, rows: int) -> FloatArray:
    """Return lengths of mean 0 and variance 1."""
    if tail == "cut":
        return stream.choice(CUT, rows)
    normal = stream.standard_normal(rows)
    return normal if tail == "normal" else (np.exp(normal) - exp(0.5)) / np.sqrt((e - 1) * e)


def weights(shape: str, count: int) -> FloatArray:
    """Return the shares of classes: equal, as of words (Zipf), or nine tenths in one."""
    ranks = np.arange(1, count + 1)
    found = {"equal": 1 + 0 * ranks, "zipf": 1 / ranks, "one": np.where(ranks == 1, 9 * (count - 1), 1)}[shape]
    return found / found.sum()


def drawn(
    stream: np.random.Generator, rows: int, count: int, shape: str, tail: str, truth: float
) -> tuple[FloatArray, IntArray]:
    """Return lengths and classes of a population whose correlation ratio is the truth."""
    share = weights(shape, count)
    mean = stream.standard_normal(count)
    mean -= share @ mean
    mean *= truth / np.sqrt(share @ mean**2)
    labels = stream.choice(count, rows, p=share)
    return mean[labels] + np.sqrt(1 - truth**2) * noise(stream, tail, rows), labels


def missed(found: Correlation | None, truth: float) -> bool:
    return found is not None and not found.low <= truth <= found.high


def assert_it_covers(rows: int, count: int, shape: str, tail: str, draws: int) -> None:
    """For each truth at most one draw in 200 is missed, and no clean draw has a warning."""
    stream = np.random.default_rng([rows, count, draws])
    for truth in TRUTHS:
        found = []
        for _ in range(draws):
            lengths, labels = drawn(stream, rows, count, shape, tail, truth)
            found.append(label_correlation(lengths, classes(labels)))
        assert sum(missed(each, truth) for each in found) <= draws / 200, truth
        if truth == 0:
            assert not any(each is not None and each.low >= WARNED for each in found)


@pytest.mark.parametrize(
    ("rows", "count", "shape", "tail"),
    [(60, 2, "equal", "normal"), (300, 5, "one", "cut"), (200, 100, "zipf", "lognormal"), (300, 150, "equal", "cut")],
)
def test_intervals_cover_the_truth(rows: int, count: int, shape: str, tail: str):
    """Independent and dependent labels, few and many classes: 200 draws each."""
    assert_it_covers(rows, count, shape, tail, 200)


@pytest.mark.slow
@pytest.mark.parametrize("tail", ["normal", "cut", "lognormal"])
@pytest.mark.parametrize("shape", ["equal", "zipf", "one"])
@pytest.mark.parametrize(
    ("rows", "count"),
    [
        *((60, 2), (200, 2), (2000, 2), (300, 5), (3000, 20), (3000, 150), (20_000, 150)),
        *((60, 30), (600, 300), (3000, 1000), (3000, 1500), (3000, 2500)),
    ],
)
def test_intervals_cover_the_truth_whatever_lengths_and_classes(rows: int, count: int, shape: str, tail: str):
    """The whole table, 400 draws each, up to classes of one row."""
    assert_it_covers(rows, count, shape, tail, 400)


@pytest.mark.parametrize("tail", ["normal", "lognormal"])
def test_intervals_of_numbers_cover_the_truth(tail: str):
    stream = np.random.default_rng(8)
    for truth in TRUTHS:
        misses = 0
        for _ in range(200):
            values = stream.standard_normal(200)
            lengths = truth * values + np.sqrt(1 - truth**2) * noise(stream, tail, 200)
            targets = Targets(kind="regression", outputs=1, values=values, offsets_N1=None)
            misses += missed(label_correlation(lengths, targets), truth)
        assert misses <= 1, truth


def test_the_largest_of_many_chance_correlations_is_no_warning():
    """Sets of 100 classes, most of them rare, beside long tails: Fisher's interval leaves 0 out in most draws."""
    stream = np.random.default_rng(4)
    for _ in range(200):
        holds = stream.random((300, 100)) < 0.3 / np.arange(1, 101)
        offsets = np.append(0, holds.sum(axis=1).cumsum())
        targets = Targets(kind="multi_label", outputs=100, values=holds.nonzero()[1], offsets_N1=offsets)
        found = label_correlation(noise(stream, "lognormal", 300), targets)
        assert found is not None
        assert found.low == 0 < found.value < found.high


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1], [4, 4, 4, 1, 1, 1]])
def test_labels_at_random_explain_nothing_on_average(labels: list[int]):
    """Over all orders of the lengths, an outlier among them, the mean share is 0."""
    shares = []
    for lengths in permutations([3, 5, 6, 9, 14, 90]):
        found = explained_by_classes(np.array(lengths), np.array(labels))
        assert found is not None
        shares.append(found.share)
    assert fmean(shares) == pytest.approx(0, abs=1e-12)


def between(deviations: list[float], labels: list[int]) -> float:
    """Return each deviation times the mean of the others of its class, summed."""
    total = 0.0
    for i, label in enumerate(labels):
        others = [deviations[j] for j in range(len(labels)) if j != i and labels[j] == label]
        total += deviations[i] * fmean(others) if others else 0.0
    return total


@given(pairs=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 4)), min_size=4, max_size=25))
def test_shares_and_their_jackknife_are_those_of_plain_loops(pairs: list[tuple[int, int]]):
    """Rows whose class comes once are left out; the influence is what goes when a row goes, about the same mean."""
    found = explained_by_classes(*(np.array(column) for column in zip(*pairs, strict=True)))
    times = Counter(label for _, label in pairs)
    kept = [(length, label) for length, label in pairs if times[label] > 1]
    if len({label for _, label in kept}) < 2 or len({length for length, _ in kept}) < 2:
        assert found is None
        return
    assert found is not None
    mean = fmean(length for length, _ in kept)
    deviations, labels = [length - mean for length, _ in kept], [label for _, label in kept]
    rows, squares = len(kept), sum(each**2 for each in deviations)
    assert found.share == pytest.approx(((rows - 1) * between(deviations, labels) / squares + 1) / rows)
    assert found.share <= 1 + 1e-12
    whole = between(deviations, labels)
    for i in range(rows):
        without = between(deviations[:i] + deviations[i + 1 :], labels[:i] + labels[i + 1 :])
        expected = (whole - without - found.share * deviations[i] ** 2) * rows / squares
        assert found.influence_R[i] == pytest.approx(expected, abs=1e-9)


def test_two_classes_explain_as_much_as_a_number_of_zeros_and_ones(generator: np.random.Generator):
    labels = generator.integers(0, 2, 4000)
    lengths = generator.integers(5, 60, 4000) + 20 * labels
    classified, numbered = explained_by_classes(lengths, labels), explained_by_numbers(lengths, labels)
    assert classified is not None
    assert classified.share == pytest.approx(numbered.share, abs=1e-3)
    assert np.square(classified.influence_R).mean() == pytest.approx(np.square(numbered.influence_R).mean(), rel=0.01)


@pytest.mark.parametrize("freedom", [1, 2, 7, 300])
@pytest.mark.parametrize("noncentrality", [0, 1, 30, 4000])
def test_normal_deviates_are_those_of_the_noncentral_chi_squared(freedom: int, noncentrality: int):
    """Up to 3.29 as scipy has them; elsewhere never further out, so intervals are never too short."""
    law = stats.ncx2(freedom, noncentrality) if noncentrality else stats.chi2(freedom)
    upper, lower = (
        [normal_of(law.ppf(stats.norm.cdf(sign * z)), freedom, noncentrality) for z in (1, 3.29, 5)] for sign in (1, -1)
    )
    assert upper[:2] == pytest.approx([1, 3.29], abs=0.1)
    assert upper[2] < 5.1
    assert all(found > -deviate - 0.1 for found, deviate in zip(lower, (1, 3.29, 5), strict=True))


def test_what_cannot_be_compared_has_no_correlation():
    lengths = np.arange(6)
    assert label_correlation(lengths, classes(np.arange(6))) is None  # a class for each row
    assert label_correlation(lengths, classes(np.zeros(6, dtype=np.int64))) is None
    assert label_correlation(np.full(6, 9), classes(np.array([0, 0, 1, 1, 2, 2]))) is None
    numbers = Targets(kind="regression", outputs=1, values=np.ones(6), offsets_N1=None)
    assert label_correlation(lengths, numbers) is None


def test_labels_that_are_lengths_correlate_wholly():
    labels = np.repeat([0, 1], 30)
    found = label_correlation(10 * labels + 5, classes(labels))
    assert found is not None
    assert found.value == found.high == 1
    assert found.low > 0.5


def test_many_classes_raise_no_warning(tmp_path: Path, generator: np.random.Generator):
    """600 texts of 400 classes at random: the plain correlation ratio is 0.8 by chance."""
    rows = [
        {"text": " ".join(["good"] * int(generator.integers(2, 40)) + [f"w{i}"]), "label": f"c{i}"}
        for i in generator.permutation(np.append(np.arange(400), generator.integers(0, 400, 200))).tolist()
    ]
    found = tdbs.audit(tdbs.prepare(rows, out=tmp_path / "data", tokenizer=str(TOKENIZER_FOLDER)).dataset)
    assert found.label_skew is not None
    assert found.label_skew.length_correlation is not None
    assert found.label_skew.low == 0
    assert "label_length" not in {each.kind for each in found.findings}
