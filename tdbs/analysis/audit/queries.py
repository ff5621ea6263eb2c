"""Queries, positives and negatives that contradict each other: what a model learns of one row, another row denies.

With in-batch negatives, the positive of each other row of an update is a negative, too. Training leaves out the other
positives of a query unless it has --keep-repeats.
"""

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding
from tdbs.analysis.audit.query_rows import row_findings
from tdbs.analysis.audit.query_texts import QueryTexts, query_texts
from tdbs.arrays import IntArray

# Shapes: N samples of a split, R samples of a finding, M negatives of a split.


def query_findings(contents: Contents) -> list[Finding]:
    """Return what is wrong with the queries of each split and their texts. Scored pairs may have any texts."""
    if contents.sequences is None or contents.manifest.task.columns.labels:
        return []
    every = query_texts(contents)
    parts = [every.part(contents.slice_of(split)) for split in range(len(contents.names))]
    found = []
    for split, texts in enumerate(parts):
        found += row_findings(contents, split, texts)
        found += _contradictions(contents, split, texts)
        if contents.has_train and split > 0:
            found += _queries_in_train(contents, split, parts[0], texts)
            found += _reversed_leaks(contents, split, parts[0], texts)
    return found


def _contradictions(contents: Contents, split: int, texts: QueryTexts) -> list[Finding]:
    """Return the samples of a split that others contradict."""
    name, start = contents.names[split], contents.slice_of(split).start
    found = []
    wrong_R, answered_R, texts_R = _false_negatives(texts)
    if len(wrong_R):
        found.append(
            finding(
                contents,
                "false_negatives",
                split,
                wrong_R + start,
                others_R=answered_R + start,
                texts_R=texts_R,
                what=f"Samples of {name} with a negative that is a positive of their query: {len(wrong_R):,}.",
                fix=f"Leave these negatives out of the source, then run: {contents.prepare_command()}",
            )
        )
    denied_R, others_R = _positives_as_negatives(texts)
    if len(denied_R):
        found.append(
            finding(
                contents,
                "positives_as_negatives",
                split,
                denied_R + start,
                others_R=others_R + start,
                what=f"Samples of {name} whose positive is a negative of another query: {len(denied_R):,}.",
                fix="Look at the examples: a text may answer both queries.",
                severity="note",
            )
        )
    if contents.manifest.task.kind == "embedding":  # others have no in-batch negatives
        several_R, others_R = _several_positives(texts)
        if len(several_R):
            found.append(
                finding(
                    contents,
                    "several_positives",
                    split,
                    several_R + start,
                    others_R=others_R + start,
                    what=f"Samples of {name} whose query has another positive elsewhere in the split: "
                    f"{len(several_R):,}.",
                    fix="Nothing: training does not take them as negatives of each other. Leave --keep-repeats out.",
                    severity="note",
                )
            )
    return found


def _queries_in_train(contents: Contents, split: int, train: QueryTexts, texts: QueryTexts) -> list[Finding]:
    """Return the samples of a split whose query stands in train with other positives alone; others are leaks."""
    queries, first_N = np.unique(train.query_N, return_index=True)
    is_new_N = ~np.isin(texts.answer_N, train.answer_N)
    rows_R = np.flatnonzero(is_new_N & np.isin(texts.query_N, queries))
    if not len(rows_R):
        return []
    name = contents.names[split]
    return [
        finding(
            contents,
            "queries_in_train",
            split,
            rows_R + contents.slice_of(split).start,
            others_R=first_N[np.searchsorted(queries, texts.query_N[rows_R])] + contents.slice_of(0).start,
            what=f"Samples of {name} whose query stands in train with another positive: {len(rows_R):,}.",
            fix=f"For scores of new queries, leave them out of train in the source, then run: "
            f"{contents.prepare_command()}",
            severity="note",
        )
    ]


def _reversed_leaks(contents: Contents, split: int, train: QueryTexts, texts: QueryTexts) -> list[Finding]:
    """Return the samples of a split that stand in train the other way round alone: to embeddings they are one pair."""
    if contents.manifest.task.kind != "embedding":
        return []
    answers, first_N = np.unique(train.answer_N, return_index=True)
    reversed_N = texts.positive_N * texts.count + texts.query_N
    rows_R = np.flatnonzero(np.isin(reversed_N, answers) & ~np.isin(texts.answer_N, answers))
    if not len(rows_R):
        return []
    name = contents.names[split]
    return [
        finding(
            contents,
            "reversed_leaks",
            split,
            rows_R + contents.slice_of(split).start,
            others_R=first_N[np.searchsorted(answers, reversed_N[rows_R])] + contents.slice_of(0).start,
            what=f"Samples of {name} that stand in train with query and positive exchanged: {len(rows_R):,}.",
            fix=f"Leave one of the two out of the source, then run: {contents.prepare_command()}",
        )
    ]


def _false_negatives(texts: QueryTexts) -> tuple[IntArray, IntArray, IntArray]:
    """Return the samples with a negative that answers their query in some sample (R), that sample, and the negative.

    The negative is its place among all texts (R).
    """
    keys, first_N = np.unique(texts.answer_N, return_index=True)
    denied_M = texts.query_N[texts.row_M] * texts.count + texts.negative_M
    place_M = np.minimum(np.searchsorted(keys, denied_M), len(keys) - 1)
    wrong_M = np.flatnonzero(keys[place_M] == denied_M)
    rows_R, firsts_R = np.unique(texts.row_M[wrong_M], return_index=True)
    first_M = wrong_M[firsts_R]
    return rows_R, first_N[place_M[first_M]], texts.negative_text_M[first_M]


def _positives_as_negatives(texts: QueryTexts) -> tuple[IntArray, IntArray]:
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


def _several_positives(texts: QueryTexts) -> tuple[IntArray, IntArray]:
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
