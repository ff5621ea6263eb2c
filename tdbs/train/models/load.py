"""Load a model: the one place that opens weights, whether to train them, to score a run or to predict.

A model must fit its samples: the same vocabulary, and long enough. Loading runs no code of others.
"""

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from transformers import AutoConfig, BertConfig, PretrainedConfig, PreTrainedModel, T5Config

from tdbs import rng
from tdbs.data.tasks import Task, TaskKind
from tdbs.errors import ModelError, reason_of
from tdbs.model_families import DROPOUT_FIELDS
from tdbs.objective_settings import PoolingMode
from tdbs.pipeline.manifest import Manifest, TokenizerInfo
from tdbs.pipeline.tokens.tokenizer import read_by_transformers
from tdbs.shown import notice
from tdbs.train.device import DeviceSettings, keep_head_in_fp32, make_accelerator
from tdbs.train.models.checks import (
    check_block_sparse,
    check_rotation,
    check_weights,
    input_rules,
    missing_weights,
    position_limit_of,
)
from tdbs.train.models.heads import HEADS
from tdbs.train.models.inputs import InputRules, SampleFormat
from tdbs.train.models.padding_side import with_padding_side
from tdbs.train.models.part import WHOLE, TrainablePart, adapted_model, config_folder, train_part
from tdbs.train.models.pooling import Pooling, choose_pooling
from tdbs.train.models.saved_model import check_saved_tokenizer
from tdbs.train.planning.model_choice import TINY, TINY_POSITIONS, TINY_SIZES, ModelChoice, choose_model
from tdbs.train.planning.model_fit import cannot_embed, cannot_write, check_embeddings, check_length, check_vocabulary
from tdbs.train.rows.models import knows_sequences, use_sequences
from tdbs.unasked import nothing_asked

Purpose = Literal["train", "score", "predict"]

_NEXT_STEPS: dict[Purpose, str] = {  # if a model cannot be loaded
    "train": "Pass --model with a folder with config.json and model.safetensors, or a hub name.",
    "score": "Train again.",
    "predict": "Pass a folder with config.json and model.safetensors, or a hub name.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSettings:
    """How a model is loaded."""

    purpose: Purpose  # train: with a new head; score: from a run; predict: with a trained head
    execution: DeviceSettings
    in_rows: bool | None = False  # whether rows may hold several samples; None: if the model supports it
    seed: int = 0  # of a new head's weights
    dropout: float = 0.0  # of a model to train
    part: TrainablePart = WHOLE
    pooling: PoolingMode | None = None  # of embeddings; None: as the model's folder says
    normalize: bool = False  # give embeddings the length 1, also if the folder does not say so


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedModel:
    """A model on its device, and how it receives samples."""

    model: PreTrainedModel  # this one is saved
    prepared: Any  # as accelerate prepared it: this one is called
    accelerator: Accelerator
    rules: InputRules
    in_rows: bool  # whether its rows may hold several samples


def load_model(name: str, samples: SampleFormat, settings: ModelSettings) -> LoadedModel:
    """Load a model by hub name or folder, or make the `tiny` one, and put it on its device.

    Raises a TdbsError if there is no such model, or if it does not fit the samples.
    """
    gc.collect()  # models contain reference cycles: without this, those of many runs would stay
    model = open_model(name, samples, settings)
    if settings.purpose == "train":
        train_part(model, settings.part, samples.task.kind, dropout=settings.dropout)
    in_rows = settings.in_rows
    if in_rows is None:
        in_rows = samples.task.kind != "seq2seq" and knows_sequences(model.config)  # who writes starts with one token
    if in_rows:
        use_sequences(model, settings.execution.attention)
    accelerator = make_accelerator(settings.execution.precision, settings.execution.device)
    pooling = None
    if HEADS[samples.task.kind].pools:
        pooling = choose_pooling(name, model.config.model_type, mode=settings.pooling, normalize=settings.normalize)
    else:
        keep_head_in_fp32(model)
    model.to(accelerator.device)
    rules = rules_of(
        model,
        name,
        samples,
        trained=settings.purpose != "predict",
        saved=settings.purpose == "train",
        in_rows=in_rows,
        pooling=pooling,
        device=accelerator.device,
    )
    # tdbs sums the gradients of several processes (train/processes.py), so accelerate must not wrap the model for it
    prepared = accelerator.prepare_model(model, evaluation_mode=True)
    return LoadedModel(model=model, prepared=prepared, accelerator=accelerator, rules=rules, in_rows=in_rows)


def open_model(name: str, samples: SampleFormat, settings: ModelSettings) -> PreTrainedModel:
    """Return a model with a head for the samples' task, in fp32, after it passed all checks.

    Raises ModelError for every error of loading: a damaged file can cause any.
    """
    is_new = settings.purpose == "train"
    config = _config_of(name, samples, settings)
    if settings.purpose == "predict":
        check_embeddings(name, config.vocab_size, samples.info.vocabulary_size)
    elif not (is_new and name == TINY):
        check_vocabulary(name, config.vocab_size, samples.info)
    if HEADS[samples.task.kind].pools and config.is_encoder_decoder:
        raise cannot_embed(name, config.model_type)
    check_length(name, position_limit_of(config), samples.max_length)
    if is_new:
        torch.manual_seed(rng.torch_seed(rng.RandomPurpose.MODEL_INIT, seed=settings.seed))  # the new head's weights
    try:
        model = _weights_of(name, samples.task.kind, config, settings)
    except ModelError:
        raise
    except Exception as error:  # no such file, wrong shapes, a damaged file: a dozen types
        raise _refusal(error, name, samples.task.kind, config, settings) from error
    if is_new:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):  # also if a configuration has another name for it
                module.p = settings.dropout
    return model


