"""Answers to questions from the logits of their windows, and their exact match and F1 as SQuAD v1.1 has them.

Questions without an answer are scored by other rules (no_answers.py).

`best_spans` finds the exact best span of each window: for each number of tokens up to `max_answer_tokens`, all spans
of that size at once. Cost: windows x their length x max_answer_tokens sums, and memory of a few times the logits; no
list of the n best starts, which may miss the best pair. A question's answer is the one of its best window.

The score is torchmetrics' `squad`, one question at a time (2.5 s for the 10,570 of SQuAD's validation split on one CPU
core): over all at once it adds up in float32, which moves F1 by some thousandths of a point. It differs from the
official evaluate-v1.1 in one case: if neither prediction nor reference has a word left after normalisation ("the",
"."), F1 is 1, the rule of v2, not 0. Exact match is 1 there in both. Three of that split's questions have such a
reference.
"""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import torch

from tdbs.arrays import FloatArray, IntArray

# Shapes: B windows, L tokens of a window.

# The longest answer of SQuAD's 98,169 has 68 tokens; with the usual limit of 30, 216 right answers could not be given.
MAX_ANSWER_TOKENS = 80
_NEVER = float("-inf")
NEVER_ANSWERED = float(np.finfo(np.float32).max)


def best_spans(
    start_logits_BL: torch.Tensor,
    end_logits_BL: torch.Tensor,
    allowed_BL: torch.Tensor,
    *,
    max_answer_tokens: int = MAX_ANSWER_TOKENS,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return first token, last token (inclusive) and score of the best span of each window.

    Both tokens are among the allowed ones (the context's). The score is the sum of the two logits, -inf in a window
    without allowed tokens. Of equal spans the one that starts first wins, then the shortest.
    """
    # float32: sums of bfloat16 logits would make ties that are none.
    starts_BL = start_logits_BL.float().masked_fill(~allowed_BL, _NEVER)
    ends_BL = end_logits_BL.float().masked_fill(~allowed_BL, _NEVER)
    scores_BL = starts_BL + ends_BL  # of the best span that starts here; at first, the one of a single token
    more_BL = torch.zeros_like(scores_BL, dtype=torch.int64)  # its tokens after the first
    for more in range(1, min(max_answer_tokens, scores_BL.shape[1])):
        longer_BL = starts_BL[:, :-more] + ends_BL[:, more:]
        better_BL = longer_BL > scores_BL[:, :-more]
        scores_BL[:, :-more] = torch.where(better_BL, longer_BL, scores_BL[:, :-more])
        more_BL[:, :-more].masked_fill_(better_BL, more)
    starts_B1 = scores_BL.argmax(dim=1, keepdim=True)  # of equals, the first
    ends_B1 = starts_B1 + more_BL.gather(1, starts_B1)
    return starts_B1[:, 0], ends_B1[:, 0], scores_BL.gather(1, starts_B1)[:, 0]


def null_scores(logits_BL2: torch.Tensor) -> torch.Tensor:
    """Return start and end logit together at the first token of each window, where windows without an answer point."""
    return logits_BL2[:, 0].float().sum(dim=-1)


def no_answer_scores(rows_N: IntArray, nulls_N: FloatArray, scores_R: FloatArray) -> FloatArray:
    """Return each question's no-answer score: the least null score of its windows minus the score of its best span.

    `rows_N` numbers the question of each window. The scores are finite, so records can hold them: a question that no
    window has a span for gets the greatest float32.
    """
    nulls_R = np.full(len(scores_R), np.inf)
    np.fmin.at(nulls_R, rows_N, nulls_N)
    with np.errstate(invalid="ignore"):  # -inf minus -inf
        differences_R = nulls_R - scores_R
    found: FloatArray = np.nan_to_num(differences_R, nan=NEVER_ANSWERED, posinf=NEVER_ANSWERED, neginf=-NEVER_ANSWERED)
    return found


def answer_texts(
    contexts: Sequence[str],
    window_rows_B: IntArray,
    scores_B: FloatArray,
    char_starts_B: IntArray,
    char_ends_B: IntArray,
) -> list[str]:
    """Return the answer to each question: the text of its best window, the first one among equals.

    `window_rows_B` numbers the question of each window, in any order; the answer is `contexts[question]` from the
    window's `char_starts_B` up to, not including, its `char_ends_B`. A question none of whose windows has a score
    (all are -inf, or not a number) has the answer "".
    """
    scored = np.flatnonzero(scores_B > _NEVER)
    by_question = scored[np.lexsort((-scores_B[scored], window_rows_B[scored]))]  # best first; equals stay in order
    questions, best = np.unique(window_rows_B[by_question], return_index=True)
    answers = [""] * len(contexts)
    for question, window in zip(questions, by_question[best], strict=True):
        answers[question] = contexts[question][char_starts_B[window] : char_ends_B[window]]
    return answers


def exact_match_and_f1(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return exact_match and f1 of SQuAD v1.1 over the questions, 0 to 1; each takes its best reference."""
    from torchmetrics.functional.text import squad  # 2 s to import, so with the first score

    scores = [
        squad({"prediction_text": answer, "id": ""}, {"answers": {"text": texts}, "id": ""})
        for answer, texts in zip(predicted, references, strict=True)
    ]
    return {name: fmean(float(score[name]) for score in scores) / 100 for name in ("exact_match", "f1")}
