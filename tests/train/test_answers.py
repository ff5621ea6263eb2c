"""The best span is the best of all spans, the best window answers, and the score is SQuAD's."""

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tdbs.train.scores.answers import answer_texts, best_spans, exact_match_and_f1
from tests.reference import squad_v1

INF = math.inf


def best_span_by_trying_all(start_logits, end_logits, allowed, max_answer_tokens):
    """Return (score, start, end) of one window: the first that no later pair exceeds."""
    best = (-INF, 0, 0)
    for start in range(len(allowed)):
        for end in range(start, min(start + max_answer_tokens, len(allowed))):
            score = start_logits[start] + end_logits[end]
            if allowed[start] and allowed[end] and score > best[0]:
                best = (score, start, end)
    return best


def spans(start_logits, end_logits, allowed, **options):
    """Return (score, start, end) of each window, from lists."""
    starts_B, ends_B, scores_B = best_spans(
        torch.tensor(start_logits, dtype=torch.float32),
        torch.tensor(end_logits, dtype=torch.float32),
        torch.tensor(allowed, dtype=torch.bool),
        **options,
    )
    return list(zip(scores_B.tolist(), starts_B.tolist(), ends_B.tolist(), strict=True))


@given(data=st.data(), length=st.integers(1, 12), windows=st.integers(1, 4), max_answer_tokens=st.integers(1, 15))
def test_best_of_all_spans(data, length, windows, max_answer_tokens):
    """Small whole logits make ties often; any set of tokens may be allowed."""
    row = st.lists(st.integers(-3, 3), min_size=length, max_size=length)
    starts, ends = (data.draw(st.lists(row, min_size=windows, max_size=windows)) for _ in range(2))
    allowed = data.draw(
        st.lists(st.lists(st.booleans(), min_size=length, max_size=length), min_size=windows, max_size=windows)
    )
    expected = [
        best_span_by_trying_all(*window, max_answer_tokens) for window in zip(starts, ends, allowed, strict=True)
    ]
    found = spans(starts, ends, allowed, max_answer_tokens=max_answer_tokens)
    assert [score for score, _, _ in found] == [score for score, _, _ in expected]
    scored = [window for window in range(windows) if any(allowed[window])]
    assert [found[window] for window in scored] == [expected[window] for window in scored]


# start logits, end logits, allowed, max_answer_tokens: score, start, end
SPAN_CASES = [
    ([0, 5, 0, 0], [0, 0, 0, 4], [1, 1, 1, 1], 30, (9, 1, 3)),  # the best start and the best end, three tokens
    ([0, 5, 0, 0], [0, 0, 0, 4], [1, 1, 1, 1], 2, (5, 1, 1)),  # three tokens are too many: 5 + 0, and the shortest
    ([0, 0, 0, 5], [4, 0, 0, 1], [1, 1, 1, 1], 30, (6, 3, 3)),  # the best end lies before the best start
    ([9, 0, 1, 0], [9, 0, 0, 2], [0, 0, 1, 1], 30, (3, 2, 3)),  # the question's tokens do not answer
    ([0, 9, 0, 0], [0, 9, 0, 1], [1, 0, 1, 1], 30, (1, 0, 3)),  # three spans make 1: the first start
    ([2, 2], [1, 1], [1, 1], 30, (3, 0, 0)),  # all alike: the first start, then the first end
    ([-INF, 1], [0, 0], [1, 1], 30, (1, 1, 1)),  # a logit of -inf is never best
]


@pytest.mark.parametrize(("starts", "ends", "allowed", "max_answer_tokens", "expected"), SPAN_CASES)
def test_best_span_by_hand(starts, ends, allowed, max_answer_tokens, expected):
    assert spans([starts], [ends], [allowed], max_answer_tokens=max_answer_tokens) == [expected]


def test_a_window_without_context_has_no_score():
    """Its logits may be as high as they like; the window beside it is not touched."""
    found = spans([[9, 9], [1, 0]], [[9, 9], [0, 1]], [[0, 0], [1, 1]])
    assert found[0][0] == -INF
    assert found[1] == (2, 0, 1)


def test_bfloat16_logits_are_added_in_float32():
    """128 + 0.5 is 128 in bfloat16: there the second span would tie, and the first one win."""
    logits = torch.tensor([[128.0, 128.0]], dtype=torch.bfloat16)
    ends = torch.tensor([[0.0, 0.5]], dtype=torch.bfloat16)
    starts_B, ends_B, scores_B = best_spans(logits, ends, torch.tensor([[True, True]]))
    assert (starts_B.tolist(), ends_B.tolist(), scores_B.tolist()) == ([0], [1], [128.5])


def test_arguments_stay_as_they_are():
    logits, allowed = torch.zeros(1, 4), torch.tensor([[False, True, True, False]])
    best_spans(logits, logits, allowed)
    assert torch.equal(logits, torch.zeros(1, 4))


def answers(contexts, windows):
    """Answer from windows given as (question, score, start, end)."""
    rows, scores, starts, ends = zip(*windows, strict=True) if windows else ([], [], [], [])
    return answer_texts(
        contexts,
        np.array(rows, dtype=np.int64),
        np.array(scores, dtype=np.float64),
        np.array(starts, dtype=np.int64),
        np.array(ends, dtype=np.int64),
    )


