"""How many random examples a property is tried on: all of them every night, a fifth every day."""

from hypothesis import settings

FULL, EVERY_DAY = "full", "everyday"  # profiles; `make coverage` and `make test-slow` ask for the first
_MOST = 100  # examples of a property that names no number, in full


def register_profiles() -> None:
    """Make both known to hypothesis, and load the everyday one; --hypothesis-profile names another."""
    settings.register_profile(FULL, deadline=None, max_examples=_MOST)  # the machine may be busy; no test is timed
    settings.register_profile(EVERY_DAY, deadline=None, max_examples=_MOST // 5)
    settings.load_profile(EVERY_DAY)


def examples(count: int) -> settings:
    """Return the settings of a property that is tried on so many examples in full."""
    return settings(max_examples=max(count * settings().max_examples // _MOST, 1))
