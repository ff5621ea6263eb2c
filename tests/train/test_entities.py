"""Entity F1 counts spans as conlleval does: by hand, and against its rules typed line by line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.train.scores.entities import entity_f1
from tests.examples import examples
from tests.reference.entities import precision_recall_f1

PREFIXED = [f"{prefix}-{kind}" for prefix in "BIESLU" for kind in ("PER", "LOC")]
CLASSES = ["O", *PREFIXED, *"BIESLU", "PER", "ORG", "EVENT", "B-", "B-first-name", "I-first-name"]


def score(predicted, true, classes=None, outside="O"):
    """Score sentences given as lists of class names."""
    words = [name for sentence in [*predicted, *true] for name in sentence]
    classes = classes or sorted({outside, *words})
    ids = {name: number for number, name in enumerate(classes)}
    return entity_f1(
        np.array([ids[name] for sentence in predicted for name in sentence], dtype=np.int64),
        np.array([ids[name] for sentence in true for name in sentence], dtype=np.int64),
        np.cumsum([0, *map(len, true)]),
        classes,
        outside=outside,
    )


def counted(right, predicted, true):
    """Return the three from the number of right, predicted and true entities."""
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / true if true else 0.0,
        "f1": pytest.approx(2 * right / (predicted + true) if predicted + true else 0.0),
    }


# predicted | true: one sentence, what is right, predicted, true
CASES = [
    ("B-PER I-PER O B-LOC", "B-PER I-PER O B-LOC", (2, 2, 2)),  # all right
    ("B-PER O O B-LOC", "B-PER I-PER O B-LOC", (1, 2, 2)),  # half an entity is a wrong one
    ("B-PER I-PER I-PER O", "B-PER I-PER O O", (0, 1, 1)),  # so is one too long
    ("O B-PER", "B-PER I-PER", (0, 1, 1)),  # and one that begins late
    ("B-LOC I-LOC", "B-PER I-PER", (0, 1, 1)),  # right words, wrong type
    ("B-PER I-PER", "B-PER B-PER", (0, 1, 2)),  # B cuts two neighbours of one type
    ("O O", "B-PER O", (0, 0, 1)),  # nothing predicted: precision is 0
    ("B-PER O", "O O", (0, 1, 0)),  # nothing to find: recall is 0
    ("O O", "O O", (0, 0, 0)),  # neither: all three are 0
    ("I-PER I-PER O I-LOC", "B-PER I-PER O B-LOC", (2, 2, 2)),  # IOB1: I begins after O and at the sentence's start
    ("B-PER I-LOC", "B-PER B-LOC", (2, 2, 2)),  # I of another type begins one
    ("I-PER B-PER I-PER", "B-PER B-PER I-PER", (2, 2, 2)),  # IOB1 writes B between neighbours of one type only
    ("B-PER E-PER S-PER", "B-PER I-PER B-PER", (2, 2, 2)),  # IOBES is read like IOB2
    ("E-PER E-PER", "S-PER S-PER", (2, 2, 2)),  # what follows E begins, even E
    ("I-PER E-PER I-PER E-PER", "B-PER I-PER B-PER I-PER", (2, 2, 2)),  # IOE2
    ("S-PER I-PER", "B-PER I-PER", (0, 2, 1)),  # S is whole: I behind it begins another
    ("B-PER O", "B-PER E-PER", (0, 1, 1)),  # B without E is an entity all the same
    ("B-PER L-PER U-PER U-PER", "B-PER E-PER S-PER S-PER", (3, 3, 3)),  # BILOU: L is E, U is S
    ("U-PER I-PER", "B-PER I-PER", (0, 2, 1)),  # U is whole too
    ("PER PER O PER", "B-PER I-PER O B-PER", (2, 2, 2)),  # without prefixes equal neighbours are one entity
    ("PER ORG", "B-PER B-ORG", (2, 2, 2)),  # ORG and EVENT are types, whatever letter they begin with
    ("EVENT EVENT", "B-EVENT I-EVENT", (1, 1, 1)),
    ("B I O B", "B I O S", (2, 2, 2)),  # prefixes alone: one nameless type
    ("B-first-name I-first-name", "B-first-name I-name", (0, 1, 2)),  # a type may hold hyphens
    ("OTHER O", "OTHER O", (1, 1, 1)),  # only the class O is outside
]


@pytest.mark.parametrize(("predicted", "true", "counts"), CASES, ids=[f"{p} | {t}" for p, t, _ in CASES])
def test_by_hand(predicted, true, counts):
    assert score([predicted.split()], [true.split()]) == counted(*counts)


def test_conll_example():
    """Of two predicted entities PER is right and MISC begins one word early: all three are 1/2."""
    predicted = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    true = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    assert score(predicted, true) == {"precision": 0.5, "recall": 0.5, "f1": 0.5}


def test_a_sentence_ends_its_entities():
    """I-PER at the head of a sentence does not continue the PER that ends the one before."""
    assert score([["B-PER"], ["I-PER"]], [["B-PER"], ["B-PER"]]) == counted(2, 2, 2)
    assert score([["B-PER", "I-PER"]], [["B-PER", "B-PER"]]) == counted(0, 1, 2)


@pytest.mark.parametrize("sentences", [[], [[]], [[], []]])
def test_no_words(sentences):
    assert score(sentences, sentences) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_empty_sentences_change_nothing():
    predicted, true = [[], ["B-PER"], [], ["I-PER", "O"], []], [[], ["B-PER"], [], ["B-PER", "I-PER"], []]
    assert score(predicted, true) == counted(1, 2, 2)


def test_the_outside_class_has_the_name_that_is_given():
    """With outside="none" a class "O" is a type like any other."""
    sentence = ["none", "B-PER", "none", "O"]
    assert score([["none"] * 4], [sentence], outside="none") == counted(0, 0, 2)
    assert score([sentence], [sentence], outside="none") == counted(2, 2, 2)


def test_the_order_of_the_classes_does_not_matter():
    predicted, true = [["B-PER", "I-PER", "O", "I-LOC"]], [["B-PER", "I-PER", "I-LOC", "I-LOC"]]
    classes = ["I-LOC", "O", "B-PER", "I-PER", "B-LOC"]
    assert score(predicted, true, classes) == score(predicted, true, classes[::-1]) == counted(1, 2, 2)


@examples(400)
@given(data=st.data())
def test_agrees_with_the_rules_typed_line_by_line(data):
    """Random tags of all schemes at once, most of them ill-formed; few classes a time, so that entities do agree."""
    used = data.draw(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=5))
    pair = st.tuples(st.sampled_from(used), st.sampled_from(used))
    sentences = data.draw(st.lists(st.lists(pair, max_size=8), max_size=4))
    predicted = [[p for p, _ in sentence] for sentence in sentences]
    true = [[t for _, t in sentence] for sentence in sentences]
    outside = data.draw(st.sampled_from(["O", *used]))
    expected = precision_recall_f1(predicted, true, outside)
    assert score(predicted, true, CLASSES, outside) == pytest.approx(expected)
