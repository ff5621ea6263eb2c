"""What calls of tdbs are refused with."""

from collections.abc import Callable

import pytest

from tdbs.errors import TdbsError


def refusals(error: type[TdbsError], *calls: Callable[[], object]) -> set[str]:
    """Return what the calls are refused with; each has to raise this kind of error."""
    found = set()
    for call in calls:
        with pytest.raises(error) as caught:
            call()
        found.add(str(caught.value))
    return found