def rules_of(
    model: PreTrainedModel,
    name: str,
    samples: SampleFormat,
    *,
    trained: bool,
    saved: bool = False,
    in_rows: bool,
    pooling: Pooling | None = None,
    device: torch.device,
) -> InputRules:
    """Return how a model receives samples: as transformers would make them with the tokenizer of its folder.

    `trained`: tdbs trains the model, or did; `saved`: it will save the model with the samples' tokenizer. Prints a
    notice if the model gets padding on another side than its tokenizer has it. Raises ModelError or TokenizerError if
    model and samples do not fit, or if padding would change the model's outputs.
    """
    check_block_sparse(name, model.config, samples.max_length)
    check_rotation(name, model.config, samples.max_length)
    reading = None if trained and name == TINY else read_by_transformers(name, samples.backend)
    has_no_tokenizer = reading is None and name not in (TINY, samples.info.source)
    if has_no_tokenizer:
        reading = read_by_transformers(samples.info.source, samples.backend)
    known = None if reading is None else reading.gives_segment_ids
    rules = replace(input_rules(model, name, samples, gives_segment_ids=known, trained=trained), pooling=pooling)
    rules = with_padding_side(model, name, samples, rules, in_rows=in_rows, device=device)
    if reading is not None:
        rules = replace(rules, token_names=reading.token_names)
    if has_no_tokenizer and saved:
        check_saved_tokenizer(model.config, rules, samples)
    if reading is not None and reading.pads_left != rules.pads_left:
        theirs, ours = ("left", "right") if reading.pads_left else ("right", "left")
        notice(
            f"The tokenizer of {reading.source} pads on the {theirs}, but tdbs pads on the {ours} or not at all. A "
            f"text then has the same result alone and in a batch; batches padded on the {theirs} may give others."
        )
    return rules


def model_to_train(name: str | None, manifest: Manifest) -> ModelChoice:
    """Return the model of a run, as dry runs choose it (planning/model_choice.py); nothing is assumed of it.

    Raises ModelError if there is no such model.
    """
    choice = choose_model(name, manifest)
    if choice.model_type is not None:
        return choice
    is_writer = manifest.task.kind == "seq2seq"
    config = _config_to_train(choice.name, manifest.task)
    return replace(choice, model_type=config.model_type, in_rows=knows_sequences(config, writes=is_writer))


def read_config(name: str, purpose: Purpose, **options: Any) -> PretrainedConfig:
    """Read a model's configuration by hub name or folder. Raises ModelError."""
    try:
        place = str(config_folder(Path(name)))
        with nothing_asked():
            config: PretrainedConfig = AutoConfig.from_pretrained(place, trust_remote_code=False, **options)
    except Exception as error:  # no file, or a damaged one: each configuration class raises its own
        folder = Path(name).is_dir()
        reason = reason_of(error) if folder else "it is not a folder, and the hub cannot be reached or does not have it"
        if purpose == "predict":
            raise ModelError(
                f"{name} is neither a tdbs run nor a model: {reason}.",
                next_step="Pass the folder of a run or of a checkpoint, or a hub name.",
            ) from error
        raise ModelError(f"The model {name} cannot be loaded: {reason}.", next_step=_NEXT_STEPS[purpose]) from error
    return config


