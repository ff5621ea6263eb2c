"""Rows of queries, positives and negatives, and their sequences as transformers makes them, one by one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tdbs.pipeline.dataset import Split
from tests.reference.spans import PAPER_STOPWORDS, droppable_spans

ROWS = [
    {"query": "Where is the Eiffel tower?", "positive": "The tower is in Paris.", "negatives": ["Rome.", "A blue sea"]},
    {"query": "who wrote it", "positive": "It is a play by Shakespeare, written in 1600.", "negatives": []},
    {"query": "the of", "positive": "a", "negatives": ["the"]},
    {"query": "Größe 東京 👍", "positive": "naïve café's", "negatives": ["ﬁne 🙂 text", "x", "y y", "the z"]},
    {"query": "long " * 40, "positive": "an even longer one " * 30, "negatives": ["short", "of " * 50]},
]


def write_rows(path: Path, rows: Sequence[dict] = ROWS) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def texts_of(row: dict, task: str) -> list[tuple[str, ...]]:
    """Return what the model reads for a row: texts, or pairs of them."""
    candidates = [row["positive"], *row["negatives"]]
    if task == "ranking":
        return [(row["query"], candidate) for candidate in candidates]
    return [(text,) for text in (row["query"], *candidates)]


def sequences_of(split: Split, sample: int) -> list[list[int]]:
    """Return the token ids of each sequence of a sample."""
    first, end = split.sequences.offsets_N1[sample : sample + 2]
    place, found = int(split.token_offsets_N1[sample]), []
    for length in split.sequences.lengths_Q[first:end].tolist():
        found.append(split.input_ids_T[place : place + length].tolist())
        place += length
    assert place == split.token_offsets_N1[sample + 1]
    return found


def encoded(tokenizer: Any, texts: Sequence[str], length: int) -> Any:
    """Return what transformers makes of a text or a pair."""
    strategy = "longest_first" if len(texts) > 1 else True
    return tokenizer(*texts, truncation=strategy, max_length=length, return_offsets_mapping=True)


def words_of_sequence(texts: Sequence[str], tokenizer: Any, length: int) -> list[tuple[int, int]]:
    """Return the droppable words of one sequence, found slowly: their first token and how many they have."""
    encoding = encoded(tokenizer, texts, length)
    strings = tokenizer.convert_ids_to_tokens(encoding["input_ids"])
    found, ordinary = [], 0
    for number, text in enumerate(texts):
        places = [place for place, segment in enumerate(encoding.sequence_ids()) if segment == number]
        offsets = [tuple(encoding["offset_mapping"][place]) for place in places]
        spans = droppable_spans(text, offsets, [strings[place] for place in places], PAPER_STOPWORDS)
        found += [(places[first], size) for first, size in spans]
        ordinary += len(places)
    if found and sum(size for _, size in found) == ordinary:
        found = found[:-1]  # one token stays
    return found
