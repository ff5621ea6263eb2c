"""Queries, positives and negatives that contradict each other: what a model learns of one row, another row denies.

Texts are the same if their token ids are. With in-batch negatives, the positive of each other row of an update is a
negative, too; two positives of one query deny each other there.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding
from tdbs.arrays import IntArray
from tdbs.pipeline.duplicates.rows import same_rows
from tdbs.pipeline.sequences import SampleSequences

# Shapes: N samples of all splits, Q their sequences, R samples of a finding, M negatives of a split.


@dataclass(frozen=True, kw_only=True, slots=True)
class _Texts:
    """The texts of samples as numbers: two are equal if their token ids are."""

    query_N: IntArray
    positive_N: IntArray
    negative_M: IntArray  # of all samples, in order
    row_M: IntArray  # the sample of each
    count: int  # greater than any number

    def part(self, first: int, end: int) -> "_Texts":
        """Return the texts of some samples, whose numbers begin with 0."""
        own = slice(*np.searchsorted(self.row_M, [first, end]).tolist())
        return _Texts(
            query_N=self.query_N[first:end],
            positive_N=self.positive_N[first:end],
            negative_M=self.negative_M[own],
            row_M=self.row_M[own] - first,
            count=self.count,
        )


def query_findings(contents: Contents) -> list[Finding]:
    """Return the rows of each split that others contradict. Scored pairs cannot contradict each other."""
    if contents.sequences is None or contents.manifest.task.columns.labels:
        return []
    every, found = _texts(contents, contents.sequences), []
    for split, name in enumerate(contents.names):
        part = contents.slice_of(split)
        texts = every.part(part.start, part.stop)
        again = f"Leave them out of the source, then run: {contents.prepare_command()}"
        for kind, (rows_R, others_R), what, fix in (
            ("false_negatives", _false_negatives(texts), "with a negative that is a positive of their query", again),
            (
                "positives_as_negatives",
                _positives_as_negatives(texts),
                "whose positive is a negative of another query",
                "Look at the examples: a text may answer both queries.",
            ),
            (
                "several_positives",
                _several_positives(texts),
                "whose query has another positive elsewhere in the split",
                "Look at the examples: as in-batch negatives they deny each other.",
            ),
        ):
            if len(rows_R):
                found.append(
                    finding(
                        contents,
                        kind,
                        split,
                        rows_R + part.start,
                        others_R=others_R + part.start,
                        what=f"Samples of {name} {what}: {len(rows_R):,}.",
                        fix=fix,
                        severity="warning" if kind == "false_negatives" else "note",
                    )
                )
    return found


def _texts(contents: Contents, sequences: SampleSequences) -> _Texts:
    """Return the texts of all samples. The query of a pair ends where the second text begins."""
    group = same_rows(contents.ids_T, contents.text_offsets_P1)
    first_N = sequences.offsets_N1[:-1]
    is_pair = sequences.segment_starts_Q is not None
    query_N = group[2 * first_N] if is_pair else group[first_N]
    candidate_Q = group[1::2] if is_pair else group
    positive_N = first_N if is_pair else first_N + 1
    is_negative_Q = np.ones(len(sequences.lengths_Q), dtype=np.bool_)
    is_negative_Q[first_N] = False
    is_negative_Q[positive_N] = False
    row_Q = np.repeat(np.arange(len(first_N)), np.diff(sequences.offsets_N1))
    return _Texts(
        query_N=query_N,
        positive_N=candidate_Q[positive_N],
        negative_M=candidate_Q[is_negative_Q],
        row_M=row_Q[is_negative_Q],
        count=len(group),
    )


def _false_negatives(texts: _Texts) -> tuple[IntArray, IntArray]:
    """Return the samples with a negative that answers their query in some sample (R), and that sample (R)."""
    answered_N = texts.query_N * texts.count + texts.positive_N
    denied_M = texts.query_N[texts.row_M] * texts.count + texts.negative_M
    keys, first_N = np.unique(answered_N, return_index=True)
    place_M = np.minimum(np.searchsorted(keys, denied_M), len(keys) - 1)
    wrong_M = np.flatnonzero(keys[place_M] == denied_M)
    rows_R, firsts_R = np.unique(texts.row_M[wrong_M], return_index=True)
    return rows_R, first_N[place_M[wrong_M[firsts_R]]]


def _positives_as_negatives(texts: _Texts) -> tuple[IntArray, IntArray]:
    """Return the samples whose positive is a negative of another query (R), and a sample of that query (R)."""
    empty = np.empty(0, dtype=np.int64)
    if not len(texts.negative_M):
        return empty, empty
    rows_R, others_R = [], []
    order_M = np.lexsort((texts.query_N[texts.row_M], texts.negative_M))
    text_M, row_M = texts.negative_M[order_M], texts.row_M[order_M]
    first_N = np.searchsorted(text_M, texts.positive_N)
    last_N = np.searchsorted(text_M, texts.positive_N, side="right") - 1
    for found_N in (first_N, last_N):  # a text's first and last query differ if it has two
        place_N = np.clip(found_N, 0, len(text_M) - 1)
        is_other_N = text_M[place_N] == texts.positive_N
        is_other_N &= texts.query_N[row_M[place_N]] != texts.query_N
        rows_R.append(np.flatnonzero(is_other_N))
        others_R.append(row_M[place_N[is_other_N]])
    rows, firsts = np.unique(np.concatenate(rows_R), return_index=True)
    return rows, np.concatenate(others_R)[firsts]


def _several_positives(texts: _Texts) -> tuple[IntArray, IntArray]:
    """Return the samples whose query has another positive (R), and the first sample with another one (R)."""
    order_N = np.lexsort((np.arange(len(texts.query_N)), texts.query_N))
    query_N, positive_N = texts.query_N[order_N], texts.positive_N[order_N]
    head_N = np.append(True, query_N[1:] != query_N[:-1])[: len(query_N)]
    group_N = np.cumsum(head_N) - 1
    first_N = np.flatnonzero(head_N)[group_N]  # of each query
    differs_N = positive_N != positive_N[first_N]
    other_G = np.full(int(head_N.sum()), -1)
    other_G[group_N[differs_N][::-1]] = np.flatnonzero(differs_N)[::-1]  # the first that is not the first one's
    partner_N = np.where(differs_N, first_N, other_G[group_N])
    chosen = np.flatnonzero(partner_N >= 0)
    rows_R, others_R = order_N[chosen], order_N[partner_N[chosen]]
    by_row = np.argsort(rows_R)
    return rows_R[by_row], others_R[by_row]
