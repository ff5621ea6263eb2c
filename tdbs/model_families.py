"""Families of models by the `model_type` of their config.json: one table of what is special about each.

Planning and training both read it, and it needs no library, so that a plan is made for the model that trains.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Config = Mapping[str, Any]  # as config.json has it


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnAttention:
    """Attention that a family calls itself, not through transformers' interface."""

    module: str  # class of the modules that mix tokens; states and mask are their first inputs
    mask: Literal["added", "seen"] = "added"  # added to scores, or 1 where a token is seen
    by_length: tuple[str, ...] = ()  # what the encoder computes from the length of a row, for all its layers
    mask_maker: str | None = None  # method of the encoder that makes the mask; None: the encoder is given it
    relative_scores: str | None = None  # method of the modules that scores all relative positions (`pos_ebd_size`)
    masks_states: bool = False  # the body, its own encoder, multiplies hidden states with the mask of its tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Unless:
    """A field of the configuration: if it is set, the samples of a row would mix."""

    field: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedRows:
    """How a row of a family may hold several samples: positions restart, and attention sees one sample at a time.

    The head of a text reads few tokens; the others end as early as it can be done: before one module of the body, or
    behind one (neither: behind the body).
    """

    reads: Literal["first", "last", "pooling"]  # pooling: as the configuration says
    ends_before: str | None = None
    ends_behind: str | None = None
    own_attention: OwnAttention | None = None
    takes_positions: bool = True  # else its positions are relative alone
    mask_alone: str | None = None  # class of layers that pass on to their attention its mask, and nothing else of ours
    unless: Unless | None = None
    summary_type: str | None = None  # the one that `reads` means, of heads that know several

    def mixes(self, setting: Callable[[str], Any]) -> bool:
        """Return whether a configuration mixes the samples of a row; `setting` returns a field of it, or None."""
        if self.summary_type is not None and setting("summary_type") not in (None, self.summary_type):
            return True
        return self.unless is not None and bool(setting(self.unless.field))


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetsInRows:
    """How an encoder-decoder may have all sources in one row, and all targets in another."""

    attention_with_bias: str | None = None  # class of the modules that add a bias by relative position
    embeds_positions: bool = False  # encoder and decoder have `embed_positions`, which take positions


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What tdbs knows of a family; a family that is not in the table has none of it."""

    counts_from_pad_id: bool = False  # its first position is the pad id + 1, so it takes fewer tokens than it has
    skips_blocks: bool = False  # `block_sparse` attention leaves blocks of long texts out
    pools_padding: bool = False  # it pools over neighbouring tokens: padding beside a text changes its outputs
    rows: SharedRows | None = None  # None: a row holds one sample
    targets: TargetsInRows | None = None  # the same for sequence to sequence
    fails_with: str | None = None  # a field of the configuration: transformers cannot run a model that has it set
    writes_padded: bool = False  # it is an encoder-decoder whose rows hold one sample

    @property
    def writes(self) -> bool:
        """Whether its models can be trained to write texts."""
        return self.targets is not None or self.writes_padded


_LAST_ATTENTION = "encoder.layer.-1.attention.output"  # behind it nothing mixes tokens
_FIRST_IS_BLIND = "tokens see only those before them, so the first one sees no other"


def _like_bert(own_attention: OwnAttention | None = None, *, takes_positions: bool = True) -> SharedRows:
    """Return the rows of a family with BERT's layers."""
    return SharedRows(
        reads="first",
        ends_before=_LAST_ATTENTION,
        own_attention=own_attention,
        takes_positions=takes_positions,
        unless=Unless(field="is_decoder", reason=_FIRST_IS_BLIND),
    )


def _like_deberta(*, relative_scores: str | None = None) -> Family:
    """Return a family with DeBERTa's layers."""
    return Family(
        rows=SharedRows(
            reads="first",
            ends_before=_LAST_ATTENTION,
            own_attention=OwnAttention(
                module="DisentangledSelfAttention",
                mask="seen",
                by_length=("get_rel_pos",),
                mask_maker="get_attention_mask",
                relative_scores=relative_scores,
            ),
            unless=Unless(field="conv_kernel_size", reason="a convolution mixes neighbours in the row"),
        )
    )


