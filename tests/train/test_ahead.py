"""Items come in order whatever the thread does; errors come in their turn; nothing is made that was not asked for."""

import itertools
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.train.prefetch import prefetch


@given(st.lists(st.one_of(st.none(), st.integers(), st.just(()))))
def test_the_items_are_those_of_the_iterable(items: list[object]) -> None:
    assert list(prefetch(items)) == items


def test_an_error_comes_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the third item")

    items = prefetch(failing())
    assert list(itertools.islice(items, 2)) == [1, 2]
    with pytest.raises(ValueError, match="the third item"):
        next(items)


def test_the_next_item_is_made_meanwhile_and_no_more() -> None:
    made: list[int] = []
    second = threading.Event()

    def noted() -> Iterator[int]:
        for item in range(10):
            made.append(item)
            if item == 1:
                second.set()
            yield item

    items = prefetch(noted())
    assert next(items) == 0
    assert second.wait(timeout=10)  # nobody asked for it yet
    assert made == [0, 1]
    items.close()  # type: ignore[attr-defined]  # a generator
    assert made == [0, 1]


def test_threads_end_with_the_loop() -> None:
    before = threading.active_count()
    for _ in prefetch(range(3)):
        assert threading.active_count() > before
    items = prefetch(range(3))
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
