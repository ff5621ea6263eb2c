"""Which labels are likely wrong: those of the samples whose margin stays lowest while a model learns the others.

A model learns a wrong label late, or only by heart. Until then it predicts another class, and the margin of the given
one is below 0. The area under the margin (AUM; Pleiss et al. 2020) is the mean over the epochs. docs/scores.md has the
precision on labels that were flipped on purpose.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tdbs.arrays import IntArray

# Shapes: M samples with scores, S the suspected ones.

_LEARNED = 0.2  # share of the errors of always answering the largest class that a run must avoid


def likeliest_label_errors(margins_M: npt.NDArray[np.floating], labels_M: IntArray, predicted_M: IntArray) -> IntArray:
    """Return the places of samples whose label is likely wrong, the likeliest first (S).

    Args:
        margins_M: Area under the margin of each sample, or its margin at the end.
        labels_M: The class that each sample is labelled with.
        predicted_M: The class that the model predicts, when it last saw the sample.

    Returns:
        All samples with a margin below 0, or predicted otherwise than labelled; ties in the order given.
    """
    suspected_S = np.flatnonzero((margins_M < 0) | (labels_M != predicted_M))
    return suspected_S[np.argsort(margins_M[suspected_S], kind="stable")]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainFit:
    """How well a run knows the labels it was trained on; the fields are JSON keys of `tdbs score`."""

    accuracy: float  # share of the samples whose class it predicts at the end
    largest_class: float  # share of the samples of the largest class
    near_chance: bool  # it avoids less than a fifth of the errors of always answering that class


def train_fit(labels_M: IntArray, accuracy: float) -> TrainFit:
    """Return how well a run knows its labels. Near chance it suspects all that it has not learned: nearly any label.

    Args:
        labels_M: The class that each sample is labelled with.
        accuracy: Share of the samples that the run predicts as labelled, at its end.
    """
    largest_class = float(np.bincount(labels_M).max() / len(labels_M))
    return TrainFit(
        accuracy=accuracy,
        largest_class=largest_class,
        near_chance=accuracy < largest_class + _LEARNED * (1 - largest_class),
    )


def chance_sentence(fit: TrainFit) -> str:
    """Return what a run near chance says of labels."""
    return (
        f"The run predicts {fit.accuracy:.1%} of its train labels, and the largest class has {fit.largest_class:.1%}: "
        "near chance, its suspicions mean little."
    )
