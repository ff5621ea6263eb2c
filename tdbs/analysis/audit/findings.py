"""What an audit finds: how many samples, three of them, and the command that fixes it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from tdbs.analysis.audit.contents import FEWEST_DIGITS, MOST_DIGITS, Contents
from tdbs.arrays import IntArray
from tdbs.pipeline.origin import prepare_command
from tdbs.shown import clipped

# Shapes: R samples of a finding, among all samples of the dataset.

Severity = Literal["warning", "note"]
EXAMPLES = 3
_SHOWN_TEXT = 80  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One sample of a finding, and the sample that it was compared with."""

    split: str
    row: int  # of the source, from 1, as lists and errors count
    text: str  # of its tokens, cut to 80 characters
    label: str | None
    at_fault: str | None = None  # the one of its texts that is wrong, cut to 80 characters
    other_split: str | None = None
    other_row: int | None = None
    other_text: str | None = None
    other_label: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One fault of a split; the fields are JSON keys of `tdbs audit`."""

    kind: str
    severity: Severity  # a note is worth knowing, a warning is worth fixing before training
    split: str
    what: str
    count: int  # samples, or classes where `what` says so
    total: int  # samples of the split, or classes
    fix: str
    rows: IntArray = field(repr=False, compare=False)  # of the source, from 1, of all its samples; not in JSON
    examples: tuple[Example, ...] = ()

    @property
    def share(self) -> float:
        """Share of the split's samples, or of the classes."""
        return self.count / self.total if self.total else 0.0

    def record(self) -> dict[str, Any]:
        """Return what JSON has of it: all but the rows, which may be many."""
        found = asdict(self)
        del found["rows"]
        return found | {"share": self.share}


def finding(
    contents: Contents,
    kind: str,
    split: int,
    rows_R: IntArray,
    *,
    what: str,
    fix: str,
    severity: Severity = "warning",
    others_R: IntArray | None = None,
    texts_R: IntArray | None = None,
    count: int | None = None,
    total: int | None = None,
) -> Finding:
    """Return a finding about some samples of a split, with the first ones as examples.

    Args:
        contents: The samples of the dataset.
        kind: Its key.
        split: Number of the split.
        rows_R: The samples, among those of all splits.
        what: The finding in a sentence.
        fix: The command, or what to do where no command can.
        severity: Whether it is worth fixing.
        others_R: The sample that each was compared with.
        texts_R: The text of each that is wrong, among all texts, if it is one of several.
        count: How many there are, if not one for each sample.
        total: What they are a share of, if not the samples of the split.
    """
    return Finding(
        kind=kind,
        severity=severity,
        split=contents.names[split],
        what=what,
        count=len(rows_R) if count is None else count,
        total=contents.rows_of(split) if total is None else total,
        fix=fix,
        rows=np.unique(contents.source_rows_N[rows_R]) + 1,
        examples=tuple(_examples(contents, rows_R[:EXAMPLES], others_R, texts_R)),
    )


def hold_out(contents: Contents) -> str:
    """Return the fix for a split that is not like train: hold out a part of train in its place."""
    changes = {"mirror": None, "keep_out": None, "validation": 0.1}
    command = prepare_command(contents.manifest, changes, source="TRAIN_FILE")
    return f"Hold out a part of train in its place: {command}"


def _examples(
    contents: Contents, rows_R: IntArray, others_R: IntArray | None, texts_R: IntArray | None
) -> Iterator[Example]:
    for place, row in enumerate(rows_R.tolist()):
        other = None if others_R is None else int(others_R[place])
        digits = FEWEST_DIGITS if other is None else _distinct_digits(contents, row, other)
        known = _described(contents, row, digits)
        if texts_R is not None:
            known["at_fault"] = clipped(contents.decoded(int(texts_R[place])), _SHOWN_TEXT)
        if other is not None:
            known |= {f"other_{name}": value for name, value in _described(contents, other, digits).items()}
        yield Example(**known)


def _distinct_digits(contents: Contents, row: int, other: int) -> int:
    """Return the digits with which two labels differ as they are shown, if they are numbers that differ."""
    if contents.label_digests_N[row] == contents.label_digests_N[other]:
        return FEWEST_DIGITS
    differ = (
        digits
        for digits in range(FEWEST_DIGITS, MOST_DIGITS)
        if contents.label_of(row, digits=digits) != contents.label_of(other, digits=digits)
    )
    return next(differ, MOST_DIGITS)


def _described(contents: Contents, row: int, digits: int) -> dict[str, Any]:
    split = contents.split_of(row)
    return {
        "split": contents.names[split],
        "row": int(contents.source_rows_N[row]) + 1,
        "text": clipped(contents.text_of(row), _SHOWN_TEXT),
        "label": contents.label_of(row, digits=digits),
    }


def severity_of(count: int, total: int, least_share: float) -> Severity:
    """Return a warning if the share of samples is at least this one, else a note."""
    return "warning" if count >= least_share * total else "note"
