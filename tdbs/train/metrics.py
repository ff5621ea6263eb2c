"""A task's metrics, by torchmetrics: accuracy, F1, Matthews, Pearson, Spearman. The first one is the score."""

import math
from collections.abc import Callable

import torch
from torchmetrics.functional import classification, regression

from tdbs.data.tasks import Task

# Each takes predictions (N), labels (N) and the number of classes.
_METRICS: dict[str, Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]] = {
    "accuracy": lambda predictions, labels, classes: classification.multiclass_accuracy(
        predictions, labels, num_classes=classes, average="micro"
    ),
    # of class 1, as GLUE defines it
    "f1": lambda predictions, labels, _classes: classification.binary_f1_score(predictions, labels),
    "matthews": lambda predictions, labels, classes: classification.multiclass_matthews_corrcoef(
        predictions, labels, num_classes=classes
    ),
    "pearson": lambda predictions, labels, _classes: regression.pearson_corrcoef(predictions, labels),
    "spearman": lambda predictions, labels, _classes: regression.spearman_corrcoef(predictions, labels),
}


def score_predictions(task: Task, logits_NC: torch.Tensor, labels_N: torch.Tensor) -> dict[str, float | None]:
    """Return the task's metrics from the logits of all samples: 0 to 1, correlations -1 to 1.

    A correlation with something constant is not defined, and None; Matthews' is 0 there, as GLUE defines it.
    """
    if task.kind == "regression":
        predictions_N, labels_N = logits_NC[:, 0].double(), labels_N.double()
    else:
        predictions_N = logits_NC.argmax(dim=1)
    constant = bool((predictions_N == predictions_N[0]).all() or (labels_N == labels_N[0]).all())
    found: dict[str, float | None] = {"matthews": 0.0, "pearson": None, "spearman": None} if constant else {}
    for name in task.metrics:
        if name not in found:
            value = float(_METRICS[name](predictions_N, labels_N, len(task.classes)))
            found[name] = value if math.isfinite(value) else None
    return {name: found[name] for name in task.metrics}