def tiny_config(task: Task, tokenizer: TokenizerInfo, max_length: int) -> PretrainedConfig:
    """Return a BERT, or a T5, of 2 layers and 128 dimensions: with random weights it learns the sample in a minute."""
    if task.kind == "seq2seq":
        return T5Config(
            vocab_size=tokenizer.vocabulary_size,
            d_model=128,
            d_kv=64,
            d_ff=512,
            num_layers=2,
            num_heads=2,
            pad_token_id=tokenizer.pad_id,
            eos_token_id=tokenizer.end_id,
            decoder_start_token_id=tokenizer.pad_id,
        )
    return BertConfig(
        vocab_size=tokenizer.vocabulary_size,
        **TINY_SIZES,
        max_position_embeddings=max(max_length, TINY_POSITIONS),
        num_labels=task.outputs,
        pad_token_id=tokenizer.pad_id,
    )


def _weights_of(name: str, kind: TaskKind, config: PretrainedConfig, settings: ModelSettings) -> PreTrainedModel:
    """Open weights; for a folder of adapters, those of the model that they adapt, too."""
    model_class, attention = HEADS[kind].model_class, settings.execution.attention
    if settings.purpose == "train" and name == TINY:
        made: PreTrainedModel = model_class.from_config(config, attn_implementation=attention, trust_remote_code=False)
        return made
    adapted = adapted_model(Path(name))
    check_weights(adapted or name)
    with nothing_asked():
        model, loading = model_class.from_pretrained(
            adapted or name,
            config=config,
            attn_implementation=attention,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    if adapted:
        model.load_adapter(name)
    elif settings.purpose == "predict" and (missing := missing_weights(loading["missing_keys"], kind)):
        raise ModelError(
            f"The model {name} has no trained weights for {missing[0]}.",
            next_step="Fine-tune it with tdbs train --model, or pass a checkpoint that was fine-tuned.",
        )
    opened: PreTrainedModel = model
    return opened


def _refusal(
    error: Exception, name: str, kind: TaskKind, config: PretrainedConfig, settings: ModelSettings
) -> ModelError:
    """Return the error for weights that cannot be opened, with the reason and the next step for the purpose."""
    if settings.purpose == "train" and isinstance(error, ImportError):  # of the attention kernel's package
        return ModelError(
            f"--attention {settings.execution.attention} cannot be used: {reason_of(error)}.",
            next_step="Pass --attention sdpa or --attention eager, or install its package.",
        )
    if settings.purpose == "train" and kind == "seq2seq" and type(config) not in HEADS[kind].model_class._model_mapping:
        return cannot_write(name, config.model_type)
    reason = reason_of(error)
    if "above report" in reason:  # which transformers writes to its log
        reason = "its weights have other shapes than its config.json says"
    elif not isinstance(error, OSError | RuntimeError | ValueError):
        reason = f"{type(error).__name__}: {reason}"
    return ModelError(f"The model {name} cannot be loaded: {reason}.", next_step=_NEXT_STEPS[settings.purpose])


def _config_to_train(name: str, task: Task) -> PretrainedConfig:
    return read_config(name, "train", **({} if task.kind == "seq2seq" else {"num_labels": task.outputs}))


def _config_of(name: str, samples: SampleFormat, settings: ModelSettings) -> PretrainedConfig:
    """Return the configuration of a model; for training, with the task's head and the run's dropout."""
    task = samples.task
    if settings.purpose != "train":
        return read_config(name, settings.purpose)
    config = tiny_config(task, samples.info, samples.max_length) if name == TINY else _config_to_train(name, task)
    if task.classes:
        config.id2label = dict(enumerate(task.classes))
        config.label2id = {label: i for i, label in enumerate(task.classes)}
    config.problem_type = HEADS[task.kind].problem_type
    for field in DROPOUT_FIELDS:
        if getattr(config, field, None) is not None or field == "classifier_dropout":
            setattr(config, field, settings.dropout)
    return config
