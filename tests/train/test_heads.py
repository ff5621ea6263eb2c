"""Losses are those of transformers' own models, and a batch's padding is no part of them."""

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from tdbs.data.tasks import TaskKind
from tdbs.train.batches import Batch
from tdbs.train.models.heads import HEADS
from tdbs.train.models.inputs import model_inputs
from tdbs.train.step import batch_loss, forward
from tdbs.train.targets import predicted_count
from tests.train.rules import TYPED, UNTYPED

IGNORED = -100
VOCABULARY, CLASSES = 40, 4
PAD = 0
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CPU = torch.device("cpu")
KINDS: dict[str, TaskKind] = {
    "classification": "classification",
    "regression": "regression",
    "several targets": "regression",
    "multi_label": "multi_label",
    "token_classification": "token_classification",
    "question_answering": "question_answering",
    "seq2seq": "seq2seq",
}


def model_of(name: str) -> PreTrainedModel:
    """Return a small model with random weights in fp32, without dropout."""
    torch.manual_seed(5)
    if name == "seq2seq":
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
        return T5ForConditionalGeneration(
            T5Config(vocab_size=VOCABULARY, pad_token_id=PAD, decoder_start_token_id=PAD, **sizes)
        ).eval()
    made = {
        "token_classification": BertForTokenClassification,
        "question_answering": BertForQuestionAnswering,
    }.get(name, BertForSequenceClassification)
    outputs = {"regression": 1, "several targets": 3, "question_answering": 2}.get(name, CLASSES)
    config = BertConfig(
        vocab_size=VOCABULARY,
        num_labels=outputs,
        problem_type=HEADS[KINDS[name]].problem_type,
        pad_token_id=PAD,
        **SMALL,
    )
    model = made(config).eval()
    for parameter in model.parameters():  # initial weights are so small that all losses look alike
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    return model


def samples_of(name: str, lengths, target_lengths, *, seed: int = 0) -> list[tuple[list[int], object]]:
    """Return token ids and labels of random samples."""
    chance = np.random.default_rng(seed)
    samples = []
    for length, target_length in zip(lengths, target_lengths, strict=True):
        ids = chance.integers(1, VOCABULARY, length).tolist()
        places = sorted(chance.integers(0, length, 2).tolist())
        words = chance.integers(0, CLASSES, length)
        words[chance.random(length) < 0.4] = IGNORED
        words[0] = 1  # at least one word
        label = {
            "classification": int(chance.integers(0, CLASSES)),
            "regression": float(chance.normal()),
            "several targets": chance.normal(size=3).tolist(),
            "multi_label": chance.integers(0, 2, CLASSES).tolist(),
            "token_classification": words.tolist(),
            "question_answering": places,
            "seq2seq": chance.integers(1, VOCABULARY, target_length).tolist(),
        }[name]
        samples.append((ids, label))
    return samples


def batch_of(name: str, samples, *, more: int = 0, segments=None) -> Batch:
    """Return the samples as a batch that is padded to its longest and `more`, targets too."""
    width = max(len(ids) for ids, _ in samples) + more
    labels = [label for _, label in samples]
    if name in ("token_classification", "seq2seq"):
        longest = width if name == "token_classification" else max(len(label) for label in labels) + more
        labels = [label + [IGNORED] * (longest - len(label)) for label in labels]
    kind = {"multi_label": np.float32, "regression": np.float64, "several targets": np.float64}.get(name, np.int64)
    return Batch(
        sample_ids_B=np.arange(len(samples)),
        input_ids_RW=np.array([ids + [PAD] * (width - len(ids)) for ids, _ in samples], dtype=np.int64),
        lengths_B=np.array([len(ids) for ids, _ in samples]),
        segment_starts_B=segments,
        labels=np.array(labels, dtype=kind),
    )


def ours(name: str, model, batch: Batch) -> torch.Tensor:
    logits = forward(model, batch, KINDS[name], TYPED, device=CPU)
    assert logits.dtype == torch.float32
    return batch_loss(KINDS[name], logits, batch)


def theirs(name: str, model, batch: Batch) -> torch.Tensor:
    labels = torch.from_numpy(batch.labels)
    if name == "question_answering":
        given = {"start_positions": labels[:, 0], "end_positions": labels[:, 1]}
    else:
        given = {"labels": labels.float() if labels.dtype == torch.float64 else labels}
    inputs = {"input_ids": torch.from_numpy(batch.input_ids_RW)}
    if batch.segment_starts_B is not None:
        width = batch.input_ids_RW.shape[1]
        starts = torch.from_numpy(batch.segment_starts_B)
        inputs["token_type_ids"] = (torch.arange(width) >= starts[:, None]).long()
    return model(**inputs, **given).loss


@pytest.mark.parametrize("name", KINDS)
def test_losses_of_batches_without_padding_are_those_of_transformers(name):
    """Loss and every gradient, in fp32."""
    samples = samples_of(name, [9] * 5, [6] * 5)
    found = []
    for loss_of in (ours, theirs):
        model = model_of(name)
        loss = loss_of(name, model, batch_of(name, samples))
        loss.backward()
        found.append((loss.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}))
    (loss, gradients), (their_loss, their_gradients) = found
    assert loss.item() > 0.1
    torch.testing.assert_close(loss, their_loss)
    assert gradients.keys() == their_gradients.keys()
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(gradient, their_gradients[parameter], rtol=1e-3, atol=1e-5)


