"""The classes of labelled splits: balance, few or no rows, and shares that differ from train's."""

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding, hold_out
from tdbs.arrays import FloatArray, IntArray

# Shapes: C classes, N samples of a split.

_SKEWED = 10.0  # times the smallest class that the largest one has
_FEW = 10  # rows of a class
_EXPECTED = 10.0  # rows that a split should have of a class: none of them by chance in one of 20,000 splits
_APART = 0.05  # difference of a class's share, beyond chance
_CERTAIN = 4.5  # standard errors


def class_findings(contents: Contents) -> list[Finding]:
    """Return what is wrong with the classes of each split whose samples have one."""
    found: list[Finding] = []
    names = contents.manifest.task.classes
    for split, name in enumerate(contents.names):
        counts_C = class_counts(contents, split)
        if counts_C is None or len(names) < 2:
            continue
        if split == 0:
            found += _balance(contents, split, counts_C)
        train_C = class_counts(contents, 0) if split > 0 and contents.has_train else None
        expected_C = counts_C.sum() / len(names) * np.ones(len(names))
        if train_C is not None:
            expected_C = train_C / max(train_C.sum(), 1) * counts_C.sum()
        missing = [c for c in np.flatnonzero(counts_C == 0).tolist() if split == 0 or expected_C[c] >= _EXPECTED]
        if missing:
            found.append(
                finding(
                    contents,
                    "missing_classes",
                    split,
                    np.empty(0, dtype=np.int64),
                    count=len(missing),
                    total=len(names),
                    what=f"{name} has no sample of {_listed([names[c] for c in missing])}.",
                    fix=hold_out(contents)
                    if split
                    else f"Add samples of it to the source, then run: {contents.prepare_command()}",
                )
            )
        if train_C is not None:
            found += _shift(contents, split, train_C, counts_C)
    return found


def class_counts(contents: Contents, split: int) -> IntArray | None:
    """Return the samples of each class (C); if a sample has several, each counts. None if it has none of its own."""
    targets = contents.targets[split]
    if targets is None or targets.kind not in ("classification", "multi_label"):
        return None
    return np.bincount(targets.values.astype(np.int64), minlength=len(contents.manifest.task.classes))


def _balance(contents: Contents, split: int, counts_C: IntArray) -> list[Finding]:
    """Return whether one class outweighs another, and which ones have few rows."""
    names, name = contents.manifest.task.classes, contents.names[split]
    present = np.flatnonzero(counts_C)
    found = []
    if len(present) > 1 and counts_C.max() >= _SKEWED * counts_C[present].min():
        least = int(present[np.argmin(counts_C[present])])
        most = int(np.argmax(counts_C))
        found.append(
            finding(
                contents,
                "class_imbalance",
                split,
                _rows_with(contents, split, np.array([least])),
                what=f"{name} has {counts_C[most]:,} samples of {names[most]}, {counts_C[least]:,} of {names[least]}.",
                fix="Judge a run by f1_macro beside accuracy: tdbs evaluate RUN. Or add samples of the small class.",
            )
        )
    few = present[counts_C[present] < _FEW]
    if len(few):
        rows_R = _rows_with(contents, split, few)
        found.append(
            finding(
                contents,
                "rare_classes",
                split,
                rows_R,
                what=f"Classes of {name} with fewer than {_FEW} samples: {_listed([names[c] for c in few])}.",
                fix=f"Add samples or join classes in the source, then run: {contents.prepare_command()}",
            )
        )
    return found


def _shift(contents: Contents, split: int, train_C: IntArray, own_C: IntArray) -> list[Finding]:
    """Return whether the share of a class differs from its share in train, by more than chance and by 5 points."""
    share_C, of_train_C = own_C / own_C.sum(), train_C / train_C.sum()
    error_C = np.sqrt(_variance(share_C, own_C) + _variance(of_train_C, train_C))
    least_C = np.abs(share_C - of_train_C) - _CERTAIN * error_C
    worst = int(np.argmax(np.where(own_C > 0, least_C, -np.inf)))  # classes without a row are another finding
    if least_C[worst] < _APART:
        return []
    name = contents.names[split]
    return [
        finding(
            contents,
            "class_shift",
            split,
            _rows_with(contents, split, np.array([worst])),
            what=f"{share_C[worst]:.1%} of {name} are {contents.manifest.task.classes[worst]}, "
            f"{of_train_C[worst]:.1%} of train.",
            fix=hold_out(contents),
        )
    ]


def _variance(share_C: FloatArray, counts_C: IntArray) -> FloatArray:
    """Return the variance of a share of as many samples; at least that of half a sample."""
    rows = counts_C.sum()
    likely_C = np.clip(share_C, 0.5 / rows, 1 - 0.5 / rows)
    variance_C: FloatArray = likely_C * (1 - likely_C) / rows
    return variance_C


def _rows_with(contents: Contents, split: int, classes: IntArray) -> IntArray:
    """Return the samples of some classes."""
    targets = contents.targets[split]
    if targets is None:
        return np.empty(0, dtype=np.int64)
    places = np.flatnonzero(np.isin(targets.values, classes))
    if targets.offsets_N1 is not None:
        places = np.unique(np.searchsorted(targets.offsets_N1, places, side="right") - 1)
    return places + contents.slice_of(split).start


def _listed(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
