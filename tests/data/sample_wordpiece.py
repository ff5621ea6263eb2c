"""Make the tokenizer of the sample corpus: BERT's rules, and a vocabulary of the corpus's own words.

The library's WordPiece trainer breaks ties by hash order, so its vocabulary changes from run to run; words and single
characters, sorted, do not. A word of the corpus is one token; any other word of ASCII is spelled by its characters.
"""

import string
from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

_UNKNOWN = "[UNK]"
SPECIAL_TOKENS = ("[PAD]", _UNKNOWN, "[CLS]", "[SEP]", "[MASK]")  # ids as in BERT's order: [PAD] is 0
_CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation


def train_sample_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Return the tokenizer of a corpus; the same texts in any order give the same one."""
    normalizer, pre_tokenizer = BertNormalizer(lowercase=True), BertPreTokenizer()
    words = {word for text in set(texts) for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))}
    continued = [f"##{character}" for character in string.ascii_lowercase + string.digits]
    entries = [*SPECIAL_TOKENS, *sorted(set(_CHARACTERS)), *continued, *sorted(words - set(_CHARACTERS))]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer
