"""Entity spans by conlleval's rules, one pair of neighbours at a time. Slow oracle, never imported by tdbs.

The rules are those of seqeval 1.2.2 (`start_of_chunk` and `end_of_chunk`), line by line: conlleval's, with S and with
an E that always ends. How a class is cut into prefix and type is ours: see `tag_and_type`.
"""

from collections.abc import Sequence

SAME_AS = {"U": "S", "L": "E"}  # BILOU's letters for IOBES's


def tag_and_type(name: str, outside: str) -> tuple[str, str]:
    """Return the tag (O, B, I, E or S) and the type of a class; a class without a prefix is a type, tagged I."""
    if name == outside:
        return "O", "(outside)"
    letter, rest = name[:1], name[1:]
    if letter == "" or letter not in "BIESUL" or not (rest == "" or rest.startswith("-")):
        return "I", name
    return SAME_AS.get(letter, letter), rest[1:]


def end_of_chunk(prev_tag: str, tag: str, prev_type: str, type_: str) -> bool:
    """Tell whether an entity ends between the word before and this one."""
    chunk_end = False
    if prev_tag == "E":
        chunk_end = True
    if prev_tag == "S":
        chunk_end = True
    if prev_tag == "B" and tag == "B":
        chunk_end = True
    if prev_tag == "B" and tag == "S":
        chunk_end = True
    if prev_tag == "B" and tag == "O":
        chunk_end = True
    if prev_tag == "I" and tag == "B":
        chunk_end = True
    if prev_tag == "I" and tag == "S":
        chunk_end = True
    if prev_tag == "I" and tag == "O":
        chunk_end = True
    if prev_tag != "O" and prev_type != type_:
        chunk_end = True
    return chunk_end


def start_of_chunk(prev_tag: str, tag: str, prev_type: str, type_: str) -> bool:
    """Tell whether an entity starts between the word before and this one."""
    chunk_start = False
    if tag == "B":
        chunk_start = True
    if tag == "S":
        chunk_start = True
    if prev_tag == "E" and tag == "E":
        chunk_start = True
    if prev_tag == "E" and tag == "I":
        chunk_start = True
    if prev_tag == "S" and tag == "E":
        chunk_start = True
    if prev_tag == "S" and tag == "I":
        chunk_start = True
    if prev_tag == "O" and tag == "E":
        chunk_start = True
    if prev_tag == "O" and tag == "I":
        chunk_start = True
    if tag != "O" and prev_type != type_:
        chunk_start = True
    return chunk_start


def entities(sentence: Sequence[str], outside: str) -> list[tuple[str, int, int]]:
    """Return (type, first word, last word) of each entity of one sentence, given as its words' classes."""
    found = []
    prev_tag, prev_type, begin = "O", "(outside)", 0
    for i, name in enumerate([*sentence, outside]):  # the word behind the last one ends what is open
        tag, type_ = tag_and_type(name, outside)
        if end_of_chunk(prev_tag, tag, prev_type, type_):
            found.append((prev_type, begin, i - 1))
        if start_of_chunk(prev_tag, tag, prev_type, type_):
            begin = i
        prev_tag, prev_type = tag, type_
    return found


def precision_recall_f1(
    predicted: Sequence[Sequence[str]], true: Sequence[Sequence[str]], outside: str
) -> dict[str, float]:
    """Return the three over the entities of all sentences, 0 where not defined."""
    right = guessed = correct = 0
    for predicted_sentence, true_sentence in zip(predicted, true, strict=True):
        p, t = set(entities(predicted_sentence, outside)), set(entities(true_sentence, outside))
        right, guessed, correct = right + len(p & t), guessed + len(p), correct + len(t)
    precision = right / guessed if guessed > 0 else 0.0
    recall = right / correct if correct > 0 else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}
