"""What a manifest records of a tokenizer and of a list of droppable words."""

from tdbs.pipeline.manifest import TokenizerInfo, WordsInfo
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer
from tdbs.pipeline.words.stopwords import WordList, words_sha256


def tokenizer_info(tokenizer: LoadedTokenizer, *, pair: bool) -> TokenizerInfo:
    """Return what a manifest records of a tokenizer, for samples of one text or two."""
    return TokenizerInfo(
        name=tokenizer.name,
        source=tokenizer.source,
        sha256=tokenizer.sha256,
        vocabulary_sha256=tokenizer.vocabulary_sha256,
        vocabulary_size=tokenizer.vocabulary_size,
        pad_id=tokenizer.pad_id,
        end_id=tokenizer.end_id,
        special_ids=tokenizer.special_ids,
        special_tokens=tokenizer.backend.num_special_tokens_to_add(pair),
        model_max_length=tokenizer.model_max_length,
    )


def words_info(words: WordList) -> WordsInfo:
    """Return what a manifest records of the droppable words."""
    return WordsInfo(source=words.source, kept=words.kept, count=len(words.words), sha256=words_sha256(words.words))
