"""Gradients of embeddings by rows: the same updates as with autograd's dense ones, bit by bit."""

import copy

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, T5Config, T5ForConditionalGeneration

from tdbs.train import gradients as row_gradients
from tdbs.train.gradients import add_rows, clipped_update, dense_gradients, gradient_norm, keep_row_gradients

VOCABULARY = 5_000


def bert() -> torch.nn.Module:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return BertForSequenceClassification(config)


def train(model: torch.nn.Module, batches_of_steps, *, check=lambda: None) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0, fused=True)
    for batches in batches_of_steps:
        for ids_BL in batches:
            model(input_ids=ids_BL, labels=torch.zeros(len(ids_BL), dtype=torch.long)).loss.backward()
        with dense_gradients(model):
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            check()
            optimizer.step()
        optimizer.zero_grad()


def steps_of(count: int, *, micro_batches: int = 1) -> list[list[torch.Tensor]]:
    """Return batches of tokens that repeat (few ids) and of the padding id, whose row has no gradient."""
    draw = torch.Generator().manual_seed(1)
    return [[torch.randint(0, 40, (8, 6), generator=draw) for _ in range(micro_batches)] for _ in range(count)]


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_weights_are_those_of_dense_gradients(micro_batches):
    """Bit by bit; of several batches an update sums in another order, told apart in float64."""
    kind = torch.float32 if micro_batches == 1 else torch.float64
    dense, by_rows = bert().to(kind), bert().to(kind)
    keep_row_gradients(by_rows)
    assert by_rows.bert.embeddings.word_embeddings.sparse
    for model in (dense, by_rows):
        train(model, steps_of(6, micro_batches=micro_batches))
    for (name, one), other in zip(dense.named_parameters(), by_rows.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0 if micro_batches == 1 else 1e-9, msg=name)


def test_between_steps_the_kept_table_is_empty_and_nothing_of_it_is_saved():
    model = bert()
    names = list(model.state_dict())
    keep_row_gradients(model)
    table = model.bert.embeddings.word_embeddings
    seen = []

    def check() -> None:
        seen.append((table.weight.grad.is_sparse, bool(table.row_gradient.any())))

    train(model, steps_of(2), check=check)
    assert seen == [(False, True), (False, True)]
    assert not table.row_gradient.any()
    assert table.weight.grad is None
    assert list(model.state_dict()) == names


def test_rows_of_many_passes_are_added_up_and_not_kept_one_behind_another():
    model = bert()
    keep_row_gradients(model)
    table = model.bert.embeddings.word_embeddings
    for (ids_BL,) in steps_of(5):
        model(input_ids=ids_BL, labels=torch.zeros(len(ids_BL), dtype=torch.long)).loss.backward()
        add_rows(model)
        assert table.weight.grad is None
    with dense_gradients(model) as rows:
        assert set(rows[table.row_gradient].tolist()) == {
            int(word) for (ids_BL,) in steps_of(5) for word in ids_BL.flatten()
        } - {0}  # padding has no gradient
    assert not table.row_gradient.any()


def test_an_update_that_fails_leaves_the_table_empty():
    model = bert()
    keep_row_gradients(model)

    def fail() -> None:
        raise RuntimeError("no update")

    with pytest.raises(RuntimeError, match="no update"):
        train(model, steps_of(1), check=fail)
    assert not model.bert.embeddings.word_embeddings.row_gradient.any()


def test_small_and_frozen_tables_are_left_alone(monkeypatch):
    model = bert()
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    keep_row_gradients(model)
    assert not any(module.sparse for module in model.modules() if isinstance(module, torch.nn.Embedding))
    monkeypatch.setattr(row_gradients, "_LEAST_ROWS", VOCABULARY + 1)
    model = bert()
    keep_row_gradients(model)
    assert not model.bert.embeddings.word_embeddings.sparse


@pytest.mark.parametrize("tied", [True, False])
def test_an_encoder_decoder_whose_table_serves_twice(tied):
    """T5 reads one table in encoder and decoder, and as its output layer where weights are tied."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, dropout_rate=0.0,
        tie_word_embeddings=tied, decoder_start_token_id=0,
    )  # fmt: skip
    dense = T5ForConditionalGeneration(config)
    by_rows = copy.deepcopy(dense)
    keep_row_gradients(by_rows)
    ids_BL = torch.arange(1, 25).view(4, 6)
    for model in (dense, by_rows):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
        for _ in range(3):
            model(input_ids=ids_BL, labels=ids_BL).loss.backward()
            with dense_gradients(model):
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            optimizer.zero_grad()
    for (name, one), other in zip(dense.named_parameters(), by_rows.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6, msg=name)


@pytest.mark.parametrize("size", [1e-3, 1.0, 50.0])
def test_the_clipped_update_is_that_of_torch(size):
    """Gradients of small and of large norm; the norm by rows is that of the whole table."""
    models = [bert().double(), bert().double()]
    keep_row_gradients(models[1])
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0, fused=True) for model in models]
    for (ids_BL,) in steps_of(4):
        for model in models:
            loss = model(input_ids=ids_BL, labels=torch.zeros(len(ids_BL), dtype=torch.long)).loss
            (size * loss).backward()
        norm = torch.nn.utils.clip_grad_norm_(models[0].parameters(), 1.0)
        optimizers[0].step()
        with dense_gradients(models[1]) as rows:
            found = gradient_norm(models[1], rows)
            torch.testing.assert_close(found, norm, rtol=1e-8, atol=0)
            assert clipped_update(optimizers[1], found)
        for optimizer in optimizers:
            optimizer.zero_grad()
    for (name, one), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6, msg=name)  # moves of 1e-2; the scale is a float32


def test_a_norm_that_is_no_number_moves_nothing():
    model = bert()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    model(input_ids=torch.ones(2, 3, dtype=torch.long), labels=torch.zeros(2, dtype=torch.long)).loss.backward()
    model.classifier.weight.grad[0, 0] = float("nan")
    with dense_gradients(model) as rows:
        assert not clipped_update(optimizer, gradient_norm(model, rows))
    assert all(torch.equal(before[name], values) for name, values in model.state_dict().items())
