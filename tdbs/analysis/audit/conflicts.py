"""Samples whose text has another label elsewhere: in their split, or in train.

It is one meaning wherever an audit says "with another label": some sample there has the same text and another label,
whatever labels others of the text have. Only a near duplicate is compared with one sample, the one that it is near.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding
from tdbs.analysis.audit.repeats import Repeats
from tdbs.arrays import BoolArray, IntArray
from tdbs.data.tasks import TaskKind
from tdbs.pipeline.duplicates.mixing import HashArray
from tdbs.spilled import kept

# Shapes: N samples of all splits, R some of them, G groups of samples with one text.

_SHOWN_PAIRS = 10  # of rows, in a fix
_SEVERAL_ANSWERS: tuple[TaskKind, ...] = ("question_answering", "seq2seq")  # where two labels may both be right


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflicts:
    """The samples whose text has another label elsewhere, and the first sample there with one, by split (R, R)."""

    within: tuple[tuple[IntArray, IntArray], ...]  # in their split
    with_train: tuple[tuple[IntArray, IntArray], ...]


def find_conflicts(contents: Contents, repeats: Repeats) -> Conflicts:
    """Return which samples conflict with which."""
    splits = range(len(contents.names))
    return Conflicts(
        within=tuple(_within(contents, repeats, split) for split in splits),
        with_train=tuple(_with_train(contents, repeats, split) for split in splits),
    )


def _within(contents: Contents, repeats: Repeats, split: int) -> tuple[IntArray, IntArray]:
    rows = contents.samples_of(split)
    if not contents.is_labelled[split]:
        return rows[:0], rows[:0]
    return _kept(contents, conflicting(repeats.whole.compared.normal_N, contents.label_digests_N, rows))


def _with_train(contents: Contents, repeats: Repeats, split: int) -> tuple[IntArray, IntArray]:
    rows = contents.samples_of(split)
    if not (split > 0 and contents.has_train and contents.is_labelled[0] and contents.is_labelled[split]):
        return rows[:0], rows[:0]
    both, start = np.concatenate([contents.samples_of(0), rows]), contents.slice_of(split).start
    return _kept(
        contents, conflicting(repeats.whole.compared.normal_N, contents.label_digests_N, both, only_after=start)
    )


def _kept(contents: Contents, found: tuple[IntArray, IntArray]) -> tuple[IntArray, IntArray]:
    rows_R, others_R = found
    return kept(rows_R, spilled=contents.spilled), kept(others_R, spilled=contents.spilled)


def are_among(contents: Contents, split: int, rows_R: IntArray) -> BoolArray:
    """Return for each sample of a split whether it is one of some of them."""
    found = np.zeros(contents.rows_of(split), dtype=np.bool_)
    found[rows_R - contents.slice_of(split).start] = True
    return found


def conflict_findings(contents: Contents, _repeats: Repeats, conflicts: Conflicts) -> list[Finding]:
    """Return the samples whose text stands in the same split, or in train, with another label."""
    found = []
    for split in range(len(contents.names)):
        for kind, (rows_R, others_R), where in (
            ("conflicts", conflicts.within[split], "in the split"),
            ("conflicts_with_train", conflicts.with_train[split], "in train"),
        ):
            if len(rows_R):
                found.append(_conflict(contents, kind, split, rows_R, others_R, where))
    return found


def differs(contents: Contents, rows_R: IntArray, others_R: IntArray) -> BoolArray:
    """Return which samples of a split have another label than others, of a split each; no sample without labels."""
    if not len(rows_R) or not all(contents.is_labelled[contents.split_of(int(rows[0]))] for rows in (rows_R, others_R)):
        return np.zeros(len(rows_R), dtype=np.bool_)
    found: BoolArray = contents.label_digests_N[rows_R] != contents.label_digests_N[others_R]
    return found


def with_another_label(is_one_R: BoolArray) -> str:
    """Return how many of some samples stand elsewhere with another label, as the end of a sentence."""
    count = int(is_one_R.sum())
    return f", {count:,} of them with another label" if count else ""


def read_fix(contents: Contents, rows_R: IntArray, others_R: IntArray) -> str:
    """Return which rows to read, since no command knows which of two labels is right."""
    splits = contents.names
    both_R2 = np.stack([rows_R, others_R], axis=1)
    _, places = np.unique(np.sort(both_R2, axis=1), axis=0, return_index=True)  # two rows are often each other's
    pairs = []
    for row, other in both_R2[np.sort(places)[:_SHOWN_PAIRS]].tolist():
        own, of_other = contents.split_of(row), contents.split_of(other)
        named = "" if own == of_other else f"{splits[of_other]} "
        pairs.append(f"{contents.source_rows_N[row] + 1} and {named}{contents.source_rows_N[other] + 1}")
    more = f", and {len(places) - _SHOWN_PAIRS:,} more pairs" if len(places) > _SHOWN_PAIRS else ""
    return (
        f"Choose one label for {splits[contents.split_of(int(rows_R[0]))]} rows {', '.join(pairs)}{more}, "
        f"then run: {contents.prepare_command()}"
    )


def conflicting(
    group_N: IntArray, labels_N: HashArray, rows: IntArray, *, only_after: int = 0
) -> tuple[IntArray, IntArray]:
    """Return the rows whose group has another label too (R), ascending, and the first row of the group with one (R).

    With `only_after`, only rows from there on, and others before it.
    """
    others_end = only_after or len(group_N)
    order = rows[np.argsort(group_N[rows], kind="stable")]
    group_R, label_R = group_N[order], labels_N[order]
    head_R = np.append(True, group_R[1:] != group_R[:-1])
    number_R = np.cumsum(head_R) - 1
    first_R = order[head_R][number_R]
    differs_R = label_R != labels_N[first_R]
    seconds = np.flatnonzero(differs_R & (order < others_end))[::-1]
    second_G = np.full(int(head_R.sum()), -1)  # the first row that differs from the group's first
    second_G[number_R[seconds]] = order[seconds]
    other_R = np.where(differs_R, first_R, second_G[number_R])
    chosen = np.flatnonzero((order >= only_after) & (other_R >= 0) & (other_R < others_end))
    chosen = chosen[np.argsort(order[chosen])]
    return order[chosen], other_R[chosen]


def _conflict(contents: Contents, kind: str, split: int, rows_R: IntArray, others_R: IntArray, where: str) -> Finding:
    return finding(
        contents,
        kind,
        split,
        rows_R,
        others_R=others_R,
        what=f"Samples of {contents.names[split]} whose text stands {where} with another label: {len(rows_R):,}.",
        fix=read_fix(contents, rows_R, others_R),
        severity="note" if contents.manifest.task.kind in _SEVERAL_ANSWERS else "warning",
    )
