"""Lengths of splits and of samples with several texts, against sums over the rows."""

import random
from typing import Any

import numpy as np
import pytest

import tdbs
from tests.analysis.audit.made import write_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return str(write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "t"))


def text(number: int, words: int) -> str:
    """Return a text of so many words of one token, another one for each number."""
    stream = random.Random(number)  # noqa: S311
    return " ".join(stream.choice("abcdefghijklmnop") for _ in range(words))


def queries(count: int, *, negatives: int, words: int = 12, spread: int = 4, seed: int = 0) -> list[dict[str, Any]]:
    stream = random.Random(seed)  # noqa: S311

    def some(low: int) -> str:
        return text(stream.randrange(1 << 40), low + stream.randint(0, spread))

    return [{"q": some(5), "p": some(words), "n": [some(4) for _ in range(negatives)]} for _ in range(count)]


def shifts(splits: Any, tokenizer: str, **options: Any) -> list[Any]:
    dataset = tdbs.prepare(splits, tokenizer=tokenizer, progress=False, out="d", overwrite=True, **options).dataset
    return [each for each in tdbs.audit(dataset).findings if each.kind == "length_shift"]


@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_many_candidates_are_not_long_samples(task, tokenizer, workplace):
    """Validation has twenty negatives, of another length than the positives, train has one: lengths are the same."""
    splits = {"train": queries(200, negatives=1), "validation": queries(60, negatives=20, seed=1)}
    assert shifts(splits, tokenizer, columns=["q", "p", "n"], task=task) == []


@pytest.mark.parametrize(("task", "specials"), [("embedding", 4), ("ranking", 3)])
def test_longer_positives_are_a_shift(task, specials, tokenizer, workplace):
    """The means are those of the rows: words of query and positive, and the tokens around them."""
    splits = {
        "train": queries(200, negatives=1, spread=20),
        "validation": queries(60, negatives=9, words=30, spread=20, seed=1),
    }
    [found] = shifts(splits, tokenizer, columns=["q", "p", "n"], task=task)
    lengths = [
        np.array([len(f"{row['q']} {row['p']}".split()) + specials for row in splits[name]])
        for name in ("train", "validation")
    ]
    (train, own), deviation = [each.mean() for each in lengths], np.sqrt(sum(each.var() for each in lengths) / 2)
    assert found.what == (
        f"validation has {own:.1f} tokens a query with its positive, train {train:.1f}: "
        f"{abs(own - train) / deviation:.1f} standard deviations apart."
    )


@pytest.mark.parametrize(("words", "told"), [(14, None), (16, "20% apart"), (33, "133% apart")])
def test_lengths_that_do_not_vary_are_compared_with_their_mean(words, told, tokenizer, workplace):
    """13 words in all of train, and so many in validation, with 2 special tokens: there is no deviation at all."""
    splits = {
        name: [{"text": text(number + count, size), "label": number % 2} for number in range(count)]
        for name, count, size in (("train", 200, 13), ("validation", 60, words))
    }
    what = f"validation has {words + 2:.1f} tokens a sample, train 15.0: {told}."
    assert [each.what for each in shifts(splits, tokenizer)] == ([] if told is None else [what])


@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_the_shortest_text_of_a_sample_counts(task, tokenizer, workplace):
    """An empty positive, and a negative of one word, among long texts; also where a pair is one sequence."""
    rows = queries(40, negatives=2)
    rows[3]["n"][1], rows[5]["n"][0], rows[7]["p"] = "a", "b", "c"
    rows[9]["n"][1] = "?!"
    dataset = tdbs.prepare(rows, tokenizer=tokenizer, columns=["q", "p", "n"], task=task, progress=False).dataset
    found = {each.kind: each.rows.tolist() for each in tdbs.audit(dataset).findings}
    assert found["one_token"] == [4, 6, 8]
    assert "empty" not in found
