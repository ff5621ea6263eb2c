"""All samples of a dataset as flat arrays, split after split, the train split first; what every check looks at.

A million samples of 13 tokens take 0.2 GiB, in memory or in files: two or four bytes a token, eight for each shingle,
and about a hundred a sample.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from tdbs.analysis.audit.read_splits import DROPPABLE_TOKENS, Columns, read_splits, sizes_of
from tdbs.arrays import IntArray, offsets_of
from tdbs.data.tasks import SAMPLE_KINDS
from tdbs.errors import DatasetError
from tdbs.pipeline import schema
from tdbs.pipeline.dataset import PreparedDataset, Targets, read_tokenizer
from tdbs.pipeline.duplicates.compared import RowTexts, row_texts
from tdbs.pipeline.duplicates.mixing import HashArray, blocks_of, mixed
from tdbs.pipeline.duplicates.normal import NormalTexts, normal_texts, text_offsets
from tdbs.pipeline.duplicates.pieces import Pieces, pieces_of, unknown_id
from tdbs.pipeline.duplicates.rows import row_digests
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.origin import prepare_command
from tdbs.pipeline.sequences import SampleSequences
from tdbs.spilled import AnyArray, forget, kept

# Shapes: S splits, S1 = S + 1, N samples of all splits, T their tokens, P their texts.

TRAIN = "train"
FEWEST_DIGITS, MOST_DIGITS = 6, 17  # of a number that is a label; with 17 any two differ
_TOKENS_AT_ONCE = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """The samples of all splits; those of split s are [s] to [s + 1]."""

    manifest: Manifest
    names: tuple[str, ...]
    split_offsets_S1: IntArray
    ids_T: npt.NDArray[Any]
    lengths_N: IntArray  # tokens, special ones included
    token_offsets_N1: IntArray
    text_offsets_P1: IntArray
    texts: RowTexts  # one or two; with sequences, one or two for each
    source_rows_N: IntArray
    sequences: SampleSequences | None  # embedding, ranking; None: a sample is one sequence
    droppable_N: IntArray  # droppable tokens
    targets: tuple[Targets | None, ...]
    label_digests_N: HashArray  # equal if the labels are; 0 in a split without labels
    is_labelled: tuple[bool, ...]
    tokenizer: Tokenizer
    unknown_id: int | None  # None: the tokenizer knows all, byte by byte
    id_counts_V: IntArray
    pieces: Pieces
    normal: NormalTexts
    spilled: bool  # whether large arrays are in files

    @property
    def has_train(self) -> bool:
        """Whether the first split is the train split."""
        return self.names[0] == TRAIN

    @property
    def special_tokens(self) -> int:
        """Tokens that the tokenizer adds to each sample, or to each of its sequences."""
        return self.manifest.tokenizer.special_tokens

    def sequences_of(self, part: slice) -> tuple[IntArray, IntArray]:
        """Return the tokens of the sequences of some samples, and where those of each begin among them."""
        if self.sequences is None:
            return self.lengths_N[part], np.arange(part.stop - part.start)
        offsets_N1 = self.sequences.offsets_N1[part.start : part.stop + 1]
        return self.sequences.lengths_Q[offsets_N1[0] : offsets_N1[-1]], offsets_N1[:-1] - offsets_N1[0]

    @property
    def repeats_queries(self) -> bool:
        """Whether each sequence of a sample is its query with another text, so every second text is the query."""
        return self.sequences is not None and self.sequences.segment_starts_Q is not None

    @property
    def special_ids(self) -> list[int]:
        """Ids that stand for no part of a text, within the vocabulary."""
        return [i for i in self.manifest.tokenizer.special_ids if i < len(self.id_counts_V) and i != self.unknown_id]

    def prepare_command(self, **changes: object) -> str:
        """Return the command that prepares the source again, with other values of some options."""
        return prepare_command(self.manifest, changes)

    def rows_of(self, split: int) -> int:
        """Return how many samples a split has."""
        return int(self.split_offsets_S1[split + 1] - self.split_offsets_S1[split])

    def slice_of(self, split: int) -> slice:
        """Return the samples of a split among all."""
        return slice(int(self.split_offsets_S1[split]), int(self.split_offsets_S1[split + 1]))

    def samples_of(self, split: int) -> IntArray:
        """Return the numbers of the samples of a split."""
        part = self.slice_of(split)
        return np.arange(part.start, part.stop)

    def split_of(self, row: int) -> int:
        """Return the number of a sample's split."""
        return int(np.searchsorted(self.split_offsets_S1, row, side="right")) - 1

    def blocks(self, split: int) -> Iterator[slice]:
        """Yield the samples of a split, some at a time: what is looked up of a token takes memory for these alone."""
        part = self.slice_of(split)
        for first, end in blocks_of(
            self.token_offsets_N1[part.start : part.stop + 1] - self.token_offsets_N1[part.start], _TOKENS_AT_ONCE
        ):
            yield slice(part.start + first, part.start + end)
            forget(self.ids_T)

    def text_of(self, row: int) -> str:
        """Return the text of a sample's tokens: all texts if it has several, with bars between them."""
        texts = self.texts.of(np.array([row])).tolist()
        return " | ".join(map(self.decoded, [texts[0], *texts[1::2]] if self.repeats_queries else texts))

    def decoded(self, text: int) -> str:
        """Return a text of all texts, from its tokens.

        Special tokens are left out, but not the unknown one: it stands for something in the text.
        """
        ids = self.ids_T[self.text_offsets_P1[text] : self.text_offsets_P1[text + 1]]
        kept = ids[~np.isin(ids, self.special_ids)].tolist()
        return self.tokenizer.decode(kept, skip_special_tokens=False).strip()

    def label_of(self, row: int, *, digits: int = FEWEST_DIGITS) -> str | None:
        """Return the label of a sample if it has one of its own; a number is rounded to this many digits."""
        split = self.split_of(row)
        targets = self.targets[split]
        if targets is None or targets.kind not in (*SAMPLE_KINDS, "embedding"):
            return None
        place = row - int(self.split_offsets_S1[split])
        classes = self.manifest.task.classes
        if targets.kind == "classification":
            return classes[int(targets.values[place])]
        if targets.offsets_N1 is None:
            if np.isnan(targets.values[place]).any():
                return None  # texts teach, not a score
            return ", ".join(f"{number:.{digits}g}" for number in np.atleast_1d(targets.values[place]))
        held = targets.values[targets.offsets_N1[place] : targets.offsets_N1[place + 1]].tolist()
        return ", ".join(classes[number] for number in held)


