"""Scores, thresholds and empty answers are those of the official script of SQuAD v2, to the last bit of a tie."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tdbs.train.scores.answers import exact_match_and_f1, no_answer_scores, null_scores
from tdbs.train.scores.no_answers import answers_at, best_threshold, kept_threshold, no_answer_metrics, raw_scores
from tests.reference import squad_v2

OFFICIAL = {  # our names, and those of the script
    "f1": "f1",
    "exact_match": "exact",
    "has_ans_f1": "HasAns_f1",
    "has_ans_exact_match": "HasAns_exact",
    "no_ans_f1": "NoAns_f1",
    "no_ans_exact_match": "NoAns_exact",
    "best_f1": "best_f1",
    "best_f1_thresh": "best_f1_thresh",
    "best_exact": "best_exact",
    "best_exact_thresh": "best_exact_thresh",
}
WORDS = ("the", "A", "an", "Anne", "other", "x", "X.", "...", "é", "x-y", "10", "\u2013", "'s", "one", "two", "")


def generated(seed: int, share_unanswered: float) -> tuple[list[str], list[list[str]], np.ndarray]:
    """Return up to 40 predictions, their references, and no-answer scores: few values, so many tie."""
    chance = np.random.default_rng(seed)

    def text(most: int) -> str:
        return " ".join(chance.choice(WORDS, chance.integers(0, most + 1)))

    predicted, references = [], []
    for _ in range(chance.integers(1, 41)):
        texts = [] if chance.random() < share_unanswered else [text(4) for _ in range(chance.integers(1, 5))]
        likely = [*texts, text(4), ""]
        predicted.append(str(likely[chance.integers(len(likely))]))
        references.append(texts)
    values = chance.integers(-4, 5, len(predicted)) if seed % 2 else chance.normal(0, 3, len(predicted))
    return predicted, references, values.astype(np.float64)


@pytest.mark.parametrize("share_unanswered", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_every_number_is_that_of_the_official_script(share_unanswered):
    """500 cases: half have ties of the no-answer score; none, some or all of the questions have no answer."""
    ties = 0
    for seed in range(100):
        predicted, references, no_answer_R = generated(seed, share_unanswered)
        threshold = float(np.random.default_rng([seed, 1]).choice([-2.0, 0.0, 0.5, no_answer_R[0], math.inf]))
        found = no_answer_metrics(predicted, references, no_answer_R, threshold=threshold)
        expected = squad_v2.evaluate(predicted, references, no_answer_R.tolist(), threshold)
        for ours, theirs in OFFICIAL.items():
            assert found[ours] == expected.get(theirs), (seed, ours)  # the script leaves out what has no question
        assert found["no_answer_threshold"] == (None if threshold == math.inf else threshold)
        ties += len(set(no_answer_R.tolist())) < len(no_answer_R)
    assert ties > 40


@pytest.mark.parametrize("seed", range(20))
def test_where_all_have_an_answer_the_scores_are_those_of_v1(seed):
    """At a threshold of infinity; torchmetrics rounds to float32."""
    predicted, references, no_answer_R = generated(seed, 0.0)
    whole = [[text for text in texts if squad_v2.normalize_answer(text)] or ["x"] for texts in references]
    found = no_answer_metrics(predicted, whole, no_answer_R, threshold=math.inf)
    expected = exact_match_and_f1(predicted, whole)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-7)


# predicted, references: exact match, F1
SCORE_CASES = [
    ("", [], (1, 1)),  # no answer, and none is given
    ("Anne", [], (0, 0)),
    ("the", [], (1, 1)),  # no word is left of it
    ("", ["Anne"], (0, 0)),
    ("", ["the", "Anne"], (0, 0)),  # a reference without a word does not count,
    ("", ["the", "."], (1, 1)),  # unless there is no other
    ("Anne of x", ["Anne of y"], (0, 2 / 3)),
]


@pytest.mark.parametrize(("predicted", "references", "expected"), SCORE_CASES)
def test_raw_scores_by_hand(predicted, references, expected):
    found = raw_scores([predicted], [references])
    assert (found.exact_R.tolist(), found.f1_R.tolist()) == ([expected[0]], [pytest.approx(expected[1])])


# each question: no-answer score, whether it has an answer, F1 of its prediction; best mean score and its threshold
THRESHOLD_CASES = [
    ([(-5, True, 1.0), (-1, True, 0.5), (3, False, 0.0)], (2.5 / 3, -1.0)),  # both answered, the third left empty
    ([(-5, False, 0.0), (-1, True, 0.5)], (1 / 2, 0.0)),  # an empty text for both: the script's 0, not below -5
    ([(-5, False, 0.0), (-1, True, 1.0)], (1 / 2, 0.0)),  # as good as none answered: the first one counts
    ([(2, True, 1.0), (2, False, 0.0)], (1.0, 2.0)),  # a tie: the script answers one of the two, no threshold does
    ([(2, False, 0.0), (2, True, 1.0)], (1 / 2, 0.0)),  # the same tie, in the other order
    ([(4, True, 1.0), (1, True, 1.0)], (1.0, 4.0)),
]


@pytest.mark.parametrize(("questions", "expected"), THRESHOLD_CASES)
def test_best_threshold_by_hand(questions, expected):
    no_answer_R, answered_R, f1_R = (np.array(column) for column in zip(*questions, strict=True))
    found = best_threshold(["x"] * len(questions), f1_R, no_answer_R, answered_R)
    assert found == (pytest.approx(expected[0]), expected[1])


@given(scores=st.lists(st.integers(-50, 50).map(lambda n: n / 7), min_size=1, max_size=20), chosen=st.integers(0, 99))
def test_the_kept_threshold_gives_the_same_answers(scores, chosen):
    """And no question's score is as near to it as the rounding of another batch may move it."""
    no_answer_R = np.array(scores)
    threshold = scores[chosen % len(scores)]
    kept = kept_threshold(threshold, no_answer_R)
    assert ((no_answer_R > kept) == (no_answer_R > threshold)).all()
    assert np.abs(no_answer_R - kept).min() > 0.05
    above = [score for score in scores if score > threshold]
    assert kept == pytest.approx((threshold + min(above)) / 2 if above else threshold + 1)


