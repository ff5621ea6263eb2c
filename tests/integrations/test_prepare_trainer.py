"""Trainers as users make them, prepared in one line: the updates, metrics and checkpoints of the Trainer as it was."""

import copy
import json
import random

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorForTokenClassification,
    Trainer,
    default_data_collator,
)

from tdbs.integrations.forward_in_rows import run_in_rows
from tdbs.integrations.transformers import prepare_trainer
from tests.integrations.trainers import LONGEST, STEPS, model_of, token_case, trainer_of, with_labels_of_tokens
from tests.train.test_processes import run

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


def outcome(trainer):
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    weights = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    return losses, rates, weights


def check_same(prepared, untouched):
    """Losses within 1e-4, weights within 1e-5; keys' biases have no gradient but rounding."""
    assert len(untouched[0]) > 1
    assert prepared[0] == pytest.approx(untouched[0], rel=1e-4)
    assert prepared[1] == untouched[1]
    assert untouched[2].keys() == prepared[2].keys()
    for name, value in untouched[2].items():
        if not name.endswith(("key.bias", "key_proj.bias")):
            torch.testing.assert_close(prepared[2][name], value, rtol=0, atol=1e-5, msg=name)


class Weighted(Trainer):
    """A Trainer with a loss of its own."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = torch.nn.functional.cross_entropy(outputs.logits, labels, weight=torch.tensor([1.0, 3.0]))
        return (loss, outputs) if return_outputs else loss


ARGUMENTS = {
    "as it is": {},
    "batch size and accumulation": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 3},
    "epochs, the last batch smaller": {"max_steps": -1, "num_train_epochs": 1.5, "per_device_train_batch_size": 20},
    "the last batch left out": {"max_steps": -1, "num_train_epochs": 2, "per_device_train_batch_size": 20}
    | {"dataloader_drop_last": True},
    "schedule, warm-up, decay, clipping": {"lr_scheduler_type": "cosine", "warmup_steps": 3, "weight_decay": 0.1}
    | {"max_grad_norm": 0.1},
    "label smoothing": {"label_smoothing_factor": 0.1},
    "groups by length": {"train_sampling_strategy": "group_by_length"},
    "a seed of its own for data": {"data_seed": 7},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "counted tokens": {"include_num_input_tokens_seen": "non_padding"},
}


@pytest.mark.parametrize("named", ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_arguments_are_kept(pairs, tmp_path, named):
    untouched = trainer_of(pairs, tmp_path / "untouched", **named)
    expected = outcome(untouched)
    prepared = prepare_trainer(trainer_of(pairs, tmp_path / "prepared", **named))
    check_same(outcome(prepared), expected)
    assert prepared.state.num_input_tokens_seen == untouched.state.num_input_tokens_seen


CASES = {
    "a loss of its own": lambda: {"kind": Weighted},
    "a loss function": lambda: {
        "parts": {
            "compute_loss_func": lambda outputs, labels, num_items_in_batch: (
                torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch
            )
        }
    },
    "a number": lambda: {"model": model_of(outputs=1)},
    "tokens": token_case,
    "tokens, accumulated": lambda: {**token_case(), "gradient_accumulation_steps": 2},
    "tokens, smoothed": lambda: {**token_case(), "label_smoothing_factor": 0.1},
    "a tuple": lambda: {"model": model_of(return_dict=False)},
    "a tuple, tokens": lambda: {**token_case(), "model": model_of(of_tokens=True, outputs=3, return_dict=False)},
    "a tuple, tokens, smoothed": lambda: {
        **token_case(),
        "model": model_of(of_tokens=True, outputs=3, return_dict=False),
        "label_smoothing_factor": 0.1,
    },
    **{
        name: (lambda name=name: {"model": model_of(name)}) for name in ("roberta", "deberta-v2", "modernbert", "llama")
    },
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_losses_heads_and_models_are_kept(pairs, tmp_path, case):
    expected = outcome(trainer_of(data_of(pairs, **case()), tmp_path / "untouched", **case()))
    prepared = prepare_trainer(trainer_of(data_of(pairs, **case()), tmp_path / "prepared", **case()))
    check_same(outcome(prepared), expected)


def data_of(pairs, *, model=None, collator=None, **_):
    """Return the samples as a model and a collator take them."""
    data = with_labels_of_tokens(pairs) if isinstance(collator, DataCollatorForTokenClassification) else pairs
    if model is not None and model.config.num_labels == 1:
        data = [row | {"label": float(row["label"])} for row in data]
    return data


class Shortened(torch.utils.data.Dataset):
    """Samples that lose some words at random each time they are read."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        lost = 1 + random.randrange(3) + int(np.random.randint(3)) + int(torch.randint(3, ()))  # noqa: S311  (no secret)
        return {name: value if isinstance(value, int) else value[:-lost] for name, value in self.rows[number].items()}


