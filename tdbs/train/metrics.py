"""A task's metrics, by torchmetrics: accuracy, F1, Matthews, Pearson, Spearman. The first one is the score."""

from collections.abc import Callable

import torch
from torchmetrics.functional import classification, regression

from tdbs.data.tasks import Task
from tdbs.errors import ConfigError


def _accuracy(predictions_N: torch.Tensor, labels_N: torch.Tensor, classes: int) -> torch.Tensor:
    return classification.multiclass_accuracy(predictions_N, labels_N, num_classes=classes, average="micro")


def _f1(predictions_N: torch.Tensor, labels_N: torch.Tensor, classes: int) -> torch.Tensor:
    return classification.binary_f1_score(predictions_N, labels_N)  # of class 1, as GLUE defines it


def _matthews(predictions_N: torch.Tensor, labels_N: torch.Tensor, classes: int) -> torch.Tensor:
    return classification.multiclass_matthews_corrcoef(predictions_N, labels_N, num_classes=classes)


def _pearson(predictions_N: torch.Tensor, labels_N: torch.Tensor, classes: int) -> torch.Tensor:
    return regression.pearson_corrcoef(predictions_N, labels_N)


def _spearman(predictions_N: torch.Tensor, labels_N: torch.Tensor, classes: int) -> torch.Tensor:
    return regression.spearman_corrcoef(predictions_N, labels_N)


_METRICS: dict[str, Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
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
