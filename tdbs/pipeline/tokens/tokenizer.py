"""Load a fast tokenizer by hub name or local folder, with padding and truncation under our control.

`tokenizer.json` is read by the tokenizers library alone; a folder or name without one goes through transformers,
which converts the older formats. Padding that a tokenizer.json carries is switched off and truncation is ours
(all-MiniLM's pads everything to 128).
"""

import json
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import tokenizers

from tdbs.errors import ConfigError, TokenizerError, reason_of
from tdbs.files import sha256_of
from tdbs.pipeline.tokens.rules import Layout, layout_of
from tdbs.records import Form, read_json
from tdbs.shown import notice
from tdbs.unasked import nothing_asked

TOKEN_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# Capitals, accents, spaces, other scripts, a first word, digits, marks, a pair: what a tokenizer's class may change.
_ALONE = ("The Film é", " two  Spaces", "word", "中文 don't ÀB", "in 1887, 3.14", "e\u0301 DON'T\n\n!!! ½ 🙂")
_PROBES: tuple[tuple[str] | tuple[str, str], ...] = (*((text,) for text in _ALONE), ("The film", "é A"))
_NEXT_STEP = "Pass --tokenizer with a folder or hub name that has a tokenizer.json."
_SETTINGS = Form(
    what="the settings of a tokenizer", error=TokenizerError, next_step="Save the tokenizer again.", foreign=True
)
_SETTINGS_NAME = "tokenizer_config.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedTokenizer:
    """A fast tokenizer and what a prepared dataset records of it."""

    name: str  # last part of the hub name or folder: names the dataset's folder
    source: str  # as given: the default model of training
    backend: tokenizers.Tokenizer
    backend_json: str  # the whole tokenizer, without padding and truncation
    sha256: str  # hash of backend_json
    vocabulary_sha256: str  # hash of the token -> id map alone, which a model must match
    vocabulary_size: int
    pad_id: int
    special_ids: tuple[int, ...]
    model_max_length: int | None
    end_id: int | None = None  # ends a text (seq2seq)
    layout: Layout | None = None  # None: unknown, so texts are tokenized whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How transformers reads the tokenizer of a model, beside its tokens, which are those of tdbs."""

    source: str  # folder or hub name
    gives_segment_ids: bool
    pads_left: bool
    token_names: tuple[tuple[str, str], ...]  # names of special tokens, as eos_token, and the tokens


def load_tokenizer(source: str) -> LoadedTokenizer:
    """Load a tokenizer by hub name or folder. Raises TokenizerError with the way out."""
    files = _find_files(source, "tokenizer.json", _SETTINGS_NAME, "config.json")
    backend = _read_backend(source, files.get("tokenizer.json"))
    backend.no_padding()
    backend.no_truncation()
    backend_json = backend.to_str()
    settings = _read_json(files.get(_SETTINGS_NAME)) | {
        key: value for key, value in _read_json(files.get("config.json")).items() if key == "pad_token_id"
    }
    if settings.get("truncation_side") == "left":
        raise TokenizerError(
            f"The tokenizer {source} cuts the beginning of long texts; tdbs cuts the end.",
            next_step='Set "truncation_side": "right" in its tokenizer_config.json if the model may read the '
            "beginning instead.",
        )
    added = backend.get_added_tokens_decoder().items()
    # The unknown token stands for a word of the text, though its tokenizer calls it special.
    unknown = getattr(backend.model, "unk_token", None)
    special_ids = tuple(sorted(i for i, token in added if token.special and token.content != unknown))
    vocabulary = backend.get_vocab(with_added_tokens=False)
    by_token = sorted(vocabulary.items(), key=itemgetter(0))
    limit = settings.get("model_max_length")
    return LoadedTokenizer(
        name=Path(source).name,
        source=source,
        backend=backend,
        backend_json=backend_json,
        sha256=sha256_of(backend_json.encode()),
        vocabulary_sha256=sha256_of(json.dumps(by_token).encode()),
        vocabulary_size=max([*vocabulary.values(), *(i for i, _ in added)], default=-1) + 1,  # ids may have gaps
        pad_id=_pad_id(backend, settings),
        end_id=_token_id(backend, settings, "eos_token"),
        special_ids=special_ids,
        layout=layout_of(backend),
        # transformers writes 1e30 where it knows no limit
        model_max_length=int(limit) if isinstance(limit, int | float) and limit < 1e9 else None,
    )


