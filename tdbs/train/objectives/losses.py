"""Losses of embeddings and of rerankers, over the sequences of a batch or of a whole update.

Sequences stand sample by sample: the query, its positive, its negatives. A reranker has the pair of the positive first,
then those of the negatives. The formulas are those of sentence-transformers (tests/train/test_peers_losses.py).
"""

from collections.abc import Callable

import torch
from torch.nn import functional

from tdbs.train.objectives.objective import Objective

# Shapes: Q sequences, G samples, C candidates (positives, then negatives), E entries of an embedding, P pairs of a
# positive and a negative.


def embedding_loss(
    objective: Objective, embeddings_QE: torch.Tensor, sizes_G: torch.Tensor, labels_Q: torch.Tensor
) -> torch.Tensor:
    """Return the loss of embeddings: a mean over samples; with `sizes` the sum over these first entries and all.

    Args:
        objective: The resolved objective.
        embeddings_QE: The embeddings of all sequences.
        sizes_G: How many sequences each sample has.
        labels_Q: The score of a sequence's pair (cosine), else a number for its text: equal texts have equal ones.

    Returns:
        The loss, a scalar.
    """
    loss = _EMBEDDING_LOSSES[objective.loss]
    if not objective.sizes:
        return loss(objective, embeddings_QE, sizes_G, labels_Q)
    # Matryoshka (Kusupati et al. 2022): embeddings of all sizes have the length 1
    sizes = dict.fromkeys((embeddings_QE.shape[1], *objective.sizes))
    parts = [
        loss(objective, functional.normalize(embeddings_QE[:, :size], dim=-1), sizes_G, labels_Q) for size in sizes
    ]
    return torch.stack(parts).sum()


def ranking_loss(
    objective: Objective, logits_Q: torch.Tensor, sizes_G: torch.Tensor, relevance_Q: torch.Tensor
) -> torch.Tensor:
    """Return the loss of a reranker's logits: a mean over candidates (binary), or over queries (listwise).

    listwise is ListNet (Cao et al. 2007): the cross-entropy of the softmax of logits against that of relevance, 1 for
    the positive and 0 for the others.
    """
    relevance_Q = relevance_Q.to(logits_Q.dtype)
    if objective.loss == "binary":
        return functional.binary_cross_entropy_with_logits(logits_Q, relevance_Q)
    sample_Q = torch.repeat_interleave(sizes_G)
    log_shares_Q = logits_Q - _logsumexp(logits_Q, sample_Q, len(sizes_G))[sample_Q]
    wanted_Q = (relevance_Q - _logsumexp(relevance_Q, sample_Q, len(sizes_G))[sample_Q]).exp()
    return -(wanted_Q * log_shares_Q).sum() / len(sizes_G)


def terms_of(objective: Objective, sizes_G: torch.Tensor) -> int:
    """Return over how many terms the loss of some samples is a mean, to add up those of several batches."""
    if objective.loss == "binary":
        return int(sizes_G.sum())
    return int((sizes_G - 2).sum()) if objective.loss == "triplet" else len(sizes_G)


def _negatives(
    objective: Objective, embeddings_QE: torch.Tensor, sizes_G: torch.Tensor, texts_Q: torch.Tensor
) -> torch.Tensor:
    """Return the cross-entropy of each query's positive among the candidates of all samples (van den Oord et al. 2018).

    Candidates are the positives and negatives of all samples. One that is a positive of the same query, or the query's
    own text, is left out.
    """
    logits_GC, _ = _similarities(objective, embeddings_QE, sizes_G, texts_Q)
    return functional.cross_entropy(logits_GC, torch.arange(len(logits_GC), device=logits_GC.device))


def _symmetric(
    objective: Objective, embeddings_QE: torch.Tensor, sizes_G: torch.Tensor, texts_Q: torch.Tensor
) -> torch.Tensor:
    """Return the mean of that loss and of the one that finds the query of each positive."""
    logits_GC, samples = _similarities(objective, embeddings_QE, sizes_G, texts_Q)
    own_G = torch.arange(samples, device=logits_GC.device)
    there = functional.cross_entropy(logits_GC, own_G)
    back = functional.cross_entropy(logits_GC[:, :samples].T, own_G)
    return (there + back) / 2


