"""The built-in corpus `sample`: 22,000 phrases of film reviews from a fixed grammar, the same on every machine.

Made to behave like SST-2: as uneven in length and as rich in droppable words. The label hangs on words that are never
dropped; one judgement in fourteen says it by a negation ("never dull"). No phrase occurs twice. Cost: 0.4 s.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from tdbs.data.sample.words import ASIDES, CHARGED, DENIALS, JOINTS, JUDGEMENTS, NEUTRAL
from tdbs.data.tasks import Columns, Task
from tdbs.data.user_files import BUILT_IN_SAMPLE
from tdbs.rng import RandomPurpose, stream

TOKENIZER_FOLDER = Path(__file__).parents[1] / "sample_tokenizer"
SAMPLE_TASK = Task(
    name=BUILT_IN_SAMPLE, kind="classification", columns=Columns(text="text"), classes=("negative", "positive")
)
_ROWS = {"train": 20_000, "validation": 2_000}
_DENIED = 0.07  # share of judgements made by a negation
_JOINED = 0.3  # share of continuations that judge again
_CLOSED = 0.4  # share of phrases that end with a full stop
_ROOM_TO_JUDGE = 5  # words that a further judgement needs
_VOWELS = ("a", "e", "i", "o", "u")
# words and marks asked for at the 0th, 5th, … 100th percentile, chosen so that the corpus gets the lengths of SST-2
_LENGTHS = (2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 23, 27, 48)

_T = TypeVar("_T")
Words = tuple[str, ...]

_TEMPLATES = {  # from short to long
    kind: tuple(sorted((tuple(template.split()) for template in templates), key=len))
    for kind, templates in (("judgement", JUDGEMENTS), ("denial", DENIALS), ("aside", ASIDES))
}
_JOINTS = tuple(tuple(joint.split()) for joint in JOINTS)
_SLOTS = tuple({**NEUTRAL, **charged} for charged in CHARGED)


def sample_tables() -> dict[str, pa.Table]:
    """Return the corpus: two classes in equal shares; each split is a random part of one set of phrases."""
    phrases = _distinct_phrases(sum(_ROWS.values()))
    corpus = pa.table(
        {"text": pa.array(list(phrases), pa.string()), "label": pa.array(list(phrases.values()), pa.int64())}
    )
    order = stream(RandomPurpose.SAMPLE_CORPUS, seed=0, part=1).permutation(len(phrases))
    parts = np.split(order, np.cumsum(list(_ROWS.values()))[:-1])
    return {split: corpus.take(pa.array(rows)) for split, rows in zip(_ROWS, parts, strict=True)}


def _distinct_phrases(count: int) -> dict[str, int]:
    """Return phrases and their labels, in the order they were made."""
    uniforms = _uniforms()
    phrases: dict[str, int] = {}
    while len(phrases) < count:
        label = len(phrases) % 2
        phrases.setdefault(_phrase(label, uniforms), label)
    return phrases


def _uniforms() -> Iterator[float]:
    """Yield random numbers; everything is made from these, because other distributions need the machine's libm."""
    random = stream(RandomPurpose.SAMPLE_CORPUS, seed=0)
    while True:
        yield from random.random(65_536).tolist()


def _pick(options: Sequence[_T], uniforms: Iterator[float]) -> _T:
    return options[int(next(uniforms) * len(options))]


def _phrase(label: int, uniforms: Iterator[float]) -> str:
    """Return a judgement, and asides and more judgements of the same label until the phrase is long enough."""
    place, share = divmod(next(uniforms) * (len(_LENGTHS) - 1), 1)
    low, high = _LENGTHS[int(place)], _LENGTHS[int(place) + 1]
    length = round(low + share * (high - low))
    is_closed = length > _ROOM_TO_JUDGE and next(uniforms) < _CLOSED
    length -= is_closed
    words = list(_judgement(length, uniforms))
    while (room := length - len(words)) > 1:
        if room > _ROOM_TO_JUDGE and next(uniforms) < _JOINED:
            words += [*_pick(_JOINTS, uniforms), *_judgement(room - 2, uniforms)]
        else:
            words += _template("aside", room, uniforms)
    slots = _SLOTS[label]
    filled = [_pick(slots[word], uniforms) if word in slots else word for word in words]
    return " ".join(_articles(filled)) + (" ." if is_closed else "")


def _judgement(room: int, uniforms: Iterator[float]) -> Words:
    return _template("denial" if next(uniforms) < _DENIED else "judgement", room, uniforms)


def _template(kind: str, room: int, uniforms: Iterator[float]) -> Words:
    """Return a template of at most `room` words, or one of the shortest."""
    templates = _TEMPLATES[kind]
    fitting = bisect_right(templates, max(room, len(templates[0])), key=len)
    return _pick(templates[:fitting], uniforms)


def _articles(words: list[str]) -> list[str]:
    following = [*words[1:], ""]
    return [
        "an" if word == "a" and after[:1] in _VOWELS else word for word, after in zip(words, following, strict=True)
    ]
