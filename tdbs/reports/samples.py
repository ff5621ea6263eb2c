"""Show samples of a dataset as text: with the droppable words marked, or before and after TokenDrop of an epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from tokenizers import Tokenizer

from tdbs import rng
from tdbs.arrays import BoolArray, IntArray, offsets_of
from tdbs.data.tasks import TaskKind
from tdbs.pipeline.dataset import PreparedDataset, Split, Targets
from tdbs.pipeline.sample_texts import read_decoder
from tdbs.pipeline.samples import OUTSIDE
from tdbs.pipeline.split_index import index_of
from tdbs.train.planning.memory_windows import plan_split
from tdbs.train.planning.strategies import Strategy
from tdbs.train.planning.tokendrop import dropped_tokens, words_of_split
from tdbs.train.targets import moved_positions

# Shapes: N samples and T tokens of the split, K tokens of one sample.


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownSample:
    """A sample as pieces of text in order; a marked piece is one droppable or dropped word."""

    sample_id: int
    length: int
    label: str | None
    pieces: tuple[tuple[str, bool], ...]  # text, marked


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownDrop:
    """A sample before TokenDrop, with dropped pieces marked, and after it."""

    before: ShownSample
    after: ShownSample


@dataclass(frozen=True, kw_only=True, slots=True)
class DropExamples:
    """Effect of TokenDrop in one epoch: the dropped tokens in total, and some of the samples that lose words."""

    strategy: str
    seed: int
    epoch: int
    samples: int
    changed: int  # samples that lose words
    tokens: int
    dropped: int
    drops: tuple[ShownDrop, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """A split for display, without the dropped tokens."""

    split: Split
    dropped_T: BoolArray | None
    tokenizer: Tokenizer
    classes: tuple[str, ...]
    special_tokens: bool


def show_samples(dataset: PreparedDataset, split: Split, count: int, *, seed: int = 0) -> list[ShownSample]:
    """Return some samples of a split, drawn at random, in sample_id order."""
    rows_W = np.repeat(np.arange(len(split.lengths_N)), np.diff(split.word_offsets_N1))
    first_W = split.token_offsets_N1[rows_W] + split.word_starts_W
    starts_T1 = np.zeros(len(split.input_ids_T) + 1, dtype=np.bool_)
    inside_T1 = starts_T1.copy()
    starts_T1[first_W] = True
    for more in range(int(split.word_sizes_W.max(initial=0))):
        inside_T1[first_W[split.word_sizes_W > more] + more] = True
    view = _view(dataset, split, None)
    return [_shown(view, sample, inside_T1[:-1], starts_T1[:-1]) for sample in _chosen(split, count, seed)]


def show_drops(
    dataset: PreparedDataset, split: Split, strategy: Strategy, count: int, *, seed: int = 0, epoch: int = 0
) -> list[ShownDrop]:
    """Return the samples that `show_samples` shows, before and after TokenDrop in an epoch of a run on the split."""
    dropped_T = _dropped(dataset, split, strategy, seed=seed, epoch=epoch)
    return _shown_drops(dataset, split, dropped_T, _chosen(split, count, seed))


def drop_examples(
    dataset: PreparedDataset, split: Split, strategy: Strategy, count: int, *, seed: int = 0, epoch: int = 0
) -> DropExamples:
    """Return the effect of TokenDrop in an epoch, with some random samples that lose words.

    Special tokens are hidden, except those between texts.
    """
    dropped_T = _dropped(dataset, split, strategy, seed=seed, epoch=epoch)
    lost_N = np.diff(offsets_of(dropped_T)[split.token_offsets_N1])
    changed = np.flatnonzero(lost_N)
    chosen = rng.stream(rng.RandomPurpose.SHOWN_SAMPLES, seed=seed).choice(
        changed, min(count, len(changed)), replace=False
    )
    is_pair = split.segment_starts_N is not None or split.sequences is not None
    return DropExamples(
        strategy=strategy.name,
        seed=seed,
        epoch=epoch,
        samples=len(lost_N),
        changed=len(changed),
        tokens=len(dropped_T),
        dropped=int(dropped_T.sum()),
        drops=tuple(_shown_drops(dataset, split, dropped_T, sorted(chosen.tolist()), special_tokens=is_pair)),
    )


def _dropped(dataset: PreparedDataset, split: Split, strategy: Strategy, *, seed: int, epoch: int) -> BoolArray:
    """Return which tokens of the split go in an epoch of a run on it (T)."""
    manifest = dataset.manifest
    words = words_of_split(split, strategy, manifest.tokenizer)
    index = index_of(split, manifest.tokenizer.special_ids)
    plan = plan_split(index, manifest, strategy, seed=seed, epochs=epoch + 1)[epoch]
    dropped_T = dropped_tokens(split, words, strategy, plan, manifest.tokenizer, seed=seed)
    return np.zeros(len(split.input_ids_T), dtype=np.bool_) if dropped_T is None else dropped_T


def _shown_drops(
    dataset: PreparedDataset, split: Split, dropped_T: BoolArray, samples: list[int], *, special_tokens: bool = True
) -> list[ShownDrop]:
    none_T = np.zeros_like(dropped_T)
    before = _view(dataset, split, None, special_tokens=special_tokens)
    after = _view(dataset, split, dropped_T, special_tokens=special_tokens)
    return [
        ShownDrop(before=_shown(before, sample, dropped_T, none_T), after=_shown(after, sample, none_T, none_T))
        for sample in samples
    ]


def _chosen(split: Split, count: int, seed: int) -> list[int]:
    rows = len(split.lengths_N)
    chosen = rng.stream(rng.RandomPurpose.SHOWN_SAMPLES, seed=seed).choice(rows, size=min(count, rows), replace=False)
    return sorted(chosen.tolist())


def _view(dataset: PreparedDataset, split: Split, dropped_T: BoolArray | None, *, special_tokens: bool = True) -> _View:
    return _View(
        split=split,
        dropped_T=dropped_T,
        tokenizer=read_decoder(dataset),
        classes=dataset.manifest.task.classes,
        special_tokens=special_tokens,
    )


def _shown(view: _View, sample: int, marked_T: BoolArray, starts_T: BoolArray) -> ShownSample:
    """Return a sample with some tokens marked; a marked piece begins at each start, and where marks begin."""
    split = view.split
    places_K = np.arange(split.token_offsets_N1[sample], split.token_offsets_N1[sample + 1])
    if view.dropped_T is not None:
        places_K = places_K[~view.dropped_T[places_K]]
    ids = split.input_ids_T[places_K].tolist()
    targets = split.targets
    return ShownSample(
        sample_id=sample,
        length=len(ids),
        label=None if targets is None else _LABELS[targets.kind](view, targets, sample, places_K),
        pieces=tuple(_pieces(view, ids, marked_T[places_K], starts_T[places_K])),
    )


def _class(view: _View, targets: Targets, sample: int, _places_K: IntArray) -> str:
    return view.classes[int(targets.values[sample])]


def _numbers(_view: _View, targets: Targets, sample: int, _places_K: IntArray) -> str:
    return ", ".join(f"{number:g}" for number in np.atleast_1d(targets.values[sample]))


def _score(_view: _View, targets: Targets, sample: int, _places_K: IntArray) -> str | None:
    score = float(targets.values[sample])
    return None if np.isnan(score) else f"{score:g}"


def _held_classes(view: _View, targets: Targets, sample: int, _places_K: IntArray) -> str:
    return ", ".join(view.classes[value] for value in _own_values(targets, sample)) or "no class"


def _entities(view: _View, targets: Targets, _sample: int, places_K: IntArray) -> str:
    """Return the first pieces of words whose label is not O, each with its label."""
    labelled = [(place, int(targets.values[place])) for place in places_K.tolist() if targets.values[place] >= 0]
    named = [(place, view.classes[label]) for place, label in labelled if view.classes[label] != OUTSIDE]
    return ", ".join(f"{_text(view, np.array([place]))} {label}" for place, label in named)


def _answer(view: _View, targets: Targets, sample: int, places_K: IntArray) -> str:
    first, last = moved_positions(view.split, targets.values.astype(np.int64), view.dropped_T)[sample].tolist()
    return _text(view, places_K[first : last + 1]) if last else "no answer in this window"


def _target(view: _View, targets: Targets, sample: int, _places_K: IntArray) -> str:
    return view.tokenizer.decode(_own_values(targets, sample))


def _own_values(targets: Targets, sample: int) -> list[int]:
    """Return the values of one sample if samples have several."""
    offsets_N1 = np.zeros(sample + 2, dtype=np.int64) if targets.offsets_N1 is None else targets.offsets_N1
    return targets.values[offsets_N1[sample] : offsets_N1[sample + 1]].tolist()


def _text(view: _View, places_K: IntArray) -> str:
    return view.tokenizer.decode(view.split.input_ids_T[places_K].tolist()).strip()


def _pieces(view: _View, ids: list[int], marked_K: BoolArray, starts_K: BoolArray) -> list[tuple[str, bool]]:
    """Cut the decoded text where marks begin and end: what each stretch of tokens adds to the text before it."""
    cuts = [0, *(np.flatnonzero((np.diff(marked_K) != 0) | (starts_K[1:] & marked_K[1:])) + 1).tolist(), len(ids)]
    pieces = []
    text = ""
    for first, end in pairwise(cuts):
        longer = view.tokenizer.decode(ids[:end], skip_special_tokens=not view.special_tokens)
        if end > first:
            pieces.append((longer[len(text) :], bool(marked_K[first])))
        text = longer
    return pieces


_LABELS: dict[TaskKind, Callable[[_View, Targets, int, IntArray], str | None]] = {
    "classification": _class,
    "regression": _numbers,
    "multi_label": _held_classes,
    "token_classification": _entities,
    "question_answering": _answer,
    "seq2seq": _target,
    "embedding": _score,
    "ranking": _score,
}
