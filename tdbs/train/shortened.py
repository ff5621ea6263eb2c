"""A split to score a model on, shortened by TokenDrop: what is left of it is a split like any other.

So what reads, batches and scores splits needs to know nothing of what was dropped.
"""

from dataclasses import replace

import numpy as np

from tdbs.arrays import BoolArray
from tdbs.pipeline.dataset import Split, Targets
from tdbs.train.scoring import HeldOut
from tdbs.train.targets import moved_positions

# Shapes: N samples, N1 = N + 1, T tokens of the split.


def without_tokens(held_out: HeldOut, dropped_T: BoolArray | None) -> HeldOut:
    """Return a split without the tokens that were dropped (of whole words that hold no label and no answer).

    It has no droppable words any more. None: nothing was dropped, and the split is as it was.
    """
    if dropped_T is None or not dropped_T.any():
        return held_out
    places = held_out.char_places_T
    return replace(
        held_out,
        split=shortened_split(held_out.split, dropped_T),
        char_places_T=None if places is None else (places[0][~dropped_T], places[1][~dropped_T]),
    )


def shortened_split(split: Split, dropped_T: BoolArray) -> Split:
    """Return a split without the tokens that were dropped, with no droppable words any more."""
    kept_before_T1 = np.concatenate([[0], np.cumsum(~dropped_T)])
    starts_N = split.segment_starts_N
    return replace(
        split,
        input_ids_T=split.input_ids_T[~dropped_T],
        token_offsets_N1=kept_before_T1[split.token_offsets_N1],
        word_starts_W=split.word_starts_W[:0],
        word_sizes_W=split.word_sizes_W[:0],
        word_offsets_N1=np.zeros_like(split.word_offsets_N1),
        segment_starts_N=None if starts_N is None else moved_positions(split, starts_N, dropped_T),
        targets=None if split.targets is None else _moved(split, split.targets, dropped_T),
    )


def _moved(split: Split, targets: Targets, dropped_T: BoolArray) -> Targets:
    """Return targets that name tokens as they are once others are gone."""
    if targets.kind == "question_answering":
        return replace(targets, values=moved_positions(split, targets.values.astype(np.int64), dropped_T))
    if targets.kind == "token_classification":
        kept_before_T1 = np.concatenate([[0], np.cumsum(~dropped_T)])
        offsets_N1 = None if targets.offsets_N1 is None else kept_before_T1[targets.offsets_N1]
        return replace(targets, values=targets.values[~dropped_T], offsets_N1=offsets_N1)
    return targets
