"""Make what a loop needs next while it is busy: on a thread of its own, in the same order."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items; meanwhile a thread makes the next one. Its exceptions are raised here, in its turn.

    Items must not depend on how the loop uses earlier ones.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(_next_of, iterator)
        while found := coming.result():
            coming = thread.submit(_next_of, iterator)
            yield found[0]


def _next_of(iterator: Iterator[Item]) -> tuple[Item] | None:
    """Return the next item in a tuple, or None at the end: StopIteration does not pass through a future."""
    for item in iterator:
        return (item,)
    return None
