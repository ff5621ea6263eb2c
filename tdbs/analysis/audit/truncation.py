"""What the greatest length cuts: samples and tokens, for several lengths, and the length that keeps 99 % whole.

`prepare` counts the tokens of each text before it cuts it, so lengths beyond the prepared one are known, too. Older
datasets lack that: there, such lengths are unknown if a sample reaches the prepared one.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding
from tdbs.arrays import IntArray
from tdbs.fields import LONGEST, CutLengths
from tdbs.pipeline.manifest import SplitInfo

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
    keeps_99_percent: int | None  # least length that does; None: unknown
    cuts: tuple[Cut, ...]


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


def truncation_of(info: SplitInfo, max_length: int) -> Truncation:
    """Return the cuts of a split, from its histograms alone. Each sequence of a sample is cut on its own."""
    lengths = _lengths_of(info.sequences_L1, info.cut_lengths, max_length)
    cuts = {length: lengths.cut_at(length) for length in sorted({*LENGTHS, max_length})}
    shares_D = np.cumsum(lengths.counts_D) / max(int(lengths.counts_D.sum()), 1)
    kept = int(lengths.tokens_D[np.searchsorted(shares_D, WHOLE - 1e-12)]) if lengths.counts_D.any() else 0
    is_known = lengths.known_below is None or kept < lengths.known_below
    return Truncation(
        max_length=max_length,
        samples=cuts[max_length].samples,
        tokens_lost=cuts[max_length].tokens_lost,
        keeps_99_percent=kept if is_known else None,
        cuts=tuple(cuts.values()),
    )


def target_cut_of(info: SplitInfo, max_target_length: int | None) -> Cut | None:
    """Return what the prepared length cuts of targets that are sequences; None if they are not."""
    if max_target_length is None or not info.target_histogram:
        return None
    return _target_lengths(info, max_target_length).cut_at(max_target_length)


def is_much(cut: int | None, total: int) -> bool:
    """Return whether more samples are cut than a greatest length should cut, 1 %."""
    return cut is not None and cut > (1 - WHOLE) * total


def truncation_findings(contents: Contents) -> list[Finding]:
    """Return the splits of which prepare cut more than 1 % of the samples."""
    manifest, found = contents.manifest, []
    for split, name in enumerate(contents.names):
        longest = manifest.longest_input
        told = truncation_of(manifest.splits[name], longest)
        part = contents.slice_of(split)
        lengths, firsts_N = contents.sequences_of(part)
        if is_much(told.samples, len(lengths)):
            rows_R = np.flatnonzero(np.maximum.reduceat(lengths, firsts_N) == longest) + part.start
            noun = "Samples" if contents.sequences is None else "Sequences"
            found.append(
                finding(
                    contents,
                    "truncation",
                    split,
                    rows_R,
                    what=f"{noun} of {name} cut at {longest} tokens: {told.samples:,}, "
                    f"which lost {told.tokens_lost:,} tokens.",
                    fix=contents.prepare_command(max_length=min(told.keeps_99_percent or 2 * longest, LONGEST)),
                    count=told.samples,
                    total=len(lengths),
                )
            )
        found += _target_finding(contents, split)
    return found


def _target_finding(contents: Contents, split: int) -> list[Finding]:
    """Return the same of targets that are sequences."""
    longest, info = contents.manifest.max_target_length, contents.manifest.splits[contents.names[split]]
    targets = contents.targets[split]
    if longest is None or targets is None or targets.lengths_N is None:
        return []
    lengths = _target_lengths(info, longest)
    cut = lengths.cut_at(longest)
    if not is_much(cut.samples, contents.rows_of(split)):
        return []
    rows_R = np.flatnonzero(targets.lengths_N == longest)
    return [
        finding(
            contents,
            "target_truncation",
            split,
            rows_R + contents.slice_of(split).start,
            what=f"Samples of {contents.names[split]} with a target cut at {longest} tokens: {cut.samples:,}, "
            f"which lost {cut.tokens_lost:,} tokens.",
            fix=contents.prepare_command(max_target_length=min(int(lengths.tokens_D[-1]), LONGEST)),
            count=cut.samples,
        )
    ]


def _target_lengths(info: SplitInfo, longest: int) -> _Lengths:
    return _lengths_of(np.array(info.target_histogram, dtype=np.int64), info.cut_target_lengths, longest)


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
