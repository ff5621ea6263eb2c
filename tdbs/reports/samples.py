"""Show samples of a dataset as text, with the droppable words marked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer, decoders

from tdbs import rng
from tdbs.arrays import IntArray
from tdbs.pipeline.dataset import TOKENIZER_NAME, PreparedDataset, Split, Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownSample:
    """A sample as pieces of text in order; a droppable piece is one droppable word."""

    sample_id: int
    length: int
    label: str | None
    pieces: tuple[tuple[str, bool], ...]  # text, droppable


def show_samples(dataset: PreparedDataset, split: Split, count: int, *, seed: int = 0) -> list[ShownSample]:
    """Return some samples of a split, drawn at random, in sample_id order."""
    tokenizer = Tokenizer.from_file(str(dataset.path / TOKENIZER_NAME))
    if isinstance(tokenizer.decoder, decoders.WordPiece):
        tokenizer.decoder = decoders.WordPiece(cleanup=False)  # else it moves punctuation to the word before
    rows = len(split.lengths_N)
    generator = rng.stream(rng.Draw.SHOWN_SAMPLES, seed=seed)
    chosen = np.sort(generator.choice(rows, size=min(count, rows), replace=False))
    classes = dataset.manifest.task.classes
    return [_show(tokenizer, split, int(sample), classes) for sample in chosen]


def _show(tokenizer: Tokenizer, split: Split, sample: int, classes: Sequence[str]) -> ShownSample:
    tokens = slice(split.token_offsets_N1[sample], split.token_offsets_N1[sample + 1])
    words = slice(split.word_offsets_N1[sample], split.word_offsets_N1[sample + 1])
    return ShownSample(
        sample_id=sample,
        length=int(tokens.stop - tokens.start),
        label=shown_label(split.targets, sample, classes),
        pieces=tuple(
            _pieces(
                tokenizer, split.input_ids_T[tokens].tolist(), split.word_starts_W[words], split.word_sizes_W[words]
            )
        ),
    )


def shown_label(targets: Targets | None, sample: int, classes: Sequence[str]) -> str | None:
    """Return what is to be predicted for a sample as a text; None where that is a matter of its tokens."""
    if targets is None:
        return None
    if targets.kind == "multi_label" and targets.offsets_N1 is not None:
        held = targets.values[targets.offsets_N1[sample] : targets.offsets_N1[sample + 1]]
        return ", ".join(classes[int(value)] for value in held) or "no class"
    if targets.kind == "classification":
        return classes[int(targets.values[sample])]
    if targets.kind == "regression":
        return ", ".join(f"{number:g}" for number in np.atleast_1d(targets.values[sample]))
    return None


def _pieces(tokenizer: Tokenizer, ids: list[int], starts_W: IntArray, sizes_W: IntArray) -> list[tuple[str, bool]]:
    """Cut the decoded text at the droppable words: what each stretch of tokens adds to the text before it."""
    pieces = []
    done, text = 0, ""
    for start, size in zip([*starts_W.tolist(), len(ids)], [*sizes_W.tolist(), 0], strict=True):
        for end, droppable in ((start, False), (start + size, True)):
            longer = tokenizer.decode(ids[:end], skip_special_tokens=False)
            if end > done:
                pieces.append((longer[len(text) :], droppable))
            done, text = end, longer
    return pieces
