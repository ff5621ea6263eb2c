"""Metrics of embeddings and rerankers: against ranks counted by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.tasks import METRICS, Columns, Task
from tdbs.train.scores.retrieval import embedding_metrics, ranking_metrics
from tdbs.train.scores.sequence_groups import SequenceGroups

_TASK = Task(
    name="pairs",
    kind="embedding",
    columns=Columns(text="query", pair="positive", labels=()),
    metrics=METRICS["embedding"],
)


def _metrics_by_hand(rankings):
    """Return MRR@10, nDCG@10 and MAP of lists of (score, relevant) without equal scores."""
    reciprocal, gains, precisions = [], [], []
    for ranking in rankings:
        order = [relevant for _, relevant in sorted(ranking, reverse=True)]
        ranks = [rank for rank, relevant in enumerate(order, 1) if relevant]
        reciprocal.append(1 / ranks[0] if ranks[0] <= 10 else 0.0)
        gain = sum(1 / math.log2(rank + 1) for rank in ranks if rank <= 10)
        gains.append(gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(len(ranks), 10) + 1)))
        precisions.append(sum(count / rank for count, rank in enumerate(ranks, 1)) / len(ranks))
    count = len(rankings)
    return [sum(each) / count for each in (reciprocal, gains, precisions)]


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 1_000))
def test_each_query_searches_all_documents_of_the_split(samples, texts, seed):
    chance = np.random.default_rng(seed)
    sizes = chance.integers(2, 5, samples)
    count = 4 * texts
    which = chance.integers(0, count, int(sizes.sum()))  # few texts: queries and positives repeat
    embeddings = torch.from_numpy(chance.normal(size=(count, 5)))
    groups = SequenceGroups(offsets_N1=np.append(0, np.cumsum(sizes)), which_Q=which, scores_N=np.full(samples, np.nan))
    rows = np.split(which, np.cumsum(sizes)[:-1])
    documents = sorted({int(text) for row in rows for text in row[1:]})
    normal = embeddings / embeddings.norm(dim=1, keepdim=True)
    rankings = []
    for query in sorted({int(row[0]) for row in rows}):
        positives = {int(row[1]) for row in rows if row[0] == query}
        others = [text for text in documents if text != query or text in positives]  # it does not find itself
        rankings.append([(float(normal[query] @ normal[text]), text in positives) for text in others])
    found = embedding_metrics(_TASK, embeddings, groups)
    assert list(found) == list(METRICS["embedding"])
    assert list(found.values()) == pytest.approx(_metrics_by_hand(rankings), abs=1e-5)


@given(st.integers(1, 10), st.integers(0, 1_000))
def test_a_reranker_ranks_the_candidates_of_each_query(samples, seed):
    chance = np.random.default_rng(seed)
    sizes = chance.integers(1, 15, samples)
    logits = chance.permutation(int(sizes.sum())).astype(np.float64)
    groups = SequenceGroups(
        offsets_N1=np.append(0, np.cumsum(sizes)), which_Q=np.arange(len(logits)), scores_N=np.full(samples, np.nan)
    )
    rankings = [
        [(score, rank == 0) for rank, score in enumerate(row)]
        for row in np.split(logits, np.cumsum(sizes)[:-1])
        if len(row) > 1  # nothing to rank
    ]
    found = ranking_metrics(torch.from_numpy(logits), groups)
    if not rankings:
        assert list(found.values()) == [None, None, None]
        return
    assert list(found.values()) == pytest.approx(_metrics_by_hand(rankings), abs=1e-5)


def test_pairs_with_scores_are_scored_by_the_correlation_of_their_cosine():
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.2], [1.0, 0.0]])
    scores = np.array([5.0, 3.0, 0.0])
    groups = SequenceGroups(offsets_N1=np.arange(0, 7, 2), which_Q=np.arange(6), scores_N=scores)
    task = Task(
        name="pairs",
        kind="embedding",
        columns=Columns(text="a", pair="b", labels=("score",)),
        metrics=("spearman", "pearson"),
    )
    cosines = [float(torch.cosine_similarity(embeddings[i], embeddings[i + 1], dim=0)) for i in (0, 2, 4)]
    assert embedding_metrics(task, embeddings, groups) == pytest.approx(
        {"spearman": 1.0, "pearson": float(np.corrcoef(cosines, scores)[0, 1])}, abs=1e-5
    )


def test_a_reranker_that_says_the_same_of_every_pair_ranks_the_positive_last():
    """Two and four candidates: ranks 2 and 4."""
    groups = SequenceGroups(offsets_N1=np.array([0, 2, 6]), which_Q=np.arange(6), scores_N=np.full(2, np.nan))
    found = ranking_metrics(torch.zeros(6), groups)
    assert found["mrr@10"] == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert found["map"] == pytest.approx((1 / 2 + 1 / 4) / 2)
