"""transformers' Trainer on prepared datasets: the plan's batches and rates, resumed exactly, and six changed lines."""

import difflib
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification, DataCollatorWithPadding, TrainingArguments

from tdbs.analysis.speedup import plan_dataset
from tdbs.errors import ConfigError
from tdbs.integrations.steps import run_steps_of
from tdbs.integrations.transformers import PreparedTrainer, prepared_split
from tdbs.pipeline.dataset import load
from tdbs.train.planning.rates import learning_rates
from tdbs.train.planning.strategies import resolve_strategy
from tests.cli.conftest import run_command

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def model_of(dropout: float = 0.0) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        **SIZES, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, attn_implementation="eager"
    )
    return BertForSequenceClassification(config)


def trainer_of(mrpc, out, *, strategy="reach", dropout=0.0, model=None, **named) -> PreparedTrainer:
    options = {"num_train_epochs": 2, "learning_rate": 1e-3, "logging_steps": 1, "seed": 4, "save_strategy": "no"}
    options |= {"per_device_train_batch_size": 64}
    options |= {"report_to": [], "disable_tqdm": True, "use_cpu": True} | named
    return PreparedTrainer(
        model=model or model_of(dropout),
        args=TrainingArguments(str(out), **options),
        prepared=mrpc,
        strategy=strategy,
        eval_dataset=prepared_split(mrpc, "validation", model=model_of()),
        data_collator=DataCollatorWithPadding(hub_tokenizer(mrpc)),
    )


def hub_tokenizer(mrpc):
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(mrpc / "tokenizer.json"), pad_token="[PAD]")  # noqa: S106  (no password)


def weights(trainer) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


@pytest.mark.parametrize(
    "strategy",
    [
        *("reach", "sorted", "packed"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("tdbs_paper", "unpadded", "batch_rebalance")),
    ],
)
def test_steps_and_logged_rates_are_the_plans(mrpc, tmp_path, strategy):
    """Rates as `tdbs plan` has them in its column; every step is logged once."""
    trainer = trainer_of(mrpc, tmp_path, strategy=strategy)
    trainer.train()
    out = tmp_path / "plan.parquet"
    run_command("plan", mrpc, "--strategy", strategy, "--epochs", 2, "--seed", 4, "--lr", 1e-3, "--out", out)
    table = pq.read_table(out)
    rates = dict(zip(table["step"].to_pylist(), table["lr"].to_pylist(), strict=True))
    logged = {
        entry["step"] - 1: entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry
    }
    assert logged == pytest.approx(rates)
    assert trainer.state.global_step == len(rates)


def test_the_model_sees_the_batches_of_the_plan(mrpc, tmp_path, monkeypatch):
    trainer = trainer_of(mrpc, tmp_path, strategy="reach")
    seen = []
    real = trainer.compute_loss

    def compute_loss(model, inputs, *arguments, **named):
        seen.append(tuple(inputs["input_ids"].shape))
        return real(model, inputs, *arguments, **named)

    monkeypatch.setattr(trainer, "compute_loss", compute_loss)
    trainer.train()
    strategy = resolve_strategy("reach", trainer.steps.dataset.manifest.task)
    plans = plan_dataset(trainer.steps.dataset, strategy, seed=4, epochs=2)
    planned = [
        shape
        for plan in plans
        for shape in zip(plan.batch_sizes_B.tolist(), plan.padded_lengths_B.tolist(), strict=True)
    ]
    assert seen == planned


@pytest.mark.parametrize("other", ["unpadded", pytest.param("sorted", marks=pytest.mark.slow)])
def test_random_batches_train_as_padded_ones(mrpc, tmp_path, other):
    """The same random batches, padded, and in one row or several calls, without dropout."""
    found = []
    for strategy in ("random", other):
        trainer = trainer_of(mrpc, tmp_path / strategy, strategy=strategy)
        trainer.train()
        found.append((weights(trainer), trainer.evaluate()["eval_loss"]))
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-3)
    for name, padded in found[0][0].items():
        if not name.endswith("key.bias"):  # its gradient is nothing but rounding
            torch.testing.assert_close(found[1][0][name], padded, rtol=1e-3, atol=2e-4, msg=name)