def test_the_best_window_answers():
    """Windows in any order; question 1 has its best in the middle."""
    windows = [(1, 2.0, 0, 3), (0, -5.0, 4, 7), (1, 3.0, 4, 9), (1, -1.0, 0, 9)]
    assert answers(["one two", "six seven"], windows) == ["two", "seven"]


def test_of_equal_windows_the_first_answers():
    windows = [(0, 1.0, 4, 7), (0, 2.0, 0, 3), (0, 2.0, 4, 7), (0, 2.0, 0, 7)]
    assert answers(["one two"], windows) == ["one"]


def test_a_question_without_a_scored_window_has_no_answer():
    """-inf, not a number, or no window at all; a window with a score wins over all of these."""
    windows = [(0, -INF, 0, 3), (1, math.nan, 0, 3), (3, -INF, 0, 3), (3, math.nan, 0, 3), (3, -99.0, 4, 7)]
    assert answers(["one two"] * 4, windows) == ["", "", "", "two"]
    assert answers(["one two"], []) == [""]
    assert answers([], []) == []


def test_positions_count_characters():
    assert answers(["\U0001f600 été"], [(0, 1.0, 2, 5)]) == ["été"]


# predicted, references: exact match, F1
SCORE_CASES = [
    ("Denver Broncos", ["Denver Broncos"], (1, 1)),
    ("the  denver broncos.", ["Denver Broncos"], (1, 1)),  # case, article, full stop and spaces do not count
    ("Denver", ["Denver Broncos"], (0, 2 / 3)),  # precision 1, recall 1/2
    ("Broncos Denver", ["Denver Broncos"], (0, 1)),  # F1 knows no order
    ("very very good", ["very good"], (0, 4 / 5)),  # each word as often as both have it: 2 of 3, 2 of 2
    ("Carolina", ["Denver Broncos"], (0, 0)),
    ("gold", ["golden", "gold", "the gold one"], (1, 1)),  # the best reference
    ("gold one", ["gold", "one gold two"], (0, 4 / 5)),  # 2/3 of the first, 4/5 of the second
    ("", ["Denver Broncos"], (0, 0)),  # no answer
    ("24–10", ["2410"], (0, 0)),  # the dash is not ASCII: it stays
    ("24-10", ["2410"], (1, 1)),  # the hyphen goes, and joins
]


@pytest.mark.parametrize(("predicted", "references", "expected"), SCORE_CASES)
def test_score_by_hand(predicted, references, expected):
    found = exact_match_and_f1([predicted], [references])
    assert found == {"exact_match": expected[0], "f1": pytest.approx(expected[1])}
    assert squad_v1.evaluate([predicted], [references]) == pytest.approx(found)


def test_score_is_the_mean_over_questions():
    found = exact_match_and_f1(["one", "two", "two", "x"], [["one"], ["two three"], ["two"], ["y"]])
    assert found == {"exact_match": 0.5, "f1": pytest.approx((1 + 2 / 3 + 1 + 0) / 4)}


def test_sums_of_many_questions_are_exact():
    """Each F1 is 1/3; torchmetrics' own sum over 10,570 of them gives 0.333309."""
    found = exact_match_and_f1(["x y"] * 10_570, [["x z w q"]] * 10_570)
    assert found["f1"] == pytest.approx(1 / 3, abs=1e-7)


WORDS = st.sampled_from(
    ["the", "A", "an", "Anne", "other", "x", "X.", "...", "é", "x-y", "10", "\u2013", "'s", "\t", ""]
)
TEXTS = st.lists(WORDS, max_size=6).map(" ".join)


@given(predicted=TEXTS, references=st.lists(TEXTS, min_size=1, max_size=4))
def test_agrees_with_the_official_script(predicted, references):
    """All but the F1 of two texts without a word."""
    found, expected = exact_match_and_f1([predicted], [references]), squad_v1.evaluate([predicted], [references])
    assert found["exact_match"] == expected["exact_match"]
    assume(squad_v1.normalize_answer(predicted))
    assert found["f1"] == pytest.approx(expected["f1"])


@pytest.mark.parametrize("predicted", ["", ".", "the"])
def test_answers_without_a_word_match_each_other(predicted):
    """The one departure: here F1 is 1, like exact match; the official script has 1 and 0."""
    assert exact_match_and_f1([predicted], [["The..."]]) == {"exact_match": 1.0, "f1": 1.0}
    assert squad_v1.evaluate([predicted], [["The..."]]) == {"exact_match": 1.0, "f1": 0.0}


@pytest.mark.real_data
def test_squad_validation_against_the_official_script(shared):
    """The answers of the split's first 1,000 questions, most of them with a few characters too many or too few."""
    rows = pq.read_table(shared / "datasets" / "squad" / "validation.parquet").slice(0, 1000).to_pylist()
    texts = [row["answers"]["text"] for row in rows]
    starts = [row["answers"]["answer_start"][0] for row in rows]
    predicted = [
        row["context"][max(start - i % 7, 0) : start + len(text[0]) + i % 11 - 3]
        for i, (row, text, start) in enumerate(zip(rows, texts, starts, strict=True))
    ]
    found = exact_match_and_f1(predicted, texts)
    assert found == pytest.approx(squad_v1.evaluate(predicted, texts))
    assert 0.1 < found["exact_match"] < found["f1"] < 0.9  # neither all right nor all wrong