def _similarities(
    objective: Objective, embeddings_QE: torch.Tensor, sizes_G: torch.Tensor, texts_Q: torch.Tensor
) -> tuple[torch.Tensor, int]:
    """Return the logits of queries and candidates (G x C), positives first in the order of queries, and G."""
    queries_G, positives_G, negatives = _places(sizes_G)
    candidates_C = torch.cat([positives_G, negatives])
    normal_QE = functional.normalize(embeddings_QE, dim=-1)
    logits_GC = normal_QE[queries_G] @ normal_QE[candidates_C].T / objective.temperature
    if not objective.keep_repeats:
        repeats_GC = _repeats(texts_Q[queries_G], texts_Q[positives_G], texts_Q[candidates_C])
        logits_GC = logits_GC.masked_fill(repeats_GC, float("-inf"))
    return logits_GC, len(queries_G)


def _repeats(queries_G: torch.Tensor, positives_G: torch.Tensor, candidates_C: torch.Tensor) -> torch.Tensor:
    """Return which candidates are not negatives of a query, its own positive aside (G x C)."""
    same_query_GG = (queries_G[:, None] == queries_G).float()
    same_text_GC = (positives_G[:, None] == candidates_C).float()
    repeats_GC = (same_query_GG @ same_text_GC > 0) | (queries_G[:, None] == candidates_C)
    repeats_GC[:, : len(queries_G)].fill_diagonal_(False)
    return repeats_GC


def _cosine(
    objective: Objective, embeddings_QE: torch.Tensor, _sizes_G: torch.Tensor, scores_Q: torch.Tensor
) -> torch.Tensor:
    """Return the squared error of the cosine of each pair."""
    scores_G = scores_Q[::2].to(embeddings_QE.dtype) / objective.largest_score
    return functional.mse_loss(functional.cosine_similarity(embeddings_QE[::2], embeddings_QE[1::2]), scores_G)


def _triplet(
    objective: Objective, embeddings_QE: torch.Tensor, sizes_G: torch.Tensor, _texts_Q: torch.Tensor
) -> torch.Tensor:
    """Return by how much each negative is too near, in Euclidean distance: a mean over negatives."""
    queries_G, positives_G, negatives_P = _places(sizes_G)
    sample_P = torch.repeat_interleave(sizes_G - 2)
    query_PE, positive_PE = embeddings_QE[queries_G][sample_P], embeddings_QE[positives_G][sample_P]
    near_P = torch.linalg.vector_norm(query_PE - positive_PE, dim=-1)
    far_P = torch.linalg.vector_norm(query_PE - embeddings_QE[negatives_P], dim=-1)
    return functional.relu(near_P - far_P + objective.margin).mean()


def _places(sizes_G: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return where queries, positives and all negatives stand among the sequences."""
    firsts_G = sizes_G.cumsum(0) - sizes_G
    sample_Q = torch.repeat_interleave(sizes_G)
    rank_Q = torch.arange(len(sample_Q), device=sizes_G.device) - firsts_G[sample_Q]
    return firsts_G, firsts_G + 1, torch.nonzero(rank_Q > 1)[:, 0]


def _logsumexp(values_Q: torch.Tensor, sample_Q: torch.Tensor, samples: int) -> torch.Tensor:
    """Return the logarithm of the sum of exponentials in each sample (G)."""
    most_G = values_Q.new_full((samples,), float("-inf")).scatter_reduce(0, sample_Q, values_Q.detach(), "amax")
    sums_G = values_Q.new_zeros(samples).index_add(0, sample_Q, (values_Q - most_G[sample_Q]).exp())
    return sums_G.log() + most_G


_EMBEDDING_LOSSES: dict[str, Callable[[Objective, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "negatives": _negatives,
    "symmetric": _symmetric,
    "cosine": _cosine,
    "triplet": _triplet,
}
