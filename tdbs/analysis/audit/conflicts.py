"""Samples whose text has another label elsewhere: in their split, or in train."""

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding
from tdbs.analysis.audit.repeats import Repeats
from tdbs.arrays import IntArray
from tdbs.data.tasks import TaskKind
from tdbs.pipeline.duplicates.mixing import HashArray

# Shapes: N samples of all splits, R some of them, G groups of samples with one text.

_SHOWN_PAIRS = 10  # of rows, in a fix
_SEVERAL_ANSWERS: tuple[TaskKind, ...] = ("question_answering", "seq2seq")  # where two labels may both be right


def conflict_findings(contents: Contents, repeats: Repeats) -> list[Finding]:
    """Return the samples whose text stands in the same split, or in train, with another label."""
    found = []
    normal_N = repeats.whole.compared.normal_N
    for split in range(len(contents.names)):
        if not contents.is_labelled[split]:
            continue
        rows = np.arange(*contents.slice_of(split).indices(len(normal_N))[:2])
        rows_R, others_R = conflicting(normal_N, contents.label_digests_N, rows)
        if len(rows_R):
            found.append(_conflict(contents, "conflicts", split, rows_R, others_R, "in the split"))
        if split > 0 and contents.has_train and contents.is_labelled[0]:
            both = np.concatenate([np.arange(contents.rows_of(0)), rows])
            rows_R, others_R = conflicting(normal_N, contents.label_digests_N, both, only_after=rows[0])
            if len(rows_R):
                found.append(_conflict(contents, "conflicts_with_train", split, rows_R, others_R, "in train"))
    return found


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
    kept = np.flatnonzero((order >= only_after) & (other_R >= 0) & (other_R < others_end))
    kept = kept[np.argsort(order[kept])]
    return order[kept], other_R[kept]


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
