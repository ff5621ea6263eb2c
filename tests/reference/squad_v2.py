"""Scores of SQuAD v2 as its official evaluate-v2.0.py defines them. Oracle, never imported by tdbs.

Its functions, with percentages left as fractions. A question is a key of the dictionaries, as there. `evaluate` is its
`main` with a file of no-answer scores.
"""

import collections
import re
import string
from collections.abc import Callable, Mapping, Sequence

Scores = dict[int, float]


def normalize_answer(s: str) -> str:
    """Lower text and remove punctuation, articles and extra whitespace."""

    def remove_articles(text: str) -> str:
        return re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text)

    def white_space_fix(text: str) -> str:
        return " ".join(text.split())

    def remove_punc(text: str) -> str:
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return white_space_fix(remove_articles(remove_punc(s.lower())))


def get_tokens(s: str) -> list[str]:
    """Return the words of a normalized answer; none of an empty text."""
    if not s:
        return []
    return normalize_answer(s).split()


def compute_exact(a_gold: str, a_pred: str) -> int:
    """Return 1 where both are the same after normalisation."""
    return int(normalize_answer(a_gold) == normalize_answer(a_pred))


def compute_f1(a_gold: str, a_pred: str) -> float:
    """Return the F1 of two bags of words."""
    gold_toks = get_tokens(a_gold)
    pred_toks = get_tokens(a_pred)
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        # If either is no-answer, then F1 is 1 if they agree, 0 otherwise
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def get_raw_scores(dataset: Mapping[int, Sequence[str]], preds: Mapping[int, str]) -> tuple[Scores, Scores]:
    """Return exact match and F1 of each question."""
    exact_scores, f1_scores = {}, {}
    for qid, texts in dataset.items():
        gold_answers = [text for text in texts if normalize_answer(text)]
        if not gold_answers:
            # For unanswerable questions, only correct answer is empty string
            gold_answers = [""]
        a_pred = preds[qid]
        # Take max over all gold answers
        exact_scores[qid] = max(compute_exact(a, a_pred) for a in gold_answers)
        f1_scores[qid] = max(compute_f1(a, a_pred) for a in gold_answers)
    return exact_scores, f1_scores


def apply_no_ans_threshold(
    scores: Scores, na_probs: Scores, qid_to_has_ans: Mapping[int, bool], na_prob_thresh: float
) -> Scores:
    """Return the scores where questions above the threshold are answered with an empty text."""
    new_scores = {}
    for qid, s in scores.items():
        pred_na = na_probs[qid] > na_prob_thresh
        if pred_na:
            new_scores[qid] = float(not qid_to_has_ans[qid])
        else:
            new_scores[qid] = s
    return new_scores


def find_best_thresh(
    preds: Mapping[int, str], scores: Scores, na_probs: Scores, qid_to_has_ans: Mapping[int, bool]
) -> tuple[float, float]:
    """Return the best score over all thresholds, and the threshold."""
    num_no_ans = sum(1 for k in qid_to_has_ans if not qid_to_has_ans[k])
    cur_score: float = num_no_ans
    best_score = cur_score
    best_thresh = 0.0
    qid_list = sorted(na_probs, key=lambda k: na_probs[k])
    for qid in qid_list:
        if qid not in scores:
            continue
        if qid_to_has_ans[qid]:
            diff = scores[qid]
        elif preds[qid]:
            diff = -1
        else:
            diff = 0
        cur_score += diff
        if cur_score > best_score:
            best_score = cur_score
            best_thresh = na_probs[qid]
    return best_score / len(scores), best_thresh


def evaluate(
    predictions: Sequence[str], references: Sequence[Sequence[str]], na_probs: Sequence[float], na_prob_thresh: float
) -> dict[str, float]:
    """Return what the script prints, as fractions: `HasAns_*` and `NoAns_*` only if there are such questions."""
    dataset = dict(enumerate(references))
    preds, probs = dict(enumerate(predictions)), dict(enumerate(na_probs))
    qid_to_has_ans = {qid: bool(texts) for qid, texts in dataset.items()}
    exact_raw, f1_raw = get_raw_scores(dataset, preds)
    exact_thresh = apply_no_ans_threshold(exact_raw, probs, qid_to_has_ans, na_prob_thresh)
    f1_thresh = apply_no_ans_threshold(f1_raw, probs, qid_to_has_ans, na_prob_thresh)
    found = make_eval_dict(exact_thresh, f1_thresh, list(dataset))
    is_group: dict[str, Callable[[bool], bool]] = {"HasAns": lambda has: has, "NoAns": lambda has: not has}
    for name, of_group in is_group.items():
        qids = [qid for qid, has in qid_to_has_ans.items() if of_group(has)]
        if qids:
            group = make_eval_dict(exact_thresh, f1_thresh, qids)
            found |= {f"{name}_{key}": value for key, value in group.items()}
    found["best_exact"], found["best_exact_thresh"] = find_best_thresh(preds, exact_raw, probs, qid_to_has_ans)
    found["best_f1"], found["best_f1_thresh"] = find_best_thresh(preds, f1_raw, probs, qid_to_has_ans)
    return found


def make_eval_dict(exact_scores: Scores, f1_scores: Scores, qids: Sequence[int]) -> dict[str, float]:
    """Return the means over some questions."""
    total = len(qids)
    return {
        "exact": sum(exact_scores[k] for k in qids) / total,
        "f1": sum(f1_scores[k] for k in qids) / total,
    }