def read_contents(dataset: PreparedDataset, *, spilled: bool = False) -> Contents:
    """Read all splits with samples.

    Args:
        dataset: The dataset.
        spilled: Whether arrays go to files instead of memory, see `spilled.py`.

    Raises:
        ConfigError: The folder for temporary files does not take them.
        DatasetError: A shard is damaged, or there are no samples.
    """
    manifest = dataset.manifest
    names = sorted((name for name, info in manifest.splits.items() if info.rows), key=lambda name: name != TRAIN)
    if not names:
        raise DatasetError(f"{dataset.path} has no samples.", next_step="Prepare a source that has some.")
    columns, targets = read_splits(dataset, names, spilled=spilled)
    keep = partial(kept, spilled=spilled)
    ids_T, source_rows_N = columns[schema.INPUT_IDS], columns[schema.SOURCE_ROW]
    lengths_N = keep(columns[sizes_of(schema.INPUT_IDS)].astype(np.int64))
    token_offsets_N1 = keep(offsets_of(lengths_N))
    sequences = _sequences(columns, keep)
    offsets_P1 = _text_offsets(columns, token_offsets_N1, sequences)
    if offsets_P1 is not token_offsets_N1:
        offsets_P1 = keep(offsets_P1)
    texts = row_texts(_texts_a_row(columns, len(lengths_N)))
    tokenizer = read_tokenizer(dataset)
    id_counts_V = _counts(ids_T, manifest.tokenizer.vocabulary_size)
    pieces = pieces_of(tokenizer, np.flatnonzero(id_counts_V), special_ids=manifest.tokenizer.special_ids)
    rows = [manifest.splits[name].rows for name in names]
    return Contents(
        manifest=manifest,
        names=tuple(names),
        split_offsets_S1=offsets_of(rows),
        ids_T=ids_T,
        lengths_N=lengths_N,
        token_offsets_N1=token_offsets_N1,
        text_offsets_P1=offsets_P1,
        texts=RowTexts(firsts_N=keep(texts.firsts_N), counts_N=keep(texts.counts_N)),
        source_rows_N=source_rows_N,
        sequences=sequences,
        droppable_N=columns[DROPPABLE_TOKENS],
        targets=targets,
        label_digests_N=keep(np.concatenate([_label_digests(*each) for each in zip(targets, rows, strict=True)])),
        is_labelled=tuple(each is not None for each in targets),
        tokenizer=tokenizer,
        unknown_id=unknown_id(tokenizer),
        id_counts_V=id_counts_V,
        pieces=pieces,
        normal=normal_texts(ids_T, offsets_P1, pieces, spilled=spilled),
        spilled=spilled,
    )


