"""Strategies as callers of the Python functions give them: by name, or resolved."""

from tdbs.data.tasks import Task
from tdbs.errors import ConfigError
from tdbs.train.planning.profile_file import Profile
from tdbs.train.planning.strategies import Strategy, check_rows, resolve_strategy


def given_strategy(
    given: Strategy | str,
    task: Task,
    *,
    in_rows: bool,
    profile: Profile | None = None,
    batch_size: int | None = None,
) -> Strategy:
    """Return the strategy of a name (resolve_strategy), or a resolved one as it is, if the model can run it.

    `batch_size`: the base batch size of a named one; None: its own. A resolved one has its own, so another is refused.
    """
    if isinstance(given, str):
        return resolve_strategy(given, task, {"base_batch_size": batch_size}, profile=profile, in_rows=in_rows)
    if batch_size not in (None, given.base_batch_size):
        raise ConfigError(
            f"The strategy {given.name} has a base batch size of {given.base_batch_size}, not {batch_size}.",
            next_step="Pass the strategy by its name, or leave batch_size out.",
        )
    check_rows(given, task, in_rows=in_rows)
    return given
