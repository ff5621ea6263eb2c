"""Algorithm 1, TokenDrop with one global rate, line by line (paper 2.1). Slow oracle, never imported by tdbs.

Two departures: the printed loop never ends where a sample has too few stopwords, so here one
pass over the sample's droppable words ends it; and at least one token that is not special stays.
"""

import math
from collections.abc import Sequence
from fractions import Fraction


def words_to_drop(rate: float, words: int) -> int:
    """Return floor(rate x words), with the rate read as the decimal number that was written (0.29 is 29/100)."""
    return math.floor(Fraction(repr(rate)) * words)


def token_drop(word_sizes: Sequence[int], order: Sequence[int], rate: float, non_special: int) -> set[int]:
    """Return the numbers of the words that go.

    `word_sizes[w]` is the number of tokens of droppable word w, `order` the words in random order (line 3, drawn by
    the caller), `non_special` the number of the sample's tokens that are not special.
    """
    dropped: set[int] = set()  # line 1: Filtered_Dataset = Dataset; line 2, the loop over samples, is the caller's
    tokens_left = non_special
    tokens_to_drop = words_to_drop(rate, len(word_sizes))  # the paper's Tokens_to_drop counts words
    for word in order:  # lines 4 and 5: while Tokens_to_drop > 0, for word in Stopwords
        if tokens_to_drop == 0:
            break
        if tokens_left - word_sizes[word] < 1:
            continue  # the last token that is not special stays
        dropped.add(word)  # lines 6 and 7: the word is in the sample; pop it
        tokens_left -= word_sizes[word]
        tokens_to_drop -= 1  # line 8
    return dropped