_BERT = Family(rows=_like_bert())
_ROBERTA = Family(counts_from_pad_id=True, rows=_like_bert())
_MPNET = OwnAttention(module="MPNetSelfAttention", by_length=("compute_position_bias",))
_ROFORMER = OwnAttention(module="RoFormerSelfAttention", by_length=("embed_positions",))
_XLM = Family(
    rows=SharedRows(
        reads="first",
        own_attention=OwnAttention(module="MultiHeadAttention", mask="seen", masks_states=True),
        unless=Unless(field="causal", reason=_FIRST_IS_BLIND),
        summary_type="first",
    )
)
_FIRST = Family(rows=SharedRows(reads="first"))
_LAST = Family(rows=SharedRows(reads="last"))
_GPT2 = Family(
    rows=SharedRows(
        reads="last",
        unless=Unless(
            field="reorder_and_upcast_attn", reason="attention is not called through transformers' interface"
        ),
    )
)
_GEMMA = Family(
    rows=SharedRows(
        reads="last",
        unless=Unless(
            field="use_bidirectional_attention", reason="its masks look back only, but its layers say that they do not"
        ),
    )
)
_STABLELM = Family(rows=SharedRows(reads="last", mask_alone="StableLmDecoderLayer"))
_POOLING = Family(rows=SharedRows(reads="pooling"))
_POSITIONED = Family(targets=TargetsInRows(embeds_positions=True))
_FROM_PAD_ID = Family(counts_from_pad_id=True)

FAMILIES: Mapping[str, Family] = {
    "bert": _BERT,
    "electra": _BERT,
    "ernie": _BERT,
    "layoutlm": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "xlm-roberta-xl": _ROBERTA,
    "camembert": _ROBERTA,
    "data2vec-text": _ROBERTA,
    "roberta-prelayernorm": _ROBERTA,
    "megatron-bert": Family(rows=_like_bert(OwnAttention(module="MegatronBertSelfAttention"))),
    "rembert": Family(rows=_like_bert(OwnAttention(module="RemBertSelfAttention"))),
    "roformer": Family(rows=_like_bert(_ROFORMER, takes_positions=False)),
    "deberta": _like_deberta(),
    "deberta-v2": _like_deberta(relative_scores="disentangled_attention_bias"),
    "mpnet": Family(counts_from_pad_id=True, rows=SharedRows(reads="first", own_attention=_MPNET)),
    "distilbert": _FIRST,
    "jina_embeddings_v3": _FIRST,
    "albert": Family(rows=SharedRows(reads="first", ends_behind="encoder")),
    "nomic_bert": Family(rows=SharedRows(reads="first", ends_behind="layers.-1")),
    "xlm": _XLM,
    "flaubert": replace(_XLM, fails_with="pre_norm"),
    "modernbert": _POOLING,
    "eurobert": _POOLING,
    # decoders
    "gpt2": _GPT2,
    "gpt_neox": _LAST,
    "opt": _LAST,
    "llama": _LAST,
    "mistral": _LAST,
    "qwen2": _LAST,
    "qwen3": _LAST,
    "gemma": _GEMMA,
    "gemma2": _GEMMA,
    "gemma3_text": _LAST,
    "phi": _LAST,
    "phi3": _LAST,
    "smollm3": _LAST,
    "olmo": _LAST,
    "olmo2": _LAST,
    "starcoder2": _LAST,
    "stablelm": _STABLELM,
    # encoder-decoders
    "t5": Family(targets=TargetsInRows(attention_with_bias="T5Attention")),
    "mt5": Family(targets=TargetsInRows(attention_with_bias="MT5Attention")),
    "bart": _POSITIONED,
    "mbart": _POSITIONED,
    "pegasus": _POSITIONED,
    "marian": _POSITIONED,
    # one sample a row
    "xmod": _FROM_PAD_ID,
    "ibert": _FROM_PAD_ID,
    "longformer": _FROM_PAD_ID,
    "luke": _FROM_PAD_ID,
    "esm": _FROM_PAD_ID,
    "big_bird": Family(skips_blocks=True),
    "bigbird_pegasus": Family(skips_blocks=True, writes_padded=True),
    "funnel": Family(pools_padding=True),
}
SHARING_ROWS = tuple(name for name, family in FAMILIES.items() if family.rows is not None)
PAIRING_ROWS = tuple(name for name, family in FAMILIES.items() if family.targets is not None)

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
    "summary_first_dropout",
    "summary_last_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
)


def family_of(model_type: str) -> Family:
    """Return what is known of a family."""
    return FAMILIES.get(model_type, Family())


def takes_rows_of_several(config: Config, *, writes: bool = False) -> bool:
    """Return whether a row of a model may hold several samples, from its configuration as config.json has it.

    `writes`: the model is trained to write texts (sequence to sequence), so its targets are in rows, too.
    """
    family = family_of(config.get("model_type", ""))
    if writes:
        return family.targets is not None
    return family.rows is not None and not family.rows.mixes(config.get)
