"""Small ragged data for the tests of training: samples with droppable words of one or more tokens, tiny factories."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tdbs.pipeline.dataset import Split, Targets
from tdbs.pipeline.manifest import TokenizerInfo
from tdbs.train.planning.droppable_words import DroppableWords, droppable_words_of
from tdbs.train.planning.strategies import STRATEGIES, Strategy

CLS, SEP, PAD = 101, 102, 0
MAX_LENGTH = 64


@dataclass(frozen=True)
class Row:
    """A sample: sizes of its droppable words, and how many tokens that stay stand around each of them."""

    sizes: tuple[int, ...]
    gaps: tuple[int, ...]  # one more than words; all 0 means that nothing but droppable words is there
    special: int = 2

    @property
    def length(self) -> int:
        return sum(self.sizes) + sum(self.gaps) + self.special

    @property
    def non_special(self) -> int:
        return self.length - self.special


@st.composite
def rows(draw, *, max_words: int = 8, max_size: int = 4) -> Row:
    sizes = draw(st.lists(st.one_of(st.just(1), st.just(1), st.integers(1, max_size)), max_size=max_words))
    gaps = draw(st.lists(st.integers(0, 3), min_size=len(sizes) + 1, max_size=len(sizes) + 1))
    if draw(st.booleans()):
        gaps = [0] * len(gaps)  # the hard case: the last token must stay
    return Row(sizes=tuple(sizes), gaps=tuple(gaps))


def random_rows(count: int, seed: int, *, max_words: int = 8, max_size: int = 3) -> list[Row]:
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        words = int(generator.integers(0, max_words + 1))
        sizes = np.where(generator.random(words) < 0.8, 1, generator.integers(1, max_size + 1, words))
        gaps = generator.integers(0, 4, words + 1) * (generator.random() < 0.8)
        made.append(Row(sizes=tuple(sizes.tolist()), gaps=tuple(gaps.tolist())))
    return made


def lengths_of(samples: list[Row]) -> np.ndarray:
    return np.array([row.length for row in samples], dtype=np.int64)


def words_of(samples: list[Row], split: str = "train") -> DroppableWords:
    return droppable_words_of(
        split,
        lengths_N=lengths_of(samples),
        offsets_N1=np.concatenate([[0], np.cumsum([len(row.sizes) for row in samples])]).astype(np.int64),
        sizes_W=np.array([size for row in samples for size in row.sizes], dtype=np.int64),
        special_N=np.full(len(samples), 2),
    )


def split_of(samples: list[Row], *, pairs: bool = False, name: str = "train") -> Split:
    """Return the samples as a prepared split; token ids are unique, so that every token can be told apart."""
    ids, starts, segment_starts = [], [], []
    number = 1000
    for row in samples:
        tokens = [CLS]
        for i, gap in enumerate(row.gaps):
            tokens += range(number, number + gap)
            number += gap
            if i < len(row.sizes):
                starts.append(len(tokens))
                tokens += range(number, number + row.sizes[i])
                number += row.sizes[i]
        ids.append([*tokens, SEP])
        segment_starts.append(1 + (len(tokens) - 1) // 2)
    words = words_of(samples)
    return Split(
        name=name,
        input_ids_T=np.array([i for row in ids for i in row], dtype=np.int32),
        token_offsets_N1=np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64),
        word_starts_W=np.array(starts, dtype=np.int64),
        word_sizes_W=words.sizes_W,
        word_offsets_N1=words.offsets_N1,
        segment_starts_N=np.array(segment_starts, dtype=np.int64) if pairs else None,
        source_rows_N=np.arange(len(samples)),
        targets=targets_of(np.arange(len(samples), dtype=np.int64) % 3),
    )


def targets_of(values, kind="classification", outputs=3, offsets_N1=None) -> Targets:
    return Targets(kind=kind, outputs=outputs, values=np.asarray(values), offsets_N1=offsets_N1)


def tokenizer_info(**overrides) -> TokenizerInfo:
    fields = {
        "name": "t",
        "source": "t",
        "sha256": "",
        "vocabulary_sha256": "",
        "vocabulary_size": 10**6,
        "pad_id": PAD,
        "special_ids": (PAD, CLS, SEP),
        "special_tokens": 2,
    }
    return TokenizerInfo(**(fields | overrides))


def strategy_of(name: str = "reach", **overrides) -> Strategy:
    """Return a named strategy with small batches and some parts replaced."""
    named = STRATEGIES[name]
    fields = {field: getattr(named, field) for field in named.__slots__}
    return Strategy(**(fields | {"base_batch_size": 8} | overrides))
