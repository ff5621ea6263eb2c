"""A tokenizer of transformers for collators: only its pad token and side matter."""

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast


def hub_tokenizer(**options):
    vocabulary = {"[PAD]": 0, **{f"w{number}": number for number in range(1, 50)}}
    backend = Tokenizer(models.WordLevel(vocabulary))
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", **options)  # noqa: S106  (no password)