def test_a_question_without_any_span_does_not_move_the_threshold():
    greatest = float(np.finfo(np.float32).max)
    assert kept_threshold(0.5, np.array([0.5, greatest])) == 1.5
    assert kept_threshold(0.5, np.array([0.5, 3.5, greatest])) == 2.0


def test_without_a_threshold_the_best_one_for_f1_is_kept():
    """One answer right and sure, one question rightly doubted: F1 is 1 from -3 on, and halfway to 4 is kept."""
    found = no_answer_metrics(["x", "y"], [["x"], []], np.array([-3.0, 4.0]), threshold=None)
    assert (found["f1"], found["best_f1"], found["best_f1_thresh"], found["no_answer_threshold"]) == (1, 1, -3, 0.5)


def test_answers_above_the_threshold_are_empty():
    scores_R = np.array([-1.0, 0.5, 0.6])
    assert answers_at(["a", "b", "c"], scores_R, 0.5) == ["a", "b", ""]  # at the threshold it is given
    assert answers_at(["a", "b", "c"], scores_R, None) == ["a", "b", "c"]


# -------------------------------------------------------------------------------------------------------- null scores


def test_the_null_score_is_the_least_of_the_windows():
    """Two windows of the first question, one of the second; written out by hand."""
    logits_BL2 = torch.tensor([[[1.0, 2.0], [9, 9]], [[0.5, 0.25], [0, 0]], [[-1, -2], [3, 3]]])
    nulls_N = null_scores(logits_BL2).numpy()
    assert nulls_N.tolist() == [3.0, 0.75, -3.0]
    assert no_answer_scores(np.array([0, 0, 1]), nulls_N, np.array([18.0, 6.0])).tolist() == [0.75 - 18, -3 - 6]


def test_no_answer_scores_are_finite():
    """No window has a span, none has a number, or the span's score is infinite: a record can hold all of them."""
    nulls_N, scores_R = np.array([1.0, math.nan, 2.0, -math.inf]), np.array([-math.inf, 1.0, math.inf, -math.inf])
    found = no_answer_scores(np.arange(4), nulls_N, scores_R)
    greatest = float(np.finfo(np.float32).max)
    assert found.tolist() == [greatest, greatest, -greatest, greatest]


def test_bfloat16_null_logits_are_added_in_float32():
    """128 + 0.5 is 128 in bfloat16."""
    assert null_scores(torch.tensor([[[128.0, 0.5]]], dtype=torch.bfloat16)).tolist() == [128.5]
