"""The columns of queries, positives and negatives: against the sequences one by one, and against drawn batches."""

import numpy as np
import pytest

from tdbs.analysis.text_columns import padding_by_column, text_columns
from tdbs.pipeline.dataset import read_split
from tests.train.grouped import grouped_dataset


@pytest.fixture(scope="module", params=["embedding", "ranking"])
def dataset(request, tmp_path_factory):
    return grouped_dataset(tmp_path_factory.mktemp(request.param) / "files", task=request.param)


def sequences_of(split) -> list[list[int]]:
    """Return the lengths of each sample's sequences."""
    sequences = split.sequences
    bounds = zip(sequences.offsets_N1, sequences.offsets_N1[1:], strict=False)
    return [sequences.lengths_Q[first:last].tolist() for first, last in bounds]


def droppable_of(split, sample: int, lengths: list[int]) -> list[int]:
    """Return the droppable tokens of each of a sample's sequences, token by token."""
    marked = np.zeros(sum(lengths), dtype=int)
    words = slice(split.word_offsets_N1[sample], split.word_offsets_N1[sample + 1])
    for start, size in zip(split.word_starts_W[words], split.word_sizes_W[words], strict=True):
        marked[start : start + size] = 1
    return [int(part.sum()) for part in np.split(marked, np.cumsum(lengths)[:-1])]


def test_each_column_has_its_lengths_and_droppable_words(dataset):
    split, manifest = read_split(dataset, "train"), dataset.manifest
    found = text_columns(split, manifest.task, most=manifest.longest_input)
    if manifest.task.kind == "ranking":
        assert found == [], "a sequence is a query with a candidate"
        return
    expected = {}
    for sample, lengths in enumerate(sequences_of(split)):
        for place, (length, droppable) in enumerate(zip(lengths, droppable_of(split, sample, lengths), strict=True)):
            expected.setdefault(min(place, 2), []).append((length, droppable))
    task = manifest.task.columns
    assert [column.column for column in found] == [task.text, task.pair, *task.negatives]
    for column, texts in zip(found, expected.values(), strict=True):
        lengths = [length for length, _ in texts]
        assert (column.sequences, column.tokens, column.longest) == (len(texts), sum(lengths), max(lengths))
        assert column.at_limit == lengths.count(manifest.longest_input)
        assert column.droppable_tokens == sum(droppable for _, droppable in texts)


def test_padding_by_column_is_that_of_drawn_batches(dataset):
    """Each place of a batch is padded to its longest text, as the collator of sentence-transformers does."""
    found = padding_by_column(dataset, "train", batch_size=16)
    if dataset.manifest.task.kind == "ranking":
        assert found is None
        return
    samples = sequences_of(read_split(dataset, "train"))
    drawn = np.random.default_rng(0)
    real = padded = 0
    for _ in range(2000):
        batch = [samples[i] for i in drawn.integers(0, len(samples), 16)]
        for place in range(max(map(len, batch))):
            column = [lengths[place] for lengths in batch if place < len(lengths)]
            real += sum(column)
            padded += len(column) * max(column)
    assert found == pytest.approx(1 - real / padded, abs=0.02)
