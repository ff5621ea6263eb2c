"""Load a model that fits a prepared dataset: same vocabulary, long enough, with the run's dropout and attention."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, BertConfig, PretrainedConfig, PreTrainedModel, T5Config

from tdbs import rng
from tdbs.data.tasks import Task, TaskKind
from tdbs.errors import ModelError, reason_of
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import Manifest, TokenizerInfo
from tdbs.pipeline.tokens.rules import Layout, layout_of
from tdbs.pipeline.tokens.tokenizer import Reading, read_by_transformers
from tdbs.shown import notice
from tdbs.train.models.checks import check_block_sparse, check_length, check_vocabulary, check_weights, input_rules
from tdbs.train.models.heads import HEADS
from tdbs.train.models.inputs import InputRules
from tdbs.train.models.padding_side import with_padding_side
from tdbs.train.models.part import adapted_model, config_folder
from tdbs.train.planning.model_choice import TINY, ModelChoice, choose_model
from tdbs.train.rows.models import knows_sequences
from tdbs.unasked import nothing_asked

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


_NEXT_STEP = "Pass --model with a folder that holds config.json and model.safetensors, or a hub name."


def open_model(
    name: str, kind: TaskKind, config: PretrainedConfig, *, attention: str, headed: bool = False
) -> PreTrainedModel:
    """Open a model with a head by hub name or folder, in fp32; the only place that does so, and runs no code of others.

    A folder of adapters brings the model that they are for. With `headed` the head has to be trained. Raises what
    loading raises, which may be anything where a file is damaged, and ModelError.
    """
    adapted = adapted_model(Path(name))
    check_weights(adapted or name)
    with nothing_asked():
        model, loading = HEADS[kind].model_class.from_pretrained(
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
    elif headed and loading["missing_keys"]:
        raise ModelError(
            f"The model {name} has no trained weights for {sorted(loading['missing_keys'])[0]}.",
            next_step="Fine-tune it with tdbs train --model, or pass a checkpoint that was fine-tuned.",
        )
    opened: PreTrainedModel = model
    return opened


def loading_reason(error: Exception) -> str:
    """Return why a model could not be loaded, in words that stand alone."""
    reason = reason_of(error)
    if "above report" in reason:  # which transformers writes to its log
        return "its weights have other shapes than its config.json says"
    return reason if isinstance(error, OSError | RuntimeError | ValueError) else f"{type(error).__name__}: {reason}"


def load_model(name: str, dataset: PreparedDataset, *, seed: int, dropout: float, attention: str) -> PreTrainedModel:
    """Load a model by hub name or folder, or make the `tiny` one, with a head for the dataset's task.

    Raises ModelError if there is no such model or it does not fit the dataset.
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
    if name != TINY:
        check_vocabulary(name, config, manifest)
    check_length(name, config, manifest.max_length)
    torch.manual_seed(rng.torch_seed(rng.RandomPurpose.MODEL_INIT, seed=seed))  # the new head's weights
    try:
        if name == TINY:
            model = head.model_class.from_config(config, attn_implementation=attention, trust_remote_code=False)
        else:
            model = open_model(name, task.kind, config, attention=attention)
    except ImportError as error:  # of the attention kernel's package
        raise ModelError(
            f"--attention {attention} cannot be used: {reason_of(error)}.",
            next_step="Pass --attention sdpa or --attention eager, or install its package.",
        ) from error
    except ModelError:
        raise
    except Exception as error:  # no such file, wrong shapes, a damaged file: a dozen kinds
        if task.kind == "seq2seq" and type(config) not in head.model_class._model_mapping:
            raise ModelError(
                f"The model {name} writes no texts: it is a {config.model_type}.",
                next_step="Pass --model with an encoder-decoder, such as t5-small.",
            ) from error
        raise ModelError(
            f"The model {name} cannot be loaded: {loading_reason(error)}.", next_step=_NEXT_STEP
        ) from error
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):  # also where a configuration has another name for it
            module.p = dropout
    loaded: PreTrainedModel = model
    return loaded


def rules_for(
    model: PreTrainedModel, name: str, manifest: Manifest, backend: Tokenizer, *, in_rows: bool, device: torch.device
) -> InputRules:
    """Return how a model is given a dataset's samples, as transformers gives them with the tokenizer of its folder.

    `backend` is the dataset's tokenizer. Raises ModelError or TokenizerError if it cannot be given them so, or if
    padding would change something.
    """
    info, kind = manifest.tokenizer, manifest.task.kind
    reading = None if name == TINY else read_by_transformers(name, backend)
    if reading is None and name not in (TINY, info.source):  # weights without a tokenizer
        reading = read_by_transformers(info.source, backend)
    return rules_of(
        model,
        kind,
        layout_of(backend),
        name=name,
        info=info,
        is_pair=manifest.task.is_pair,
        max_length=manifest.max_length,
        reading=reading,
        trained=True,
        in_rows=in_rows,
        device=device,
    )


def rules_of(
    model: PreTrainedModel,
    kind: TaskKind,
    layout: Layout | None,
    *,
    name: str,
    info: TokenizerInfo,
    is_pair: bool,
    max_length: int,
    reading: Reading | None,
    trained: bool,
    in_rows: bool,
    device: torch.device,
) -> InputRules:
    """Return how a model is given samples of a tokenizer (model_checks.py, padding_side.py).

    `reading` is that of the model's tokenizer, or of the dataset's if the model has none; None: it is not known. A
    notice says if the model is given padding on another side than this tokenizer has it.
    """
    check_block_sparse(name, model.config, max_length)
    rules = input_rules(
        model,
        kind,
        layout,
        name=name,
        info=info,
        is_pair=is_pair,
        gives_segment_ids=None if reading is None else reading.gives_segment_ids,
        trained=trained,
    )
    rules = with_padding_side(
        model,
        kind,
        rules,
        None if layout is None else layout.pair if is_pair else layout.single,
        name=name,
        special_ids=info.special_ids,
        max_length=max_length,
        in_rows=in_rows,
        device=device,
    )
    if reading is None:
        return rules
    if reading.pads_left != rules.pads_left:
        theirs, ours = ("left", "right") if reading.pads_left else ("right", "left")
        notice(
            f"The tokenizer of {reading.source} pads on the {theirs}, but tdbs pads on the {ours} or not at all. A "
            f"text then has the same result alone and in a batch; batches padded on the {theirs} may give others."
        )
    return replace(rules, token_names=reading.token_names)


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


def read_config(name: str, *, refused: str, next_step: str, **options: Any) -> PretrainedConfig:
    """Read a model's configuration by hub name or folder. Raises ModelError, which says `refused` and why."""
    try:
        place = str(config_folder(Path(name)))
        with nothing_asked():
            config: PretrainedConfig = AutoConfig.from_pretrained(place, trust_remote_code=False, **options)
    except Exception as error:  # of no file or a damaged one: each configuration class has its own
        folder = Path(name).is_dir()
        reason = reason_of(error) if folder else "it is no folder, and the hub cannot be reached or has none such"
        raise ModelError(f"{refused}: {reason}.", next_step=next_step) from error
    return config


def _read_config(name: str, task: Task) -> PretrainedConfig:
    heads: dict[str, Any] = {} if task.kind == "seq2seq" else {"num_labels": task.outputs}
    return read_config(
        name,
        refused=f"The model {name} cannot be loaded",
        next_step=_NEXT_STEP,
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
