"""What the greatest length cuts: samples and tokens, for several lengths, and the length that keeps 99 % whole.

Shards hold tokens after the cut, so only lengths up to the prepared one are known. How much longer a cut sample was is
not: tokens lost are those known to be lost, and the samples that the prepare itself cut are an estimate. It is the
number of samples of exactly the greatest length, less what the four lengths before it have on average.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding
from tdbs.arrays import IntArray
from tdbs.data.tasks import TaskKind
from tdbs.pipeline.manifest import SplitInfo

# Shapes: L1 = L + 1 lengths, from 0 to the greatest.

LENGTHS = (64, 128, 256, 512)
WHOLE = 0.99  # share of the samples that a length should keep whole
_NEIGHBOURS = 4
_UNCUT: tuple[TaskKind, ...] = ("question_answering",)  # long texts come in windows


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """What a greatest length cuts of a split; the fields are JSON keys of `tdbs audit`."""

    max_length: int
    samples: int | None  # that are cut; None: longer than what was prepared
    tokens_lost: int | None  # at least


@dataclass(frozen=True, kw_only=True, slots=True)
class Truncation:
    """Lengths after the cut of prepare, and what other cuts would do; the fields are JSON keys of `tdbs audit`."""

    measured_after_cut_at: int
    estimated_cut: int  # samples that prepare cut
    keeps_99_percent: int | None  # least length that does; None: greater than the prepared one
    cuts: tuple[Cut, ...]


def truncation_of(info: SplitInfo, max_length: int, kind: TaskKind) -> Truncation:
    """Return the cuts of a split, from its histogram alone. Each sequence of a sample is cut on its own."""
    counts_L1 = np.zeros(max_length + 1, dtype=np.int64)
    counts_L1[: len(info.sequences_L1)] = info.sequences_L1
    rows = int(counts_L1.sum())
    estimated = 0 if kind in _UNCUT else estimated_cut(counts_L1)
    shares_L1 = np.cumsum(counts_L1) / max(rows, 1)
    kept = int(np.searchsorted(shares_L1, WHOLE - 1e-12))
    is_known = kept < max_length or estimated <= (1 - WHOLE) * rows
    return Truncation(
        measured_after_cut_at=max_length,
        estimated_cut=estimated,
        keeps_99_percent=min(kept, max_length) if is_known else None,
        cuts=tuple(_cut(counts_L1, length, max_length, estimated) for length in sorted({*LENGTHS, max_length})),
    )


def estimated_cut(counts_L1: IntArray) -> int:
    """Return how many samples of exactly the greatest length are more than the lengths before it let expect."""
    before = counts_L1[max(len(counts_L1) - 1 - _NEIGHBOURS, 0) : -1]
    return max(int(counts_L1[-1] - round(float(before.mean()))), 0) if len(before) else 0


def is_much(cut: int, total: int) -> bool:
    """Return whether more samples are cut than a greatest length should cut, 1 %."""
    return cut > (1 - WHOLE) * total


def estimated_target_cut(info: SplitInfo, max_target_length: int | None) -> int:
    """Return how many targets of a split prepare cut, an estimate; 0 if targets are not sequences."""
    if max_target_length is None or len(info.target_histogram) != max_target_length + 1:
        return 0
    return estimated_cut(np.array(info.target_histogram, dtype=np.int64))


def truncation_findings(contents: Contents) -> list[Finding]:
    """Return the splits of which prepare cut more than 1 % of the samples."""
    manifest, found = contents.manifest, []
    for split, name in enumerate(contents.names):
        longest = manifest.longest_input
        told = truncation_of(manifest.splits[name], longest, manifest.task.kind)
        part = contents.slice_of(split)
        lengths, firsts_N = contents.sequences_of(part)
        if is_much(told.estimated_cut, len(lengths)):
            rows_R = np.flatnonzero(np.maximum.reduceat(lengths, firsts_N) == longest) + part.start
            noun = "Samples" if contents.sequences is None else "Sequences"
            found.append(
                finding(
                    contents,
                    "truncation",
                    split,
                    rows_R,
                    what=f"{noun} of {name} cut at {longest} tokens, estimated: {told.estimated_cut:,}.",
                    fix=contents.prepare_command(max_length=2 * longest),
                    count=told.estimated_cut,
                    total=len(lengths),
                )
            )
        found += _target_finding(contents, split)
    return found


def _target_finding(contents: Contents, split: int) -> list[Finding]:
    """Return the same of targets that are sequences."""
    longest = contents.manifest.max_target_length
    cut = estimated_target_cut(contents.manifest.splits[contents.names[split]], longest)
    if longest is None or not is_much(cut, contents.rows_of(split)):
        return []
    targets = contents.targets[split]
    lengths_N = None if targets is None else targets.lengths_N
    rows_R = np.empty(0, dtype=np.int64) if lengths_N is None else np.flatnonzero(lengths_N == longest)
    return [
        finding(
            contents,
            "target_truncation",
            split,
            rows_R + contents.slice_of(split).start,
            what=f"Samples of {contents.names[split]} with a target cut at {longest} tokens, estimated: {cut:,}.",
            fix=contents.prepare_command(max_target_length=2 * longest),
            count=cut,
        )
    ]


def _cut(counts_L1: IntArray, length: int, longest: int, estimated: int) -> Cut:
    if length > longest:
        return Cut(max_length=length, samples=None if estimated else 0, tokens_lost=None if estimated else 0)
    if length == longest:
        return Cut(max_length=length, samples=estimated, tokens_lost=None if estimated else 0)
    beyond = counts_L1[length + 1 :]
    return Cut(
        max_length=length,
        samples=int(beyond.sum()),
        tokens_lost=int(beyond @ np.arange(1, len(beyond) + 1)),
    )
