"""Precision, recall and F1 of entity spans, as conlleval's lenient reading of tags has them (seqeval's default).

A word that is not outside begins an entity if it is the first of its sentence or follows an outside word, if its
type is not that of the word before, if its prefix is B or S, or where the word before has E or S; otherwise it
continues that word's entity. Tags that break their scheme (I without B, B without E) thus make entities too, and one
rule reads IOB1, IOB2, IOE and IOBES. An entity is right if its first word, last word and type are. Cost: a few
passes over the words, and a sort of the entities.

Two departures from seqeval 1.2.2, which takes the first letter of any class for its prefix: U and L (BILOU) are S and
E, where seqeval finds one entity in several of one type in a row; and a class without a prefix is a type as it stands,
read like I, where seqeval takes ORG for outside (O) and EVENT for E.
"""

import re
from collections.abc import Sequence

import numpy as np

from tdbs.arrays import IntArray

# Shapes: W labelled words of all sentences in a row, N sentences, N1 = N + 1, E entities, each a row of 3 numbers.

_CLASS = re.compile(r"([BIESLU])(?:-(.*))?")  # a prefix alone is a scheme with one nameless type


def entity_f1(
    predicted_W: IntArray,
    true_W: IntArray,
    sentence_offsets_N1: IntArray,
    classes: Sequence[str],
    *,
    outside: str = "O",
) -> dict[str, float]:
    """Return precision, recall and f1 over the entities of all sentences, 0 to 1; 0 if there is nothing to divide.

    Sentence i holds the words [i] to [i + 1]; `predicted_W` and `true_W` number their classes.
    """
    sentence_W = np.repeat(np.arange(len(sentence_offsets_N1) - 1), np.diff(sentence_offsets_N1))
    predicted_E3 = _entities(predicted_W, sentence_W, classes, outside)
    true_E3 = _entities(true_W, sentence_W, classes, outside)
    # No two entities of one reading begin at the same word.
    _, in_predicted, in_true = np.intersect1d(
        predicted_E3[:, 0], true_E3[:, 0], assume_unique=True, return_indices=True
    )
    right = int((predicted_E3[in_predicted] == true_E3[in_true]).all(axis=1).sum())
    return {
        "precision": right / max(len(predicted_E3), 1),
        "recall": right / max(len(true_E3), 1),
        "f1": 2 * right / max(len(predicted_E3) + len(true_E3), 1),
    }


def _entities(ids_W: IntArray, sentence_W: IntArray, classes: Sequence[str], outside: str) -> IntArray:
    """Return first word, last word and type of each entity, in the order of the words."""
    matches = [_CLASS.fullmatch(name) for name in classes]
    prefixes = [match[1] if match else "I" for match in matches]
    types = [(match[2] or "") if match else name for name, match in zip(classes, matches, strict=True)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(types))}

    type_W = np.array([numbers[name] for name in types])[ids_W]
    inside_W = np.array([name != outside for name in classes])[ids_W]
    opens_W = np.array([prefix in "BSU" for prefix in prefixes])[ids_W]
    closes_W = np.array([prefix in "ESLU" for prefix in prefixes])[ids_W]

    continues_W = np.zeros(len(ids_W), dtype=np.bool_)
    continues_W[1:] = (
        (inside_W[1:] & inside_W[:-1])
        & (sentence_W[1:] == sentence_W[:-1])
        & (type_W[1:] == type_W[:-1])
        & ~(opens_W[1:] | closes_W[:-1])
    )
    is_continued_W = np.zeros(len(ids_W), dtype=np.bool_)
    is_continued_W[:-1] = continues_W[1:]
    first_E = np.flatnonzero(inside_W & ~continues_W)
    last_E = np.flatnonzero(inside_W & ~is_continued_W)
    return np.stack([first_E, last_E, type_W[first_E]], axis=1)
