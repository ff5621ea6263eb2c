"""How many rows have the token ids of another row, counted from the digests that blocks keep.

What counts is what `tdbs audit` calls exact duplicates, conflicts and leaks; the windows of a question are one row.
Digests are compared in parts, cut by their first bits, so equal ones are in one part, and memory is that of a part of
about two million rows: 80 bytes a row, 200 if most repeat others. Rows that are the same become one entry with a count
if a part grows larger, as it does if one text fills it. Cost: a sort of each part, and one look at all digests for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tdbs.arrays import IntArray
from tdbs.data.tasks import Task
from tdbs.pipeline.block_digests import HEADS, LABEL, TEXTS, read_columns
from tdbs.pipeline.blocks import BlockInfo
from tdbs.pipeline.duplicates.block_rows import has_negatives
from tdbs.pipeline.duplicates.mixing import HashArray
from tdbs.pipeline.duplicates.options import TRAIN
from tdbs.pipeline.duplicates.rows import same_in_columns
from tdbs.pipeline.manifest import RepeatCounts

# Shapes: N entries of a part, or rows of a block, S splits.

ROWS_AT_ONCE = 1 << 21
_TOP, _TOP_BITS = np.uint64(40), np.uint64(24)  # the part of a digest is a share of its first 24 bits
_ENDS = np.uint64((1 << 20) - 1)  # the last bits of a digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Entries:
    """Rows by what decides whether they are the same, and how many rows each entry stands for."""

    keys_N4: HashArray  # two halves of the text's digest, the label's, the number of the split
    counts_N: IntArray


def count_repeats(
    blocks: Mapping[str, Sequence[BlockInfo]], task: Task, folder: Path, *, rows_at_once: int = ROWS_AT_ONCE
) -> dict[str, RepeatCounts]:
    """Return for each split how many of its rows have the token ids of another row.

    Args:
        blocks: The blocks of each split, in order, of which only the digests are read.
        task: What the samples are of.
        folder: Where the blocks are.
        rows_at_once: About how many rows are in memory at once.
    """
    names = list(blocks)
    train = names.index(TRAIN) if TRAIN in names else None
    rows = sum(info.rows for infos in blocks.values() for info in infos)
    parts = -(-rows // rows_at_once)
    counts_3S = np.zeros((3, len(names)), dtype=np.int64)
    for part in range(parts):
        found = shared(_entries(_pieces(blocks, folder, TEXTS, part, parts), rows_at_once))
        counts_3S[:2] += within_splits(found, len(names))
        if train is not None and len(names) > 1:
            if has_negatives(task):
                found = shared(_entries(_pieces(blocks, folder, HEADS, part, parts), rows_at_once))
            counts_3S[2] += standing_in(train, found, len(names))
    return {
        name: RepeatCounts(duplicates=repeats, conflicts=conflicts, leaks=None if train in (None, split) else leaks)
        for split, (name, (repeats, conflicts, leaks)) in enumerate(zip(names, counts_3S.T.tolist(), strict=True))
    }


def shared(entries: Entries) -> Entries:
    """Return the entries that may repeat others: all that have another one's text or stand for several rows, in order.

    A few others are among them, whose digests end as that of a repeated text does. The rest is looked at no further:
    so most rows cost one sort of 64 bits each.
    """
    halves_N = np.ascontiguousarray(entries.keys_N4[:, 0])
    ascending_N = np.sort(halves_N)
    is_end_of_one = np.zeros(int(_ENDS) + 1, dtype=np.bool_)
    is_end_of_one[ascending_N[1:][ascending_N[1:] == ascending_N[:-1]] & _ENDS] = True
    may_repeat_N = is_end_of_one[halves_N & _ENDS] | (entries.counts_N > 1)
    return Entries(keys_N4=entries.keys_N4[may_repeat_N], counts_N=entries.counts_N[may_repeat_N])


def within_splits(entries: Entries, splits: int) -> IntArray:
    """Return the rows of each split that repeat one of it, all but one of each text; and those with two labels (2, S).

    A row has two labels if another row of its split with its text has another one.
    """
    keys_N4, counts_N = entries.keys_N4, entries.counts_N
    split_N = keys_N4[:, 3].astype(np.int64)
    group_N = same_in_columns(*keys_N4.T[[0, 1, 3]])
    is_first_N = group_N == np.arange(len(group_N))
    differs_N = keys_N4[:, 2] != keys_N4[group_N, 2]
    is_mixed_N = np.bincount(group_N[differs_N], minlength=len(group_N))[group_N] > 0
    repeats_S = _sums(split_N, counts_N, splits) - np.bincount(split_N[is_first_N], minlength=splits)
    return np.stack([repeats_S, _sums(split_N[is_mixed_N], counts_N[is_mixed_N], splits)])


def standing_in(train: int, entries: Entries, splits: int) -> IntArray:
    """Return the rows of each other split whose text stands in train (S)."""
    split_N = entries.keys_N4[:, 3].astype(np.int64)
    text_N = same_in_columns(*entries.keys_N4.T[:2])
    is_known_N = np.zeros(len(text_N), dtype=np.bool_)
    is_known_N[text_N[split_N == train]] = True
    leaks_N = is_known_N[text_N] & (split_N != train)
    return _sums(split_N[leaks_N], entries.counts_N[leaks_N], splits)


def merged(entries: Entries) -> Entries:
    """Return entries of which no two have one text, label and split."""
    first_N = same_in_columns(*entries.keys_N4.T)
    counts_N = _sums(first_N, entries.counts_N, len(first_N))
    return Entries(keys_N4=entries.keys_N4[counts_N > 0], counts_N=counts_N[counts_N > 0])


def _pieces(
    blocks: Mapping[str, Sequence[BlockInfo]], folder: Path, halves: tuple[str, str], part: int, parts: int
) -> Iterator[HashArray]:
    """Yield the keys of the rows of each block that are in a part (N, 4)."""
    for split, infos in enumerate(blocks.values()):
        for info in infos:
            table = read_columns(folder, info.split, info.number)
            first_N = table[halves[0]].to_numpy()
            is_here_N = (first_N >> _TOP) * np.uint64(parts) >> _TOP_BITS == np.uint64(part)
            columns = [first_N, table[halves[1]].to_numpy(), table[LABEL].to_numpy()]
            keys_N4 = np.full((np.count_nonzero(is_here_N), 4), split, dtype=np.uint64)
            for place, column_N in enumerate(columns):
                keys_N4[:, place] = column_N[is_here_N]
            yield keys_N4


def _entries(pieces: Iterator[HashArray], rows_at_once: int) -> Entries:
    """Return the entries of a part; the same ones are merged as soon as there are a quarter more than expected."""
    held: list[Entries] = []
    most = rows_at_once + rows_at_once // 4
    for keys_N4 in pieces:
        held.append(Entries(keys_N4=keys_N4, counts_N=np.ones(len(keys_N4), dtype=np.int64)))
        if sum(len(each.counts_N) for each in held) > most:
            held = [merged(_joined(held))]
            most = max(most, 2 * len(held[0].counts_N))
    return _joined(held)


def _joined(parts: Sequence[Entries]) -> Entries:
    return Entries(
        keys_N4=np.concatenate([part.keys_N4 for part in parts]),
        counts_N=np.concatenate([part.counts_N for part in parts]),
    )


def _sums(place_N: IntArray, counts_N: IntArray, places: int) -> IntArray:
    """Return the sum of the counts of each place."""
    return np.bincount(place_N, weights=counts_N, minlength=places).astype(np.int64)
