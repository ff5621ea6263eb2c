"""The sizes of a model, from config.json alone: what its weights take, and what its layers store for the backward pass.

A layer stores values of three kinds: hidden states and inner states of the feed-forward for tokens, and weights of
attention for pairs of tokens. How many bytes of each is a fact of the family (docs/decisions.md, "Peak memory"). A
family that nobody counted has no size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What configurations call the same size.
_NAMES = {
    "hidden": ("hidden_size", "dim", "d_model", "n_embd"),
    "layers": ("num_hidden_layers", "n_layers", "n_layer"),
    "heads": ("num_attention_heads", "n_heads", "n_head"),
    "inner": ("intermediate_size", "hidden_dim", "n_inner"),
    "vocabulary": ("vocab_size",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerBytes:
    """What a layer stores of each kind, in bytes: in fp32, and under bf16, whose sums and norms stay in fp32."""

    hidden: tuple[int, int]  # per token and entry of a hidden state
    inner: tuple[int, int]  # per token and entry of the feed-forward's inner state
    hidden_dropout: tuple[int, int]  # more with dropout
    inner_dropout: tuple[int, int] = (0, 0)
    masked_pair: int = 10  # with dropout under bf16, if a mask made the weights of attention fp32: per pair and head
    is_gated: bool = False  # a feed-forward of three matrices, and as these have it neither biases nor position weights


_BERT = LayerBytes(hidden=(32, 24), inner=(8, 4), hidden_dropout=(8, 4))
_LLAMA = LayerBytes(hidden=(40, 34), inner=(16, 8), hidden_dropout=(0, 0), is_gated=True)
_LAYERS: Mapping[str, LayerBytes] = {
    **dict.fromkeys(("bert", "electra", "roberta", "xlm-roberta", "camembert", "ernie"), _BERT),
    "distilbert": LayerBytes(hidden=(32, 24), inner=(8, 4), hidden_dropout=(4, 2)),
    "modernbert": LayerBytes(
        hidden=(32, 20),
        inner=(16, 8),
        hidden_dropout=(4, 2),
        inner_dropout=(4, 2),
        masked_pair=8,
        is_gated=True,
    ),
    "gpt2": LayerBytes(hidden=(32, 20), inner=(20, 10), hidden_dropout=(8, 4), masked_pair=8),
    **dict.fromkeys(("llama", "mistral", "qwen2"), _LLAMA),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSize:
    """The sizes of a model that decide its memory."""

    layers: int
    hidden: int
    heads: int
    inner: int
    vocabulary: int
    embedded: int  # weights of the embeddings
    a_layer: int  # weights of each layer
    stored: LayerBytes

    @property
    def weights(self) -> int:
        """All weights, but for those of a task's head."""
        return self.embedded + self.layers * self.a_layer


def model_size(config: Mapping[str, Any]) -> ModelSize | None:
    """Return the sizes of a model; None if its family was not counted, or its configuration lacks one of them."""
    stored = _LAYERS.get(str(config.get("model_type")))
    found = {name: _first(config, names) for name, names in _NAMES.items()}
    if config.get("model_type") == "gpt2" and found["hidden"] and not found["inner"]:
        found["inner"] = 4 * found["hidden"]
    if stored is None or not all(found.values()):
        return None
    hidden, inner, heads = found["hidden"], found["inner"], found["heads"]
    of_head = _first(config, ("head_dim",)) or hidden // heads
    shared = (_first(config, ("num_key_value_heads",)) or heads) * of_head
    attention = 2 * hidden * heads * of_head + 2 * hidden * shared
    biases = 2 * hidden if stored.is_gated else 9 * hidden + inner  # with the weights of norms
    entries = _first(config, ("embedding_size",)) or hidden
    positions = 0 if stored.is_gated else _first(config, ("max_position_embeddings", "n_positions"))
    rows = found["vocabulary"] + positions + _first(config, ("type_vocab_size",))
    projection = entries * hidden if entries != hidden else 0
    return ModelSize(
        layers=found["layers"],
        hidden=hidden,
        heads=heads,
        inner=inner,
        vocabulary=found["vocabulary"],
        embedded=rows * entries + projection,
        a_layer=attention + (3 if stored.is_gated else 2) * hidden * inner + biases,
        stored=stored,
    )


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Return the first of some fields that is a number; 0 if none is."""
    values = (config.get(name) for name in names)
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), 0)
