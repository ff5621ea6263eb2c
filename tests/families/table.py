"""The families of models that tests make: their sizes, and the special tokens that their tokenizers write."""

from dataclasses import dataclass, field
from typing import Any

WORDS = [f"w{number}" for number in range(200)] + ["the", "a", "of", "and", "it", "is", "not"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
ROOM = 192  # tokens that the models take
BERTS = {**SIZES, "max_position_embeddings": ROOM + 8}


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of model: its configuration, and the special tokens that its tokenizer puts around texts."""

    name: str
    config: str  # a class of transformers
    sizes: dict[str, Any]
    specials: tuple[str, ...] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # ids in this order; pad and unknown first
    single: str = "[CLS] $A [SEP]"
    pair: str = "[CLS] $A [SEP] $B:1 [SEP]:1"
    input_names: tuple[str, ...] = ("input_ids", "attention_mask")
    side: str = "right"
    named: dict[str, str] = field(default_factory=dict)  # special tokens by their names in transformers
    pad: bool = True
    tokenizer_class: str | None = None  # of byte-level BPE: transformers makes these anew from words and merges

    def ids(self) -> dict[str, int]:
        """Return the id of each token."""
        return {token: number for number, token in enumerate([*self.specials, *WORDS])}


def _kind(name: str, config: str, sizes: dict[str, Any], **given: Any) -> Family:
    return Family(name=name, config=config, sizes=sizes, **given)


TYPED = ("input_ids", "token_type_ids", "attention_mask")
ROBERTAS: dict[str, Any] = {
    "specials": ("<s>", "<pad>", "</s>", "<unk>"),
    "single": "<s> $A </s>",
    "pair": "<s> $A </s> </s> $B </s>",
    "named": {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"},
}
DECODERS: dict[str, Any] = {
    "specials": ("<unk>", "<s>", "</s>"),
    "single": "$A",
    "pair": "$A $B",
    "pad": False,
    "named": {"eos_token": "</s>"},
}
LLAMAS: dict[str, Any] = {
    **DECODERS,
    "single": "<s> $A",
    "pair": "<s> $A <s> $B",
    "named": {"bos_token": "<s>", "eos_token": "</s>"},
}
GEMMAS: dict[str, Any] = {
    **LLAMAS,
    "specials": ("<pad>", "</s>", "<s>", "<unk>"),
    "pair": "<s> $A $B",
    "pad": True,
}
DISENTANGLED = {
    **BERTS,
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "max_relative_positions": -1,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
GROUPED = {**BERTS, "num_key_value_heads": 1}
WINDOW = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 16}

XLM = {"emb_dim": 32, "n_layers": 3, "n_heads": 2, "max_position_embeddings": ROOM}
XLMS: dict[str, Any] = {
    "specials": ("<s>", "</s>", "<pad>", "<unk>"),
    "single": "<s> $A </s>",
    "pair": "<s> $A </s> $B </s>",
    "named": {"bos_token": "<s>", "eos_token": "</s>"},
}


def _named(*families: Family) -> dict[str, Family]:
    return {family.name: family for family in families}


EVERY_DAY = _named(  # one update of each kind of attention, positions and tokenizer; all else is slow
    _kind("bert", "BertConfig", BERTS, input_names=TYPED),
    _kind("roberta", "RobertaConfig", {**BERTS, "type_vocab_size": 1}, **ROBERTAS),
    _kind(
        "modernbert",
        "ModernBertConfig",
        {**BERTS, "local_attention": 16, "global_attn_every_n_layers": 3},
        named={"cls_token": "[CLS]", "sep_token": "[SEP]"},
    ),
    _kind(
        "distilbert",
        "DistilBertConfig",
        {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": ROOM},
    ),
    _kind("xlm", "XLMConfig", XLM, **XLMS),
    _kind(
        "deberta-v2",
        "DebertaV2Config",
        {**DISENTANGLED, "position_buckets": 8},
        input_names=TYPED,
    ),
    _kind(
        "xlnet",
        "XLNetConfig",
        {"d_model": 32, "n_layer": 3, "n_head": 2, "d_inner": 64},
        specials=("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>"),
        single="$A <sep> <cls>:2",
        pair="$A <sep> $B:1 <sep>:1 <cls>:2",
        input_names=TYPED,
        side="left",
        named={"cls_token": "<cls>", "sep_token": "<sep>"},
    ),
    _kind(
        "funnel",
        "FunnelConfig",
        {
            "d_model": 32,
            "n_head": 2,
            "d_head": 16,
            "d_inner": 64,
            "block_sizes": [1, 1, 1],
            "num_decoder_layers": 1,
        },
        single="[CLS]:2 $A [SEP]",
        pair="[CLS]:2 $A [SEP] $B:1 [SEP]:1",
        input_names=TYPED,
    ),
    _kind("longformer", "LongformerConfig", {**BERTS, "attention_window": 16, "type_vocab_size": 1}, **ROBERTAS),
    _kind("big_bird", "BigBirdConfig", {**BERTS, "block_size": 64, "num_random_blocks": 3}, **ROBERTAS),
    _kind(
        "bart",
        "BartConfig",
        {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": ROOM,
        },
        **ROBERTAS,
    ),
    _kind(
        "t5",
        "T5Config",
        {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0},
        specials=("<pad>", "</s>", "<unk>"),
        single="$A </s>",
        pair="$A </s> $B </s>",
        named={"eos_token": "</s>"},
    ),
    _kind(
        "gpt2",
        "GPT2Config",
        {"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": ROOM},
        tokenizer_class="GPT2Tokenizer",
        **DECODERS,
    ),
    _kind(
        "llama",
        "LlamaConfig",
        {**BERTS, "num_key_value_heads": 1},
        side="left",
        specials=DECODERS["specials"],
        single="<s> $A",
        pair="<s> $A <s> $B",
        pad=False,
        named={"bos_token": "<s>", "eos_token": "</s>"},
    ),
    _kind("gemma2", "Gemma2Config", {**GROUPED, "head_dim": 16, **WINDOW, "attn_logit_softcapping": 5.0}, **GEMMAS),
)
FURTHER = _named(
    _kind("bert, foreign tokenizer", "BertConfig", {**BERTS, "type_vocab_size": 2}, **ROBERTAS),
    _kind("xlm-roberta", "XLMRobertaConfig", {**BERTS, "type_vocab_size": 1}, **ROBERTAS),
    _kind("camembert", "CamembertConfig", {**BERTS, "type_vocab_size": 1}, **ROBERTAS),
    _kind("electra", "ElectraConfig", {**BERTS, "embedding_size": 16}, input_names=TYPED),
    _kind("albert", "AlbertConfig", {**BERTS, "embedding_size": 16}, input_names=TYPED),
    _kind("mpnet", "MPNetConfig", BERTS, **ROBERTAS),
    _kind(
        "qwen2",
        "Qwen2Config",
        {
            **BERTS,
            "num_key_value_heads": 1,
            "use_sliding_window": True,
            "sliding_window": 16,
            "max_window_layers": 1,
        },
        tokenizer_class="Qwen2Tokenizer",
        **DECODERS,
    ),
    _kind("ernie", "ErnieConfig", BERTS, input_names=TYPED),
    _kind("layoutlm", "LayoutLMConfig", BERTS, input_names=TYPED),
    _kind("megatron-bert", "MegatronBertConfig", BERTS, input_names=TYPED),
    _kind(
        "rembert",
        "RemBertConfig",
        {**BERTS, "input_embedding_size": 16, "output_embedding_size": 16},
        input_names=TYPED,
    ),
    _kind("roformer", "RoFormerConfig", BERTS, input_names=TYPED),
    _kind("nomic_bert", "NomicBertConfig", {**BERTS, "head_dim": 16}, input_names=TYPED),
    _kind("deberta", "DebertaConfig", DISENTANGLED, input_names=TYPED),
    _kind("flaubert", "FlaubertConfig", XLM, **XLMS),
    _kind("xlm-roberta-xl", "XLMRobertaXLConfig", {**BERTS, "type_vocab_size": 1}, **ROBERTAS),
    _kind("data2vec-text", "Data2VecTextConfig", {**BERTS, "type_vocab_size": 1}, **ROBERTAS),
    _kind("roberta-prelayernorm", "RobertaPreLayerNormConfig", {**BERTS, "type_vocab_size": 1}, **ROBERTAS),
    _kind("jina_embeddings_v3", "JinaEmbeddingsV3Config", {**BERTS, "type_vocab_size": 1}, **ROBERTAS),
    _kind("eurobert", "EuroBertConfig", {**GROUPED, "classifier_pooling": "late"}, **ROBERTAS),
    _kind("eurobert, mean", "EuroBertConfig", {**GROUPED, "classifier_pooling": "mean"}, **ROBERTAS),
    _kind(
        "modernbert, mean",
        "ModernBertConfig",
        {**BERTS, "local_attention": 16, "global_attn_every_n_layers": 3, "classifier_pooling": "mean"},
        named={"cls_token": "[CLS]", "sep_token": "[SEP]"},
    ),
    _kind("mistral", "MistralConfig", {**GROUPED, "sliding_window": 16}, **LLAMAS),
    _kind("qwen3", "Qwen3Config", {**GROUPED, "head_dim": 16}, tokenizer_class="Qwen2Tokenizer", **DECODERS),
    _kind("gemma", "GemmaConfig", {**GROUPED, "head_dim": 16}, **GEMMAS),
    _kind("gemma3_text", "Gemma3TextConfig", {**GROUPED, "head_dim": 16, **WINDOW}, **GEMMAS),
    _kind("phi", "PhiConfig", GROUPED, tokenizer_class="GPT2Tokenizer", **DECODERS),
    _kind("phi3", "Phi3Config", {**GROUPED, "sliding_window": 16}, **GEMMAS),
    _kind("smollm3", "SmolLM3Config", {**GROUPED, "no_rope_layers": [1, 0, 1]}, **GEMMAS),
    _kind("olmo", "OlmoConfig", GROUPED, tokenizer_class="GPTNeoXTokenizer", **DECODERS),
    _kind("olmo2", "Olmo2Config", GROUPED, **LLAMAS),
    _kind(
        "starcoder2", "Starcoder2Config", {**GROUPED, "sliding_window": 16}, tokenizer_class="GPT2Tokenizer", **DECODERS
    ),
    _kind("stablelm", "StableLmConfig", GROUPED, tokenizer_class="GPTNeoXTokenizer", **DECODERS),
    _kind("gpt_neox", "GPTNeoXConfig", BERTS, tokenizer_class="GPTNeoXTokenizer", **DECODERS),
    _kind(
        "opt",
        "OPTConfig",
        {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "ffn_dim": 64,
            "num_attention_heads": 2,
            "max_position_embeddings": ROOM,
            "word_embed_proj_dim": 32,
        },
        tokenizer_class="GPT2Tokenizer",
        **DECODERS,
    ),
)
FAMILIES = EVERY_DAY | FURTHER
