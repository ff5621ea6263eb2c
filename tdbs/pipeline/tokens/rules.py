"""What a tokenizer does around words: where it puts special tokens, and whether texts may be cut at spaces.

Most tokenizers split at spaces before anything else, so the tokens of a text are those of its words, one after the
other. This file reads that from the tokenizer's parts and never assumes it: an unlisted part makes no promise.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import tokenizers

# Whatever stands on one side of a space, these leave the other side alone.
_NORMALIZERS = {
    "BertNormalizer",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Precompiled",
    "StripAccents",
}
_RUNS_OF_SPACES = {"Regex": " {2,}"}  # what SentencePiece's models replace; a lone space is not a run
_SPLIT_AT_SPACES = {"BertPreTokenizer", "ByteLevel", "Metaspace", "Whitespace", "WhitespaceSplit"}
_SPLIT_FURTHER = {"ByteLevel", "Digits", "Metaspace", "Punctuation"}
_MODELS = {"BPE", "Unigram", "WordLevel", "WordPiece"}
_PUT_TOKENS_AROUND = {"BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """Special tokens around one text, or around two: entry k comes before text k, the last one after them all."""

    special_ids: tuple[tuple[int, ...], ...]
    special_types: tuple[tuple[int, ...], ...]  # segment ids of the special tokens
    text_types: tuple[int, ...]  # segment id of each text

    @property
    def special_tokens(self) -> int:
        """How many special tokens a sample has."""
        return sum(map(len, self.special_ids))

    @property
    def has_types(self) -> bool:
        """Whether some token has another segment id than 0."""
        return any(self.text_types) or any(map(any, self.special_types))


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What is known of a tokenizer's parts."""

    single: Template | None  # None: its post-processor does more than add tokens around texts
    pair: Template | None
    cuts_at_spaces: bool  # tokens before a lone space and those behind it do not depend on each other

    def template(self, *, pair: bool) -> Template | None:
        """Return where special tokens stand in samples of one text, or of a pair."""
        return self.pair if pair else self.single


def layout_of(backend: tokenizers.Tokenizer) -> Layout:
    """Return what the tokenizer's description and two probes show."""
    known = all(step["type"] in _PUT_TOKENS_AROUND for step in _steps(backend.post_processor, "processors"))
    return Layout(
        single=_template(backend, "a") if known else None,
        pair=_template(backend, "a", "a") if known else None,
        cuts_at_spaces=_cuts_at_spaces(backend),
    )


def _template(backend: tokenizers.Tokenizer, text: str, pair: str | None = None) -> Template | None:
    """Return the positions of special tokens around texts of one word."""
    probe = backend.encode(text, pair)
    special_ids: list[list[int]] = [[]]
    special_types: list[list[int]] = [[]]
    text_types: list[int] = []
    order: list[int] = []
    before = None
    for sequence, token, kind in zip(probe.sequence_ids, probe.ids, probe.type_ids, strict=True):
        if sequence is None:
            special_ids[-1].append(token)
            special_types[-1].append(kind)
        elif sequence != before:
            special_ids.append([])
            special_types.append([])
            text_types.append(kind)
            order.append(sequence)
        before = sequence
    specials = backend.num_special_tokens_to_add(pair is not None)
    plain = sum(len(backend.encode(part, add_special_tokens=False)) for part in (text, pair) if part is not None)
    written_once = (sum(map(len, special_ids)), len(probe)) == (specials, specials + plain)
    if order != list(range(1 if pair is None else 2)) or not written_once:
        return None  # a template may swap texts, or write one twice
    return Template(
        special_ids=tuple(map(tuple, special_ids)),
        special_types=tuple(map(tuple, special_types)),
        text_types=tuple(text_types),
    )


def _cuts_at_spaces(backend: tokenizers.Tokenizer) -> bool:
    splits = _steps(backend.pre_tokenizer, "pretokenizers")
    return (
        type(backend.model).__name__ in _MODELS
        and not getattr(backend.model, "dropout", None)  # random merges
        and all(_leaves_lone_spaces(step) for step in _steps(backend.normalizer, "normalizers"))
        and bool(splits)
        and _splits_at_spaces(splits[0])
        and all(step["type"] in _SPLIT_FURTHER for step in splits[1:])
        and not any(_reaches_right(token) for token in backend.get_added_tokens_decoder().values())
    )


def _leaves_lone_spaces(normalizer: dict[str, Any]) -> bool:
    return normalizer["type"] in _NORMALIZERS or (
        normalizer["type"] == "Replace" and normalizer["pattern"] == _RUNS_OF_SPACES
    )


def _splits_at_spaces(pre_tokenizer: dict[str, Any]) -> bool:
    kind = pre_tokenizer["type"]
    # files of older versions have neither key, and both were on then
    switched_on = {"ByteLevel": "use_regex", "Metaspace": "split"}.get(kind)
    return kind in _SPLIT_AT_SPACES and (switched_on is None or pre_tokenizer.get(switched_on, True))


def _reaches_right(token: tokenizers.AddedToken) -> bool:
    """Return whether an added token includes the space after a word."""
    return token.rstrip or token.content == " " or re.search(r"\S\s", token.content) is not None


def _steps(part: Any, key: str) -> list[dict[str, Any]]:
    """Return the steps of a normalizer, pre-tokenizer or post-processor as tokenizer.json describes them."""
    return [] if part is None else _flat(json.loads(part.__getstate__()), key)


def _flat(described: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the steps of a sequence of sequences, or the one step that it is."""
    return [step for inner in described[key] for step in _flat(inner, key)] if key in described else [described]
