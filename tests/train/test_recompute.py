"""Layers that compute their activations again in the backward pass have the gradients of layers that store them."""

import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    T5Config,
    T5ForConditionalGeneration,
)

from tdbs.errors import ModelError
from tdbs.train.models.part import TrainablePart, train_part
from tdbs.train.models.recompute import recompute_activations
from tests.train.row_models import DECODER, row_config
from tests.train.test_part import a_bert
from tests.train.test_sequence_models import batch_of, model_of, outcome

DROPOUT = 0.1


def with_dropout(model, rate: float):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = rate
        elif hasattr(module, "attention_dropout"):
            module.attention_dropout = rate
    return model


def gradients_of(name: str, kind: str, kernel: str, execution: str, *, dropout: float, again: bool):
    model = with_dropout(model_of(name, kind, kernel, in_rows=execution != "padded"), dropout)
    if again:
        recompute_activations(model, name)
    torch.manual_seed(7)  # as the loop does before each step
    return outcome(model, batch_of(execution, row_config(name).pad_token_id), kind)


@pytest.mark.parametrize("dropout", [pytest.param(0.0, marks=pytest.mark.slow), DROPOUT])
@pytest.mark.parametrize("execution", ["padded", "packed", "unpadded"])
@pytest.mark.parametrize("kernel", ["eager", pytest.param("sdpa", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["classification", pytest.param("token_classification", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert", "deberta-v2", "qwen2"])
def test_gradients_are_those_of_stored_activations(name, kind, kernel, execution, dropout):
    """With dropout too: its masks are drawn again as they were."""
    logits, gradients = gradients_of(name, kind, kernel, execution, dropout=dropout, again=False)
    found, own = gradients_of(name, kind, kernel, execution, dropout=dropout, again=True)
    torch.testing.assert_close(found, logits, rtol=1e-6, atol=1e-6)
    assert own.keys() == gradients.keys()
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(own[parameter], gradient, rtol=1e-6, atol=1e-6)


def test_dropout_matters_here():
    """Else the test above would not see a mask that is drawn another time."""
    without, with_masks = (
        gradients_of("bert", "classification", "eager", "padded", dropout=rate, again=True)[0]
        for rate in (0.0, DROPOUT)
    )
    assert (without - with_masks).abs().max() > 1e-2


@pytest.mark.parametrize("dropout", [0.0, DROPOUT])
def test_a_decoder_on_padded_rows(dropout):
    config = LlamaConfig(**DECODER, attention_dropout=dropout)
    batch = batch_of("padded", 0)
    mask = torch.arange(batch.input_ids_RW.shape[1]) < torch.from_numpy(batch.lengths_B)[:, None]
    inputs = {"input_ids": torch.from_numpy(batch.input_ids_RW), "attention_mask": mask.long()}
    same_gradients(lambda: AutoModelForSequenceClassification.from_config(config), inputs)


@pytest.mark.parametrize("dropout", [0.0, DROPOUT])
def test_an_encoder_decoder(dropout):
    config = T5Config(
        vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=3, num_heads=2, dropout_rate=dropout,
        decoder_start_token_id=0,
    )  # fmt: skip
    batch = batch_of("padded", 0)
    inputs = {"input_ids": torch.from_numpy(batch.input_ids_RW), "labels": torch.arange(1, 51).view(10, 5) % 50}
    same_gradients(lambda: T5ForConditionalGeneration(config), inputs)


def same_gradients(make, inputs) -> None:
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        model = make().train()
        if again:
            recompute_activations(model, "made")
        torch.manual_seed(7)
        model(**inputs).logits.square().mean().backward()
        found.append({name: value.grad for name, value in model.named_parameters() if value.grad is not None})
    assert found[0].keys() == found[1].keys()
    for parameter, gradient in found[0].items():
        torch.testing.assert_close(found[1][parameter], gradient, rtol=1e-6, atol=1e-6)


def saved_bytes(model, inputs) -> int:
    """Return the bytes that a forward pass stores for the backward pass, weights aside."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    stored: dict[int, int] = {}

    def count(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            stored[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        model(**inputs)
    return sum(stored.values())


def test_less_is_stored():
    torch.manual_seed(0)
    config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=8, num_attention_heads=2, intermediate_size=64)
    inputs = {"input_ids": torch.randint(1, 50, (8, 64))}
    model = BertForSequenceClassification(config).train()
    plain = saved_bytes(model, inputs)
    recompute_activations(model, "made")
    assert saved_bytes(model, inputs) < plain / 3


def test_frozen_layers_store_nothing():
    """transformers lets the embeddings ask for gradients with checkpoints; then frozen layers would run backward."""
    model = a_bert().train()
    train_part(model, TrainablePart(freeze_layers=2), "classification", dropout=0.0)
    recompute_activations(model, "made")
    seen = []
    model.bert.encoder.layer[1].register_forward_hook(lambda _module, _inputs, out: seen.append(out.requires_grad))
    model(torch.ones(1, 3, dtype=torch.long))
    assert seen == [False]


def test_a_model_without_layers_to_recompute_is_refused():
    config = AlbertConfig(vocab_size=50, embedding_size=8, hidden_size=16, num_attention_heads=2, intermediate_size=32)
    model = AutoModelForSequenceClassification.from_config(config)
    with pytest.raises(ModelError) as refused:
        recompute_activations(model, "albert-base-v2")
    assert refused.value.message == (
        "--checkpoint-activations cannot be used with albert-base-v2: transformers does not recompute layers of type "
        "albert."
    )
    assert refused.value.next_step == "Leave --checkpoint-activations out, or pass another --model."
