"""A task's metrics, by torchmetrics: accuracy, F1, Matthews, Pearson, Spearman. The first one is the score."""

from collections.abc import Callable

import torch
from torchmetrics.functional import classification, regression

from tdbs.data.tasks import Task
from tdbs.errors import ConfigError

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


def score_predictions(task: Task, logits_NC: torch.Tensor, labels_N: torch.Tensor) -> dict[str, float]:
    """Return the task's metrics, 0 to 1 (correlations -1 to 1), from float64 logits of all samples."""
    if task.kind == "regression":
        predictions_N, labels_N = logits_NC[:, 0].double(), labels_N.double()
        if len(labels_N) < 2:
            raise ConfigError(
                "A correlation needs two samples at least, and the split has one.",
                next_step="Evaluate on a larger split.",
            )
    else:
        predictions_N = logits_NC.argmax(dim=1)
    return {name: float(_METRICS[name](predictions_N, labels_N, len(task.classes))) for name in task.metrics}
