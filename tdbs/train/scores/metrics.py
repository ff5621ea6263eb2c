"""Metrics by torchmetrics: of classes, flags and numbers, and ROUGE of summaries; the first one is the score.

ROUGE takes words as runs of a to z and 0 to 9 after lowering, as Google's rouge_score does; nothing is stemmed, since
that needs nltk. Text in other scripts has no such words and scores 0. Cost: words x words of each pair, in Python:
0.5 s for 1,000 summaries of CNN/DailyMail on one CPU core.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import torch

from tdbs.data.tasks import Task

# Shapes: N samples, C outputs.

# Named, because the default adds rougeLsum, which splits sentences with nltk and a download.
_KEYS = ("rouge1", "rouge2", "rougeL")


def score_predictions(task: Task, logits_NC: torch.Tensor, labels: torch.Tensor) -> dict[str, float | None]:
    """Return the task's metrics from the logits of all samples: 0 to 1, correlations -1 to 1.

    With several targets a correlation is the mean over them. One with something constant is not defined, and None;
    Matthews' is 0 there, as GLUE defines it.
    """
    if task.kind in ("regression", "embedding"):
        return _correlations(task, logits_NC.double(), labels.double().reshape(logits_NC.shape))
    if task.kind == "multi_label":
        return _multi_label(logits_NC, labels)
    predictions_N = logits_NC.argmax(dim=1)
    classes = task.outputs
    found: dict[str, float | None] = {}
    if _is_constant(predictions_N) or _is_constant(labels):
        found["matthews"] = 0.0
    return {
        name: found[name] if name in found else float(_metrics()[name](predictions_N, labels, classes))
        for name in task.metrics
    }


def rouge(predicted: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return the mean F-measures rouge1, rouge2 and rougeL, 0 to 1; a summary without words scores 0."""
    from torchmetrics.functional.text import rouge_score

    pairs = list(zip(predicted, references, strict=True))
    # A list for each reference: torchmetrics would read a tuple of strings as lists of characters.
    found = rouge_score([summary for summary, _ in pairs], [[reference] for _, reference in pairs], rouge_keys=_KEYS)
    return {key: float(found[f"{key}_fmeasure"]) for key in _KEYS}


@cache
def _metrics() -> Mapping[str, Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]]:
    """Return functions of predictions, labels and the number of outputs: classes (N) or one target's numbers (N)."""
    # torchmetrics takes 2 s to import, so it is imported with the first score.
    from torchmetrics.functional import classification, regression

    return {
        "accuracy": lambda predictions, labels, classes: classification.multiclass_accuracy(
            predictions, labels, num_classes=classes, average="micro"
        ),
        # of class 1, as GLUE defines it
        "f1": lambda predictions, labels, _classes: classification.binary_f1_score(predictions, labels),
        "f1_macro": lambda predictions, labels, classes: classification.multiclass_f1_score(
            predictions, labels, num_classes=classes, average="macro"
        ),
        "matthews": lambda predictions, labels, classes: classification.multiclass_matthews_corrcoef(
            predictions, labels, num_classes=classes
        ),
        "pearson": lambda predictions, labels, _classes: regression.pearson_corrcoef(predictions, labels),
        "spearman": lambda predictions, labels, _classes: regression.spearman_corrcoef(predictions, labels),
    }


def _correlations(task: Task, numbers_NC: torch.Tensor, labels_NC: torch.Tensor) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in task.metrics:
        values = [
            math.nan
            if _is_constant(predicted_N) or _is_constant(true_N)
            else float(_metrics()[name](predicted_N, true_N, 1))
            for predicted_N, true_N in zip(numbers_NC.T, labels_NC.T, strict=True)
        ]
        mean = sum(values) / len(values)
        found[name] = mean if math.isfinite(mean) else None
    return found


def _multi_label(logits_NC: torch.Tensor, labels_NC: torch.Tensor) -> dict[str, float | None]:
    """Return F1 over all flags, and the mean of each class's; a class holds if its logit is above 0."""
    from torchmetrics.functional import classification

    flags_NC = (logits_NC > 0).int()
    return {
        f"f1_{average}": float(
            classification.multilabel_f1_score(
                flags_NC, labels_NC.int(), num_labels=logits_NC.shape[1], average=average
            )
        )
        for average in ("micro", "macro")
    }


def _is_constant(values_N: torch.Tensor) -> bool:
    return bool((values_N == values_N[0]).all())
