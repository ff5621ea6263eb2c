"""What `tdbs audit` prints: a table of findings, examples with the way to fix each, and a table of cuts."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from tdbs.analysis.audit.audit import Audit
from tdbs.analysis.audit.findings import Example, Finding
from tdbs.reports.number_format import NOTHING
from tdbs.reports.terminal import plain_table
from tdbs.shown import seen, shown

FINDING_COLUMNS = ("finding", "split", "severity", "count", "share")
CUT_COLUMNS = ("split", "max length", "samples cut", "tokens lost", "99 % whole at")
_UNKNOWN = "?"
_SHOWN_CLASSES = 8


def findings_table(found: Audit) -> Table:
    """Return a row for each finding."""
    return _table(FINDING_COLUMNS, finding_rows(found))


def cuts_table(found: Audit) -> Table:
    """Return what each greatest length cuts of each split."""
    return _table(CUT_COLUMNS, cut_rows(found))


def finding_rows(found: Audit) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each finding."""
    for each in found.findings:
        yield (each.kind.replace("_", " "), each.split, each.severity, f"{each.count:,}", f"{each.share:.2%}")


def cut_rows(found: Audit) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each length of each split."""
    for name, split in found.splits.items():
        told = split.truncation
        keeps = NOTHING if told.is_of_windows else _length(told.keeps_99_percent, told.max_length)
        for number, cut in enumerate(told.cuts):
            lost = _UNKNOWN if cut.tokens_lost is None else f"{cut.tokens_lost:,}"
            samples = _UNKNOWN if cut.samples is None else f"{cut.samples:,}"
            yield (name if number == 0 else "", str(cut.max_length), samples, lost, keeps if number == 0 else "")


def finding_lines(found: Audit) -> list[str]:
    """Return each finding with its examples and what fixes it; a line that says so if nothing is worth fixing."""
    lines = [line for each in found.findings for line in _finding_lines(each)]
    return lines if found.warnings else [*lines, "", f"No warnings: {found.path}"]


def measured_lines(found: Audit) -> list[str]:
    """Return how it was measured, and the figures beside the findings."""
    rows = sum(split.rows for split in found.splits.values())
    fit, near, skew = found.tokenizer, found.near, found.label_skew
    lines = [
        f"{rows:,} samples. Near duplicates have a Jaccard index of three-word shingles of {near.threshold} or more: "
        f"{near.missed_at_threshold:.1%} of the pairs at the threshold are missed, and none below it is shown.",
        f"{fit.tokenizer}: {fit.fertility:.2f} tokens a word, {fit.unknown_share:.2%} unknown tokens.",
    ]
    if found.findings and found.to_add is not None:
        lines.append(f"To each command, add {found.to_add}.")
    if found.control_characters_removed:
        lines.append("The tokenizer removes control characters: none can be found here.")
    if skew is not None and skew.length_correlation is not None:
        lines.append(
            f"Correlation of length and label in train: {skew.length_correlation:.2f} "
            f"({skew.low:.2f} to {skew.high:.2f} at 99.9 %)."
        )
    if skew is not None and skew.droppable:
        shares = ", ".join(f"{each.name} {each.share:.1%}" for each in skew.droppable[:_SHOWN_CLASSES])
        lines.append(f"Droppable tokens by class: {shares}.")
    cuts = [split.truncation for split in found.splits.values()]
    lines.append(f"Prepared with at most {cuts[0].max_length} tokens.")
    if cuts[0].is_of_windows:
        lines.append("Samples are windows: no length cuts them, a shorter one makes more of them.")
    if any(cut.samples is None for cut in cuts):
        lines.append("Lengths before the cut are not in this dataset: prepare it again to know them.")
    return lines


def _length(kept: int | None, prepared: int) -> str:
    return f"{prepared:,} or more" if kept is None else f"{kept:,}"


def _table(columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Table:
    table = plain_table(*columns)
    for row in rows:
        table.add_row(*map(shown, row))
    return table


def _finding_lines(found: Finding) -> list[str]:
    return ["", found.what, *map(_example_line, found.examples), f"  fix: {found.fix}"]


def _example_line(example: Example) -> str:
    own = f"  {_place(example.split, example.row, example.label)}: {seen(example.text)}"
    if example.at_fault is not None:
        own += f"; at fault: {seen(example.at_fault)}"
    if example.other_split is None or example.other_row is None:
        return own
    return f"{own} (and {_place(example.other_split, example.other_row, example.other_label)})"


def _place(split: str, row: int, label: str | None) -> str:
    return f"{split} row {row}" if label is None else f"{split} row {row} [{label}]"
