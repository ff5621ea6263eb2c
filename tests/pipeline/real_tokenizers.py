"""Real tokenizers, each loaded once."""

from functools import cache

from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer, load_tokenizer
from tests.conftest import SHARED

NAMES = ("roberta-base", "bert-base-uncased", "t5-small", "gpt2")


@cache
def tokenizer_of(name: str) -> LoadedTokenizer:
    """Return a tokenizer of ../shared by its name."""
    return load_tokenizer(str(SHARED / "tokenizers" / name))
