"""Which labels are likely wrong: those of the samples whose margin stays lowest while a model learns the others.

A model learns a wrong label late, or only by heart. Until then it predicts another class, and the margin of the given
one is below 0. The area under the margin (AUM; Pleiss et al. 2020) is the mean over the epochs. docs/scores.md has the
precision on labels that were flipped on purpose.
"""

import numpy as np
import numpy.typing as npt

from tdbs.arrays import IntArray

# Shapes: M samples with scores, S the suspected ones.


def likeliest_label_errors(margins_M: npt.NDArray[np.floating], labels_M: IntArray, predicted_M: IntArray) -> IntArray:
    """Return the places of samples whose label is likely wrong, the likeliest first (S).

    Args:
        margins_M: Area under the margin of each sample, or its margin at the end.
        labels_M: The class that each sample is labelled with.
        predicted_M: The class that the model predicts at the end.

    Returns:
        All samples with a margin below 0, or predicted otherwise than labelled; ties in the order given.
    """
    suspected_S = np.flatnonzero((margins_M < 0) | (labels_M != predicted_M))
    return suspected_S[np.argsort(margins_M[suspected_S], kind="stable")]
