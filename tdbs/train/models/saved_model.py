"""Save a trained model with its tokenizer: a folder that transformers loads as it is."""

import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from tdbs.errors import ModelError, TokenizerError
from tdbs.files import new_folder
from tdbs.pipeline.dataset import PreparedDataset, read_tokenizer
from tdbs.pipeline.tokens.tokenizer import TOKEN_NAMES, read_by_transformers
from tdbs.train.models.inputs import InputRules, SampleFormat
from tdbs.train.models.part import ADAPTED_CONFIG
from tdbs.train.models.sentence_files import name_activation, write_embedding_files


def save_model(folder: Path, model: PreTrainedModel, rules: InputRules, dataset: PreparedDataset) -> None:
    """Save weights (safetensors), configuration and tokenizer, so that transformers loads the folder as it is."""
    max_length = dataset.manifest.longest_input
    name_activation(model.config, dataset.manifest.task)
    with new_folder(folder) as hidden:
        model.save_pretrained(hidden, safe_serialization=True)
        if (hidden / "adapter_config.json").exists():
            model.config.architectures = [type(model).__name__]
            model.config.save_pretrained(hidden / ADAPTED_CONFIG)
        _to_save(read_tokenizer(dataset), rules, max_length=max_length).save_pretrained(hidden)
        if rules.pooling is not None:
            write_embedding_files(hidden, rules.pooling, width=model.config.hidden_size, max_length=max_length)


def check_saved_tokenizer(config: PretrainedConfig, rules: InputRules, samples: SampleFormat) -> None:
    """Refuse a tokenizer that transformers would read otherwise once it is saved beside the model.

    Of some families (Qwen2) transformers opens any tokenizer as the family's own, whatever its settings say.
    """
    with tempfile.TemporaryDirectory(prefix="tdbs-") as folder:
        config.save_pretrained(folder)
        _to_save(samples.backend, rules, max_length=samples.max_length).save_pretrained(folder)
        try:
            read_by_transformers(folder, samples.backend)
        except TokenizerError as error:
            raise ModelError(
                f"transformers opens any tokenizer beside a {config.model_type} as that family's own, which makes "
                f"other tokens than {samples.info.name}: the trained model could not be used.",
                next_step="Prepare the dataset with --tokenizer and the tokenizer that the model was made with.",
            ) from error


def _to_save(tokenizer: Tokenizer, rules: InputRules, *, max_length: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer as transformers has it, with what its settings say of the model."""
    added = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    # without a name or None, a class of transformers would add its own special tokens (Qwen2's)
    named: dict[str, Any] = dict.fromkeys(TOKEN_NAMES)
    named |= {name: added[token] for name, token in rules.token_names if token in added}
    named["pad_token"] = None if rules.pad_id is None else tokenizer.id_to_token(rules.pad_id)
    # without their name, segment ids would be left out, and a model of pairs would predict otherwise
    segment_ids = [] if rules.layout is None else ["token_type_ids"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **named,
        padding_side="left" if rules.pads_left else "right",
        model_max_length=max_length,
        model_input_names=["input_ids", *segment_ids, "attention_mask"],
    )
