"""Exact match and F1 as SQuAD's official evaluate-v1.1.py defines them. Oracle, never imported by tdbs.

Its functions, with percentages left as fractions. No rule for answers without words: they share no word, so F1 is 0.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence


def normalize_answer(answer: str) -> str:
    """Lower the text, then remove punctuation, articles and extra white space, in this order."""
    without_punctuation = "".join(ch for ch in answer.lower() if ch not in set(string.punctuation))
    without_articles = re.sub(r"\b(a|an|the)\b", " ", without_punctuation)
    return " ".join(without_articles.split())


def f1_score(prediction: str, ground_truth: str) -> float:
    """Return the F1 of two bags of words."""
    prediction_tokens = normalize_answer(prediction).split()
    ground_truth_tokens = normalize_answer(ground_truth).split()
    common = Counter(prediction_tokens) & Counter(ground_truth_tokens)
    num_same = sum(common.values())
    if num_same == 0:
        return 0.0
    precision = num_same / len(prediction_tokens)
    recall = num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


def exact_match_score(prediction: str, ground_truth: str) -> float:
    """Return 1 where both are the same after normalisation."""
    return float(normalize_answer(prediction) == normalize_answer(ground_truth))


def metric_max_over_ground_truths(
    metric_fn: Callable[[str, str], float], prediction: str, ground_truths: Sequence[str]
) -> float:
    """Return the best of the references' values."""
    return max(metric_fn(prediction, ground_truth) for ground_truth in ground_truths)


def evaluate(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the mean of both over the questions, 0 to 1."""
    exact_match = f1 = 0.0
    for prediction, ground_truths in zip(predictions, references, strict=True):
        exact_match += metric_max_over_ground_truths(exact_match_score, prediction, ground_truths)
        f1 += metric_max_over_ground_truths(f1_score, prediction, ground_truths)
    return {"exact_match": exact_match / len(predictions), "f1": f1 / len(predictions)}
