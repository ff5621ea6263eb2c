"""Which samples an epoch trains on, if not all: those of `--keep`, and with `--data-diet` a share of them later.

A data diet ranks samples by scores that training itself makes, so the samples of later epochs are not known before.
A plan that is made in advance has a random share of the same size there: its samples and their number per epoch are
those of the run, its lengths nearly so.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tdbs import rng
from tdbs.arrays import IntArray

# Shapes: N samples of the split, M those that a run may train on, C those of one epoch.


@dataclass(frozen=True, kw_only=True, slots=True)
class Subset:
    """The samples that a run trains on."""

    kept_M: IntArray | None = None  # ascending; None: all
    diet: float | None = None  # share of them in each epoch after the first; None: all


EVERY_SAMPLE = Subset()


def samples_of(subset: Subset, rows: int) -> IntArray:
    """Return the samples that a run may train on, ascending (M), of a split of `rows`."""
    return np.arange(rows) if subset.kept_M is None else subset.kept_M


def count_of(share: float, samples: int) -> int:
    """Return how many samples a share is, one at least."""
    return max(round(share * samples), 1)


def planned_samples(subset: Subset, rows: int, *, seed: int, epoch: int) -> IntArray | None:
    """Return the samples of an epoch as planned before training, ascending (C); None: all of the split.

    With a diet, those of later epochs are drawn at random.
    """
    if subset.diet is None or epoch == 0:
        return subset.kept_M
    samples_M = samples_of(subset, rows)
    draw = rng.stream(rng.RandomPurpose.DATA_DIET, seed=seed, epoch=epoch)
    return np.sort(draw.choice(samples_M, count_of(subset.diet, len(samples_M)), replace=False))


def hardest(scores_M: npt.NDArray[np.floating], count: int) -> IntArray:
    """Return the places of the highest scores, ascending (C); of equal scores the first ones."""
    return np.sort(np.argsort(-scores_M, kind="stable")[:count])
