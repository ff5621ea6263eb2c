"""What is the same and what is near, in plain Python over texts: words by characters, sets, all pairs."""

import unicodedata
from collections.abc import Hashable, Sequence
from itertools import combinations

SHINGLE = 3


def words(text: str) -> list[str]:
    """Return the stretches of letters, digits and marks of a text, in lower case."""
    kept = (c.lower() if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text)
    return "".join(kept).split()


def normal_form(text: str) -> str:
    """Return the letters and digits of a text in lower case."""
    return "".join(words(text))


def first_equal(values: Sequence[Hashable]) -> list[int]:
    """Return for each value the place of the first equal one."""
    first: dict[Hashable, int] = {}
    return [first.setdefault(value, place) for place, value in enumerate(values)]


def shingles(found: Sequence[Hashable]) -> frozenset[tuple[Hashable, ...]]:
    """Return each three words in a row, or all words of a shorter text."""
    if not found:
        return frozenset()
    size = min(SHINGLE, len(found))
    return frozenset(tuple(found[place : place + size]) for place in range(len(found) - size + 1))


def jaccard(one: frozenset[object], other: frozenset[object]) -> float:
    """Return the share of common members; 1 of two empty sets."""
    return len(one & other) / len(one | other) if one | other else 1.0


def near_pairs(rows: Sequence[Sequence[frozenset[object]]], threshold: float) -> dict[tuple[int, int], float]:
    """Return each two rows whose texts all have this Jaccard index at least; rows of empty sets alone are left out.

    Rows with another number of texts are not near.

    Rows that share nothing have an index of 0, so only rows with a common shingle are looked at.
    """
    holders: dict[object, list[int]] = {}
    for place, sets in enumerate(rows):
        for member in {(side, member) for side, found in enumerate(sets) for member in found}:
            holders.setdefault(member, []).append(place)
    pairs = {(a, b) for places in holders.values() for a, b in combinations(places, 2) if len(rows[a]) == len(rows[b])}
    indices = {(a, b): min(jaccard(*sets) for sets in zip(rows[a], rows[b], strict=True)) for a, b in pairs}
    return {pair: index for pair, index in indices.items() if index >= threshold}
