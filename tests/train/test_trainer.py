"""Training: rates, dropping, seeds, and what happens where a loss is not finite."""

import csv
import json
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification

import tdbs
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.data.tasks import HUB_TASKS
from tdbs.errors import TrainingError
from tdbs.pipeline.dataset import PreparedDataset, read_split
from tdbs.pipeline.prepare import prepare
from tdbs.train.batches import Batch, epoch_batches
from tdbs.train.device import make_optimizer
from tdbs.train.learner import Learner
from tdbs.train.loop import update
from tdbs.train.micro_batches import MemoryCaps
from tdbs.train.models import load
from tdbs.train.planning.plan import plan_run
from tdbs.train.planning.strategies import STRATEGIES, resolve_strategy
from tdbs.train.planning.tokendrop import dropped_tokens, words_of_split
from tdbs.train.step import batch_loss
from tdbs.train.trainer import train
from tests.built_in import sample_tables
from tests.train.rules import UNTYPED

SMALL_BERT = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}


def make_dataset(folder: Path, *, train_rows: int = 120, validation_rows: int = 40) -> PreparedDataset:
    """Prepare the first rows of the built-in sample as a user's files."""
    tables = sample_tables()
    (folder / "files").mkdir(parents=True)
    for split, rows in (("train", train_rows), ("validation", validation_rows)):
        table = tables[split].slice(0, rows)
        with (folder / f"files/{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return prepare(str(folder / "files"), tokenizer=str(TOKENIZER_FOLDER), out=folder / "prepared").dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("trainer"))


@pytest.fixture
def trained(dataset, workplace):
    """Return a function that trains a tiny model in fp32 and returns its folder."""

    def run(name="run", **options):
        defaults = {"model": "tiny", "epochs": 1, "precision": "fp32", "strategy": "reach"}
        return Path(train(dataset, out=workplace / name, **(defaults | options)).run)

    return run


def steps_of(run):
    return [json.loads(line, parse_constant=pytest.fail) for line in (run / "steps.jsonl").read_text().splitlines()]


def save_model(folder, dataset, *, poison=False):
    config = BertConfig(vocab_size=dataset.manifest.tokenizer.vocabulary_size, **SMALL_BERT)
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    if poison:
        model.bert.encoder.layer[0].output.dense.weight.data[0, 0] = math.nan
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((dataset.path / "tokenizer.json").read_bytes())


def test_the_api_functions_are_there_however_often_they_are_asked_for():
    """`tdbs.train` is a function and also a package: importing the package must not hide the function."""
    for _ in range(2):
        assert all(callable(getattr(tdbs, name)) for name in tdbs.__all__)


# Losses that are not finite


def test_a_nan_stops_the_run_and_says_where(dataset, trained, workplace):
    save_model(workplace / "m", dataset, poison=True)
    with pytest.raises(TrainingError) as caught:
        trained(model=str(workplace / "m"))
    [step] = steps_of(workplace / "run")
    assert caught.value.message == (
        f"Loss or gradients are not finite at step 0 (epoch 0, batch 0 of {step['batch_size']} samples): "
        "the loss is nan."
    )
    assert caught.value.next_step == (
        f"Lower --lr, or pass --precision fp32. The weights before this step are in {workplace / 'run' / 'last_good'}."
    )
    assert step["loss"] is None


def test_a_run_that_fails_later_keeps_its_last_good_weights(workplace):
    """One number of 200 is so large that the norm of its gradients is infinite in fp32."""
    numbers = [f"film {i},{i / 7:.3f}" for i in range(199)]
    (workplace / "numbers.csv").write_text("\n".join(["text,label", *numbers[:150], "film,9e18", *numbers[150:]]))
    dataset = prepare("numbers.csv", tokenizer=str(TOKENIZER_FOLDER), out=workplace / "numbers").dataset
    strategy = replace(STRATEGIES["random"], base_batch_size=4)
    with pytest.raises(TrainingError) as caught:
        train(dataset, strategy=strategy, model="tiny", precision="fp32", epochs=1, out=workplace / "run")
    run = workplace / "run"
    assert {path.name for path in run.iterdir()} == {"config.toml", "steps.jsonl", "last_good"}
    last = steps_of(run)[-1]
    place = f"at step {last['step']} (epoch {last['epoch']}, batch "
    assert place in caught.value.message
    assert all(step["loss"] is not None for step in steps_of(run)[:-1])
    weights = load_file(run / "last_good/model.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    model = BertForSequenceClassification.from_pretrained(run / "last_good")
    assert model.config.num_labels == 1
    assert last["step"] > 0


def test_a_later_run_in_the_same_folder_leaves_no_trace_of_the_stopped_one(dataset, trained, workplace):
    save_model(workplace / "m", dataset, poison=True)
    with pytest.raises(TrainingError):
        trained(model=str(workplace / "m"))
    run = trained(overwrite=True)
    assert {path.name for path in run.iterdir()} == {"config.toml", "steps.jsonl", "result.json", "model", "samples"}
    assert [step["step"] for step in steps_of(run)] == list(range(len(steps_of(run))))


def test_an_update_that_is_not_finite_is_not_made():
    model = BertForSequenceClassification(BertConfig(vocab_size=20, **SMALL_BERT))
    model.classifier.weight.data[0, 0] = math.inf
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    end = update(learner(model), [a_batch()], rate=0.1)
    assert not end.finite
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# Rates


def learner(model):
    return Learner(
        accelerator=fp32_accelerator(),
        model=model,
        prepared=model,
        optimizer=make_optimizer(model),
        kind="classification",
        pad_id=0,
        rules=UNTYPED,
        compiled=False,
        gives_back=False,
        memory_caps=MemoryCaps(edges_E=np.array([1, 129]), kind="classification"),
    )


def fp32_accelerator():
    """Return an accelerator that computes in fp32, whatever ran before in this process: its state is global."""
    AcceleratorState._reset_state()
    return Accelerator(cpu=True, mixed_precision="no")


def a_batch(labels=(0, 1)):
    ids = np.arange(2 * 5).reshape(2, 5)
    return Batch(
        sample_ids_B=np.arange(2),
        input_ids_RW=ids,
        lengths_B=np.array([5, 3]),
        segment_starts_B=None,
        labels=np.array(labels),
    )


def test_rates_follow_the_batch_size_and_are_never_multiplied_into_each_other(trained):
    """The schedule by samples seen, times sqrt(batch / base): written here as a loop, over batches of many sizes."""
    lr, warmup, base = 2e-3, 0.2, 16
    strategy = resolve_strategy("bucket", HUB_TASKS["glue/sst2"].task, {"base_batch_size": base, "caps": "40"})
    steps = steps_of(trained(strategy=strategy, lr=lr, warmup=warmup, epochs=2))
    sizes = [step["batch_size"] for step in steps]
    assert len(set(sizes)) > 2
    seen, total = 0, sum(sizes)
    for step in steps:
        progress = seen / total
        schedule = progress / warmup if progress < warmup else (1 - progress) / (1 - warmup)
        assert step["lr"] == pytest.approx(lr * schedule * math.sqrt(step["batch_size"] / base))
        seen += step["batch_size"]


def test_without_lrm_the_rate_is_the_schedule_alone(trained):
    strategy = resolve_strategy("bucket", HUB_TASKS["glue/sst2"].task, {"lrm": False})
    steps = steps_of(trained(strategy=strategy, lr=1e-3, warmup=0.0))
    seen = 0
    for step in steps:
        assert step["lr"] == pytest.approx(1e-3 * (1 - seen / 120))
        seen += step["batch_size"]


def test_a_step_moves_weights_by_its_own_rate():
    """Adam's first step moves a weight by the rate at most; a rate of 0 moves none."""
    model = BertForSequenceClassification(BertConfig(vocab_size=20, **SMALL_BERT))
    before = model.classifier.weight.detach().clone()
    update(learner(model), [a_batch()], rate=0.0)
    assert torch.equal(model.classifier.weight, before)
    trained = learner(model)
    update(trained, [a_batch()], rate=1e-3)
    assert (model.classifier.weight - before).abs().max().item() == pytest.approx(1e-3, rel=0.01)
    assert trained.optimizer.param_groups[0]["lr"] == 1e-3
    update(trained, [a_batch()], rate=2e-3)
    assert trained.optimizer.param_groups[0]["lr"] == 2e-3


# Losses


def test_the_loss_is_the_mean_over_samples():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    assert float(batch_loss("classification", logits, a_batch((0, 0)))) == pytest.approx(expected)
    numbers = torch.tensor([[2.0], [0.5]])
    assert float(batch_loss("regression", numbers, a_batch((1.0, 0.0)))) == pytest.approx(0.625)


def test_padding_changes_no_loss():
    """Two samples together cost the mean of what they cost alone."""
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(vocab_size=20, **SMALL_BERT)).eval()
    both = a_batch()
    single = [
        Batch(
            sample_ids_B=both.sample_ids_B[i : i + 1],
            input_ids_RW=both.input_ids_RW[i : i + 1, : both.lengths_B[i]],
            lengths_B=both.lengths_B[i : i + 1],
            segment_starts_B=None,
            labels=both.labels[i : i + 1],
        )
        for i in range(2)
    ]
    losses = [update(learner(model), [batch], rate=0.0).loss for batch in (both, *single)]
    assert losses[0] == pytest.approx((losses[1] + losses[2]) / 2, rel=1e-5)


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples(trained):
    run = trained(epochs=2)
    result = json.loads((run / "result.json").read_text())
    for epoch in (0, 1):
        steps = [step for step in steps_of(run) if step["epoch"] == epoch]
        assert sum(step["batch_size"] for step in steps) == 120
        mean = sum(step["loss"] * step["batch_size"] for step in steps) / 120
        assert result["epochs"][epoch]["loss"] == pytest.approx(mean)
    assert result["epochs"][-1]["score"] == result["score"]


# Dropping


@pytest.mark.parametrize("drop", ["rate", "any", "all", "batch_min", "reach"])
def test_dropping_takes_no_special_token_and_not_the_last_word(dataset, drop):
    batches = {"reach": "reach", "batch_min": "bucket"}.get(drop, "random")
    strategy = resolve_strategy("reach", dataset.manifest.task, {"drop": drop, "batches": batches, "bucket_width": 5})
    tokenizer, split = dataset.manifest.tokenizer, read_split(dataset, "train")
    words = words_of_split(split, strategy, tokenizer)
    plans = plan_run(split.lengths_N, words, strategy, max_length=128, seed=5, epochs=range(2))
    dropped = 0
    for plan in plans:
        gone_T = dropped_tokens(split, words, strategy, plan, tokenizer, seed=5)
        seen = []
        for batch in epoch_batches(split, plan, gone_T, pad_id=tokenizer.pad_id):
            for sample, row, length in zip(batch.sample_ids_B, batch.input_ids_RW, batch.lengths_B, strict=True):
                whole = split.input_ids_T[split.token_offsets_N1[sample] : split.token_offsets_N1[sample + 1]].tolist()
                kept = row[:length].tolist()
                assert special_of(kept, tokenizer) == special_of(whole, tokenizer)
                assert len(kept) > len(special_of(kept, tokenizer))
                assert is_subsequence(kept, whole)
                assert set(row[length:].tolist()) <= {tokenizer.pad_id}
                dropped += len(whole) - len(kept)
                seen.append(int(sample))
        assert sorted(seen) == list(range(120))
    assert dropped > 0


def special_of(ids, tokenizer):
    return [i for i in ids if i in tokenizer.special_ids]


def is_subsequence(part, whole):
    remaining = iter(whole)
    return all(token in remaining for token in part)


# Dropout, seeds, reports


@pytest.mark.parametrize(
    ("options", "dropout"),
    [({"strategy": "random"}, 0.1), ({"strategy": "reach"}, 0.0), ({"strategy": "reach", "dropout": 0.3}, 0.3)],
)
def test_the_model_has_the_dropout_of_the_papers_rule_or_the_users(trained, options, dropout):
    run = trained(**options)
    saved = json.loads((run / "model/config.json").read_text())
    fields = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    assert [saved[field] for field in fields] == [dropout] * 3
    assert tomllib.loads((run / "config.toml").read_text())["dropout"] == dropout


def test_two_seeds_differ_and_one_repeats(trained):
    """Weights, batches and losses; with dropout on, so that its masks are in the comparison too."""
    runs = [trained(str(n), seed=seed, strategy="random") for n, seed in enumerate((0, 1, 0))]
    steps = [[dict(step, seconds=None) for step in steps_of(run)] for run in runs]
    weights = [load_file(run / "model/model.safetensors") for run in runs]
    digests = [tomllib.loads((run / "config.toml").read_text())["plan_digest"] for run in runs]
    assert steps[0] == steps[2]
    assert digests[0] == digests[2] != digests[1]
    assert all(torch.equal(tensor, weights[2][name]) for name, tensor in weights[0].items())
    assert all(a["loss"] != b["loss"] for a, b in zip(steps[0], steps[1], strict=True))


def test_progress_hears_of_every_step(trained):
    heard = []
    run = trained(progress=lambda record, steps: heard.append((record.step, steps)))
    assert heard == [(n, len(steps_of(run))) for n in range(len(steps_of(run)))]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_trains_every_sample_once(trained, strategy):
    run = trained(strategy=strategy)
    assert sum(step["batch_size"] for step in steps_of(run)) == 120
    assert all(math.isfinite(step["loss"]) for step in steps_of(run))


# A device that runs out of memory


def test_a_run_on_a_device_that_holds_few_samples_makes_the_same_updates(trained, monkeypatch):
    """The model itself refuses calls of more than five rows, as CUDA would; loss by loss the run is the other one."""
    undisturbed = trained("undisturbed", dropout=0.0)
    open_model = load.open_model

    def open_small(*arguments):
        model = open_model(*arguments)

        def refuse(module, _inputs, given):
            if module.training and len(given["input_ids"]) > 5:
                raise torch.OutOfMemoryError("no memory")

        model.register_forward_pre_hook(refuse, with_kwargs=True)
        return model

    monkeypatch.setattr(load, "open_model", open_small)
    small = trained("small", dropout=0.0)
    losses = [[step["loss"] for step in steps_of(run)] for run in (undisturbed, small)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    recorded = json.loads((small / "result.json").read_text())["halved_caps"]
    assert recorded
    assert all(entry["cap"] >= 1 and entry["bucket"] and entry["step"] >= 0 for entry in recorded)
    assert json.loads((undisturbed / "result.json").read_text())["halved_caps"] == []
