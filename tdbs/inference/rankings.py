"""Embeddings of texts, scores of pairs, and the ranks of texts that were given for a query.

A reranker's score is what its activation makes of its logit, in runs the sigmoid; two embeddings' score is their
cosine. Rank 1 is the best text of a query; texts with one score keep their order.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from tdbs.arrays import IntArray
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.described import ACTIVATIONS
from tdbs.inference.encode import Encoded
from tdbs.inference.sample_outputs import Decoded, Outputs, logits_of_samples

# Shapes: R rows of the block, R1 = R + 1, N samples, Q texts of all rows, K candidates, B samples of a batch, E entries

EMBEDDING, SCORE, SCORES, RANKS = "embedding", "score", "scores", "ranks"


def decode_embeddings(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    """Return the embedding of each text; of queries with candidates their cosines and ranks."""
    first = ((batch, _first_entries(found_BE, checkpoint)) for batch, found_BE in outputs)
    embeddings_NE = logits_of_samples(encoded, first)
    offsets_R1 = encoded.candidate_offsets_R1
    if offsets_R1 is None:
        return {EMBEDDING: embeddings_NE.numpy()}
    normal_NE = functional.normalize(embeddings_NE, dim=-1)
    sample_of_Q = np.arange(offsets_R1[-1]) if encoded.sample_of_Q is None else encoded.sample_of_Q
    is_candidate_Q = np.ones(len(sample_of_Q), dtype=np.bool_)
    is_candidate_Q[offsets_R1[:-1]] = False  # the query stands before its candidates
    queries_K = np.repeat(sample_of_Q[offsets_R1[:-1]], np.diff(offsets_R1) - 1)
    queries_KE = normal_NE[torch.from_numpy(queries_K)]
    cosines_K = (queries_KE * normal_NE[torch.from_numpy(sample_of_Q[is_candidate_Q])]).sum(dim=-1)
    return _ranked(cosines_K.numpy(), offsets_R1 - np.arange(len(offsets_R1)))


def decode_scores(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    """Return the score of each pair; of queries with candidates the scores and ranks of these."""
    scores_N = np.zeros(0, dtype=np.float32)
    if len(encoded.split.lengths_N):  # a list of candidates may be empty
        scores_N = ACTIVATIONS[checkpoint.activation](logits_of_samples(encoded, outputs)[:, 0]).numpy()
    if encoded.candidate_offsets_R1 is None:
        return {SCORE: scores_N.tolist()}
    return _ranked(scores_N, encoded.candidate_offsets_R1)


def ranks_of(scores_K: npt.NDArray[np.float32], offsets_R1: IntArray) -> IntArray:
    """Return the rank of each score among those of its row, from 1 for the highest (K); row i has [i] to [i + 1]."""
    counts_R = np.diff(offsets_R1)
    row_K = np.repeat(np.arange(len(counts_R)), counts_R)
    best_first_K = np.lexsort((-scores_K, row_K))
    ranks_K = np.empty(len(scores_K), dtype=np.int64)
    ranks_K[best_first_K] = np.arange(len(scores_K)) - np.repeat(offsets_R1[:-1], counts_R) + 1
    return ranks_K


def _ranked(scores_K: npt.NDArray[np.float32], offsets_R1: IntArray) -> Decoded:
    ranks_K = ranks_of(scores_K, offsets_R1)
    bounds = list(pairwise(offsets_R1.tolist()))

    def lists(values: list[Any]) -> list[Any]:
        return [values[first:last] for first, last in bounds]

    return {SCORES: lists(scores_K.tolist()), RANKS: lists(ranks_K.tolist())}


def _first_entries(embeddings_BE: torch.Tensor, checkpoint: Checkpoint) -> torch.Tensor:
    """Return the entries that are asked for, with the length 1 again if whole embeddings have it."""
    if checkpoint.dimensions is None:
        return embeddings_BE
    first_BE = embeddings_BE[:, : checkpoint.dimensions]
    pooling = checkpoint.rules.pooling
    return functional.normalize(first_BE, dim=-1) if pooling is not None and pooling.normalize else first_BE
