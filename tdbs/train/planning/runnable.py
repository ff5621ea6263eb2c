"""The strategies that a task and a model can run."""

from tdbs.data.tasks import Task
from tdbs.train.planning.samplers import has_rebalancing
from tdbs.train.planning.strategies import STRATEGIES


def strategies_for(task: Task, *, in_rows: bool = True) -> tuple[str, ...]:
    """Return the names of the strategies that a task and a model can be trained with (`in_rows`: resolve_strategy).

    `batch_rebalance` is left out if the installed transformers lacks it; by name it is an error (samplers.py).
    """
    return tuple(
        name
        for name, strategy in STRATEGIES.items()
        if (in_rows or not strategy.in_rows)
        and (strategy.batches != "batch_rebalance" or has_rebalancing())
        and not (strategy.execution == "packed" and not is_packable(task))
    )


def is_packable(task: Task) -> bool:
    """Return whether samples of a task are one sequence each, so that several may share a row of fixed width."""
    return task.kind != "seq2seq" and not task.is_grouped


def left_out(task: Task, *, in_rows: bool) -> tuple[str, ...]:
    """Return the names of the strategies that a model or a task cannot run."""
    return tuple(
        name
        for name, strategy in STRATEGIES.items()
        if (strategy.in_rows and not in_rows) or (strategy.execution == "packed" and not is_packable(task))
    )
