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
    DataCollatorWithFlattening,
    DebertaV2Config,
    FunnelConfig,
    Gemma2Config,
    GPT2Config,
)

from tdbs.errors import ModelError
from tdbs.model_families import SHARING_ROWS
from tdbs.train.batches import Batch
from tdbs.train.models.heads import HEADS
from tdbs.train.models.inputs import InputRules, model_inputs
from tdbs.train.rows.heads import body_on_rows
from tdbs.train.rows.models import knows_sequences, use_sequences
from tdbs.train.rows.sequences import sequences_of
from tdbs.train.step import forward
from tests.train.row_models import NAMES, VOCABULARY, family_name, random_model, row_config
from tests.train.rules import TYPED, UNTYPED

CPU = torch.device("cpu")
LENGTHS = (9, 2, 17, 5, 5, 31, 12, 3, 20, 1)
WIDTH = 40  # of a packed row
ROW_WITH_PADDING = "unpadded, as a plan has it"  # as wide as a multiple of 32
EVERY_DAY = {("eager", "packed"), ("sdpa", ROW_WITH_PADDING)}
KINDS = {
    "classification": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
}


def model_of(name: str, kind: str, kernel: str, *, in_rows: bool):
    """Return a model with the same random weights whatever its kernel."""
    config = row_config(name, **({"outputs": 2} if kind == "question_answering" else {}))
    if type(config) not in KINDS[kind]._model_mapping:
        pytest.skip(f"transformers has no {name} for this kind")
    model = random_model(KINDS[kind], config, kernel, in_rows=in_rows)
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
    typed = getattr(model.config, "type_vocab_size", 0) > 1
    return replace(TYPED if typed else UNTYPED, pad_id=model.config.pad_token_id)


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


def check_execution(name, kind, kernel, execution):
    pad = row_config(name).pad_token_id
    plain = model_of(name, kind, kernel, in_rows=False)
    expected, gradients = outcome(plain, batch_of("padded", pad), kind, as_transformers_has_it)
    found, own = outcome(model_of(name, kind, kernel, in_rows=True), batch_of(execution, pad), kind)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert own.keys() == gradients.keys()
    for parameter, gradient in gradients.items():
        rows = slice(None)
        if gradient.dim() == 2 and len(gradient) in (VOCABULARY, 64, 66):  # embeddings of tokens, or of positions
            rows = torch.arange(len(gradient)) != pad  # what stands at padding is seen by no one
        torch.testing.assert_close(own[parameter][rows], gradient[rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_unpadded_rows_compute_what_transformers_computes(name):
    """Each family: logits of each sample and gradients of the batch, with segment ids where it has them."""
    check_execution(name, "classification", "eager", ROW_WITH_PADDING)


@pytest.mark.parametrize(
    ("kernel", "execution"),
    [
        pytest.param(kernel, execution, marks=() if (kernel, execution) in EVERY_DAY else pytest.mark.slow)
        for kernel in ("eager", "sdpa")
        for execution in ("padded", "unpadded", "packed", ROW_WITH_PADDING)
    ],
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["roberta", "modernbert", "deberta-v2", "qwen2"])
def test_every_execution_of_four_kinds_of_models(name, kind, kernel, execution):
    """RoBERTa counts from 2, ModernBERT's window is short, DeBERTa's attention is its own, Qwen2 looks back only."""
    check_execution(name, kind, kernel, execution)


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["packed", ROW_WITH_PADDING])
@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_execution_of_each_family(name, kind, kernel, execution):
    check_execution(name, kind, kernel, execution)


def test_each_family_of_the_table_is_tried():
    assert {family_name(name) for name in NAMES} == set(SHARING_ROWS)
    assert len(SHARING_ROWS) >= 25


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_a_model_may_be_told_of_rows_twice(name):
    """As by the second dataset of a loop of one's own."""
    model = model_of(name, "classification", "eager", in_rows=True)
    batch = batch_of(ROW_WITH_PADDING, row_config(name).pad_token_id)
    once = outcome(model, batch, "classification")[0]
    use_sequences(model, model.config._attn_implementation)
    assert torch.equal(outcome(model, batch, "classification")[0], once)


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert", "mpnet", "llama"])
def test_padded_batches_go_on_as_before(name, kernel):
    """Evaluation pads: the same logits to the last bit."""
    batch = batch_of("padded", row_config(name).pad_token_id)
    found = [
        outcome(model_of(name, "classification", kernel, in_rows=in_rows), batch, "classification")[0]
        for in_rows in (False, True)
    ]
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("name", "wider"),
    [("modernbert", {"local_attention": 64}), ("mistral", {"sliding_window": 64}), ("gemma2", {"sliding_window": 64})],
)
def test_the_windows_matter_here(name, wider):
    """Else the tests above would not see a layer that forgets its window."""
    narrow = model_of(name, "classification", "eager", in_rows=False)
    config = row_config(name)
    wide = AutoModelForSequenceClassification.from_config(
        type(config)(**{**config.to_dict(), **wider}), attn_implementation="eager"
    ).float()
    wide.load_state_dict(narrow.state_dict())
    batch = batch_of("padded", 0)
    logits = [outcome(model, batch, "classification")[0] for model in (wide.train(), narrow)]
    assert (logits[0] - logits[1]).abs().max() > 1e-2


