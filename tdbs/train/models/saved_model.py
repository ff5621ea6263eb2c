"""Save a trained model with its tokenizer: a folder that transformers loads as it is."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tdbs.files import new_folder
from tdbs.pipeline.dataset import PreparedDataset, read_tokenizer
from tdbs.pipeline.tokens.tokenizer import TOKEN_NAMES
from tdbs.train.models.inputs import InputRules
from tdbs.train.models.part import ADAPTED_CONFIG


def save_model(folder: Path, model: PreTrainedModel, rules: InputRules, dataset: PreparedDataset) -> None:
    """Save weights (safetensors), configuration and tokenizer, so that transformers loads the folder as it is."""
    tokenizer = read_tokenizer(dataset)
    added = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    # without a name or None, a class of transformers would add its own special tokens (Qwen2's)
    named: dict[str, Any] = dict.fromkeys(TOKEN_NAMES)
    named |= {name: added[token] for name, token in rules.token_names if token in added}
    named["pad_token"] = None if rules.pad_id is None else tokenizer.id_to_token(rules.pad_id)
    # without their name, segment ids would be left out, and a model of pairs would predict otherwise
    segment_ids = [] if rules.layout is None else ["token_type_ids"]
    with new_folder(folder) as hidden:
        model.save_pretrained(hidden, safe_serialization=True)
        if (hidden / "adapter_config.json").exists():
            model.config.architectures = [type(model).__name__]
            model.config.save_pretrained(hidden / ADAPTED_CONFIG)
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            **named,
            padding_side="left" if rules.pads_left else "right",
            model_max_length=dataset.manifest.max_length,
            model_input_names=["input_ids", *segment_ids, "attention_mask"],
        ).save_pretrained(hidden)
