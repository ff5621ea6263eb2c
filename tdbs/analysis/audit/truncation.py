"""What the greatest length cuts: samples and tokens, for several lengths, and the length that keeps 99 % whole.

`prepare` counts the tokens of each text before it cuts it, so lengths beyond the prepared one are known, too. Older
datasets lack that: there, such lengths are unknown if a sample reaches the prepared one. No length cuts the windows of
questions: a shorter one makes more of them.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding
from tdbs.arrays import IntArray
from tdbs.fields import LONGEST, CutLengths
from tdbs.pipeline.manifest import Manifest, SplitInfo

# Shapes: D distinct lengths, R samples.

LENGTHS = (64, 128, 256, 512)
WHOLE = 0.99  # share of the samples that a length should keep whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """What a greatest length cuts of a split; the fields are JSON keys of `tdbs audit`."""

    max_length: int
    samples: int | None  # that are cut; None: unknown
    tokens_lost: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Truncation:
    """What the prepared length cuts, and what others would; the fields are JSON keys of `tdbs audit`."""

    max_length: int  # of prepare
    samples: int | None  # that prepare cut; None: unknown
    tokens_lost: int | None
    keeps_99_percent: int | None  # least length that does; None: unknown, or samples are windows
    cuts: tuple[Cut, ...]

    @property
    def is_of_windows(self) -> bool:
        """Whether samples are windows: no length cuts them, so none keeps more of them whole."""
        return self.keeps_99_percent is None and self.samples is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lengths:
    """The distinct lengths before the cut, ascending, and how many sequences have each."""

    tokens_D: IntArray
    counts_D: IntArray
    known_below: int | None  # the prepared length, if what reached it may have been longer

    def cut_at(self, max_length: int) -> Cut:
        """Return what a greatest length cuts."""
        if self.known_below is not None and max_length >= self.known_below:
            return Cut(max_length=max_length, samples=None, tokens_lost=None)
        lost_D = np.maximum(self.tokens_D - max_length, 0)
        samples = int(self.counts_D[lost_D > 0].sum())
        lost = None if self.known_below is not None and samples else int(lost_D @ self.counts_D)
        return Cut(max_length=max_length, samples=samples, tokens_lost=lost)

    def that_keeps(self, share: float) -> int | None:
        """Return the least length that keeps this share whole; None if it is not known."""
        if not self.counts_D.any():
            return 0
        shares_D = np.cumsum(self.counts_D) / self.counts_D.sum()
        kept = int(self.tokens_D[np.searchsorted(shares_D, share - 1e-12)])
        return kept if self.known_below is None or kept < self.known_below else None


def split_truncation(manifest: Manifest, name: str) -> Truncation:
    """Return the cuts of a split of a dataset: none of the windows of questions."""
    if manifest.task.kind == "question_answering":
        return _windows_truncation(manifest.longest_input)
    return truncation_of(manifest.splits[name], manifest.longest_input)


def truncation_of(info: SplitInfo, max_length: int) -> Truncation:
    """Return the cuts of a split, from its histograms alone. Each sequence of a sample is cut on its own."""
    return _truncation(_lengths_of(info.sequences_L1, info.cut_lengths, max_length), max_length)


def target_truncation_of(info: SplitInfo, max_target_length: int | None) -> Truncation | None:
    """Return the cuts of targets that are sequences; None if they are not."""
    if max_target_length is None or not info.target_histogram:
        return None
    histogram_L1 = np.array(info.target_histogram, dtype=np.int64)
    return _truncation(_lengths_of(histogram_L1, info.cut_target_lengths, max_target_length), max_target_length)


def cut_at_limit(manifest: Manifest, name: str, wanted: int) -> Cut | None:
    """Return what the most tokens that the tokenizer's model takes cut of a split; None if a length is within them."""
    limit, info, longest = manifest.tokenizer.model_max_length, manifest.splits[name], manifest.longest_input
    if limit is None or wanted <= limit:
        return None
    return _lengths_of(info.sequences_L1, info.cut_lengths, longest).cut_at(max(limit, longest))


def is_much(cut: int | None, total: int) -> bool:
    """Return whether more samples are cut than a greatest length should cut, 1 %."""
    return cut is not None and cut > (1 - WHOLE) * total


