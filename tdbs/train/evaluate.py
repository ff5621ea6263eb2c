"""Score a model on a split: batches in length order, nothing dropped, the task's metrics over all samples."""

import itertools
import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from tdbs.arrays import IntArray
from tdbs.data.tasks import Task
from tdbs.errors import ConfigError, DatasetError, ModelError, TrainingError
from tdbs.files import is_url
from tdbs.given import Place, checked, text_of
from tdbs.pipeline.dataset import AnyDataset, PreparedDataset, load, opened
from tdbs.train.batches import Batch, epoch_batches
from tdbs.train.device import DeviceSettings, default_device
from tdbs.train.models.inputs import InputRules, format_of, model_inputs
from tdbs.train.models.load import (
    LoadedModel,
    ModelSettings,
    load_model,
)
from tdbs.train.planning.caps import MOST
from tdbs.train.planning.cuts import calls_of
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.strategies import Strategy
from tdbs.train.run_folder import MODEL_FOLDER, Run, read_run
from tdbs.train.scores.no_answers import THRESHOLD
from tdbs.train.scores.scoring import Metrics, ScoredSplit, given_threshold, read_scored_split, score_outputs
from tdbs.train.step import forward

BATCH_SIZE = 64


def length_order_plan(
    lengths_N: IntArray, batch_size: int = BATCH_SIZE, *, largest_call: tuple[int, int] | None = None
) -> EpochPlan:
    """Return a plan that goes through a split from short to long.

    A batch has no more tokens, padding included, and pairs of tokens than the largest call, unless one sample has.
    """
    order_N = np.argsort(lengths_N, kind="stable")
    offsets_B1 = np.append(np.arange(0, len(order_N), batch_size), len(order_N))
    if largest_call is not None:
        tokens, pairs = (min(most, MOST) for most in largest_call)
        strategy = Strategy(name="scored", batches="random", drop="none", max_tokens=tokens, max_pairs=pairs)
        widths_N = np.maximum(lengths_N[order_N], 1)
        offsets_B1 = calls_of(widths_N, None, strategy, offsets_B1=offsets_B1, step_offsets_S1=None).offsets_B1
    longest_B = np.maximum(lengths_N[order_N][offsets_B1[1:] - 1], 1)
    return EpochPlan(
        epoch=0,
        sample_ids_N=order_N,
        kept_N=lengths_N[order_N],
        batch_offsets_B1=offsets_B1,
        padded_lengths_B=longest_B,
    )


def evaluate_split(
    accelerator: Accelerator,
    model: Any,
    held_out: ScoredSplit,
    *,
    pad_id: int,
    rules: InputRules,
    plan: EpochPlan | None = None,
) -> Metrics:
    """Return the task's metrics on a split, in the batches of a plan; without one, from short to long.

    With n processes, each runs every n-th batch; all compute the score.
    """
    plan = plan or length_order_plan(held_out.split.lengths_N)
    batches = epoch_batches(held_out.split, plan, None, pad_id=pad_id)
    own = itertools.islice(batches, accelerator.process_index, None, accelerator.num_processes)
    model.eval()
    with torch.inference_mode(), accelerator.autocast():
        outputs = ((batch, batch_outputs(accelerator, model, batch, held_out, rules)) for batch in own)
        if accelerator.num_processes > 1:
            outputs = gather_object([(batch, logits.cpu()) for batch, logits in outputs])
        metrics = score_outputs(held_out, outputs)
    model.train()
    return metrics


def batch_outputs(
    accelerator: Accelerator, model: Any, batch: Batch, held_out: ScoredSplit, rules: InputRules
) -> torch.Tensor:
    """Return the model's outputs for a batch: logits, or the token ids that it writes (seq2seq; B x M)."""
    if held_out.task.kind != "seq2seq":
        return forward(model, batch, held_out.task.kind, rules, device=accelerator.device)
    inputs = model_inputs(batch, rules, device=accelerator.device)
    written_BM: torch.Tensor = model.generate(  # always the likeliest next one
        **inputs, max_new_tokens=held_out.max_target_length, num_beams=1, do_sample=False
    )
    return written_BM


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateResult:
    """The score of a run's model on a split; the fields are the JSON keys of `tdbs evaluate`."""

    run: str
    dataset: str
    split: str
    rows: int
    metrics: dict[str, float | None]
    score: float | None
    seconds: float


