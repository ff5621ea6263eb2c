"""Check from its files that a model can train on a dataset: dry runs refuse what training refuses.

Training calls the same checks with the configuration that transformers completes, and tries the model besides
(models/padding_side.py).
"""

from tdbs.errors import ModelError, TokenizerError
from tdbs.model_families import FAMILIES, Config, family_of
from tdbs.pipeline.manifest import Manifest, TokenizerInfo
from tdbs.pipeline.tokens.tokenizer import load_tokenizer
from tdbs.train.planning.model_choice import TINY, ModelChoice, find_config


def check_fit(model: ModelChoice, manifest: Manifest) -> None:
    """Refuse a model that cannot train on a dataset, as far as its files show it; one that is not found passes.

    Raises ModelError with the text that training has.
    """
    if model.name == TINY or model.model_type is None:
        return
    if manifest.task.kind == "seq2seq" and model.model_type in FAMILIES and not family_of(model.model_type).writes:
        raise cannot_write(model.name, model.model_type)
    family, config = family_of(model.model_type), find_config(model.name)
    if family.pools_padding:
        raise padding_changes(model.name, model.model_type)
    if family.fails_with is not None and config.get(family.fails_with):
        raise ModelError(
            f"transformers cannot run {model.name}: it is a {model.model_type} with {family.fails_with}.",
            next_step="Choose another model.",
        )
    check_vocabulary(model.name, _number(config, "vocab_size"), manifest.tokenizer)
    check_length(model.name, _position_limit(config), manifest.longest_input)


def cannot_write(name: str, model_type: str) -> ModelError:
    """Return the error for a model without a decoder that writes texts."""
    return ModelError(
        f"The model {name} cannot write texts: it is a {model_type}.",
        next_step="Pass --model with an encoder-decoder, such as t5-small.",
    )


def padding_changes(name: str, model_type: str) -> ModelError:
    """Return the error for a model whose outputs depend on the padding beside a text."""
    return ModelError(
        f"Padding changes the outputs of {name} ({model_type}), so no batch would be exact.",
        next_step="Choose a model whose attention ignores padding, such as BERT or RoBERTa.",
    )


def check_vocabulary(name: str, embeddings: int | None, tokenizer: TokenizerInfo) -> None:
    """Refuse a model whose tokenizer is not the prepared one: its token ids would mean other words.

    `embeddings` is how many tokens it knows; None: that is not known.
    """
    try:
        own = load_tokenizer(name)
    except TokenizerError:  # weights without a tokenizer: nothing to compare with
        own = None
    if own is not None and own.vocabulary_sha256 != tokenizer.vocabulary_sha256:
        raise ModelError(
            f"The model {name} has another tokenizer than the dataset, which was prepared with {tokenizer.name}.",
            next_step=f"Prepare the dataset with --tokenizer {name}, or pass the model it was prepared for.",
        )
    if embeddings is None:
        return
    if own is not None:
        check_embeddings(name, embeddings, own.vocabulary_size)
    if embeddings < tokenizer.vocabulary_size:
        raise ModelError(
            f"The model {name} knows {embeddings} tokens, but the dataset was prepared with "
            f"{tokenizer.name}, which has {tokenizer.vocabulary_size}.",
            next_step=f"Prepare the dataset with --tokenizer {name}, or pass the model it was prepared for.",
        )


def check_embeddings(name: str, embeddings: int, tokens: int) -> None:
    """Refuse a model whose own tokenizer has more tokens than it has embeddings: some were added without resizing."""
    if embeddings < tokens:
        raise ModelError(
            f"The model {name} has {embeddings} embeddings, but its own tokenizer has {tokens} tokens.",
            next_step="Call model.resize_token_embeddings(len(tokenizer)) in transformers, and save the model again.",
        )


def check_length(name: str, limit: int | None, max_length: int) -> None:
    """Refuse a model that takes fewer tokens (`limit`) than the dataset's samples may have; None: it takes any."""
    if limit is not None and max_length > limit:
        raise ModelError(
            f"The model {name} takes at most {limit} tokens; the dataset was prepared with --max-length {max_length}.",
            next_step=f"Prepare the dataset with --max-length {limit} or less.",
        )


def position_limit(model_type: str, positions: int | None, pad_id: int | None) -> int | None:
    """Return how many tokens a model takes, None if its positions are relative."""
    if positions is None or positions < 0:
        return None
    return positions - ((pad_id or 0) + 1 if family_of(model_type).counts_from_pad_id else 0)


def _position_limit(config: Config) -> int | None:
    """Return the same from config.json; None, too, if it leaves the number to transformers."""
    pad_id = _number(config, "pad_token_id")
    if pad_id is None and family_of(config["model_type"]).counts_from_pad_id:
        return None
    return position_limit(config["model_type"], _number(config, "max_position_embeddings"), pad_id)


def _number(config: Config, field: str) -> int | None:
    """Return a whole number of a configuration; None: there is none."""
    value = config.get(field)
    return value if isinstance(value, int) else None