def read_by_transformers(source: str, backend: tokenizers.Tokenizer) -> Reading | None:
    """Return how transformers reads the tokenizer of a folder or name; None if it has none, or none that opens.

    What it gives is a matter of the tokenizer's class and settings, not of tokenizer.json: XLM-R's gives no model
    segment ids. They may also make transformers produce other tokens than tokenizer.json does (`do_lower_case`,
    `add_prefix_space`, more added tokens). Raises TokenizerError if they do: `backend` is what texts are prepared with.
    A tokenizer that does not open gets a notice.
    """
    try:
        loaded = _transformers_tokenizer(source)
        fault = None if loaded.is_fast and _has_words(loaded) else "it has no fast implementation, or no vocabulary"
    except Exception as error:  # a dozen kinds
        fault = reason_of(error)
    if fault is not None:
        _note_unopened(source, fault)
        return None
    # a class adds special tokens of its own, which no text is likely to hold
    known = backend.get_vocab().keys() | _strings(_read_json(_find_files(source, _SETTINGS_NAME).get(_SETTINGS_NAME)))
    added = dict.fromkeys([*loaded.all_special_tokens, *loaded.get_added_vocab()])
    for texts in [*_PROBES, *((f"word {token} word",) for token in added if token in known)]:
        theirs = loaded(*texts)["input_ids"]
        if theirs != backend.encode(*texts).ids:
            raise TokenizerError(
                f"transformers reads the tokenizer of {source} differently from its tokenizer.json: it makes other "
                f"tokens of {' and '.join(map(repr, texts))}.",
                next_step=f"Save AutoTokenizer.from_pretrained({source!r}) in another folder, and prepare with that.",
            )
    return Reading(
        source=source,
        gives_segment_ids="token_type_ids" in loaded.model_input_names,
        pads_left=loaded.padding_side == "left",
        token_names=tuple((name, token) for name, token in loaded.special_tokens_map.items() if name in TOKEN_NAMES),
    )


def check_max_length(tokenizer: LoadedTokenizer, max_length: int, *, pair: bool) -> None:
    """Refuse a length, in tokens with special ones, without room for text or beyond the model's limit."""
    special = tokenizer.backend.num_special_tokens_to_add(pair)
    if max_length <= special:
        raise ConfigError(
            f"--max-length {max_length} leaves no room for text: {tokenizer.name} adds {special} special tokens.",
            next_step=f"Pass --max-length {special + 1} or more.",
        )
    limit = tokenizer.model_max_length
    if limit is not None and max_length > limit:
        raise ConfigError(
            f"--max-length {max_length} is beyond {tokenizer.name}, which takes at most {limit} tokens.",
            next_step=f"Pass --max-length {limit} or less.",
        )


def backend_of(text: str) -> tokenizers.Tokenizer:
    """Open a tokenizer by the text of its tokenizer.json; the only place that does. Raises ValueError."""
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception
        raise ValueError(reason_of(error)) from error


def _note_unopened(source: str, reason: str) -> None:
    """Say why transformers cannot open a tokenizer, if there is one."""
    try:
        files = _find_files(source, "tokenizer.json", _SETTINGS_NAME)
    except TokenizerError:
        return
    if files:
        notice(
            f"transformers cannot open the tokenizer of {source}: {reason}. "
            "tdbs did not check that it makes the same tokens."
        )


def _strings(value: object) -> set[str]:
    """Return all texts in a value of JSON."""
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {text for each in inner for text in _strings(each)}


