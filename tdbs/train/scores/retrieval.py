"""Metrics of embeddings and rerankers, by torchmetrics: how near the positive of a query is among other texts.

Embeddings: each distinct query of the split searches all distinct positives and negatives of the split by cosine; all
its positives are relevant. It does not find its own text, unless that is a positive of it. Rerankers: each query ranks
its own candidates. Metrics are means over queries.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional

from tdbs.arrays import IntArray
from tdbs.data.tasks import Task
from tdbs.train.scores.metrics import score_predictions
from tdbs.train.scores.sequence_groups import SequenceGroups

# Shapes: N samples, Q their sequences, U distinct sequences, E entries of an embedding, A queries, D documents,
# G queries of a block.

_TOP = 10
_QUERIES_AT_ONCE = 1_024

Ranking = tuple[torch.Tensor, torch.Tensor]  # scores of a query's candidates, and whether each is relevant


def embedding_metrics(task: Task, embeddings_UE: torch.Tensor, groups: SequenceGroups) -> dict[str, float | None]:
    """Return the metrics of embeddings: correlations of cosine and score for pairs with scores, else of a search."""
    normal_UE = functional.normalize(embeddings_UE.float(), dim=-1)
    if task.columns.labels:
        pairs_N2 = torch.from_numpy(groups.which_Q.reshape(-1, 2))
        cosines_N = (normal_UE[pairs_N2[:, 0]] * normal_UE[pairs_N2[:, 1]]).sum(dim=-1)
        return score_predictions(task, cosines_N[:, None], torch.from_numpy(groups.scores_N))
    return _means(_searches(normal_UE, groups))


def ranking_metrics(logits_Q: torch.Tensor, groups: SequenceGroups) -> dict[str, float | None]:
    """Return the metrics of a reranker's logits over each query's candidates, of which the first is the positive.

    A query with one candidate does not count: there is nothing to rank.
    """
    candidates = torch.split(logits_Q, np.diff(groups.offsets_N1).tolist())
    return _means((scores, torch.arange(len(scores)) == 0) for scores in candidates if len(scores) > 1)


def _searches(normal_UE: torch.Tensor, groups: SequenceGroups) -> Iterator[Ranking]:
    """Yield what each distinct query finds among all distinct documents."""
    firsts_N = groups.offsets_N1[:-1]
    is_query_Q = np.zeros(len(groups.which_Q), dtype=np.bool_)
    is_query_Q[firsts_N] = True
    queries_A, query_N = np.unique(groups.which_Q[firsts_N], return_inverse=True)
    documents_D = np.unique(groups.which_Q[~is_query_Q])
    positive_N = np.searchsorted(documents_D, groups.which_Q[firsts_N + 1])
    documents_DE = normal_UE[torch.from_numpy(documents_D)]
    for first in range(0, len(queries_A), _QUERIES_AT_ONCE):
        block_G = queries_A[first : first + _QUERIES_AT_ONCE]
        scores_GD = normal_UE[torch.from_numpy(block_G)] @ documents_DE.T
        relevant_GD = _relevant(query_N - first, positive_N, queries=len(block_G), documents=len(documents_D))
        itself_GD = torch.from_numpy(block_G[:, None] == documents_D)
        scores_GD.masked_fill_(itself_GD & ~relevant_GD, -torch.inf)
        yield from zip(scores_GD, relevant_GD, strict=True)


def _relevant(query_N: IntArray, positive_N: IntArray, *, queries: int, documents: int) -> torch.Tensor:
    """Return which documents are positives of the queries of a block (G x D)."""
    found_GD = torch.zeros(queries, documents, dtype=torch.bool)
    own = (query_N >= 0) & (query_N < queries)
    found_GD[torch.from_numpy(query_N[own]), torch.from_numpy(positive_N[own])] = True
    return found_GD


def _places(ranking: Ranking) -> Ranking:
    """Return a ranking with numbers from 1 on in the order of scores: torchmetrics finds only those above 0.

    Among equal scores relevant ones come last, so a model that says the same of all texts ranks none of them.
    """
    scores, relevant = ranking
    _, place = torch.unique(scores, return_inverse=True)
    return (2 * place + 2 - relevant.long()).double(), relevant


def _means(rankings: Iterator[Ranking]) -> dict[str, float | None]:
    # torchmetrics takes 2 s to import, so it is imported with the first score
    from torchmetrics.functional import retrieval

    found = [
        (
            retrieval.retrieval_reciprocal_rank(scores, relevant, top_k=_TOP),
            retrieval.retrieval_normalized_dcg(scores, relevant, top_k=_TOP),
            retrieval.retrieval_average_precision(scores, relevant),
        )
        for scores, relevant in map(_places, rankings)
    ]
    names = (f"mrr@{_TOP}", f"ndcg@{_TOP}", "map")
    if not found:
        return dict.fromkeys(names)
    return dict(zip(names, torch.tensor(found).mean(dim=0).tolist(), strict=True))