@pytest.mark.parametrize("strategy", ["reach", pytest.param("unpadded", marks=pytest.mark.slow)])
def test_it_resumes_from_a_checkpoint(mrpc, tmp_path, strategy):
    """In the middle of the second epoch, with dropout: the same weights bit by bit."""
    whole = trainer_of(mrpc, tmp_path / "run", strategy=strategy, dropout=0.1, save_strategy="steps", save_steps=10)
    whole.train()
    again = trainer_of(mrpc, tmp_path / "again", strategy=strategy, dropout=0.1)
    again.train(resume_from_checkpoint=str(tmp_path / "run/checkpoint-10"))
    assert again.state.global_step == whole.state.global_step > 10
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(again)[name]), name


def test_epochs_are_evaluated_and_the_users_arguments_stay(mrpc, tmp_path):
    trainer = trainer_of(mrpc, tmp_path, eval_strategy="epoch")
    trainer.train()
    assert len([entry for entry in trainer.state.log_history if "eval_loss" in entry]) == 2
    args = TrainingArguments(str(tmp_path), num_train_epochs=2, report_to=[], use_cpu=True)
    for _ in range(2):
        PreparedTrainer(model=model_of(), args=args, prepared=mrpc)
    assert args.max_steps == -1


def test_batches_from_any_step_are_those_of_the_run(mrpc):
    steps = run_steps_of(mrpc, strategy="tdbs_paper", seed=1, epochs=3)
    whole = [[batch.sample_ids_B.tolist() for batch in update] for update in steps.steps_from(0)]
    assert len(whole) == len(steps) == steps.ends_E[-1]
    for first in (1, int(steps.ends_E[0]), int(steps.ends_E[0]) + 1, len(steps) - 1, len(steps)):
        found = [[batch.sample_ids_B.tolist() for batch in update] for update in steps.steps_from(first)]
        assert found == whole[first:]
    rates = learning_rates(steps.feed.plans, steps.strategy, base_lr=1.0, warmup=0.06)
    np.testing.assert_array_equal(steps.factors_S, rates)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps"),
        ({"max_steps": 5}, "max_steps"),
        ({"num_train_epochs": 1.5}, "a part of an epoch"),
        ({"dataloader_num_workers": 1}, "dataloader_num_workers"),
        ({"lr_scheduler_type": "cosine"}, "the schedule cosine"),
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor"),
        ({"neftune_noise_alpha": 5.0}, "neftune_noise_alpha"),
        ({"train_sampling_strategy": "group_by_length"}, "train_sampling_strategy"),
        ({"dataloader_drop_last": True}, "dataloader_drop_last"),
        ({"data_seed": 5}, "data_seed"),
        ({"auto_find_batch_size": True}, "auto_find_batch_size"),
        ({"ignore_data_skip": True}, "ignore_data_skip"),
        ({"torch_compile": True}, "torch_compile"),
        ({"warmup_steps": 10}, "warmup_steps as a number of steps (10)"),
    ],
)
def test_what_would_make_other_updates_is_refused(mrpc, tmp_path, named, told):
    with pytest.raises(ConfigError) as caught:
        trainer_of(mrpc, tmp_path, **named)
    assert caught.value.message == f"PreparedTrainer does not support {told}."
    assert caught.value.next_step


def test_data_losses_and_schedules_beside_the_plan_are_refused(mrpc, tmp_path):
    args = TrainingArguments(str(tmp_path), report_to=[], use_cpu=True)
    optimizer = torch.optim.AdamW(model_of().parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _step: 1.0)
    for named, told in (
        ({"train_dataset": [1]}, "train_dataset"),
        ({"compute_loss_func": lambda *_: 0}, "compute_loss_func"),
        ({"optimizers": (optimizer, schedule)}, "a schedule in optimizers"),
    ):
        with pytest.raises(ConfigError) as caught:
            PreparedTrainer(model=model_of(), args=args, prepared=mrpc, **named)
        assert caught.value.message == f"PreparedTrainer does not support {told}."
        assert caught.value.next_step


