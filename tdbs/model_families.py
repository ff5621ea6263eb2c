"""Families of models by the `model_type` of their config.json: one table of what is special about each.

Planning and training both read it, and it needs no library, so that a plan is made for the model that trains.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What tdbs knows of a family; a family that is not in the table has none of it."""

    counts_from_pad_id: bool = False  # its first position is the pad id + 1, so it takes fewer tokens than it has
    shares_rows: bool = False  # a row may hold several samples: positions can be given, and attention is ours to call
    ends_on_first_tokens: bool = False  # behind the last layer's attention, its head needs first tokens alone
    pools_final_norm: bool = False  # its head pools what `final_norm` returns, as its `classifier_pooling` says
    skips_blocks: bool = False  # `block_sparse` attention leaves blocks of long texts out


_BERT = Family(shares_rows=True, ends_on_first_tokens=True)
_ROBERTA = Family(counts_from_pad_id=True, shares_rows=True, ends_on_first_tokens=True)
_FROM_PAD_ID = Family(counts_from_pad_id=True)
_BIGBIRD = Family(skips_blocks=True)

FAMILIES: Mapping[str, Family] = {
    "bert": _BERT,
    "electra": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "modernbert": Family(shares_rows=True, pools_final_norm=True),
    "xlm-roberta-xl": _FROM_PAD_ID,
    "roberta-prelayernorm": _FROM_PAD_ID,
    "xmod": _FROM_PAD_ID,
    "data2vec-text": _FROM_PAD_ID,
    "ibert": _FROM_PAD_ID,
    "mpnet": _FROM_PAD_ID,
    "longformer": _FROM_PAD_ID,
    "luke": _FROM_PAD_ID,
    "esm": _FROM_PAD_ID,
    "big_bird": _BIGBIRD,
    "bigbird_pegasus": _BIGBIRD,
}
SHARING_ROWS = tuple(name for name, family in FAMILIES.items() if family.shares_rows)

# What the configurations of all families call their dropout rates.
DROPOUT_FIELDS = (
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


def family_of(model_type: str) -> Family:
    """Return what is known of a family."""
    return FAMILIES.get(model_type, Family())


def takes_rows_of_several(config: Mapping[str, Any]) -> bool:
    """Return whether a row of a model may hold several samples, from its configuration as config.json has it.

    A BERT that looks back only (`is_decoder`) does not: masks of rows know no direction.
    """
    return family_of(config.get("model_type", "")).shares_rows and not config.get("is_decoder")
