"""Samples without words, with one token, or far too long; and splits whose lengths are not those of train.

Lengths are those of what a model reads at once: how many texts a query has does not make a sample longer.
"""

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding, hold_out, severity_of
from tdbs.arrays import IntArray, offsets_of

# Shapes: N samples of a split, R some of them, P texts of these, P1 = P + 1.

_MANY_SHORT = 0.01  # share of samples with one token from which they are worth a warning
_MANY_LONG = 0.002
_DEVIATIONS = 5.0  # of the logarithm of the length, from its median: an outlier
_LEAST_DEVIATION = 0.2  # of the logarithm: where lengths hardly vary, an outlier has 2.7 times the median
_NORMAL = 1.4826  # standard deviations of a normal distribution in its median absolute deviation
_FAR = 0.5  # standard deviations between the mean lengths of two splits
_FAR_SHARE = 0.2  # of the mean length of train, where lengths hardly vary
_CERTAIN = 4.5  # standard errors: by chance in one of 150,000 tests


def size_findings(contents: Contents) -> list[Finding]:
    """Return what is wrong with the lengths of each split."""
    found = []
    for split, name in enumerate(contents.names):
        part = contents.slice_of(split)
        text_N = _least_tokens(contents, split)
        own_N = np.maximum.reduceat(*contents.sequences_of(part)) - contents.special_tokens
        again = f"Leave them out of the source, then run: {contents.prepare_command()}"
        of_pair = " in one of their texts" if contents.texts.most > 1 else ""
        empty_R = np.flatnonzero(text_N <= 0) + part.start
        if len(empty_R):
            what = f"Samples of {name} without a token{of_pair}: {len(empty_R):,}."
            found.append(finding(contents, "empty", split, empty_R, what=what, fix=again))
        one_R = np.flatnonzero(text_N == 1) + part.start
        if len(one_R):
            what = f"Samples of {name} with a single token{of_pair}: {len(one_R):,}."
            grade = severity_of(len(one_R), len(text_N), _MANY_SHORT)
            found.append(finding(contents, "one_token", split, one_R, what=what, fix=again, severity=grade))
        limit = longest_usual(own_N)
        long_R = np.flatnonzero(own_N > limit)
        if len(long_R):
            long_R = long_R[np.argsort(-own_N[long_R], kind="stable")] + part.start
            what = f"Samples of {name} far longer than the others, over {limit:,.0f} tokens: {len(long_R):,}."
            fix = contents.prepare_command(max_length=int(limit) + contents.special_tokens)
            grade = severity_of(len(long_R), len(own_N), _MANY_LONG)
            found.append(finding(contents, "length_outliers", split, long_R, what=what, fix=fix, severity=grade))
        if contents.has_train and split > 0:
            found += _shift(contents, split)
    return found


def longest_usual(own_N: IntArray) -> float:
    """Return the length beyond which a sample is an outlier: 5 deviations of the logarithm above its median.

    Deviations are the median absolute one, scaled to a normal distribution's, so outliers themselves count little.
    """
    logarithm_N = np.log(own_N[own_N > 0])
    if not len(logarithm_N):
        return np.inf
    middle = float(np.median(logarithm_N))
    deviation = _NORMAL * float(np.median(np.abs(logarithm_N - middle)))
    return float(np.exp(middle + _DEVIATIONS * max(deviation, _LEAST_DEVIATION)))


def _least_tokens(contents: Contents, split: int) -> IntArray:
    """Return the tokens of each sample's shortest text, without special ones (N)."""
    if contents.texts.most == 1:
        return contents.lengths_N[contents.slice_of(split)] - contents.special_tokens
    is_own_V = np.ones(len(contents.id_counts_V), dtype=np.bool_)
    is_own_V[contents.special_ids] = False
    found = []
    for block in contents.blocks(split):
        firsts_R = contents.texts.firsts_N[block]
        offsets_P1 = contents.text_offsets_P1[firsts_R[0] : firsts_R[-1] + contents.texts.counts_N[block][-1] + 1]
        is_own = is_own_V[contents.ids_T[offsets_P1[0] : offsets_P1[-1]]]
        sizes_P = np.diff(offsets_of(is_own)[offsets_P1 - offsets_P1[0]])
        found.append(np.minimum.reduceat(sizes_P, firsts_R - firsts_R[0]))
    return np.concatenate(found)


def _shift(contents: Contents, split: int) -> list[Finding]:
    """Return whether the mean length of a split is far from that of train."""
    train_N, own_N = (_lengths(contents, contents.slice_of(each)).astype(np.float64) for each in (0, split))
    deviation = float(np.sqrt((train_N.var() + own_N.var()) / 2))
    least = _FAR_SHARE * float(train_N.mean())
    error = float(np.sqrt(train_N.var() / len(train_N) + own_N.var() / len(own_N)))
    apart = abs(own_N.mean() - train_N.mean())
    if apart < max(_FAR * deviation, least, _CERTAIN * error):
        return []
    typical_R = np.argsort(-np.abs(own_N - train_N.mean()), kind="stable") + contents.slice_of(split).start
    name = contents.names[split]
    sample = "sample" if contents.sequences is None else "query with its positive"
    told = f"{apart / deviation:.1f} standard deviations" if deviation >= least else f"{apart / train_N.mean():.0%}"
    return [
        finding(
            contents,
            "length_shift",
            split,
            typical_R,
            count=len(own_N),
            what=f"{name} has {own_N.mean():.1f} tokens a {sample}, train {train_N.mean():.1f}: {told} apart.",
            fix=hold_out(contents),
        )
    ]


def _lengths(contents: Contents, part: slice) -> IntArray:
    """Return the tokens of each sample; of queries those of query and positive, as splits differ in their negatives."""
    if contents.sequences is None:
        return contents.lengths_N[part]
    firsts_N, ends_N = contents.sequences.offsets_N1[:-1][part], contents.sequences.offsets_N1[1:][part]
    kept_N = np.minimum(firsts_N + (1 if contents.repeats_queries else 2), ends_N)
    through_Q1 = offsets_of(contents.sequences.lengths_Q)
    return through_Q1[kept_N] - through_Q1[firsts_N]