@pytest.mark.parametrize("strategy", ["unpadded", "reach", "sorted"])
def test_batch_size_and_warm_up_are_those_of_the_arguments(mrpc, tmp_path, strategy):
    trainer = trainer_of(mrpc, tmp_path, strategy=strategy, per_device_train_batch_size=16, warmup_steps=0.25)
    planned = resolve_strategy(strategy, trainer.steps.dataset.manifest.task, {"base_batch_size": 16})
    plans = plan_dataset(trainer.steps.dataset, planned, seed=4, epochs=2)
    np.testing.assert_array_equal(trainer.steps.factors_S, learning_rates(plans, planned, base_lr=1.0, warmup=0.25))


def test_a_strategy_with_another_batch_size_is_refused(mrpc):
    strategy = resolve_strategy("unpadded", load(mrpc).manifest.task)
    with pytest.raises(ConfigError) as caught:
        PreparedTrainer(model=model_of(), args=TrainingArguments(report_to=[]), prepared=mrpc, strategy=strategy)
    assert caught.value.message == "The strategy's base batch size is 64, but the batch size is 8."
    assert caught.value.next_step == "Pass per_device_train_batch_size=64."


def test_two_warm_ups_are_refused(mrpc):
    args = TrainingArguments(report_to=[], warmup_steps=0.1)
    with pytest.raises(ConfigError) as caught:
        PreparedTrainer(model=model_of(), args=args, prepared=mrpc, warmup=0.2)
    assert caught.value.message == "The warm-up is 0.2 in PreparedTrainer, and 0.1 in TrainingArguments."
    assert caught.value.next_step == "Pass one of them."


@pytest.mark.parametrize("strategy", ["unpadded", pytest.param("sorted", marks=pytest.mark.slow)])
def test_activations_may_be_computed_again(mrpc, tmp_path, strategy):
    found = []
    for again in (False, True):
        trainer = trainer_of(mrpc, tmp_path / str(again), strategy=strategy, gradient_checkpointing=again)
        trainer.train()
        found.append(weights(trainer))
    for name, value in found[0].items():
        if not name.endswith("key.bias"):
            torch.testing.assert_close(found[1][name], value, rtol=0, atol=1e-5, msg=name)


def test_the_split_is_what_the_tokenizer_makes(mrpc, shared):
    rows = prepared_split(mrpc, "validation", model=model_of())
    table = pq.read_table(shared / "datasets/glue/mrpc/validation.parquet").slice(0, 60).to_pylist()
    tokenizer = Tokenizer.from_file(str(shared / "tokenizers/bert-base-uncased/tokenizer.json"))
    assert len(rows) == 60
    for row, source in zip(rows, table, strict=False):
        encoded = tokenizer.encode(source["sentence1"], source["sentence2"])
        assert (row["input_ids"], row["token_type_ids"]) == (encoded.ids, encoded.type_ids)
        assert row["labels"] == source["label"]


def test_a_script_changes_by_six_lines_and_runs(mrpc, shared, tmp_path, monkeypatch, capsys):
    """The scripts of docs/trainer.md, on local files; lines that go, come or change, a change counted once."""
    text = (ROOT / "docs/trainer.md").read_text(encoding="utf-8")
    _, before, after = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
    changes = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[:2] in ("- ", "+ ")]
    assert max(sum(line.startswith(sign) for line in changes) for sign in "-+") <= 6
    folder = tmp_path / "bert"
    model_of().save_pretrained(folder)
    hub_tokenizer(mrpc).save_pretrained(folder)
    monkeypatch.chdir(tmp_path)
    script = after.replace("bert-base-uncased", str(folder)).replace("data/mrpc", str(mrpc))
    exec(compile(script, "after.py", "exec"), {})  # noqa: S102  (the page's own script)
    assert "eval_loss" in capsys.readouterr().out


def test_one_line_prepares_the_trainer_of_the_page(mrpc, tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs/trainer.md").read_text(encoding="utf-8")
    script, *_ = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
    model_of().save_pretrained(tmp_path / "bert")
    hub_tokenizer(mrpc).save_pretrained(tmp_path / "bert")
    rows = [f"{'a good film ' * (number % 7 + 1)},{number % 2}" for number in range(90)]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(script.replace("bert-base-uncased", str(tmp_path / "bert")), "one.py", "exec"), {})  # noqa: S102  (the page's own script)
    assert "eval_loss" in capsys.readouterr().out