@checked
def evaluate(run: Place, *, split: str | None = None, dataset: AnyDataset | None = None) -> EvaluateResult:
    """Score a run's model on a split of a prepared dataset; nothing is dropped.

    Args:
        run: Folder of a finished run, or what `train` returned.
        split: Name of the split. None: the one that the task is scored on.
        dataset: A prepared dataset with the run's task and tokenizer, or its folder. None: the one that the run was
            trained on.

    Returns:
        The task's metrics over all rows of the split (0 to 1, correlations -1 to 1; None: not defined), the first of
        them as the score, and the seconds it took.

    Raises:
        ConfigError: The run names its dataset by a URL, and no dataset is given.
        DatasetError: The dataset or the split is missing, has no labels, or is damaged.
        ModelError: The model does not fit the dataset, or cannot be loaded.
        TrainingError: The folder is not a run, or the run did not finish.
    """
    started = time.perf_counter()
    read = read_run(Path(run))
    scored = own_dataset(read) if dataset is None else opened(dataset)
    manifest = scored.manifest
    name = split or manifest.task.scored_split
    held_out = with_threshold_of(read, read_scored_split(scored, name))
    loaded = load_trained(read, scored)
    metrics = evaluate_split(
        loaded.accelerator,
        loaded.prepared,
        held_out,
        pad_id=manifest.tokenizer.pad_id,
        rules=loaded.rules,
    )
    return EvaluateResult(
        run=text_of(run),
        dataset=str(scored.path),
        split=name,
        rows=manifest.splits[name].source_rows,
        metrics=metrics,
        score=metrics[manifest.task.metrics[0]],
        seconds=time.perf_counter() - started,
    )


def threshold_of(run: Run) -> float | None:
    """Return the no-answer threshold that a run chose; None: its model answers every question, as in older runs."""
    return None if run.result is None else run.result.get(THRESHOLD)


def with_threshold_of(run: Run, held_out: ScoredSplit) -> ScoredSplit:
    """Return a split that is scored with the no-answer threshold of a finished run, as `tdbs predict` applies it."""
    return replace(held_out, no_answer_threshold=given_threshold(threshold_of(run)))


def own_dataset(run: Run, *, command: str = "evaluate", next_step: str | None = None) -> PreparedDataset:
    """Open the dataset that a run was trained on, for a command that takes --dataset, or says in `next_step` what does.

    Raises ConfigError if its record names a URL: the run may be somebody else's, and tdbs contacts no host that only a
    file names.
    """
    place = run.config["dataset"]["path"]
    if is_url(place):
        line = shlex.join(["tdbs", command, str(run.path), "--dataset", place])
        raise ConfigError(
            f"The run {run.path} names its dataset by a URL, {place}, which is opened only if you name it yourself.",
            next_step=next_step or f"Run: {line}",
        )
    return load(place)


def check_same_data(run: Run, dataset: PreparedDataset) -> None:
    """Refuse a dataset whose samples are not those of the run."""
    if run.config["dataset"].get("key") != dataset.manifest.key:
        raise DatasetError(
            f"{dataset.path} is not the dataset that the run {run.path} was trained on.",
            next_step="Name that one with --dataset, or prepare it again as it was.",
        )


def load_trained(
    run: Run, dataset: PreparedDataset, *, execution: DeviceSettings | None = None, in_rows: bool | None = False
) -> LoadedModel:
    """Load the model that a run trained, for the samples of a dataset.

    Args:
        run: A run that is finished.
        dataset: The run's own, or another one with the same task and tokenizer.
        execution: Device, precision and attention kernel; None: those of the run, on this machine's device.
        in_rows: Whether rows of the model may hold several samples; None: if the model supports it.

    Raises:
        TdbsError: The run has no model, or it does not fit the dataset.
    """
    folder = run.path / MODEL_FOLDER
    if run.result is None or not folder.is_dir():
        raise TrainingError(f"The run {run.path} has no trained model: it did not finish.", next_step="Train again.")
    _check_task(run, dataset.manifest.task)
    if execution is None:
        own = run.config["execution"]
        execution = DeviceSettings(device=default_device(), precision=own["precision"], attention=own["attention"])
    settings = ModelSettings(purpose="score", execution=execution, in_rows=in_rows)
    return load_model(str(folder), format_of(dataset), settings)


def _check_task(run: Run, task: Task) -> None:
    """Refuse a dataset whose task is not the one that the run learned."""
    learned = run.config["task"]
    if (learned["kind"], tuple(learned["classes"])) != (task.kind, task.classes):
        kinds = (learned["kind"], learned["classes"]), (task.kind, task.classes)
        was, asked = (f"{kind.replace('_', ' ')} ({', '.join(classes) or 'no classes'})" for kind, classes in kinds)
        raise ModelError(
            f"The run {run.path} learned {was}; the dataset asks for {asked}.",
            next_step="Evaluate on a dataset of the run's own task.",
        )
