"""How well the tokenizer fits: the share of unknown tokens, and fertility, the tokens of a word."""

from dataclasses import dataclass

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding
from tdbs.arrays import IntArray, offsets_of

# Shapes: V ids of the vocabulary, N samples of a split, R some of them.

_MANY_UNKNOWN = 0.005  # share of tokens
_FERTILE = 2.5  # tokens a word: English words have 1.1 to 1.4, with a tokenizer for them
_FEWEST_WORDS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How a tokenizer fits all splits, to compare two; the fields are JSON keys of `tdbs audit`."""

    tokenizer: str
    words: int  # stretches of letters and digits
    fertility: float  # tokens with a letter or digit, a word
    unknown_tokens: int
    unknown_share: float  # of all tokens that are not special


def fit_of(contents: Contents) -> Fit:
    """Return how the tokenizer fits."""
    counts_V = contents.id_counts_V
    has_letters_V = np.diff(contents.pieces.offsets_V1) > 0
    pieces = int(counts_V[: len(has_letters_V)][has_letters_V].sum())
    words = contents.normal.words
    own = int(counts_V.sum() - counts_V[contents.special_ids].sum())
    unknown = contents.unknown_id
    unknown_tokens = 0 if unknown is None else int(counts_V[unknown])
    return Fit(
        tokenizer=contents.manifest.tokenizer.name,
        words=words,
        fertility=pieces / words if words else 0.0,
        unknown_tokens=unknown_tokens,
        unknown_share=unknown_tokens / own if own else 0.0,
    )


def vocabulary_findings(contents: Contents) -> list[Finding]:
    """Return the splits with many unknown tokens, and whether words fall into many tokens."""
    found = []
    unknown = contents.unknown_id
    for split, name in enumerate(contents.names):
        part = contents.slice_of(split)
        first, end = contents.token_offsets_N1[[part.start, part.stop]]
        if unknown is not None:
            counts_N = np.concatenate([_tokens_with(contents, block, unknown) for block in contents.blocks(split)])
            unknowns = int(counts_N.sum())
            own = end - first - len(contents.sequences_of(part)[0]) * contents.special_tokens
            if unknowns and unknowns >= _MANY_UNKNOWN * own:
                rows_R = np.flatnonzero(counts_N) + part.start
                found.append(
                    finding(
                        contents,
                        "unknown_tokens",
                        split,
                        rows_R,
                        what=f"{unknowns / own:.1%} of the tokens of {name} are unknown to the tokenizer, "
                        f"in {len(rows_R):,} samples.",
                        fix=contents.prepare_command(tokenizer="ANOTHER"),
                    )
                )
    fit = fit_of(contents)
    if fit.words >= _FEWEST_WORDS and fit.fertility >= _FERTILE:
        found.append(
            finding(
                contents,
                "fertility",
                0,
                np.arange(contents.rows_of(0)),
                what=f"A word has {fit.fertility:.2f} tokens of {fit.tokenizer}: it was made for other texts.",
                fix=contents.prepare_command(tokenizer="ANOTHER"),
            )
        )
    return found


def _tokens_with(contents: Contents, block: slice, number: int) -> IntArray:
    """Return how many tokens of each of some samples have an id (R)."""
    offsets_R1 = contents.token_offsets_N1[block.start : block.stop + 1]
    return np.diff(offsets_of(contents.ids_T[offsets_R1[0] : offsets_R1[-1]] == number)[offsets_R1 - offsets_R1[0]])
