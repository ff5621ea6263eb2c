"""What `prepare` says is wrong with its dataset: repeated rows and cut samples, as lines and as JSON.

Both are counted while blocks are made; `tdbs audit` says which rows.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tdbs.analysis.audit.truncation import Truncation, cut_at_limit, is_much, split_truncation, target_truncation_of
from tdbs.pipeline.manifest import Manifest, RepeatCounts


def fault_lines(manifest: Manifest) -> list[str]:
    """Return lines about rows that repeat others and about samples that are cut; one line if there is neither."""
    rows = {name: info.source_rows for name, info in manifest.splits.items()}
    known = {name: info.repeats for name, info in manifest.splits.items() if info.repeats is not None}
    found = [*_repeat_lines(known, rows), *_cut_lines(manifest)]
    if found:
        return [*found, "tdbs audit says which, and finds near repeats."]
    return ["No row repeats another token by token; tdbs audit looks closer."] if known else []


def faults_json(manifest: Manifest, split: str) -> dict[str, Any]:
    """Return what `--json` has of a split: repeated rows and cuts; null in older datasets."""
    info = manifest.splits[split]
    repeats, targets = info.repeats, target_truncation_of(info, manifest.max_target_length)
    return {
        "exact_duplicates": None if repeats is None else repeats.duplicates,
        "conflicts": None if repeats is None else repeats.conflicts,
        "leaks": None if repeats is None else repeats.leaks,
        "cut": split_truncation(manifest, split).samples,
        "cut_targets": 0 if targets is None else targets.samples,
    }


def _repeat_lines(known: Mapping[str, RepeatCounts], rows: Mapping[str, int]) -> list[str]:
    lines = []
    repeats = _shares((name, each.duplicates, rows[name]) for name, each in known.items())
    if repeats:
        conflicts = _shares((name, each.conflicts, rows[name]) for name, each in known.items())
        relabelled = f" With the same tokens and another label: {conflicts}." if conflicts else ""
        lines.append(f"Rows that repeat an earlier one token by token: {repeats}.{relabelled}")
    leaks = _shares((name, each.leaks or 0, rows[name]) for name, each in known.items())
    return [*lines, f"Rows that stand in train token by token: {leaks}."] if leaks else lines


def _cut_lines(manifest: Manifest) -> list[str]:
    """Return a line for inputs and one for targets, of the splits of which so much is cut that an audit warns."""
    sequences = {name: int(info.sequences_L1.sum()) for name, info in manifest.splits.items()}
    inputs = {name: split_truncation(manifest, name) for name in manifest.splits}
    targets = {name: target_truncation_of(info, manifest.max_target_length) for name, info in manifest.splits.items()}
    rows = {name: info.rows for name, info in manifest.splits.items()}
    noun = "Sequences" if manifest.max_sequence_length else "Samples"
    cut_inputs, cut_targets = _much_cut(inputs, sequences), _much_cut(targets, rows)
    lines = []
    if cut_inputs:
        remedy = _limit(manifest, _kept(cut_inputs), sequences) or _keeps(cut_inputs)
        lines.append(f"{noun} cut at {manifest.longest_input} tokens: {_cut_shares(cut_inputs, sequences)}; {remedy}.")
    if cut_targets:
        cut = _cut_shares(cut_targets, rows)
        lines.append(f"Targets cut at {manifest.max_target_length} tokens: {cut}; {_keeps(cut_targets)}.")
    return lines


def _much_cut(told: Mapping[str, Truncation | None], totals: Mapping[str, int]) -> dict[str, Truncation]:
    """Return the splits of which so much is cut that an audit warns."""
    known = {name: cut for name, cut in told.items() if cut is not None}
    return {name: cut for name, cut in known.items() if is_much(cut.samples, totals[name])}


def _cut_shares(cuts: Mapping[str, Truncation], totals: Mapping[str, int]) -> str:
    return _shares((name, cut.samples or 0, totals[name]) for name, cut in cuts.items())


def _kept(cuts: Mapping[str, Truncation]) -> int:
    """Return the length that keeps 99 % of each split whole."""
    return max(cut.keeps_99_percent or 0 for cut in cuts.values())


def _keeps(cuts: Mapping[str, Truncation]) -> str:
    return f"{_kept(cuts):,} tokens keep 99% of them whole"


def _limit(manifest: Manifest, wanted: int, totals: Mapping[str, int]) -> str | None:
    """Return what the most tokens of the model cut, if they are fewer than wanted; None if they are enough."""
    found = {name: cut_at_limit(manifest, name, wanted) for name in totals}
    still = {name: cut for name, cut in found.items() if cut is not None}
    if not still:
        return None
    limit = max(cut.max_length for cut in still.values())
    if limit == manifest.longest_input:
        return f"{manifest.tokenizer.name} takes no more"
    cut = _shares((name, each.samples or 0, totals[name]) for name, each in still.items())
    return f"{manifest.tokenizer.name} takes at most {limit:,}, which cut {cut}"


def _shares(counts: Iterable[tuple[str, int, int]]) -> str:
    """Return counts as "6 of train (0.2%), 1 of validation (0.4%)", without those that are 0."""
    return ", ".join(f"{count:,} of {name} ({_percent(count / total)})" for name, count, total in counts if count)


def _percent(share: float) -> str:
    """Return 0.002 as 0.2%, and less than a tenth of a percent as such."""
    return f"{share:.1%}" if share >= 0.0005 else "under 0.1%"