@pytest.mark.parametrize(
    "kind", ["a list", "an iterable", "rows of one length", "shortened at random", "one without tokens"]
)
def test_datasets_are_kept(pairs, tmp_path, kind):
    found = []
    for prepare in (lambda trainer: trainer, prepare_trainer):
        trainer = trainer_of(pairs, tmp_path / kind)
        if kind == "a list":
            trainer.train_dataset = pairs
        elif kind == "an iterable":
            trainer.train_dataset = Dataset.from_list(pairs).to_iterable_dataset()
        elif kind == "shortened at random":
            trainer.train_dataset = Shortened(pairs)
        elif kind == "one without tokens":
            nothing = {"input_ids": [], "token_type_ids": [], "attention_mask": []}
            trainer.train_dataset = [row | nothing if number % 20 == 9 else row for number, row in enumerate(pairs)]
        else:  # padded by the tokenizer, as many scripts have it
            trainer.data_collator = default_data_collator
            trainer.train_dataset = [
                {
                    name: value if isinstance(value, int) else value + [0] * (LONGEST - len(value))
                    for name, value in row.items()
                }
                for row in pairs
            ]
        found.append(outcome(prepare(trainer)))
    check_same(found[1], found[0])


def test_linear_layers_see_no_padding(pairs, tmp_path):
    trainer = prepare_trainer(trainer_of(pairs, tmp_path))
    seen = []
    trainer.model.bert.embeddings.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape[:2]))
    trainer.train()
    assert len(seen) == STEPS
    assert {rows for rows, _ in seen} == {1}
    loader = trainer.get_train_dataloader()
    tokens = [int(batch["attention_mask"].sum()) for batch in loader][:STEPS]
    assert [width for _, width in seen] == [-(-count // 32) * 32 for count in tokens]


def metrics_of(evaluated):
    answers = evaluated.predictions.argmax(axis=-1)
    return {"accuracy": float((answers == evaluated.label_ids).mean())}


def test_evaluation_and_prediction_are_kept(pairs, tmp_path):
    held_out = {"one": Dataset.from_list(pairs[64:]), "two": Dataset.from_list(pairs[:30])}
    found = []
    for prepare in (lambda trainer: trainer, prepare_trainer):
        trainer = trainer_of(pairs, tmp_path, parts={"compute_metrics": metrics_of}, per_device_eval_batch_size=5)
        trainer = prepare(trainer)
        trainer.eval_dataset = held_out
        metrics = trainer.evaluate()
        assert {"eval_one_accuracy", "eval_two_accuracy", "eval_one_loss"} <= metrics.keys()
        found.append((metrics, trainer.predict(held_out["two"]).predictions))
    for name, value in found[0][0].items():
        if name.endswith(("accuracy", "loss")):
            assert found[1][0][name] == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-6)


def test_logits_of_tokens_are_in_their_places(pairs, tmp_path):
    data = with_labels_of_tokens(pairs)
    untouched, prepared = (trainer_of(data, tmp_path, **token_case()) for _ in range(2))
    prepare_trainer(prepared)
    expected, found = (trainer.predict(trainer.eval_dataset) for trainer in (untouched, prepared))
    labelled = expected.label_ids != -100
    np.testing.assert_allclose(found.predictions[labelled], expected.predictions[labelled], atol=1e-6)
    assert np.array_equal(found.label_ids, expected.label_ids)


def test_it_resumes_from_a_checkpoint_which_is_the_trainers_own(pairs, tmp_path):
    options = {"save_strategy": "steps", "save_steps": 3}
    whole = prepare_trainer(trainer_of(pairs, tmp_path / "whole", model=model_of(dropout=0.1), **options))
    whole.train()
    again = prepare_trainer(trainer_of(pairs, tmp_path / "again", model=model_of(dropout=0.1)))
    again.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-3"))
    assert again.state.global_step == whole.state.global_step == STEPS
    for name, value in whole.model.named_parameters():
        assert torch.equal(value, dict(again.model.named_parameters())[name]), name
    untouched = trainer_of(pairs, tmp_path / "untouched", model=model_of(dropout=0.1), **options)
    untouched.train()
    saved = [tmp_path / f"{name}/checkpoint-3" for name in ("whole", "untouched")]
    assert json.loads((saved[0] / "config.json").read_text()) == json.loads((saved[1] / "config.json").read_text())
    assert sorted(path.name for path in saved[0].iterdir()) == sorted(path.name for path in saved[1].iterdir())
    opened = AutoModelForSequenceClassification.from_pretrained(saved[0])
    assert opened.config._attn_implementation == "sdpa"


def test_each_model_of_model_init_is_prepared(pairs, tmp_path):
    trainer, untouched = (trainer_of(pairs, tmp_path, parts={"model_init": lambda: model_of("bert")}) for _ in range(2))
    expected = outcome(untouched)
    check_same(outcome(prepare_trainer(trainer)), expected)
    made = trainer.call_model_init()
    forward = made.forward
    assert run_in_rows(made).forward == forward


def test_models_of_16_bits_are_prepared(pairs, tmp_path):
    """A cell of a notebook that is run again: accelerate has put its autocast around the model by then."""
    model = model_of("llama", hidden_size=64, num_hidden_layers=12)
    for _ in range(2):
        trainer = prepare_trainer(trainer_of(pairs, tmp_path, model=model, bf16=True))
        trainer.train()
        trainer.evaluate()
        prepare_trainer(trainer)
    prepare_trainer(trainer_of(pairs, tmp_path, model=model_of("llama", num_hidden_layers=12).to(torch.bfloat16)))


def test_without_samples_the_trainer_says_so(pairs, tmp_path):
    trainer = trainer_of(pairs, tmp_path)
    trainer.train_dataset = trainer.train_dataset.select([])
    with pytest.raises(ValueError, match="num_samples"):
        prepare_trainer(trainer).train()


def test_a_copy_of_the_model_calls_the_copy(pairs, tmp_path):
    trainer = prepare_trainer(trainer_of(pairs, tmp_path))
    copied = copy.deepcopy(trainer.model)
    torch.nn.init.zeros_(copied.classifier.weight)
    batch = next(iter(trainer.get_eval_dataloader()))
    with torch.no_grad():
        assert float(copied(**batch).logits.abs().max()) == 0
        assert float(trainer.model(**batch).logits.abs().max()) > 0


def test_adapters_are_trained(pairs, tmp_path):
    from peft import LoraConfig, get_peft_model

    found = []
    for prepare in (lambda trainer: trainer, prepare_trainer):
        torch.manual_seed(0)
        adapters = LoraConfig(task_type="SEQ_CLS", r=2, target_modules="all-linear")
        found.append(outcome(prepare(trainer_of(pairs, tmp_path, model=get_peft_model(model_of(), adapters)))))
    check_same(found[1], found[0])


@pytest.mark.slow
def test_two_processes_are_kept(pairs, tmp_path):
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    for name in ("untouched", "prepared"):
        run(2, "-m", "tests.integrations.trainer_run", tmp_path / "pairs.json", tmp_path / name, name)
    found, expected = (load_file(tmp_path / f"{name}.safetensors") for name in ("prepared", "untouched"))
    for key, value in expected.items():
        if not key.endswith("key.bias"):
            torch.testing.assert_close(found[key], value, rtol=0, atol=1e-5, msg=key)
    losses = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("prepared", "untouched")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