def test_the_two_texts_of_a_pair_are_told_apart_as_transformers_does_it():
    samples = samples_of("classification", [9] * 4, [1] * 4)
    starts = np.array([3, 5, 8, 9])  # the last one's second text is empty
    model = model_of("classification")
    batch = batch_of("classification", samples, segments=starts)
    torch.testing.assert_close(ours("classification", model, batch), theirs("classification", model, batch))
    alone = batch_of("classification", samples)
    assert not torch.allclose(ours("classification", model, batch), ours("classification", model, alone))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("more", [0, 7])
def test_padding_changes_no_loss(name, more):
    """Samples together, padded to any width, cost what each costs alone, weighted by what it predicts."""
    lengths, target_lengths = [3, 11, 6, 1, 8], [4, 1, 9, 2, 2]
    samples = samples_of(name, lengths, target_lengths)
    model = model_of(name)
    together = ours(name, model, batch_of(name, samples, more=more))
    total, weights = 0.0, 0
    for sample in samples:
        alone = theirs(name, model, batch_of(name, [sample]))
        weight = 1
        if name in ("token_classification", "seq2seq"):  # a mean over words or target tokens, not over samples
            weight = sum(label != IGNORED for label in sample[1])
        total, weights = total + weight * float(alone.detach()), weights + weight
    assert float(together.detach()) == pytest.approx(total / weights, rel=1e-4)


def test_padding_is_no_place_for_an_answer():
    """Its logits are -inf, so that no probability goes there."""
    samples = samples_of("question_answering", [3, 7], [1, 1])
    logits = forward(
        model_of("question_answering"),
        batch_of("question_answering", samples, more=2),
        "question_answering",
        device=CPU,
        rules=UNTYPED,
    )
    assert logits.shape == (2, 9, 2)
    padding = [[column >= len(ids) for column in range(9)] for ids, _ in samples]
    assert torch.isinf(logits).all(dim=-1).tolist() == padding
    assert (logits[torch.tensor(padding)] < 0).all()


def test_what_is_written_for_one_sample_does_not_depend_on_padded_targets_of_others():
    """Logits at the tokens of a short target are the same beside a long one."""
    short, long = samples_of("seq2seq", [4, 9], [2, 8])
    model = model_of("seq2seq")
    alone = forward(model, batch_of("seq2seq", [short]), "seq2seq", UNTYPED, device=CPU)
    beside = forward(model, batch_of("seq2seq", [short, long]), "seq2seq", UNTYPED, device=CPU)
    assert (alone.shape, beside.shape) == ((1, 2, VOCABULARY), (2, 8, VOCABULARY))
    torch.testing.assert_close(alone[0], beside[0, :2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["token_classification", "seq2seq"])
def test_a_step_without_anything_to_predict_costs_nothing(name):
    """Every label ignored (rows of no words; empty targets): a loss of 0 with gradients of 0, not a nan."""
    ids = [5, 6, 7]
    batch = batch_of(name, [(ids, [IGNORED] * 3)] * 2)
    model = model_of(name)
    loss = ours(name, model, batch)
    loss.backward()
    assert loss.item() == 0.0
    assert all((p.grad == 0).all() for p in model.parameters() if p.grad is not None)


def test_the_mean_of_a_step_is_over_target_tokens():
    """By hand: a target of one token and one of three are four losses, all of one weight."""
    logits = torch.tensor([[[2.0, 0.0], [0.0, 9.0], [9.0, 0.0]], [[0.0, 1.0], [0.0, 0.0], [3.0, 0.0]]])
    labels = np.array([[0, IGNORED, IGNORED], [0, 1, 1]])
    batch = Batch(
        sample_ids_B=np.arange(2),
        input_ids_RW=np.ones((2, 1), dtype=np.int64),
        lengths_B=np.ones(2, dtype=np.int64),
        segment_starts_B=None,
        labels=labels,
    )
    expected = np.mean(np.log1p(np.exp([-2.0, 1.0, 0.0, 3.0])))
    for kind in ("token_classification", "seq2seq"):
        assert batch_loss(kind, logits, batch).item() == pytest.approx(expected)
    assert predicted_count("seq2seq", batch.labels) == 4


def test_segment_ids_are_given_to_models_that_tell_texts_apart_alone():
    """Padding counts as the first text."""
    batch = batch_of("classification", samples_of("classification", [4, 2], [1, 1]), segments=np.array([2, 1]))
    with_ids = model_inputs(batch, TYPED, device=CPU)
    assert with_ids["token_type_ids"].tolist() == [[0, 0, 1, 1], [0, 1, 0, 0]]
    assert with_ids["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert set(model_inputs(batch, UNTYPED, device=CPU)) == {"input_ids", "attention_mask"}
