"""How many negatives the samples of a split have, and what `prepare` says of a split without any.

Every sample has a query and a positive; a reranker reads both as one sequence. Other sequences are negatives.
"""

from collections.abc import Mapping

from tdbs.data.tasks import Task
from tdbs.errors import SourceError
from tdbs.pipeline.manifest import SplitInfo
from tdbs.shown import fitted

_TRAIN = "train"


def sequences_without_negatives(task: Task) -> int:
    """Return how many sequences a sample without negatives has."""
    return 1 if task.kind == "ranking" else 2


def count_negatives(info: SplitInfo, task: Task) -> int:
    """Return the number of negatives of all samples of a split."""
    return sum(info.sequence_histogram) - sequences_without_negatives(task) * info.rows


def negatives_notes(splits: Mapping[str, SplitInfo], task: Task, *, where: str) -> tuple[str, ...]:
    """Return a note on each split whose candidates a reranker cannot rank: a row has one alone.

    `where` is what errors call train. Raises SourceError if it is train: there is nothing to learn.
    """
    if task.kind != "ranking":
        return ()
    lacking = [name for name, info in splits.items() if info.rows and not count_negatives(info, task)]
    if _TRAIN in lacking:
        raise SourceError(
            fitted("No train row of {where} has a negative, so a reranker has nothing to learn.", where=where),
            next_step="Give rows texts that do not answer their query, or pass --task embedding.",
        )
    return tuple(f"No row of {name} has a negative: nothing is ranked, and its score is undefined." for name in lacking)
