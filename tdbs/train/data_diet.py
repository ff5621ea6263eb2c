"""A data diet (`--data-diet`): after a first full epoch, each epoch trains on the samples of the highest EL2N.

As in 'NLU on Data Diets' (Attendu and Corbeil 2023): a first phase on the whole train split, EL2N of the model as it
is, and a new choice again and again. There, a pass over the whole split scores all samples at each choice. Here the
scores are those that training makes anyway: a sample that an epoch leaves out keeps its last one, and comes back when
the trained ones have fallen below it. So a choice costs no pass, and is one of each epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tdbs.arrays import IntArray
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.subsets import count_of, hardest
from tdbs.train.sample_records import EL2N, EpochRecord, Scores

# Shapes: N samples of the train split, M those that the run may train on.


@dataclass(frozen=True, kw_only=True, slots=True)
class DataDiet:
    """The diet of a run, and the last EL2N of each sample."""

    share: float  # of the samples, in each epoch after the first
    samples_M: IntArray
    replan: Callable[[int, IntArray], EpochPlan]  # of an epoch, on some samples
    el2n_N: Scores  # changed by `take`

    def take(self, record: EpochRecord) -> None:
        """Note the scores of an epoch that ended."""
        self.el2n_N[record.sample_ids_S] = record.column(EL2N)

    def plan(self, epoch: int) -> EpochPlan:
        """Return the plan of an epoch after the first, on the samples that are hardest now."""
        places = hardest(self.el2n_N[self.samples_M], count_of(self.share, len(self.samples_M)))
        return self.replan(epoch, self.samples_M[places])