def truncation_findings(contents: Contents) -> list[Finding]:
    """Return the splits of which prepare cut more than 1 % of the samples."""
    manifest, found = contents.manifest, []
    for split, name in enumerate(contents.names):
        longest = manifest.longest_input
        told = split_truncation(manifest, name)
        part = contents.slice_of(split)
        lengths, firsts_N = contents.sequences_of(part)
        if told.keeps_99_percent is not None and is_much(told.samples, len(lengths)):
            rows_R = np.flatnonzero(np.maximum.reduceat(lengths, firsts_N) == longest) + part.start
            noun = "Samples" if contents.sequences is None else "Sequences"
            still = cut_at_limit(manifest, name, told.keeps_99_percent)
            found.append(
                finding(
                    contents,
                    "truncation",
                    split,
                    rows_R,
                    what=f"{noun} of {name} cut at {longest} tokens: {told.samples:,}, "
                    f"which lost {told.tokens_lost:,} tokens.{_at_limit(contents, still)}",
                    fix=_fix(contents, told.keeps_99_percent, still),
                    count=told.samples,
                    total=len(lengths),
                )
            )
        found += _target_finding(contents, split)
    return found


def _at_limit(contents: Contents, still: Cut | None) -> str:
    """Return what the most tokens of the model cut, as a sentence, if they are not enough but more than before."""
    if still is None or still.max_length == contents.manifest.longest_input:
        return ""
    return (
        f" {contents.manifest.tokenizer.name} takes at most {still.max_length:,} tokens, which cut {still.samples:,}."
    )


def _fix(contents: Contents, wanted: int, still: Cut | None) -> str:
    """Return the command that keeps 99 % whole, or as much as the model takes, or what to do if it takes no more."""
    if still is None or still.max_length > contents.manifest.longest_input:
        return contents.prepare_command(max_length=min(wanted, LONGEST) if still is None else still.max_length)
    other = contents.prepare_command(tokenizer="ANOTHER", max_length=min(wanted, LONGEST))
    return (
        f"{contents.manifest.tokenizer.name} takes at most {still.max_length:,} tokens. "
        f"Shorten the texts, or choose a model that takes more: {other}"
    )


def _target_finding(contents: Contents, split: int) -> list[Finding]:
    """Return the same of targets that are sequences."""
    manifest, targets = contents.manifest, contents.targets[split]
    told = target_truncation_of(manifest.splits[contents.names[split]], manifest.max_target_length)
    if told is None or told.keeps_99_percent is None or targets is None or targets.lengths_N is None:
        return []
    if not is_much(told.samples, contents.rows_of(split)):
        return []
    rows_R = np.flatnonzero(targets.lengths_N == told.max_length)
    return [
        finding(
            contents,
            "target_truncation",
            split,
            rows_R + contents.slice_of(split).start,
            what=f"Samples of {contents.names[split]} with a target cut at {told.max_length} tokens: {told.samples:,}, "
            f"which lost {told.tokens_lost:,} tokens.",
            fix=contents.prepare_command(max_target_length=min(told.keeps_99_percent, LONGEST)),
            count=told.samples,
        )
    ]


def _truncation(lengths: _Lengths, max_length: int) -> Truncation:
    """Return what the prepared length cuts, and what others would."""
    cuts = {length: lengths.cut_at(length) for length in _table_lengths(max_length)}
    return Truncation(
        max_length=max_length,
        samples=cuts[max_length].samples,
        tokens_lost=cuts[max_length].tokens_lost,
        keeps_99_percent=lengths.that_keeps(WHOLE),
        cuts=tuple(cuts.values()),
    )


def _windows_truncation(max_length: int) -> Truncation:
    """Return that nothing is cut, at any length."""
    cuts = (Cut(max_length=length, samples=0, tokens_lost=0) for length in _table_lengths(max_length))
    return Truncation(max_length=max_length, samples=0, tokens_lost=0, keeps_99_percent=None, cuts=tuple(cuts))


def _table_lengths(max_length: int) -> list[int]:
    return sorted({*LENGTHS, max_length})


def _lengths_of(counts_L1: IntArray, cut: CutLengths | None, longest: int) -> _Lengths:
    """Return the lengths before the cut, from the histogram after it and from those that were cut."""
    reached = int(counts_L1[longest:].sum())
    before, times = np.array(cut or (), dtype=np.int64).reshape(-1, 2).T
    tokens_D = np.append(np.arange(len(counts_L1)), before)
    counts_D = np.append(counts_L1, times)
    if len(times):
        counts_D[longest] -= times.sum()
    some = counts_D > 0
    return _Lengths(
        tokens_D=tokens_D[some], counts_D=counts_D[some], known_below=longest if cut is None and reached else None
    )
