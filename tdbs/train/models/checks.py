"""Check that a model fits a tokenizer and a length, and choose how it receives samples, before anything is trained."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from tdbs.data.tasks import SAMPLE_KINDS, TaskKind
from tdbs.errors import ModelError
from tdbs.model_families import family_of
from tdbs.train.models.inputs import InputRules, SampleFormat
from tdbs.train.planning.model_fit import position_limit

_POOLER = "pooler"  # the layer behind the first token of BERT and its kin


def check_weights(name: str) -> None:
    """Refuse a folder whose weights are pickle files alone, with Python code that makes a safetensors file of them."""
    folder = Path(name)
    pickled = sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    if pickled and not any(folder.glob("model*.safetensors*")):
        raise ModelError(
            f"The model {name} has {pickled[0]} and no model.safetensors. tdbs does not read .bin files: they are "
            "pickles, and opening a pickle may run code that it brings.",
            next_step="Convert it in Python, which reads only tensors: import pathlib, torch, safetensors.torch; "
            f"f = pathlib.Path({name!r}); safetensors.torch.save_file({{k: v.contiguous().clone() for p in "
            "f.glob('pytorch_model*.bin') for k, v in torch.load(p, map_location='cpu', weights_only=True).items()}, "
            "f / 'model.safetensors', {'format': 'pt'})",
        )


def missing_weights(names: Iterable[str], kind: TaskKind) -> list[str]:
    """Return which missing weights are used: embeddings need no pooler, and most folders have none."""
    return sorted(name for name in names if kind != "embedding" or _POOLER not in name.split("."))


def check_block_sparse(name: str, config: PretrainedConfig, max_length: int) -> None:
    """Refuse lengths at which BigBird's attention leaves blocks out: padding beside a text changes which ones."""
    if not family_of(config.model_type).skips_blocks or config.attention_type != "block_sparse":
        return
    full = (5 + 2 * config.num_random_blocks) * config.block_size  # transformers attends to all tokens up to here
    if max_length > full:
        raise ModelError(
            f"The model {name} attends to all of a text up to {full} tokens; beyond, its outputs depend on the "
            f"padding beside the text, and texts may have {max_length}.",
            next_step=f'Pass --max-length {full} or less, or set "attention_type": "original_full" in its config.json.',
        )


def check_rotation(name: str, config: PretrainedConfig, max_length: int) -> None:
    """Refuse lengths at which `longrope` turns all texts of a call by its longest one."""
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") != "longrope":
        return
    limit = rope.get("original_max_position_embeddings") or config.original_max_position_embeddings
    if max_length > limit:
        raise ModelError(
            f"The model {name} counts positions in another way in a batch with a text of over {limit} tokens, so the "
            f"outputs of a text depend on those beside it; texts may have {max_length}.",
            next_step=f"Pass --max-length {limit} or less.",
        )


def position_limit_of(config: PretrainedConfig) -> int | None:
    """Return how many tokens a model takes, None if its positions are relative."""
    return position_limit(config.model_type, getattr(config, "max_position_embeddings", None), config.pad_token_id)


def input_rules(
    model: Any, name: str, samples: SampleFormat, *, gives_segment_ids: bool | None, trained: bool
) -> InputRules:
    """Return how a model receives samples, with padding on the right; padding_side.py probes the side.

    `gives_segment_ids` says whether the model's tokenizer in transformers makes any; None: it is not known, and a
    model that takes them receives those of the tokenizer's layout. A configuration without a pad token gets one if the
    model is `trained` by tdbs. Raises ModelError if the model needs what the tokenizer does not write.
    """
    config = model.config
    info, template = samples.info, samples.template
    closing = () if template is None else template.special_ids[-1]
    own: int | None = config.pad_token_id
    if own is None or not 0 <= own < config.vocab_size:
        # a decoder reads the last token that is not the pad token: it must not be the one that ends each text
        others = (each for each in (info.pad_id, *info.special_ids, *range(config.vocab_size)) if each not in closing)
        own = config.pad_token_id = next(others, info.pad_id) if trained or config.is_encoder_decoder else None
    end_id = None
    if config.is_encoder_decoder and samples.task.kind in (*SAMPLE_KINDS, "ranking"):
        end_id = config.eos_token_id
        if template is not None and not any(end_id in ids for ids in template.special_ids):
            raise ModelError(
                f"The model {name} reads the end token of each text, which {info.name} does not write.",
                next_step="Prepare with a tokenizer that ends each text with the model's eos_token.",
            )
        if own == end_id:
            own = next(each for each in range(config.vocab_size) if each != end_id)  # hidden by the mask
    takes = "token_type_ids" in inspect.signature(model.forward).parameters
    typed = takes and getattr(config, "type_vocab_size", 2) > 1 and gives_segment_ids is not False
    if typed and template is None:
        raise ModelError(
            f"The model {name} takes segment ids, but tdbs cannot read from {info.name} how to count them.",
            next_step="Prepare with a tokenizer whose special tokens stand around the texts.",
        )
    return InputRules(pad_id=own, layout=samples.layout if typed else None, end_id=end_id)
