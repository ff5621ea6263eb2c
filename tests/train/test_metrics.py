"""The metrics are those of GLUE: compared with plain formulas, not with another library."""

import math

import numpy as np
import pytest
import torch

from tdbs.data.tasks import HUB_TASKS
from tdbs.train.scores.metrics import score_predictions

COLA, MRPC, MNLI, STSB = (HUB_TASKS[f"glue/{name}"].task for name in ("cola", "mrpc", "mnli", "stsb"))


def logits_of(predicted, classes):
    return torch.nn.functional.one_hot(torch.tensor(predicted), classes).float()


def matthews(predicted, labels):
    """Return (TP x TN - FP x FN) / sqrt of the four sums' product, 0 where one of them is 0."""
    p, y = np.array(predicted), np.array(labels)
    tp, tn = int(((p == 1) & (y == 1)).sum()), int(((p == 0) & (y == 0)).sum())
    fp, fn = int(((p == 1) & (y == 0)).sum()), int(((p == 0) & (y == 1)).sum())
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0


def pearson(x, y):
    x, y = np.array(x) - np.mean(x), np.array(y) - np.mean(y)
    return float((x @ y) / math.sqrt((x @ x) * (y @ y)))


def ranks(values):
    """Return ranks from 1; equal values share the mean of theirs."""
    values = np.array(values)
    return [((values < v).sum() + (values <= v).sum() + 1) / 2 for v in values]


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_f1_and_matthews(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, 50)
    predicted = np.where(random.random(50) < 0.7, labels, 1 - labels)
    found = score_predictions(MRPC, logits_of(predicted, 2), torch.tensor(labels))
    hits = int(((predicted == 1) & (labels == 1)).sum())
    assert found == {
        "accuracy": pytest.approx(float((predicted == labels).mean())),
        "f1": pytest.approx(2 * hits / (int(predicted.sum()) + int(labels.sum()))),
    }
    found = score_predictions(COLA, logits_of(predicted, 2), torch.tensor(labels))
    assert found == {"matthews": pytest.approx(matthews(predicted, labels), abs=1e-6)}


@pytest.mark.parametrize("predicted_class", [0, 1])
@pytest.mark.parametrize("positive", [1, 7, 10])
def test_matthews_of_one_class_predicted_for_all_is_0(predicted_class, positive):
    """A model that learned nothing says one class always: GLUE's score for it is 0, whatever the share of classes."""
    labels = [1] * positive + [0] * (10 - positive)
    found = score_predictions(COLA, logits_of([predicted_class] * 10, 2), torch.tensor(labels))
    assert found == {"matthews": 0.0}


def test_matthews_of_colas_validation_split_for_the_majority_class():
    """721 of its 1,043 sentences are acceptable."""
    found = score_predictions(COLA, logits_of([1] * 1043, 2), torch.tensor([1] * 721 + [0] * 322))
    assert found["matthews"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("predicted", "expected"), [([1, 0, 1, 0], 1.0), ([0, 1, 0, 1], -1.0)])
def test_matthews_of_all_right_and_all_wrong(predicted, expected):
    found = score_predictions(COLA, logits_of(predicted, 2), torch.tensor([1, 0, 1, 0]))
    assert found["matthews"] == pytest.approx(expected)


def test_f1_is_of_class_1_and_0_where_it_is_never_met():
    found = score_predictions(MRPC, logits_of([0, 0, 0], 2), torch.tensor([0, 0, 1]))
    assert found == {"accuracy": pytest.approx(2 / 3), "f1": 0.0}


def test_accuracy_of_three_classes_counts_samples_not_classes():
    found = score_predictions(MNLI, logits_of([0, 0, 0, 2], 3), torch.tensor([0, 0, 0, 1]))
    assert found == {"accuracy": 0.75}


@pytest.mark.parametrize("seed", range(5))
def test_pearson_and_spearman_with_ties(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 11, 40) / 2  # scores from 0 to 5 by halves: many ties
    predicted = labels + random.normal(0, 1, 40)
    found = score_predictions(STSB, torch.tensor(predicted)[:, None], torch.tensor(labels))
    assert found["pearson"] == pytest.approx(pearson(predicted, labels))
    assert found["spearman"] == pytest.approx(pearson(ranks(predicted), ranks(labels)), abs=1e-6)
    assert list(found) == ["pearson", "spearman"]


def test_pearson_of_predictions_that_hardly_differ():
    """A regression model starts near one value for all; float32 sums would lose what differs."""
    labels = np.linspace(0, 5, 100)
    predicted = torch.tensor(2.5 + labels * 1e-4, dtype=torch.float32)
    found = score_predictions(STSB, predicted[:, None], torch.tensor(labels))
    assert found["pearson"] == pytest.approx(1.0, abs=1e-4)


def test_a_correlation_of_one_sample_is_not_defined():
    assert score_predictions(STSB, torch.ones(1, 1), torch.ones(1)) == {"pearson": None, "spearman": None}
