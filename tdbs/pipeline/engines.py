"""Run a function over many items, in order, on the cores of this machine or on many machines.

An engine gives the same results whatever it runs on: what is computed of an item depends on the item alone.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_on_threads(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Yield the results in order. Items are taken only as workers come free, so that few are in memory at once.

    Threads suffice: the tokenizer, NumPy and Arrow let go of Python's lock.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an error nothing more is begun
            for future in waiting:
                future.cancel()
