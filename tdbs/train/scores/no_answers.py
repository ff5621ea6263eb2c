"""Scores of questions of which some have no answer, as SQuAD v2's official evaluate-v2.0 has them, and the threshold.

A question's no-answer score is its null score, the least of its windows' start and end logit at the first token, minus
the score of its best span. It is answered with an empty text if that is above a threshold. An empty text is right, with
exact match and F1 of 1, exactly if the question has no answer; references without a word after normalization do not
count. All numbers are float64 as in the script: rounded ones would tie elsewhere, and choose another threshold.

Cost: some 20 µs for each question and reference, and a sort.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tdbs.arrays import BoolArray, FloatArray
from tdbs.train.scores.answers import NEVER_ANSWERED

# Shapes: R questions.

THRESHOLD = "no_answer_threshold"
NO_ANSWER_METRICS = (  # of a split with questions without an answer, beside f1 and exact_match
    *("has_ans_f1", "has_ans_exact_match", "no_ans_f1", "no_ans_exact_match", THRESHOLD),
    *("best_f1", "best_f1_thresh", "best_exact", "best_exact_thresh"),
)

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class RawScores:
    """Exact match and F1 of each question, before any threshold, 0 to 1."""

    exact_R: FloatArray
    f1_R: FloatArray


def raw_scores(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> RawScores:
    """Return the scores of the predictions as they are; each question takes its best reference, "" if it has none."""
    pairs = [
        _question_scores(answer, [words for words in map(_words, texts) if words] or [[]])
        for answer, texts in zip(predicted, references, strict=True)
    ]
    scores_R2 = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return RawScores(exact_R=scores_R2[:, 0], f1_R=scores_R2[:, 1])


def at_threshold(scores_R: FloatArray, no_answer_R: FloatArray, answered_R: BoolArray, threshold: float) -> FloatArray:
    """Return the scores of the questions if those above the threshold are answered with an empty text."""
    return np.where(no_answer_R > threshold, (~answered_R).astype(np.float64), scores_R)


def best_threshold(
    predicted: Sequence[str], scores_R: FloatArray, no_answer_R: FloatArray, answered_R: BoolArray
) -> tuple[float, float]:
    """Return the best mean score over all thresholds, and the least threshold that reaches it.

    The script starts with an empty text for all questions, at a threshold of 0, and lets in one question after the
    other, in the order of their no-answer scores. Of equal scores it may let in a part, which no threshold does.
    """
    is_given_R = np.array([bool(text) for text in predicted], dtype=np.bool_)
    gains_R = np.where(answered_R, scores_R, -is_given_R.astype(np.float64))
    order_R = np.argsort(no_answer_R, kind="stable")
    totals = np.cumsum(np.concatenate([[np.count_nonzero(~answered_R)], gains_R[order_R]]))
    best = int(np.argmax(totals))  # of equals, the first
    threshold = 0.0 if best == 0 else float(no_answer_R[order_R[best - 1]])
    return float(totals[best]) / len(scores_R), threshold


def kept_threshold(threshold: float, no_answer_R: FloatArray) -> float:
    """Return a threshold that answers the same questions: halfway to the next no-answer score, 1 above the last one.

    The logits of one model differ in their last digits from batch to batch. At the threshold itself, which is a
    question's own score, they would change that question's answer. Halfway leaves the same margin on both sides, also
    for new questions.
    """
    above = no_answer_R[(no_answer_R > threshold) & (no_answer_R < NEVER_ANSWERED)]
    return (threshold + float(above.min())) / 2 if len(above) else threshold + 1.0


def answers_at(predicted: Sequence[str], no_answer_R: FloatArray, threshold: float | None) -> list[str]:
    """Return the answers, empty for questions above the threshold; None: all are answered."""
    if threshold is None:
        return list(predicted)
    return ["" if is_none else text for text, is_none in zip(predicted, no_answer_R > threshold, strict=True)]


def no_answer_metrics(
    predicted: Sequence[str],
    references: Sequence[Sequence[str]],
    no_answer_R: FloatArray,
    *,
    threshold: float | None,
) -> dict[str, float | None]:
    """Return the metrics of answers with a threshold; None: the best one of these questions for F1.

    Args:
        predicted: The best span's text of each question.
        references: The answers of each question; none if it has no answer.
        no_answer_R: No-answer score of each question.
        threshold: Questions above it are answered with an empty text; infinity: all are answered.

    Returns:
        `f1` and `exact_match` at the threshold, over all questions, over those that have an answer (`has_ans_*`) and
        those that have none (`no_ans_*`), 0 to 1, None without such questions; the threshold, None if all are
        answered; and the official best scores over all thresholds, with their thresholds.
    """
    answered_R = np.array([bool(texts) for texts in references], dtype=np.bool_)
    raw = raw_scores(predicted, references)
    best_f1, best_f1_thresh = best_threshold(predicted, raw.f1_R, no_answer_R, answered_R)
    best_exact, best_exact_thresh = best_threshold(predicted, raw.exact_R, no_answer_R, answered_R)
    if threshold is None:
        threshold = kept_threshold(best_f1_thresh, no_answer_R)
    f1_R = at_threshold(raw.f1_R, no_answer_R, answered_R, threshold)
    exact_R = at_threshold(raw.exact_R, no_answer_R, answered_R, threshold)
    return {
        "f1": _mean(f1_R),
        "exact_match": _mean(exact_R),
        "has_ans_f1": _mean(f1_R[answered_R]),
        "has_ans_exact_match": _mean(exact_R[answered_R]),
        "no_ans_f1": _mean(f1_R[~answered_R]),
        "no_ans_exact_match": _mean(exact_R[~answered_R]),
        THRESHOLD: threshold if np.isfinite(threshold) else None,
        "best_f1": best_f1,
        "best_f1_thresh": best_f1_thresh,
        "best_exact": best_exact,
        "best_exact_thresh": best_exact_thresh,
    }


def _mean(scores_R: FloatArray) -> float | None:
    return sum(scores_R.tolist()) / len(scores_R) if len(scores_R) else None  # in order, as the script adds


def _words(answer: str) -> list[str]:
    """Return the words of an answer: lower case, without punctuation and articles."""
    return _ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split()


def _question_scores(answer: str, references: Sequence[list[str]]) -> tuple[float, float]:
    """Return the best exact match and the best F1 of an answer over references, which are words."""
    given = _words(answer)
    return max(float(given == words) for words in references), max(_f1(given, words) for words in references)


def _f1(given: list[str], words: list[str]) -> float:
    if not given or not words:
        return float(given == words)
    same = sum((Counter(given) & Counter(words)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(given), same / len(words)
    return 2 * precision * recall / (precision + recall)