def _find_files(source: str, *names: str) -> dict[str, Path]:
    """Return the paths of those of some files that a folder or hub name has."""
    folder = Path(source)
    if folder.is_dir():
        return {name: folder / name for name in names if (folder / name).is_file()}
    if folder.is_absolute() or source.startswith(".") or source.count("/") > 1:
        raise TokenizerError(
            f"Tokenizer folder {source} does not exist.", next_step="Pass --tokenizer with a folder or a hub name."
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RepositoryNotFoundError

    files = {}
    for name in names:
        try:
            files[name] = Path(hf_hub_download(source, name))
        except RepositoryNotFoundError as error:
            raise TokenizerError(
                f"The hub has no model named {source}.", next_step="Check --tokenizer, or pass a local folder."
            ) from error
        except Exception:  # no such file there, or one of many network errors: transformers tries next
            continue
    return files


def _read_backend(source: str, tokenizer_json: Path | None) -> tokenizers.Tokenizer:
    if tokenizer_json is not None:
        try:
            return backend_of(tokenizer_json.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TokenizerError(
                f"{tokenizer_json} is not a tokenizer that the tokenizers library can read: {reason_of(error)}.",
                next_step="Save it again with tokenizer.save_pretrained(...).",
            ) from error
    try:
        loaded = _transformers_tokenizer(source)
    except Exception as error:  # transformers raises a dozen kinds here, ImportError of an optional library included
        if not Path(source).is_dir():
            raise TokenizerError(
                f"The tokenizer {source} is not on this machine, and the hub cannot be reached.",
                next_step="Pass --tokenizer with a local folder, or run once with a network.",
            ) from error
        raise TokenizerError(
            f"transformers cannot load a tokenizer from {source}: {reason_of(error)}.", next_step=_NEXT_STEP
        ) from error
    if not loaded.is_fast:
        raise TokenizerError(
            f"The tokenizer {source} has no fast implementation, so it does not report which characters a "
            "token covers.",
            next_step="Convert it to a tokenizer.json, or pass --tokenizer with a fast one.",
        )
    backend: tokenizers.Tokenizer = loaded.backend_tokenizer
    if not _has_words(loaded):
        raise TokenizerError(
            f"transformers cannot load a tokenizer from {source}: there is no vocabulary.", next_step=_NEXT_STEP
        )
    return backend


def _has_words(loaded: Any) -> bool:
    """Return whether a tokenizer has a vocabulary: of an empty folder transformers makes one without."""
    return len(set(loaded.get_vocab()) - set(loaded.all_special_tokens)) > 1


def _transformers_tokenizer(source: str) -> Any:
    """Open a tokenizer as transformers does; code that a folder brings is never run."""
    from transformers import AutoTokenizer

    with nothing_asked():
        return AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False)


def _read_json(path: Path | None) -> dict[str, object]:
    if path is None:
        return {}
    settings = read_json(path, _SETTINGS)
    if not isinstance(settings, dict):
        raise TokenizerError(f"{path} is not a JSON object.", next_step="Save the tokenizer again.")
    return settings


def _pad_id(backend: tokenizers.Tokenizer, settings: dict[str, object]) -> int:
    """Return the id that fills rows up: the pad token, else the configured one, else the end token (GPT-2), else 0."""
    configured = settings.get("pad_token_id")
    pad = _token_id(backend, settings, "pad_token")
    if pad is None and isinstance(configured, int) and configured >= 0:  # some models have -1
        pad = configured
    return (_token_id(backend, settings, "eos_token") or 0) if pad is None else pad


def _token_id(backend: tokenizers.Tokenizer, settings: dict[str, object], name: str) -> int | None:
    """Return the id of a token that the settings name, or None."""
    token = settings.get(name)
    text = token.get("content") if isinstance(token, dict) else token
    return backend.token_to_id(text) if isinstance(text, str) else None
