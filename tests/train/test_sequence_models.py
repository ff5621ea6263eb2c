"""Packed and unpadded rows give samples the logits, and batches the gradients, that padding gives (fp32, 1e-4)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from tdbs.errors import ModelError
from tdbs.model_families import FAMILIES, SHARING_ROWS
from tdbs.train.batches import Batch
from tdbs.train.models.heads import HEADS
from tdbs.train.models.inputs import InputRules, model_inputs
from tdbs.train.rows.models import first_tokens_to_head, use_sequences
from tdbs.train.rows.sequences import sequences_of
from tdbs.train.step import forward
from tests.train.rules import TYPED, UNTYPED

CPU = torch.device("cpu")
VOCABULARY, OUTPUTS = 50, 3
LENGTHS = (9, 2, 17, 5, 5, 31, 12, 3, 20, 1)
WIDTH = 40  # of a packed row
ROW_WITH_PADDING = "unpadded, as a plan has it"  # as wide as a multiple of 32
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "num_labels": 3}
BERT_LIKE = {**SIZES, "intermediate_size": 32, "max_position_embeddings": 64, "hidden_dropout_prob": 0.0,
             "attention_probs_dropout_prob": 0.0}  # fmt: skip
MODERN = {
    **SIZES,
    "intermediate_size": 32,
    "pad_token_id": 0,
    "cls_token_id": 1,
    "sep_token_id": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "local_attention": 8,  # a window of 4 tokens to each side: shorter than most samples
    "global_attn_every_n_layers": 3,
}
MODELS = {
    "bert": BertConfig(pad_token_id=0, **BERT_LIKE),
    "roberta": RobertaConfig(pad_token_id=1, **BERT_LIKE),
    "xlm-roberta": XLMRobertaConfig(pad_token_id=1, **BERT_LIKE),
    "camembert": CamembertConfig(pad_token_id=1, **BERT_LIKE),
    "electra": ElectraConfig(pad_token_id=0, embedding_size=8, **BERT_LIKE),
    "modernbert": ModernBertConfig(classifier_pooling="cls", **MODERN),
    "modernbert, mean": ModernBertConfig(classifier_pooling="mean", **MODERN),
}
KINDS = {
    "classification": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
}


def model_of(name: str, kind: str, kernel: str, *, in_rows: bool):
    """Return a model with the same random weights whatever its kernel."""
    torch.manual_seed(3)
    config = MODELS[name]
    config.num_labels = 2 if kind == "question_answering" else OUTPUTS
    model = KINDS[kind].from_config(config, attn_implementation=kernel).float()
    with torch.no_grad():
        for parameter in model.parameters():  # initial weights are so small that all logits look alike
            parameter.add_(torch.randn_like(parameter) * 0.2)
    if in_rows:
        use_sequences(model, kernel)
    return model.train()  # dropout is 0: what trains is what is compared


def sample_tokens(pad: int) -> list[np.ndarray]:
    chance = np.random.default_rng(0)
    return [chance.integers(3, VOCABULARY, length) for length in LENGTHS]


def batch_of(execution: str, pad: int) -> Batch:
    """Lay the samples out by hand: a row each, rows filled up in order, or one row."""
    samples = sample_tokens(pad)
    common = {
        "sample_ids_B": np.arange(len(samples)),
        "lengths_B": np.array(LENGTHS),
        "segment_starts_B": np.array([length // 2 for length in LENGTHS]),
        "labels": None,
    }
    if execution == "padded":
        rows = np.full((len(samples), max(LENGTHS)), pad)
        for row, tokens in zip(rows, samples, strict=True):
            row[: len(tokens)] = tokens
        return Batch(input_ids_RW=rows, **common)
    rows, starts = [[]], []
    for tokens in samples:
        if execution == "packed" and len(rows[-1]) + len(tokens) > WIDTH:
            rows.append([])
        starts.append((len(rows) - 1) * WIDTH + len(rows[-1]))
        rows[-1] += tokens.tolist()
    if execution == "packed":
        assert len(rows) > 2
        rows = [row + [pad] * (WIDTH - len(row)) for row in rows]
    if execution == ROW_WITH_PADDING:
        execution, rows = "unpadded", [rows[0] + [pad] * (128 - len(rows[0]))]
    return Batch(input_ids_RW=np.array(rows), execution=execution, starts_B=np.array(starts), **common)


def rules_of(model) -> InputRules:
    return replace(
        TYPED if model.config.model_type in ("bert", "electra") else UNTYPED, pad_id=model.config.pad_token_id
    )


def as_transformers_has_it(model, batch: Batch, kind: str) -> torch.Tensor:
    """Return the logits of a padded batch by a plain call of the model."""
    out = model(**model_inputs(batch, rules_of(model), device=CPU))
    return HEADS[kind].logits(out)


def as_tdbs_has_it(model, batch: Batch, kind: str) -> torch.Tensor:
    return forward(model, batch, kind, rules_of(model), device=CPU)


def outcome(model, batch: Batch, kind: str, call=as_tdbs_has_it) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return logits, and the gradients of a loss summed over the samples' logits at their tokens."""
    logits = call(model, batch, kind)
    chance = torch.Generator().manual_seed(1)
    if kind == "classification":
        weights = torch.randn(logits.shape, generator=chance)
        loss = (logits * weights).sum()
    else:
        real = torch.arange(logits.shape[1]) < torch.from_numpy(batch.lengths_B)[:, None]
        weights = torch.randn(logits.shape, generator=chance)
        loss = (logits[real] * weights[real]).sum()
        logits = logits[real]
    loss.backward()
    return logits.detach(), {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("execution", ["padded", "packed", "unpadded", ROW_WITH_PADDING])
@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in MODELS for kind in KINDS if "mean" not in name or kind == "classification"],
)
def test_every_execution_computes_what_transformers_computes(name, kind, kernel, execution):
    """Logits of each sample and gradients of the batch; RoBERTa counts from 2, ModernBERT's window is short."""
    pad = MODELS[name].pad_token_id
    plain = model_of(name, kind, kernel, in_rows=False)
    expected, gradients = outcome(plain, batch_of("padded", pad), kind, as_transformers_has_it)
    found, own = outcome(model_of(name, kind, kernel, in_rows=execution != "padded"), batch_of(execution, pad), kind)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert own.keys() == gradients.keys()
    for parameter, gradient in gradients.items():
        if parameter.endswith("position_embeddings.weight") or parameter.endswith("word_embeddings.weight"):
            rows = torch.arange(len(gradient)) != pad  # what stands at padding is seen by no one
            torch.testing.assert_close(own[parameter][rows], gradient[rows], rtol=1e-4, atol=1e-4)
        else:
            torch.testing.assert_close(own[parameter], gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert"])
def test_padded_batches_go_on_as_before(name, kernel):
    """Evaluation pads: the same logits to the last bit."""
    batch = batch_of("padded", MODELS[name].pad_token_id)
    found = [
        outcome(model_of(name, "classification", kernel, in_rows=in_rows), batch, "classification")[0]
        for in_rows in (False, True)
    ]
    assert torch.equal(*found)


def test_the_window_of_modernbert_matters_here():
    """Else the test above would not see a layer that forgets it."""
    config = ModernBertConfig(**{**MODERN, "local_attention": 64})
    torch.manual_seed(3)
    wide = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").float()
    narrow = model_of("modernbert", "classification", "eager", in_rows=False)
    wide.load_state_dict(narrow.state_dict())
    batch = batch_of("padded", 0)
    logits = [outcome(model, batch, "classification")[0] for model in (wide.train(), narrow)]
    assert (logits[0] - logits[1]).abs().max() > 1e-2


def test_a_model_that_is_not_known_is_refused():
    model = AutoModelForSequenceClassification.from_config(
        DistilBertConfig(vocab_size=VOCABULARY, dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    )
    with pytest.raises(ModelError) as refused:
        use_sequences(model, "eager")
    assert refused.value.message == (
        "Rows of several samples support bert, electra, roberta, xlm-roberta, camembert, modernbert; this "
        "model is a distilbert."
    )
    assert refused.value.next_step == "Pass --execution padded."


@pytest.mark.parametrize("name", SHARING_ROWS)
def test_the_head_of_a_family_that_shares_rows_is_known_by_one_fact(name):
    assert FAMILIES[name].ends_on_first_tokens != FAMILIES[name].pools_final_norm


def test_the_head_of_another_family_is_not_taken_for_one_that_is_known():
    model = AutoModelForSequenceClassification.from_config(
        DistilBertConfig(vocab_size=VOCABULARY, dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    )
    sequences = sequences_of(batch_of("unpadded", 0), device=CPU)
    with pytest.raises(ValueError, match="does not say what the head of a distilbert reads"):
        first_tokens_to_head(model, sequences).__enter__()
