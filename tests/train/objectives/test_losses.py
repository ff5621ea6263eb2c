"""Losses over sequences: against loops typed by hand, sample by sample."""

import math
from itertools import accumulate

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tdbs.train.objectives.losses import embedding_loss, ranking_loss, terms_of
from tdbs.train.objectives.objective import Objective

pytestmark = pytest.mark.fast

_WIDTH = 6


@st.composite
def samples(draw, least: int = 2):
    """Draw the sizes of some samples, an embedding and a text for each sequence; few texts, so that some repeat."""
    sizes = draw(st.lists(st.integers(least, 5), min_size=1, max_size=6))
    chance = np.random.default_rng(draw(st.integers(0, 1_000)))
    embeddings = torch.from_numpy(chance.normal(size=(sum(sizes), _WIDTH)))
    texts = torch.from_numpy(chance.integers(0, draw(st.sampled_from([3, 10, 10_000])), sum(sizes)))
    return sizes, embeddings, texts


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(one @ other / (one.norm() * other.norm()))


def _ranges(sizes):
    ends = list(accumulate(sizes))
    return [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _logits_of_queries(sizes, embeddings, texts, *, temperature: float, keep_repeats: bool):
    """Return a list for each query: (logit, whether it is its own positive), without those that are no negatives."""
    groups = _ranges(sizes)
    candidates = [group[1] for group in groups] + [each for group in groups for each in group[2:]]
    found = []
    for group in groups:
        query, positive = group[0], group[1]
        positives = {int(texts[other[1]]) for other in groups if texts[other[0]] == texts[query]}
        row = []
        for candidate in candidates:
            repeats = int(texts[candidate]) in positives or texts[candidate] == texts[query]
            if candidate != positive and repeats and not keep_repeats:
                row.append(None)
            else:
                row.append(_cosine(embeddings[query], embeddings[candidate]) / temperature)
        found.append(row)
    return found


def _cross_entropy(row, own: int) -> float:
    kept = [value for value in row if value is not None]
    return math.log(sum(math.exp(value) for value in kept)) - row[own]


@given(samples(), st.booleans(), st.sampled_from([0.05, 0.5]))
def test_negatives_are_all_other_texts_of_the_update_but_repeats(drawn, keep_repeats, temperature):
    sizes, embeddings, texts = drawn
    rows = _logits_of_queries(sizes, embeddings, texts, temperature=temperature, keep_repeats=keep_repeats)
    expected = sum(_cross_entropy(row, own) for own, row in enumerate(rows)) / len(rows)
    objective = Objective(loss="negatives", temperature=temperature, keep_repeats=keep_repeats)
    assert float(embedding_loss(objective, embeddings, torch.tensor(sizes), texts)) == pytest.approx(expected)


@given(samples(), st.booleans())
def test_symmetric_finds_the_query_of_each_positive_too(drawn, keep_repeats):
    sizes, embeddings, texts = drawn
    rows = _logits_of_queries(sizes, embeddings, texts, temperature=0.1, keep_repeats=keep_repeats)
    there = sum(_cross_entropy(row, own) for own, row in enumerate(rows)) / len(rows)
    back = sum(_cross_entropy([row[own] for row in rows], own) for own in range(len(rows))) / len(rows)
    objective = Objective(loss="symmetric", temperature=0.1, keep_repeats=keep_repeats)
    found = float(embedding_loss(objective, embeddings, torch.tensor(sizes), texts))
    assert found == pytest.approx((there + back) / 2)


@given(st.integers(1, 6), st.integers(0, 1_000))
def test_cosine_is_the_squared_error_of_scores_divided_by_the_largest(pairs, seed):
    chance = np.random.default_rng(seed)
    embeddings = torch.from_numpy(chance.normal(size=(2 * pairs, _WIDTH)))
    scores = chance.uniform(0, 5, pairs)
    errors = [
        (_cosine(embeddings[2 * pair], embeddings[2 * pair + 1]) - score / 5) ** 2 for pair, score in enumerate(scores)
    ]
    objective = Objective(loss="cosine", largest_score=5.0)
    sizes, labels = torch.full((pairs,), 2), torch.from_numpy(np.repeat(scores, 2))
    assert float(embedding_loss(objective, embeddings, sizes, labels)) == pytest.approx(sum(errors) / pairs)


@given(samples(least=3))
def test_triplet_is_a_mean_over_negatives(drawn):
    sizes, embeddings, texts = drawn
    objective = Objective(loss="triplet", margin=1.0)
    losses = []
    for query, positive, *negatives in _ranges(sizes):
        near = float((embeddings[query] - embeddings[positive]).norm())
        losses += [max(near - float((embeddings[query] - embeddings[each]).norm()) + 1.0, 0.0) for each in negatives]
    found = float(embedding_loss(objective, embeddings, torch.tensor(sizes), texts))
    assert found == pytest.approx(sum(losses) / len(losses))
    assert terms_of(objective, torch.tensor(sizes)) == len(losses)


@given(samples())
def test_dimensions_add_the_losses_of_shortened_embeddings_of_length_one(drawn):
    sizes, embeddings, texts = drawn
    plain = Objective(loss="negatives")
    expected = sum(
        float(embedding_loss(plain, embeddings[:, :width], torch.tensor(sizes), texts)) for width in (_WIDTH, 4, 2)
    )
    objective = Objective(loss="negatives", sizes=(4, 2))
    assert float(embedding_loss(objective, embeddings, torch.tensor(sizes), texts)) == pytest.approx(expected)


@given(samples(least=1))
def test_binary_is_a_mean_over_candidates(drawn):
    sizes, embeddings, _texts = drawn
    logits = embeddings[:, 0]
    losses = []
    for group in _ranges(sizes):
        for rank, place in enumerate(group):
            share = 1 / (1 + math.exp(-float(logits[place])))
            losses.append(-math.log(share if rank == 0 else 1 - share))
    relevance = torch.cat([(torch.arange(size) == 0).double() for size in sizes])
    found = float(ranking_loss(Objective(loss="binary"), logits, torch.tensor(sizes), relevance))
    assert found == pytest.approx(sum(losses) / len(losses))
    assert terms_of(Objective(loss="binary"), torch.tensor(sizes)) == len(losses)


@given(samples(least=1))
def test_listwise_is_listnet_a_mean_over_queries(drawn):
    sizes, embeddings, _texts = drawn
    logits = embeddings[:, 0]
    losses = []
    for group in _ranges(sizes):
        wanted = torch.softmax(torch.tensor([1.0] + [0.0] * (len(group) - 1), dtype=torch.float64), 0)
        losses.append(float(-(wanted * torch.log_softmax(logits[list(group)], 0)).sum()))
    relevance = torch.cat([(torch.arange(size) == 0).double() for size in sizes])
    found = float(ranking_loss(Objective(loss="listwise"), logits, torch.tensor(sizes), relevance))
    assert found == pytest.approx(sum(losses) / len(losses))
