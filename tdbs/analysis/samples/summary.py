"""What a run's epochs say of each sample: last scores, area under the margin, forgetting events."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tdbs.arrays import BoolArray, IntArray
from tdbs.train.sample_records import MARGIN, EpochRecord

# Shapes: N samples of the train split, M samples with scores, K scores of a sample.

AUM, FORGETTING, CORRECT, EPOCHS = "aum", "forgetting", "correct", "epochs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The scores of the samples that some epoch has, in sample_id order."""

    sample_ids_M: IntArray
    last: dict[str, npt.NDArray[np.float32]]  # scores of each sample's own last epoch (M each)
    ends_whole: bool  # the last epoch has all these samples; if not, some last scores are of an earlier model
    epochs_M: npt.NDArray[np.int32]  # epochs that have the sample
    aum_M: npt.NDArray[np.float32] | None = None  # mean margin over its epochs; None: the task has no margin
    forgetting_M: npt.NDArray[np.int32] | None = None  # epochs in which it is wrong and was right when last seen
    correct_M: npt.NDArray[np.int32] | None = None  # epochs in which it is right; 0: never learned


def summarize(epochs: Iterable[EpochRecord], *, rows: int) -> Summary:
    """Return the summary of some epochs, in running order, of a split of `rows` samples; one is in memory at a time.

    A sample is right if its margin is above 0. Forgetting events are those of Toneva et al. (2019), AUM is that of
    Pleiss et al. (2020). An epoch may lack samples: it was not trained on them.
    """
    names: tuple[str, ...] = ()
    last_NK = np.empty((rows, 0), dtype=np.float32)
    margins_N = np.zeros(rows)
    last_seen = 0
    seen_N, forgetting_N, correct_N = (np.zeros(rows, dtype=np.int32) for _ in range(3))
    was_right_N: BoolArray = np.zeros(rows, dtype=np.bool_)
    for record in epochs:
        ids_S = record.sample_ids_S
        if not names:
            names = record.names
            last_NK = np.full((rows, len(names)), np.nan, dtype=np.float32)
        last_NK[ids_S] = record.values_SK
        seen_N[ids_S] += 1
        last_seen = len(ids_S)
        if MARGIN in names:
            margins_S = record.column(MARGIN)
            margins_N[ids_S] += margins_S
            forgetting_N[ids_S] += was_right_N[ids_S] & (margins_S <= 0)
            was_right_N[ids_S] = margins_S > 0
            correct_N[ids_S] += was_right_N[ids_S]
    ids_M = np.flatnonzero(seen_N)
    has_margin = MARGIN in names
    return Summary(
        sample_ids_M=ids_M,
        last={name: last_NK[ids_M, place] for place, name in enumerate(names)},
        ends_whole=last_seen == len(ids_M),
        epochs_M=seen_N[ids_M],
        aum_M=(margins_N[ids_M] / seen_N[ids_M]).astype(np.float32) if has_margin else None,
        forgetting_M=forgetting_N[ids_M] if has_margin else None,
        correct_M=correct_N[ids_M] if has_margin else None,
    )
