"""Rows of queries that teach nothing or the wrong thing by themselves: a text twice, or nothing to rank."""

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding, severity_of
from tdbs.analysis.audit.query_texts import QueryTexts
from tdbs.arrays import IntArray

# Shapes: N samples of a split, M their negatives, K texts that come twice in their sample, R samples of a finding.

_MANY_TWICE = 0.005  # share of samples with a text twice from which they are worth a warning
_MANY_ALONE = 0.1  # share of samples without a negative: they cost time and are not scored


def row_findings(contents: Contents, split: int, texts: QueryTexts) -> list[Finding]:
    """Return the samples of a split with a text twice, and those of rerankers that have nothing to rank."""
    return [*_repeated_texts(contents, split, texts), *_without_negatives(contents, split, texts)]


def _repeated_texts(contents: Contents, split: int, texts: QueryTexts) -> list[Finding]:
    """Return the samples whose query is their positive or a negative, or that have a negative twice.

    A negative that is the positive is a false negative.
    """
    name = contents.names[split]
    is_query = np.flatnonzero(texts.query_N == texts.positive_N)
    denied = np.flatnonzero(texts.negative_M == texts.query_N[texts.row_M])
    twice = _negatives_twice(texts)
    kinds = {
        "the query as positive": is_query,
        "the query as negative": texts.row_M[denied],
        "a negative twice": texts.row_M[twice],
    }
    rows_R, firsts_R = np.unique(np.concatenate(list(kinds.values())), return_index=True)
    if not len(rows_R):
        return []
    texts_K = np.concatenate([texts.positive_text_N[is_query], texts.negative_text_M[np.concatenate([denied, twice])]])
    counted = ", ".join(f"{what} in {len(np.unique(rows_K)):,}" for what, rows_K in kinds.items() if len(rows_K))
    return [
        finding(
            contents,
            "repeated_texts",
            split,
            rows_R + contents.slice_of(split).start,
            texts_R=texts_K[firsts_R],
            what=f"Samples of {name} with a text twice: {len(rows_R):,} ({counted}).",
            fix=f"Leave the second one out of the source, then run: {contents.prepare_command()}",
            severity=severity_of(len(rows_R), len(texts.query_N), _MANY_TWICE),
        )
    ]


def _negatives_twice(texts: QueryTexts) -> IntArray:
    """Return the negatives that come earlier in their sample."""
    order_M = np.lexsort((texts.negative_M, texts.row_M))
    row_M, negative_M = texts.row_M[order_M], texts.negative_M[order_M]
    return order_M[1:][(row_M[1:] == row_M[:-1]) & (negative_M[1:] == negative_M[:-1])]


def _without_negatives(contents: Contents, split: int, texts: QueryTexts) -> list[Finding]:
    """Return the samples of a reranker with one text to rank."""
    rows = len(texts.query_N)
    if contents.manifest.task.kind != "ranking":
        return []
    alone_R = np.flatnonzero(np.bincount(texts.row_M, minlength=rows) == 0)
    if not len(alone_R):
        return []
    name = contents.names[split]
    return [
        finding(
            contents,
            "no_negatives",
            split,
            alone_R + contents.slice_of(split).start,
            what=f"Samples of {name} without a negative, so there is nothing to rank: {len(alone_R):,}.",
            fix=f"Add negatives in the source, then run: {contents.prepare_command()}",
            severity=severity_of(len(alone_R), rows, _MANY_ALONE),
        )
    ]
