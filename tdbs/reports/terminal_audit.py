"""What `tdbs audit` prints: a table of findings, examples with the way to mend each, and a table of cuts."""

from rich.table import Table

from tdbs.analysis.audit.audit import Audit
from tdbs.analysis.audit.findings import Example, Finding
from tdbs.reports.terminal import plain_table
from tdbs.shown import shown

_UNKNOWN = "?"
_SHOWN_CLASSES = 8


def findings_table(found: Audit) -> Table:
    """Return a row for each finding."""
    table = plain_table("", "finding", "split", "count", "share")
    for each in found.findings:
        table.add_row(
            each.severity, each.kind.replace("_", " "), shown(each.split), f"{each.count:,}", f"{each.share:.2%}"
        )
    return table


def audit_lines(found: Audit) -> list[str]:
    """Return each finding with its examples and what mends it, then how it was measured."""
    lines = [line for each in found.findings for line in _finding_lines(each)]
    if not found.warnings:
        lines += ["", f"No warnings: {found.path}"]
    rows = sum(split.rows for split in found.splits.values())
    fit, near = found.tokenizer, found.near
    lines += [
        "",
        f"{rows:,} samples. Near duplicates: a Jaccard index of three-word shingles of {near.threshold} or more; "
        f"{near.missed_at_threshold:.1%} of the pairs at the threshold are missed, and none below it is shown.",
        f"{fit.tokenizer}: {fit.fertility:.2f} tokens a word, {fit.unknown_share:.2%} unknown tokens.",
    ]
    if found.control_characters_removed:
        lines.append("The tokenizer removes control characters: none can be found here.")
    skew = found.label_skew
    if skew is not None and skew.length_correlation is not None:
        lines.append(
            f"Correlation of length and label in train: {skew.length_correlation:.2f} "
            f"({skew.low:.2f} to {skew.high:.2f} at 99.9 %)."
        )
    if skew is not None and skew.droppable:
        shares = ", ".join(f"{each.name} {each.share:.1%}" for each in skew.droppable[:_SHOWN_CLASSES])
        lines.append(f"Droppable tokens by class: {shares}.")
    return [*lines, ""]


def cuts_table(found: Audit) -> Table:
    """Return what each greatest length cuts of each split; lengths beyond the prepared one are not known."""
    table = plain_table("split", "max length", "samples cut", "tokens lost", "99 % whole at")
    for name, split in found.splits.items():
        told = split.truncation
        keeps = f"over {told.measured_after_cut_at}" if told.keeps_99_percent is None else str(told.keeps_99_percent)
        for number, cut in enumerate(told.cuts):
            lost = _UNKNOWN if cut.tokens_lost is None else f"{cut.tokens_lost:,}"
            if told.estimated_cut and cut.tokens_lost is not None:
                lost = f"{lost} or more"
            samples = _UNKNOWN if cut.samples is None else f"{cut.samples:,}"
            of_split = (shown(name), keeps) if number == 0 else ("", "")
            table.add_row(of_split[0], str(cut.max_length), samples, lost, of_split[1])
    after = next(iter(found.splits.values())).truncation.measured_after_cut_at
    table.caption = f"Lengths are after the cut at {after}."
    return table


def _finding_lines(found: Finding) -> list[str]:
    return ["", f"{found.what}", *map(_example_line, found.examples), f"  mend: {found.mend}"]


def _example_line(example: Example) -> str:
    own = _sample(example.split, example.row, example.label, example.text)
    if example.other_split is None or example.other_row is None:
        return f"  {own}"
    return f"  {own}  = {_sample(example.other_split, example.other_row, example.other_label, '')}"


def _sample(split: str, row: int, label: str | None, text: str) -> str:
    of_label = "" if label is None else f" [{label}]"
    return f"{split} {row}{of_label}{f': {text}' if text else ''}"