def _sequences(columns: Columns, keep: Callable[[AnyArray], AnyArray]) -> SampleSequences | None:
    """Return the sequences of samples; None if each is one."""
    if schema.SEQUENCE_LENGTHS not in columns:
        return None
    return SampleSequences(
        lengths_Q=columns[schema.SEQUENCE_LENGTHS],
        offsets_N1=keep(offsets_of(columns[sizes_of(schema.SEQUENCE_LENGTHS)])),
        segment_starts_Q=columns.get(schema.SEGMENT_STARTS),
    )


def _text_offsets(columns: Columns, token_offsets_N1: IntArray, sequences: SampleSequences | None) -> IntArray:
    """Return where each text begins among all tokens (P1)."""
    if sequences is not None:
        return text_offsets(offsets_of(sequences.lengths_Q), sequences.segment_starts_Q)
    return text_offsets(token_offsets_N1, columns.get(schema.SEGMENT_START))


def _texts_a_row(columns: Columns, rows: int) -> IntArray:
    """Return how many texts each sample has: one, two of a pair, or one or two for each sequence."""
    if schema.SEQUENCE_LENGTHS in columns:
        counts_N = columns[sizes_of(schema.SEQUENCE_LENGTHS)].astype(np.int64)
        return 2 * counts_N if schema.SEGMENT_STARTS in columns else counts_N
    return np.full(rows, 2 if schema.SEGMENT_START in columns else 1)


def _counts(ids_T: npt.NDArray[Any], vocabulary_size: int) -> IntArray:
    """Return how often each id comes, some tokens at a time: they are cast to eight bytes each."""
    found_V = np.zeros(vocabulary_size, dtype=np.int64)
    for first in range(0, len(ids_T), _TOKENS_AT_ONCE):
        found_V += np.bincount(ids_T[first : first + _TOKENS_AT_ONCE], minlength=vocabulary_size)
        forget(ids_T)
    return found_V


def _label_digests(targets: Targets | None, rows: int) -> HashArray:
    """Return a digest of the label of each sample of a split, whatever its kind."""
    if targets is None:
        return np.zeros(rows, dtype=np.uint64)
    if targets.offsets_N1 is not None:
        return row_digests(targets.values, targets.offsets_N1)
    values_NK = targets.values.reshape(rows, -1)
    if targets.values.dtype == np.float64:
        values_NK = np.ascontiguousarray(values_NK).view(np.uint64)
    width = values_NK.shape[1]
    return mixed(row_digests(values_NK.ravel(), np.arange(rows + 1) * width))
