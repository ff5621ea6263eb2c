"""Load a model that fits a prepared dataset: same vocabulary, long enough, with the run's dropout and attention."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, BertConfig, PretrainedConfig, PreTrainedModel, T5Config

from tdbs import rng
from tdbs.data.tasks import Task
from tdbs.errors import ModelError, TokenizerError, reason_of
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.tokenizer import load_tokenizer
from tdbs.train.defaults import TINY
from tdbs.train.heads import HEADS
from tdbs.train.model_choice import ModelChoice, choose_model
from tdbs.train.sequence_models import knows_sequences

# What the models of transformers call their dropout rates.
_DROPOUT_FIELDS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "classifier_dropout_prob",
    "activation_dropout",
    "cls_dropout",
    "pooler_dropout",
    "hidden_dropout",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "dropout",
    "dropout_rate",
    "seq_classif_dropout",
    "summary_last_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
)


# What loading raises: no such file or name, wrong shapes, a damaged file, the package of an attention kernel missing.
LOADING_ERRORS = (OSError, ValueError, RuntimeError, ImportError, SafetensorError)


def load_model(name: str, dataset: PreparedDataset, *, seed: int, dropout: float, attention: str) -> PreTrainedModel:
    """Load a model by hub name or folder, or make the `tiny` one, with a head for the dataset's task.

    Raises ModelError where there is no such model or it does not fit the dataset.
    """
    manifest = dataset.manifest
    task = manifest.task
    head = HEADS[task.kind]
    config = tiny_config(manifest) if name == TINY else _read_config(name, task)
    if task.classes:
        config.id2label = dict(enumerate(task.classes))
        config.label2id = {label: i for i, label in enumerate(task.classes)}
    config.problem_type = head.problem_type
    for field in _DROPOUT_FIELDS:
        if getattr(config, field, None) is not None or field == "classifier_dropout":
            setattr(config, field, dropout)
    if config.pad_token_id is None:
        config.pad_token_id = manifest.tokenizer.pad_id
    if name != TINY:
        check_vocabulary(name, config, manifest)
    check_length(name, config, manifest.max_length)
    torch.manual_seed(rng.torch_seed(rng.Draw.MODEL_INIT, seed=seed))  # the new head's weights
    options: dict[str, Any] = {"attn_implementation": attention, "trust_remote_code": False}
    try:
        if name == TINY:
            model = head.model_class.from_config(config, **options)
        else:
            model = head.model_class.from_pretrained(
                name, config=config, dtype=torch.float32, use_safetensors=True, **options
            )
    except ImportError as error:  # of the attention kernel's package
        raise ModelError(
            f"--attention {attention} cannot be used: {reason_of(error)}.",
            next_step="Pass --attention sdpa or --attention eager, or install its package.",
        ) from error
    except LOADING_ERRORS as error:
        if task.kind == "seq2seq" and type(config) not in head.model_class._model_mapping:
            raise ModelError(
                f"The model {name} writes no texts: it is a {config.model_type}.",
                next_step="Pass --model with an encoder-decoder, such as t5-small.",
            ) from error
        raise ModelError(
            f"The model {name} cannot be loaded: {reason_of(error)}.",
            next_step="Pass --model with a folder that holds config.json and model.safetensors, or a hub name.",
        ) from error
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):  # also where a configuration has another name for it
            module.p = dropout
    loaded: PreTrainedModel = model
    return loaded


def model_to_train(name: str | None, manifest: Manifest) -> ModelChoice:
    """Return the model of a run, as dry runs choose it (model_choice.py); nothing is assumed of it.

    Raises ModelError where there is no such model.
    """
    choice = choose_model(name, manifest)
    if choice.model_type is not None:
        return choice
    config = _read_config(choice.name, manifest.task)
    is_writer = manifest.task.kind == "seq2seq"
    return replace(choice, model_type=config.model_type, in_rows=not is_writer and knows_sequences(config))


def check_vocabulary(name: str, config: PretrainedConfig, manifest: Manifest) -> None:
    """Refuse a model whose tokenizer is not the prepared one: its token ids would mean other words."""
    tokenizer = manifest.tokenizer
    if config.vocab_size < tokenizer.vocabulary_size:
        raise ModelError(
            f"The model {name} knows {config.vocab_size} tokens, but the dataset was prepared with "
            f"{tokenizer.name}, which has {tokenizer.vocabulary_size}.",
            next_step=f"Prepare the dataset with --tokenizer {name}, or pass the model it was prepared for.",
        )
    try:
        own = load_tokenizer(name)
    except TokenizerError:
        return  # weights without a tokenizer: nothing to compare with
    if own.vocabulary_sha256 != tokenizer.vocabulary_sha256:
        raise ModelError(
            f"The model {name} has another tokenizer than the dataset, which was prepared with {tokenizer.name}.",
            next_step=f"Prepare the dataset with --tokenizer {name}, or pass the model it was prepared for.",
        )


def read_config(name: str, *, refused: str, next_step: str, **options: Any) -> PretrainedConfig:
    """Read a model's configuration by hub name or folder. Raises ModelError, which says `refused` and why."""
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(name, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        folder = Path(name).is_dir()
        reason = reason_of(error) if folder else "it is no folder, and the hub cannot be reached or has none such"
        raise ModelError(f"{refused}: {reason}.", next_step=next_step) from error
    return config


def _read_config(name: str, task: Task) -> PretrainedConfig:
    heads: dict[str, Any] = {} if task.kind == "seq2seq" else {"num_labels": task.outputs}
    return read_config(
        name,
        refused=f"The model {name} cannot be loaded",
        next_step="Pass --model with a folder that holds config.json and model.safetensors, or a hub name.",
        **heads,
    )


def tiny_config(manifest: Manifest) -> PretrainedConfig:
    """Return a BERT, or a T5, of 2 layers and 128 dimensions: with random weights it learns the sample in a minute."""
    tokenizer = manifest.tokenizer
    if manifest.task.kind == "seq2seq":
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
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=max(manifest.max_length, 128),
        num_labels=manifest.task.outputs,
        pad_token_id=tokenizer.pad_id,
    )


def check_length(name: str, config: PretrainedConfig, max_length: int) -> None:
    """Refuse a model that takes fewer tokens than the dataset's samples may have."""
    limit = position_limit(config)
    if limit is not None and max_length > limit:
        raise ModelError(
            f"The model {name} takes at most {limit} tokens; the dataset was prepared with --max-length {max_length}.",
            next_step=f"Prepare the dataset with --max-length {limit} or less.",
        )


def position_limit(config: PretrainedConfig) -> int | None:
    """Return how many tokens a model takes; None where its positions are relative."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or positions < 0:
        return None
    # RoBERTa and its kin count positions from the pad id + 1.
    return int(positions) - (config.pad_token_id + 1 if config.model_type in _OFFSET_MODELS else 0)


_OFFSET_MODELS = ("roberta", "camembert", "xlm-roberta", "mpnet", "longformer")
