"""A prepared split as input: it already has tokens and words, and stays in memory as flat arrays."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tdbs.arrays import offsets_of
from tdbs.data.columns import BadRows
from tdbs.errors import DatasetError
from tdbs.inference.blocks import Block, Input
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.encode import NAME, Encoded, part_of
from tdbs.pipeline.dataset import PreparedDataset, Split, load, read_char_places, read_split, split_info
from tdbs.pipeline.references import read_references
from tdbs.pipeline.schema import IGNORED
from tdbs.pipeline.sequences import SampleSequences
from tdbs.train.planning.memory_windows import shard_bytes

# Shapes: R rows, N samples of the split, Q their sequences, T tokens, W words; N1 = N + 1, and so on.


def prepared_input(spec: str, checkpoint: Checkpoint, split: str | None, *, rows_at_most: int) -> Input:
    """Return a split of a prepared dataset. Raises DatasetError if it does not fit the model."""
    dataset = load(spec)
    manifest, task = dataset.manifest, checkpoint.task
    name = split or manifest.task.scored_split
    info = split_info(dataset, name)
    if manifest.task.kind != task.kind:
        raise DatasetError(
            f"{spec} was prepared for {_spoken(manifest.task.kind)}; the model does {_spoken(task.kind)}.",
            next_step="Pass the texts themselves, or another model.",
        )
    if manifest.tokenizer.vocabulary_sha256 != checkpoint.tokenizer.vocabulary_sha256:
        raise DatasetError(
            f"{spec} was prepared with {manifest.tokenizer.name}, whose token ids mean different words to this model.",
            next_step="Pass the texts themselves.",
        )
    max_length = manifest.longest_input
    if max_length > checkpoint.limits.max_length:
        raise DatasetError(
            f"{spec} was prepared with --max-length {max_length}; the model takes "
            f"{checkpoint.limits.max_length} tokens.",
            next_step="Pass the texts themselves.",
        )
    if task.kind == "token_classification" and not info.labelled:
        raise DatasetError(
            f"The split {name} has no labels, so it does not record where words begin.",
            next_step="Pass the texts themselves.",
        )

    def blocks(_bad: BadRows | None) -> Iterator[Block]:
        whole = _encoded_split(dataset, name)
        rows = len(whole.rows_R)
        for first in range(0, rows, rows_at_most):
            yield _encoded_block(part_of(whole, first, min(first + rows_at_most, rows)))

    return Input(
        name=f"{spec} {name}",
        identity={"input": manifest.key, "split": name},
        rows=info.source_rows,
        blocks=blocks,
        is_pair=manifest.task.is_pair,
        has_candidates=manifest.task.is_grouped,
        held_bytes=sum(shard_bytes(info, manifest)),
    )


def _encoded_block(encoded: Encoded) -> Block:
    return Block(
        rows_R=encoded.rows_R,
        encode=lambda _checkpoint, _pattern: encoded,
        one_by_one=lambda: (_encoded_block(part_of(encoded, place, place + 1)) for place in range(len(encoded.rows_R))),
    )


def _encoded_split(dataset: PreparedDataset, name: str) -> Encoded:
    """Return a prepared split as samples without targets; it stays in memory, as flat arrays."""
    split = read_split(dataset, name)
    candidate_offsets_R1 = None
    if split.sequences is not None:  # a row is a query with its candidates, the positive first
        candidate_offsets_R1 = split.sequences.offsets_N1
        split = _one_by_one(split, split.sequences)
    rows_R = np.unique(split.source_rows_N)
    contexts = places = word_of_T = offsets_R1 = None
    info = dataset.manifest.splits[name].references
    if dataset.manifest.task.kind == "question_answering":
        places = read_char_places(dataset, name)
        contexts = None if info is None else read_references(dataset.path, info).contexts
        if contexts is None:
            raise DatasetError(
                f"The split {name} has no contexts beside it.", next_step="Pass the questions and contexts themselves."
            )
    if dataset.manifest.task.kind == "token_classification" and split.targets is not None:
        begins_T = split.targets.values != IGNORED
        word_of_T = np.where(begins_T, np.cumsum(begins_T) - 1, -1)
        offsets_R1 = offsets_of(begins_T)[split.token_offsets_N1]
    return Encoded(
        split=replace(split, name=NAME, targets=None),
        rows_R=rows_R,
        contexts=contexts,
        char_places_T=places,
        word_of_T=word_of_T,
        word_offsets_R1=offsets_R1,
        candidate_offsets_R1=candidate_offsets_R1,
    )


def _one_by_one(split: Split, sequences: SampleSequences) -> Split:
    """Return a split with a sample for each sequence of its samples; droppable words go with them."""
    ends_Q1 = offsets_of(sequences.lengths_Q)
    words_N, sequences_N = np.diff(split.word_offsets_N1), np.diff(sequences.offsets_N1)
    place_W = np.repeat(split.token_offsets_N1[:-1], words_N) + split.word_starts_W
    sequence_W = np.searchsorted(ends_Q1, place_W, side="right") - 1
    return replace(
        split,
        token_offsets_N1=ends_Q1,
        word_starts_W=(place_W - ends_Q1[sequence_W]).astype(split.word_starts_W.dtype),
        word_offsets_N1=offsets_of(np.bincount(sequence_W, minlength=len(sequences.lengths_Q))),
        segment_starts_N=sequences.segment_starts_Q,
        source_rows_N=np.repeat(split.source_rows_N, sequences_N),
        sequences=None,
    )


def _spoken(kind: str) -> str:
    return kind.replace("_", " ")
