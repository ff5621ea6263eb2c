"""Train on a prepared dataset: the plans of all epochs, their rates, then one loop over batches.

Steps, rates and padding are known before the first step. torch's generator is seeded before each step from (seed,
epoch, step), so nothing a step draws depends on the steps before it.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from tdbs import rng
from tdbs.errors import ConfigError, DatasetError, TrainingError
from tdbs.pipeline.dataset import PreparedDataset, Split, load, read_split
from tdbs.train.batches import dropped_tokens, epoch_batches, words_of_split
from tdbs.train.device import default_device, make_optimizer, resolve_execution
from tdbs.train.evaluate import evaluate_split
from tdbs.train.lrm import learning_rates
from tdbs.train.models import TINY, default_model, load_model
from tdbs.train.plan import plan_digest, plan_run
from tdbs.train.run_folder import (
    LAST_GOOD_FOLDER,
    MODEL_FOLDER,
    STEPS_NAME,
    check_run_folder,
    default_run_folder,
    finish_run,
    save_model,
    start_run,
)
from tdbs.train.step import takes_segment_ids, train_step
from tdbs.train.strategies import DEFAULT_STRATEGY, Strategy, paper_dropout, resolve_strategy

DEFAULT_EPOCHS = 3
DEFAULT_WARMUP = 0.06  # share of the run's samples; RoBERTa's fine-tuning recipe
_DEFAULT_RATE, _TINY_RATE = 5e-5, 1e-3  # in the paper's grid; a model with random weights needs more

Progress = Callable[[int, int, float, float], None]  # step from 1, steps in all, loss, rate


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """What a run made; the fields are the JSON keys of `tdbs train`."""

    run: str
    strategy: str
    seed: int
    steps: int
    samples: int
    tokens: int
    padding_fraction: float
    seconds: dict[str, float]
    metrics: dict[str, float]
    score: float | None
    epochs: list[dict[str, float | int | None]]  # mean loss and score after each epoch


def train(
    dataset: PreparedDataset | str | Path,
    *,
    strategy: str | Strategy = DEFAULT_STRATEGY,
    model: str | None = None,
    epochs: int = DEFAULT_EPOCHS,
    seed: int = 0,
    lr: float | None = None,
    warmup: float = DEFAULT_WARMUP,
    dropout: float | None = None,
    precision: str = "auto",
    attention: str = "auto",
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress = lambda _step, _steps, _loss, _rate: None,
) -> TrainResult:
    """Fine-tune a model on a prepared dataset and score it on the validation split.

    `strategy` is a name or a resolved Strategy; `lr` defaults to 5e-5 (1e-3 for `tiny`), `dropout` to the paper's
    rule for the strategy. Writes a run folder. Raises a TdbsError before anything is written where options, dataset
    and model do not fit, and TrainingError where a loss is not finite.
    """
    started = time.perf_counter()
    dataset = dataset if isinstance(dataset, PreparedDataset) else load(dataset)
    manifest = dataset.manifest
    check_hyperparameters(epochs=epochs, lr=lr, warmup=warmup, dropout=dropout)
    if isinstance(strategy, str):
        strategy = resolve_strategy(strategy, manifest.task, device=default_device())
    execution = resolve_execution(precision=precision, attention=attention)
    model_name = model or default_model(manifest)
    folder = out or default_run_folder(manifest.source, strategy.name, seed)
    check_run_folder(folder, overwrite=overwrite)

    split = read_split(dataset, "train")
    if split.labels_N is None:
        raise DatasetError(f"{dataset.path} has no labels to train on.", next_step="Prepare it with --label.")
    evaluated = _labelled_validation(dataset)
    special = {"special_ids": manifest.tokenizer.special_ids}
    words = words_of_split(split, strategy, special_tokens=manifest.tokenizer.special_tokens, **special)
    plans = plan_run(split.lengths_N, words, strategy, max_length=manifest.max_length, seed=seed, epochs=epochs)
    base_lr = lr if lr is not None else (_TINY_RATE if model_name == TINY else _DEFAULT_RATE)
    rates_S = learning_rates(
        np.concatenate([plan.batch_sizes_B for plan in plans]),
        base_lr=base_lr,
        warmup=warmup,
        lrm=strategy.lrm,
        base_batch_size=strategy.base_batch_size,
    )
    if dropout is None:
        dropout = paper_dropout(strategy, len(split.lengths_N))

    loaded = load_model(model_name, dataset, seed=seed, dropout=dropout, attention=execution.attention)
    accelerator = Accelerator(
        mixed_precision="bf16" if execution.precision == "bf16" else "no", cpu=execution.device == "cpu"
    )
    net: Any = accelerator.prepare_model(loaded)
    optimizer = make_optimizer(net)
    segment_ids = takes_segment_ids(loaded)
    config = {
        "dataset": {"path": str(dataset.path), "key": manifest.key, "source": manifest.source},
        "model": model_name,
        "seed": seed,
        "epochs": epochs,
        "lr": base_lr,
        "warmup": warmup,
        "dropout": dropout,
        "plan_digest": plan_digest(plans),
        "strategy": asdict(strategy),
        "execution": asdict(execution),
        "versions": {name: version(name) for name in ("torch", "transformers", "accelerate")},
    }
    start_run(folder, config)

    seconds = {"train": 0.0, "evaluate": 0.0, "total": 0.0}
    history: list[dict[str, float | int | None]] = []
    metrics: dict[str, float] = {}
    step = 0
    net.train()
    with (folder / STEPS_NAME).open("w", encoding="utf-8") as log:
        for plan in plans:
            clock = time.perf_counter()
            dropped_T = dropped_tokens(split, words, strategy, plan, seed=seed, **special)
            loss_sum = 0.0
            for index, batch in enumerate(epoch_batches(split, plan, dropped_T, pad_id=manifest.tokenizer.pad_id)):
                step_clock = time.perf_counter()
                torch.manual_seed(rng.torch_seed(rng.Draw.TRAIN_STEP, seed=seed, epoch=plan.epoch, step=index))
                rate = float(rates_S[step])
                outcome = train_step(
                    accelerator, net, optimizer, batch, manifest.task, rate=rate, segment_ids=segment_ids
                )
                line = {
                    "step": step,
                    "epoch": plan.epoch,
                    "batch_size": len(batch.sample_ids_B),
                    "padded_length": batch.input_ids_BL.shape[1],
                    "lr": rate,
                    "loss": outcome.loss,
                    "seconds": time.perf_counter() - step_clock,
                }
                log.write(json.dumps(line) + "\n")
                if not outcome.finite:
                    save_model(folder / LAST_GOOD_FOLDER, loaded, dataset)
                    raise TrainingError(
                        f"The loss is {outcome.loss} at step {step} (epoch {plan.epoch}, batch {index}), or its "
                        f"gradients are not finite.",
                        next_step=f"Lower --lr, or pass --precision fp32. The weights before this step are in "
                        f"{folder / LAST_GOOD_FOLDER}.",
                    )
                loss_sum += outcome.loss * len(batch.sample_ids_B)
                step += 1
                progress(step, len(rates_S), outcome.loss, rate)
            log.flush()
            seconds["train"] += time.perf_counter() - clock

            clock = time.perf_counter()
            metrics = {
                metric if held_out.name == manifest.task.scored_split else f"{held_out.name}/{metric}": value
                for held_out in evaluated
                for metric, value in evaluate_split(
                    accelerator,
                    net,
                    held_out,
                    manifest.task,
                    pad_id=manifest.tokenizer.pad_id,
                    segment_ids=segment_ids,
                ).items()
            }
            seconds["evaluate"] += time.perf_counter() - clock
            score = metrics.get(manifest.task.metrics[0])
            history.append({"epoch": plan.epoch, "loss": loss_sum / len(split.lengths_N), "score": score})

    save_model(folder / MODEL_FOLDER, loaded, dataset)
    tokens = sum(plan.tokens for plan in plans)
    seconds["total"] = time.perf_counter() - started
    result = TrainResult(
        run=str(folder),
        strategy=strategy.name,
        seed=seed,
        steps=step,
        samples=sum(len(plan.sample_ids_N) for plan in plans),
        tokens=tokens,
        padding_fraction=1 - sum(int(plan.kept_N.sum()) for plan in plans) / tokens,
        seconds=seconds,
        metrics=metrics,
        score=metrics.get(manifest.task.metrics[0]),
        epochs=history,
    )
    finish_run(folder, asdict(result))
    return result


def check_hyperparameters(*, epochs: int, lr: float | None, warmup: float, dropout: float | None) -> None:
    """Refuse values out of range."""
    for right, name, value, rule in (
        (epochs >= 1, "--epochs", epochs, "1 or more"),
        (lr is None or lr > 0, "--lr", lr, "above 0"),
        (0 <= warmup < 1, "--warmup", warmup, "from 0 to less than 1"),
        (dropout is None or 0 <= dropout < 1, "--dropout", dropout, "from 0 to less than 1"),
    ):
        if not right:
            raise ConfigError(f"{name} must be {rule}, got {value}.", next_step=f"Pass another {name}.")


def _labelled_validation(dataset: PreparedDataset) -> list[Split]:
    """Return the validation splits with labels, the scored one first."""
    splits = dataset.manifest.splits
    names = [name for name, info in splits.items() if name.startswith("validation") and info.labelled]
    names.sort(key=lambda name: name != dataset.manifest.task.scored_split)
    return [read_split(dataset, name) for name in names]