def test_a_pad_token_at_the_end_of_a_text_is_read_as_transformers_reads_it():
    """A decoder's head takes the last token that is not the pad token, wherever the text ends."""
    pad = row_config("llama").pad_token_id
    batches = [batch_of("padded", pad), batch_of(ROW_WITH_PADDING, pad)]
    ends = np.array([length - 1 for length in LENGTHS])
    batches[0].input_ids_RW[np.arange(3), ends[:3]] = pad
    batches[1].input_ids_RW[0, (batches[1].starts_B + ends)[:3]] = pad
    expected, found = (
        outcome(model_of("llama", "classification", "eager", in_rows=in_rows), batch, "classification", call)[0]
        for in_rows, batch, call in zip((False, True), batches, (as_transformers_has_it, as_tdbs_has_it), strict=True)
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        FunnelConfig(),
        BertConfig(is_decoder=True),
        DebertaV2Config(conv_kernel_size=3),
        GPT2Config(reorder_and_upcast_attn=True),
        Gemma2Config(use_bidirectional_attention=True),
    ],
    ids=["not in the table", "looks back", "convolution", "another attention", "another mask"],
)
def test_a_model_that_mixes_the_samples_of_a_row_is_refused(config):
    kind = config.model_type
    assert not knows_sequences(config)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
    with pytest.raises(ModelError) as refused:
        use_sequences(model, "eager")
    assert refused.value.message == f"Rows of several samples are not supported by this {kind}."
    assert refused.value.next_step == (
        "Pass --execution sorted, or padded; tdbs models lists what each model supports."
    )
    sequences = sequences_of(batch_of("unpadded", 0), device=CPU)
    if kind == "funnel":
        with pytest.raises(ValueError, match="does not say what the head of a funnel reads"):
            body_on_rows(model, sequences, {}).__enter__()


def test_the_flattening_collator_still_lets_samples_see_each_other():
    """The way to remove padding that transformers has: if this fails, the README's table has to be written anew."""
    tokens = [torch.from_numpy(each) for each in sample_tokens(0)]
    given = [{"input_ids": each, "labels": torch.tensor([0])} for each in tokens]
    for name in ("bert", "roberta", "modernbert"):
        model = model_of(name, "classification", "sdpa", in_rows=False)
        batch = DataCollatorWithFlattening()(given)
        with torch.no_grad():
            flat = model.base_model(input_ids=batch["input_ids"], position_ids=batch["position_ids"])
            alone = torch.cat([model.base_model(input_ids=each[None]).last_hidden_state[0] for each in tokens])
            logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits
        assert (flat.last_hidden_state[0] - alone).abs().max() > 0.1, name
        assert len(logits) == 1 < len(tokens)
