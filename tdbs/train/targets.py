"""What the model must predict for a batch: labels in the batch's shape, moved with the tokens that TokenDrop leaves.

One function per kind of task makes the labels of an epoch, from each batch's samples and their kept tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tdbs.arrays import BoolArray, IntArray, offsets_of, ragged_positions
from tdbs.data.tasks import TaskKind
from tdbs.pipeline.dataset import Split, Targets
from tdbs.pipeline.duplicates.rows import row_digests
from tdbs.pipeline.schema import IGNORED

# Shapes: N samples of the split, N1 = N + 1, T its tokens, B samples of a batch, K its kept tokens, L its padded
# length, M its longest target, C outputs of the model, Q sequences of the samples.

Labels = npt.NDArray[np.int64] | npt.NDArray[np.float64] | npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchSlice:
    """The place of a batch in its split."""

    samples_B: IntArray
    positions_K: IntArray  # of the kept tokens in the split, sample by sample
    lengths_B: IntArray  # kept tokens of each sample
    width: int  # padded length
    target_width: int | None  # padded length of the targets, if they are sequences


LabelMaker = Callable[[BatchSlice], Labels]


def label_maker(split: Split, dropped_T: BoolArray | None) -> LabelMaker | None:
    """Return the function that makes a batch's labels in an epoch; None for a split without labels."""
    return None if split.targets is None else _MAKERS[split.targets.kind](split, split.targets, dropped_T)


def predicted_count(kind: TaskKind, labels: Labels) -> int:
    """Return the number of predictions in a batch's loss: samples, labelled words, or tokens of the targets.

    Losses over sequences count otherwise (objectives/losses.py).
    """
    of_tokens = kind in ("token_classification", "seq2seq")
    return int((labels != IGNORED).sum()) if of_tokens else len(labels)


def moved_positions(split: Split, positions: IntArray, dropped_T: BoolArray | None) -> IntArray:
    """Return the positions of each sample (N, or N x several) after dropped tokens are removed."""
    if dropped_T is None:
        return positions
    gone = np.flatnonzero(dropped_T)
    first = split.token_offsets_N1[:-1].reshape(-1, *[1] * (positions.ndim - 1))
    return positions - (np.searchsorted(gone, first + positions) - np.searchsorted(gone, first))


def padded(values_K: npt.NDArray[np.integer], lengths_B: IntArray, width: int, filler: int) -> IntArray:
    """Return rows of values as a matrix, filled up at the end of each row (B x width)."""
    if len(values_K) == len(lengths_B) * width:
        return values_K.reshape(-1, width).astype(np.int64)
    padded_BL = np.full((len(lengths_B), width), filler, dtype=np.int64)
    padded_BL[np.arange(width) < lengths_B[:, None]] = values_K
    return padded_BL


def _of_samples(_split: Split, targets: Targets, _dropped_T: BoolArray | None) -> LabelMaker:
    """Return a class or a number of each sample, or several numbers (B, or B x C)."""
    return lambda batch: targets.values[batch.samples_B]


def _of_label_sets(_split: Split, targets: Targets, _dropped_T: BoolArray | None) -> LabelMaker:
    """Return 1 for each class of a sample, else 0 (B x C)."""

    def make(batch: BatchSlice) -> Labels:
        holds_BC = np.zeros((len(batch.samples_B), targets.outputs), dtype=np.float32)
        values, lengths_B = _ragged(targets, batch.samples_B)
        holds_BC[np.repeat(np.arange(len(lengths_B)), lengths_B), values] = 1.0
        return holds_BC

    return make


def _of_tokens(_split: Split, targets: Targets, _dropped_T: BoolArray | None) -> LabelMaker:
    """Return the label of each kept token; labels of dropped tokens are dropped, too (B x L)."""
    return lambda batch: padded(targets.values[batch.positions_K], batch.lengths_B, batch.width, IGNORED)


def _of_answers(split: Split, targets: Targets, dropped_T: BoolArray | None) -> LabelMaker:
    """Return first and last token of each answer, moved to the left by the dropped tokens before it (B x 2)."""
    moved_N2 = moved_positions(split, targets.values.astype(np.int64), dropped_T)
    return lambda batch: moved_N2[batch.samples_B]


def _of_sequences(_split: Split, targets: Targets, _dropped_T: BoolArray | None) -> LabelMaker:
    """Return the target's tokens, padded to the longest of the batch, one column at least (B x M)."""

    def make(batch: BatchSlice) -> Labels:
        values, lengths_B = _ragged(targets, batch.samples_B)
        return padded(values, lengths_B, batch.target_width or max(int(lengths_B.max()), 1), IGNORED)

    return make


def _of_sequences_of_samples(split: Split, targets: Targets, _dropped_T: BoolArray | None) -> LabelMaker:
    """Return a number of each sequence: the score of its pair, else one for its text; a reranker's: its relevance.

    Equal texts of the split have equal numbers. Relevance is 1 for the positive, which comes first, and 0 for others.
    """
    sequences = split.sequences
    if sequences is None:
        raise ValueError("samples of this kind have sequences")
    scored = not np.isnan(targets.values).all()
    texts_Q = None
    if not scored and targets.kind == "embedding":
        texts_Q = row_digests(split.input_ids_T, offsets_of(sequences.lengths_Q)).view(np.int64)

    def make(batch: BatchSlice) -> Labels:
        sizes_B, which_Q = sequences.of(batch.samples_B)
        if texts_Q is not None:
            return texts_Q[which_Q]
        if targets.kind == "ranking":
            return (ragged_positions(np.zeros_like(sizes_B), sizes_B) == 0).astype(np.float64)
        return np.repeat(targets.values[batch.samples_B], sizes_B)

    return make


def _ragged(targets: Targets, samples_B: IntArray) -> tuple[IntArray, IntArray]:
    """Return the values of some samples in a row, and how many each has."""
    offsets_N1 = targets.offsets_N1 if targets.offsets_N1 is not None else np.zeros(1, dtype=np.int64)
    lengths_B = offsets_N1[samples_B + 1] - offsets_N1[samples_B]
    values: IntArray = targets.values[ragged_positions(offsets_N1[samples_B], lengths_B)].astype(np.int64)
    return values, lengths_B


_MAKERS: dict[TaskKind, Callable[[Split, Targets, BoolArray | None], LabelMaker]] = {
    "classification": _of_samples,
    "regression": _of_samples,
    "multi_label": _of_label_sets,
    "token_classification": _of_tokens,
    "question_answering": _of_answers,
    "seq2seq": _of_sequences,
    "embedding": _of_sequences_of_samples,
    "ranking": _of_sequences_of_samples,
}
