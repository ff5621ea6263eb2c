"""The dropout of the model that goes with a strategy."""

from tdbs.train.planning.strategies import BUCKETED, Strategy

SMALL_SET = 10_000  # training samples; below, the paper's rule trains without dropout


def paper_dropout(strategy: Strategy, train_rows: int) -> float:
    """Return the dropout that goes with a strategy (paper, App. A): less with buckets, else 0.1."""
    if strategy.batches not in BUCKETED:
        return 0.1
    return 0.0 if train_rows < SMALL_SET else 0.025


def resolve_dropout(given: float | None, strategy: Strategy, train_rows: int) -> float:
    """Return the given dropout, else the strategy's own, else the one of the paper's rule."""
    if given is not None:
        return given
    return paper_dropout(strategy, train_rows) if strategy.dropout is None else strategy.dropout
