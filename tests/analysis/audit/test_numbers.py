"""Labels that are numbers: planted faults are found, and STS-B and noise of many kinds raise no alarm."""

import random
import statistics
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdbs
from tdbs.analysis.audit.numbers import outlying
from tests.analysis.audit.made import write_tokenizer
from tests.conftest import SHARED
from tests.examples import examples

KINDS = ("constant_labels", "label_outliers", "label_shift")
FORMS = {
    "pairs": {"columns": ["a", "b"], "label": "s"},
    "regression": {"text": "a", "pair": "b", "label": "s", "label_type": "regression"},
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return str(write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "t"))


def rows(scores: Any, seed: int = 0) -> list[dict[str, Any]]:
    stream = random.Random(seed)  # noqa: S311

    def text() -> str:
        return " ".join(stream.choice("abcdefghijklmnop") for _ in range(stream.randint(6, 14)))

    return [{"a": text(), "b": text(), "s": float(score)} for score in scores]


def numbers(splits: Any, tokenizer: str, form: str = "pairs", **options: Any) -> list[Any]:
    options = FORMS[form] | {"tokenizer": tokenizer, "progress": False, "out": "d", "overwrite": True} | options
    return [each for each in tdbs.audit(tdbs.prepare(splits, **options).dataset).findings if each.kind in KINDS]


@examples(200)
@given(values=st.lists(st.floats(-100, 100) | st.sampled_from([0.0, 1.0, 1e6, -9999.0]), min_size=1, max_size=300))
def test_an_outlier_is_ten_times_as_far_as_the_last_of_99_percent(values):
    """By hand: distances from the median, ascending, and the one at 99 % of the way."""
    distances = sorted(abs(value - statistics.median(values)) for value in values)
    usual = distances[int(0.99 * (len(values) - 1) + 1e-9)]
    found, most = outlying(np.array(values))
    assert sorted(found.tolist()) == pytest.approx(distances)
    assert most == (pytest.approx(10 * usual) if usual else np.inf)


@pytest.mark.parametrize("form", FORMS)
def test_one_number_for_all_is_a_warning(form, tokenizer, workplace):
    [found] = numbers(rows([1] * 200), tokenizer, form)
    assert (found.kind, found.severity, found.count) == ("constant_labels", "warning", 200)
    assert found.what == "All samples of train have one label: s is 1."
    assert found.fix.startswith("Look at the column in the source, then run: tdbs prepare SOURCE ")


@pytest.mark.parametrize("form", FORMS)
def test_a_placeholder_among_numbers_is_an_outlier(form, tokenizer, workplace):
    """One -9999 in 200 scores from 0 to 5."""
    stream = np.random.default_rng(1)
    scores = stream.uniform(0, 5, 200)
    scores[3] = -9999
    [found] = numbers(rows(scores), tokenizer, form)
    assert (found.kind, found.severity, found.rows.tolist()) == ("label_outliers", "warning", [4])
    assert found.what == (
        "Samples of train whose label is more than 10 times as far from the median as those of 99%: 1."
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("low", "high"), [(0, 5), (-5, 5)])
def test_another_scale_is_a_shift(form, low, high, tokenizer, workplace):
    """Train from 0 to 1, or from -1 to 1, and validation five times as wide; the mean tells one, the width both."""
    stream = np.random.default_rng(1)
    train, held = stream.uniform(low / 5, high / 5, 60), stream.uniform(low, high, 30)
    [found] = numbers({"train": rows(train), "validation": rows(held, 1)}, tokenizer, form)
    assert (found.kind, found.severity, found.split) == ("label_shift", "warning", "validation")
    told = [f"{each.mean():.4g} ± {each.std():.4g}" for each in (held, train)]
    assert found.what == f"Labels of validation are {told[0]}, those of train {told[1]}."
    assert found.fix.startswith("Bring both to one scale in the source. Or: Hold out a part of train in its place: ")


CLEAN = {
    "uniform": lambda stream, size: stream.uniform(0, 5, size),
    "normal": lambda stream, size: stream.standard_normal(size),
    "prices": lambda stream, size: stream.lognormal(3, 1, size),
    "few ones": lambda stream, size: (stream.random(size) < 0.04).astype(float),
    "stars": lambda stream, size: stream.choice([1.0, 2, 3, 4, 5], size, p=[0.05, 0.05, 0.1, 0.2, 0.6]),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", CLEAN)
def test_labels_of_one_source_raise_no_alarm(kind, seed, tokenizer, workplace):
    stream = np.random.default_rng(seed)
    train, held = CLEAN[kind](stream, 400), CLEAN[kind](stream, 120)
    assert numbers({"train": rows(train), "validation": rows(held, 1)}, tokenizer) == []


def test_several_targets_are_looked_at_one_by_one(tokenizer, workplace):
    """Of two columns one is constant in train, and both have an outlier in another row of validation."""
    stream = np.random.default_rng(2)
    train, held = (rows(stream.uniform(0, 5, size), seed) for seed, size in enumerate((100, 100)))
    for row in (*train, *held):
        row["t"] = 2.0 if row in train else float(stream.uniform(1.9, 2.1))
    held[4]["s"], held[7]["t"] = 5000.0, -5000.0
    splits = {"train": train, "validation": held}
    found = numbers(splits, tokenizer, "regression", label=["s", "t"])
    assert {(each.kind, each.split) for each in found} >= {
        ("constant_labels", "train"),
        ("label_outliers", "validation"),
    }
    assert [each.rows.tolist() for each in found if each.kind == "label_outliers"] == [[5, 8]]
    assert found[0].what == "All samples of train have one label: t is 2."


@pytest.mark.real_data
@pytest.mark.parametrize("form", FORMS)
def test_sts_b_raises_no_alarm(form, workplace):
    """Neither of its scores nor, as scored pairs, of its texts."""
    names = {"sentence1": "a", "sentence2": "b", "label": "s"}
    splits = {
        split: [
            {name: row[key] for key, name in names.items()}
            for row in pq.read_table(SHARED / f"datasets/glue/stsb/{split}.parquet").slice(0, 1500).to_pylist()
        ]
        for split in ("train", "validation")
    }
    assert numbers(splits, str(SHARED / "tokenizers/bert-base-uncased"), form) == []
